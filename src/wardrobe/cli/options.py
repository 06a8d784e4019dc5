"""The options that several commands have, each declared once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from wardrobe.errors import UsageError


def complete_recipe(incomplete: str) -> list[str]:
    """Returns the names of recipes that begin so, for the shell's completion."""
    from wardrobe.models.recipes import RECIPES

    return [name for name in RECIPES if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """Returns 'latest' and the run folders that begin so, for the shell's completion."""
    folders = sorted(str(path.parent) for path in Path("runs").glob("*/run.json"))
    return [name for name in ("latest", *folders) if name.startswith(incomplete)]


RunName = Annotated[
    str, Argument(metavar="RUN", help="Run folder, or 'latest'", autocompletion=complete_run)
]
RecipeFile = Annotated[
    Path | None,
    Option(
        "--recipe",
        metavar="FILE",
        help="File of the recipe, instead of RECIPE: a .toml file, a run's folder or run.json, or "
        "a .py file that builds a network",
    ),
]
Epochs = Annotated[int | None, Option(help="Number of epochs", show_default="as in the recipe")]
Limit = Annotated[int | None, Option(help="Train on at most this many images")]
DataDir = Annotated[
    Path | None,
    Option(help="Folder or file of Fashion-MNIST: IDX, gzipped or not, CSV, .npz or Parquet"),
]
PhotosDir = Annotated[
    Path | None,
    Option(
        help="Folder of the clothing photos, with train/KIND/*.jpg and validation/KIND/*.jpg",
        show_default="$WARDROBE_PHOTOS, or the cache",
    ),
]
ExtraPhotos = Annotated[
    Path | None,
    Option(help="Folder of your own photos to train on, with one subfolder per kind or class"),
]
Model = Annotated[
    str | None,
    Option(
        help="Run folder, 'latest', file from `wardrobe export`, hf://OWNER/NAME, or a "
        "shipped model: 'photo' or 'baseline'",
        show_default="photo",
        autocompletion=complete_run,
    ),
]
Json = Annotated[bool, Option("--json", help="Print only one JSON object on stdout")]
DATA_HELP = (
    "'auto', 'fashion-mnist', 'synthetic', a folder with one subfolder per class, or a folder or "
    "file of Fashion-MNIST"
)
AUTO_HELP = f"{DATA_HELP}; with --json, only --data auto falls back on synthetic images"
Data = Annotated[str | None, Option(help="Where the run's data is now, if it was moved")]


def refuse(options: Mapping[str, object], why: str) -> None:
    """Raises UsageError if an option was given: "--NAME cannot be given with WHY".

    Args:
        options: name of the parameter → value.
    """
    given = [f"--{name.replace('_', '-')}" for name in options if options[name] is not None]
    if given:
        raise UsageError(f"{', '.join(given)} cannot be given with {why}")


def choose_data(data: str | None, as_json: bool) -> str:
    """Returns the data to use, by default "auto".

    With --json it is Fashion-MNIST: a program must not take scores on synthetic images for those.
    """
    if data is not None:
        return data
    return "fashion-mnist" if as_json else "auto"
