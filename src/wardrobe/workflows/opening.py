"""Opens what a command needs before Keras is loaded: a run's data and model.

Servers use it too, so nothing here imports Keras.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, TypedDict, Unpack

from wardrobe import runs
from wardrobe.data import NAMES, Dataset, Split, clothing_photos, load_training_data
from wardrobe.errors import RunError, UsageError
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal import progress
from wardrobe.terminal.progress import TrainingDisplay

Folder = str | Path | None
Places = tuple[str, Folder, Folder, Folder]  # name of the data, and three folders


def check_model(run: Run) -> None:
    """Refuses a run that has no model.keras.

    Raises:
        RunError: it has none.
    """
    if not run.keras_path.is_file():
        raise RunError(f"{run.path} has no model.keras; resume its training: {run.resume_line}")


class Moved(TypedDict, total=False):
    """Where the data of a run is now; what is missing or None is where it was.

    data: a folder of images, or Fashion-MNIST as in `wardrobe.load_data`.
    photos_dir, extra_photos: as in `load_training_data`.
    """

    data: str | None
    photos_dir: str | Path | None
    extra_photos: str | Path | None


def open_run_data(
    run: Run, data_dir: str | Path | None, stream: TextIO | None, **moved: Unpack[Moved]
) -> tuple[TrainingDisplay, Dataset]:
    """Returns a display, and the run's data, after checking that the run can be written.

    Raises:
        RunError: its folder is not writable; see `load_run_data` for others.
    """
    runs.check_writable(run.path, "copy the run to a writable disk")
    display = progress.make_training_display(stream or sys.stdout)
    display.stage("Opening the data")
    return display, load_run_data(run, data_dir, **moved)


def load_run_data(run: Run, data_dir: str | Path | None, **moved: Unpack[Moved]) -> Dataset:
    """Loads the run's data, and checks that it has not changed.

    Args:
        data_dir: where Fashion-MNIST, or the run's folder of images, is now.

    Raises:
        RunError: the data is not there, or not what the run was trained on.
    """
    info = run.info()
    dataset = _load(run, run.recipe(), info["limit"], *_find_places(run, data_dir, moved))
    _check_unchanged(run, dataset, info["dataset"])
    return dataset


def load_validation(run: Run) -> Split:
    """Loads the run's validation images alone, and checks that they have not changed.

    Photos are not decoded, and no more than one training image is drawn, which takes long.

    Raises:
        RunError: the data is not there, or not what the run was trained on.
    """
    data, folder, *_ = _find_places(run, None, {})
    dataset = _load(run, replace(run.recipe(), photo_fraction=0.0), 1, data, folder)
    expected = run.info()["dataset"]
    checksums = expected["checksums"].items() & dataset.checksums.items()  # without the photos'
    _check_unchanged(run, dataset, {**expected, "checksums": dict(checksums)})
    return dataset.validation


def _find_places(run: Run, data_dir: str | Path | None, moved: Moved) -> Places:
    """Returns name and folder of the run's data, and the folders of its photos."""
    info = run.info()
    data = moved.get("data") or info["data"]
    if data_dir is not None and data == info["data"] and data not in NAMES:
        data = str(data_dir)
    # A recorded folder that is gone is left out: the data is looked for as for a new run.
    recorded = (info.get(key) for key in ("data_dir", "photos_dir"))  # older runs have no photos
    folder, photos_dir = (each if each and Path(each).exists() else None for each in recorded)
    photos_dir = moved.get("photos_dir") or photos_dir
    extra_photos = moved.get("extra_photos") or info.get("extra_photos")
    for option, place in (("--data", data), ("--extra-photos", extra_photos)):
        if place is not None and place not in NAMES and not Path(place).exists():
            raise RunError(
                f"the data of {run.path} is not in {place}; if it was moved, give its folder with "
                f"{option}"
            )
    return data, data_dir or folder, photos_dir, extra_photos


def _load(
    run: Run, recipe: Recipe, limit: int | None, data: str, folder: Folder, *photos: Folder
) -> Dataset:
    try:
        return load_training_data(recipe, data, folder, limit, *photos)
    except UsageError as error:
        raise RunError(f"the data of {run.path} cannot be opened: {error}") from error


def _check_unchanged(run: Run, dataset: Dataset, expected: Mapping[str, Any]) -> None:
    """Compares data with the entry "dataset" of run.json.

    Raises:
        RunError: they differ; the message says in what.
    """
    found: Mapping[str, Any] = dataset.describe()
    if all(found[key] == expected[key] for key in ("checksums", "class_names")):
        return
    changed = dataset.checksums.items() ^ expected["checksums"].items()  # (name, checksum)
    is_photos = changed and all(name.startswith(clothing_photos.NAME) for name, _ in changed)
    facts = (expected["photos"], found["photos"]) if is_photos else (expected, found)
    was, now = ({**each["splits"], "classes": each.get("class_names")} for each in facts)
    what = "; ".join(
        f"{key}: {now[key]} instead of {was[key]}" for key in was if now.get(key) != was[key]
    )
    option = "--photos-dir or --extra-photos" if is_photos else "--data"
    raise RunError(
        f"the data in {facts[1]['source']} is not what {run.path} was trained on "
        f"({what or 'as many images, but other files or file names'}); restore it, give the right "
        f"folder with {option}, or train again"
    )
