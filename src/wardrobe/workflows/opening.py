"""Opens what a command needs before it starts: a run's data and model, other processes, Keras."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from wardrobe.data import Dataset, clothing_photos, load_training_data
from wardrobe.errors import RunError, UsageError
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal import console, progress
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training.distributed.launch import Process

START_AGAIN = "start it again on every host"


def check_model(run: Run) -> None:
    """Refuses a run that has no model.keras.

    Raises:
        RunError: it has none.
    """
    if not run.keras_path.is_file():
        raise RunError(f"{run.path} has no model.keras; resume its training: {run.resume_line}")


def open_run_data(
    run: Run, data_dir: str | Path | None, stream: TextIO | None
) -> tuple[TrainingDisplay, Dataset]:
    """Returns a display, and the run's data."""
    display = progress.make_training_display(stream or sys.stdout)
    display.stage("Opening the data")
    return display, load_run_data(run, data_dir)


def load_run_data(run: Run, data_dir: str | Path | None) -> Dataset:
    """Loads the run's data, and checks that it has not changed."""
    info = run.info()
    folder = data_dir or info["data_dir"]
    photos_dir = info.get("photos_dir")  # older runs have none
    is_there = photos_dir is not None and Path(photos_dir).is_dir()
    photos = photos_dir if is_there else None, info.get("extra_photos")  # else as for a new run
    try:
        dataset = load_training_data(run.recipe(), info["data"], folder, info["limit"], *photos)
    except UsageError as error:
        raise RunError(f"the data of {run.path} cannot be opened: {error}") from error
    found, expected = dataset.describe(), info["dataset"]
    if any(found[key] != expected[key] for key in ("checksums", "class_names")):
        changed = dataset.checksums.items() ^ expected["checksums"].items()  # (name, checksum)
        is_photos = changed and all(name.startswith(clothing_photos.NAME) for name, _ in changed)
        source = expected["photos"]["source"] if is_photos else dataset.source
        raise RunError(
            f"the data in {source} is not what {run.path} was trained on; "
            "restore it, or train again"
        )
    return dataset


@contextmanager
def loading_keras(display: TrainingDisplay) -> Iterator[None]:
    """Says that Keras is being loaded, which takes seconds, and silences its messages."""
    display.stage("Starting Keras")
    with console.suppress_native_logs():
        yield


def connect_workers(
    process: Process | None,
    recipe: Recipe,
    dataset: Dataset,
    limit: int | None,
    seed: int,
    display: TrainingDisplay,
) -> None:
    """Waits for the other processes of a distributed training, and sends them the task."""
    if process is None:
        return
    from wardrobe.training.distributed import collectives

    display.stage(f"{process} waits for the others at {process.coordinator}")
    collectives.join(process)
    task = {"recipe": asdict(recipe), "data": dataset.name, "limit": limit, "seed": seed}
    with collectives.report_lost_process(START_AGAIN):
        collectives.broadcast_object(task)
        collectives.check_batch_size(recipe.batch_size)
        collectives.check_equal("data", dataset.checksums)
