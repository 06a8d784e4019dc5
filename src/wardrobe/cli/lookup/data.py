"""`wardrobe data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from wardrobe.cli import options
from wardrobe.cli.app import LOOKUP, app, print_json
from wardrobe.terminal import console

if TYPE_CHECKING:
    from wardrobe.data import Dataset


@app.command(rich_help_panel=LOOKUP)
def data(
    name: Annotated[
        str | None, Option("--data", help=options.AUTO_HELP, show_default="auto")
    ] = None,
    data_dir: options.DataDir = None,
    photos_dir: options.PhotosDir = None,
    download_photos: Annotated[
        bool, Option("--download-photos", help="Download the clothing photos if they are not found")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show where the data is, its checksums, class counts, and sample images."""
    from wardrobe.data import clothing_photos, load_data

    root = clothing_photos.find(photos_dir)
    if root is None and download_photos:
        root = clothing_photos.locate()
    dataset = load_data(options.choose_data(name, as_json), data_dir)
    about = {
        "data": dataset.name,
        **dataset.describe(),
        "class_counts": dataset.class_counts(),
        "sheet": _draw_sheet(dataset),
        "photos": root and {"source": str(root), "kinds": clothing_photos.count_photos(root)},
    }
    if as_json:
        print_json(about)
    else:
        _print_data(about)


def _draw_sheet(dataset: "Dataset") -> str | None:
    """Returns the path of a sheet of samples; None, with a warning, if it cannot be written."""
    sheet = Path("runs") / f"samples-{Path(dataset.name).name}.png"
    try:
        from wardrobe import plots

        sheet.parent.mkdir(exist_ok=True)
        figure = plots.training.plot_samples(
            dataset.train.images, dataset.train.labels, dataset.class_names
        )
        plots.save_figure(figure, sheet, dataset.name, dataset.is_synthetic)
    except (ImportError, OSError) as error:
        reason = f"{error.strerror}" if isinstance(error, OSError) else f"{error.name} is missing"
        console.warn(f"{sheet}, the sheet of samples, is left out: {reason}")
        return None
    return str(sheet)


def _print_data(about: dict[str, Any]) -> None:
    print(f"data      {about['data']}\nsource    {about['source']}")
    for name, checksum in about["checksums"].items():
        print(f"checksum  {name}  {checksum}")
    folders = {
        split: f" from {folder}/" for split, folder in about.get("split_folders", {}).items()
    }
    sizes = ", ".join(
        f"{n:,} {split}{folders.get(split, '')}" for split, n in about["splits"].items()
    )
    print(f"splits    {sizes}\n")
    _print_counts("class", about["class_counts"])
    print(f"\nsamples   {about['sheet'] or 'left out'}")
    photos = about["photos"]
    if photos is None:
        print("photos    not found; add --download-photos to download them (104 MB)")
    else:
        print(f"photos    {photos['source']}\n")
        _print_counts("kind", photos["kinds"])


def _print_counts(heading: str, counts: dict[str, dict[str, int]]) -> None:
    print(f"{heading:<16}{'train':>8}{'validation':>12}")
    for label, each in counts.items():
        print(f"{label:<16}{each['train']:>8,}{each['validation']:>12,}")
