"""The trained network that a run starts from: `wardrobe train --from`. It needs no Keras."""

import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.data import NAMES
from wardrobe.data.fashion_mnist import files
from wardrobe.errors import ModelError, RunError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.photo.listing import find_photos
from wardrobe.runs import Run
from wardrobe.workflows.opening import check_model

NOTHING = "nothing"  # random weights
DEFAULT = "photo"  # of an own folder with fewer files than MANY
MANY = 5_000  # photos: so many that training from random weights stays the default
# Chosen on validation images; docs/log.md, 2026-11-28.
RATE_FRACTION = 1 / 3  # of the recipe's learning rate
OWN_EPOCHS, OWN_BATCH_SIZE = 20, 32  # on an own folder: it has few images


@dataclass(frozen=True)
class Source:
    """A trained network."""

    name: str  # "photo" or "baseline", which ship, or the path of a run or file
    file: Path  # .keras, or .onnx in float32
    recipe: Recipe

    def describe(self) -> dict[str, str]:
        """Returns the entry "start_from" of run.json."""
        return {"source": self.name, "file": str(self.file), "sha256": _compute_sha256(self.file)}


def find(name: str | Path) -> Source | None:
    """Returns the network to start from; None for "nothing".

    Args:
        name: "nothing", a model that ships ("photo" or "baseline"), a run folder, "latest", or a
            file: .keras, or .onnx in float32.

    Raises:
        RunError: there is no such run, or it has no model. ModelError: the file is missing, or not
            of Wardrobe.
    """
    if name == NOTHING:
        return None
    shipped = _find_shipped(str(name))
    if shipped is not None:
        return Source(str(name), shipped, recipes.get(str(name)))
    path = Path(name)
    if path.suffix in (".keras", ".onnx") and not path.is_dir():
        return Source(str(path.resolve()), path.resolve(), _read_recipe(path))
    run = runs.find_run(name)
    check_model(run)
    return Source(str(run.path.resolve()), run.keras_path.resolve(), run.recipe())


def check_unchanged(run: Run) -> dict[str, str] | None:
    """Returns the entry "start_from" of run.json with the place where the source is now.

    Raises:
        RunError: it is gone or has changed, and the run has no checkpoint, so that it would have
            to start from it again.
    """
    record: dict[str, str] | None = run.info().get("start_from")
    if record is None or any(run.checkpoint_folder.glob("epoch-*.keras")):
        return record
    file = _find_shipped(record["source"]) or Path(record["file"])
    problem = None if file.is_file() else "is not there"
    if problem is None and _compute_sha256(file) != record["sha256"]:
        problem = "has changed"
    if problem:
        raise RunError(
            f"{file}, which {run.path} starts from, {problem}; restore it, or train a new run"
        )
    return {**record, "file": str(file)}


def fine_tune(recipe: Recipe, data: str) -> Recipe:
    """Returns a recipe for a network that is trained already.

    Args:
        data: as in `wardrobe.load_data`. On an own folder, the recipe has other epochs and batches,
            and no photos, which are of Fashion-MNIST's classes.
    """
    # In a trained network, batch normalization is part of the convolutions.
    changes: dict[str, Any] = {"batch_norm": False}
    changes["learning_rate"] = float(f"{recipe.learning_rate * RATE_FRACTION:.2g}")
    if is_own(data):
        changes |= {"epochs": OWN_EPOCHS, "batch_size": OWN_BATCH_SIZE}
        changes |= dict.fromkeys(("photo_fraction", "warp_fraction", "unknown_fraction"), 0.0)
    return replace(recipe, **changes)


def is_own(data: str) -> bool:
    """Returns whether `data` names a folder of images, not Fashion-MNIST or the synthetic ones."""
    return data not in NAMES and not files.is_copy(Path(data))


def choose_default(recipe: str | Path | Recipe | None, data: str) -> str:
    """Returns what training starts from if no source is given: of a small own folder, "photo"."""
    if recipe is not None or not data or not is_own(data) or not Path(data).is_dir():
        return NOTHING
    count = sum(1 for _ in find_photos(data, {}))
    return DEFAULT if 0 < count < MANY else NOTHING


def explain_default(source: Source, data: str) -> str:
    """Returns the line that says which source `choose_default` chose, and why."""
    return (
        f"Training starts from {source.name}, the network that ships, because {data} has fewer "
        f"than {MANY:,} files; for random weights, add --from nothing"
    )


def _find_shipped(name: str) -> Path | None:
    from wardrobe.inference.classifier import is_shipped
    from wardrobe.onnx_runtime import PRETRAINED

    return PRETRAINED / f"{name}.onnx" if is_shipped(name) else None


def _compute_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_recipe(path: Path) -> Recipe:
    """Returns the recipe of a model file: that of its run, or the one that ships of its name.

    Raises:
        ModelError: the file is missing, or names no recipe that ships.
    """
    run = runs.find_run_of(path)
    if run is not None and path in (run.keras_path, run.onnx_path):
        return run.recipe()
    expected = "give 'photo', a run, or a model.keras or model.onnx of wardrobe train"
    try:
        name = _read_onnx_name(path) if path.suffix == ".onnx" else _read_keras_name(path)
    except FileNotFoundError:
        raise ModelError(f"--from {path} does not exist; {expected}") from None
    except Exception as error:  # zipfile, json and protobuf each raise their own
        reason = f"cannot be read ({type(error).__name__})"
        raise ModelError(f"--from {path} {reason}; {expected}") from error
    if name not in recipes.RECIPES:
        raise ModelError(f"--from {path} has the unknown recipe {name!r}; {expected}")
    return recipes.RECIPES[name]


def _read_keras_name(path: Path) -> str:
    """Returns the recipe in the model's name, such as "baseline-fashion-mnist"."""
    with zipfile.ZipFile(path) as archive:
        name: str = json.loads(archive.read("config.json"))["config"]["name"]
    return name.partition("-")[0]


def _read_onnx_name(path: Path) -> str | None:
    import onnx

    properties = onnx.load(path).metadata_props
    return next((each.value for each in properties if each.key == "recipe"), None)
