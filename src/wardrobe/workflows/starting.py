"""Starts what trains: Keras, and the other processes of a distributed training."""

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from wardrobe.data import Dataset
from wardrobe.errors import UsageError
from wardrobe.models import keras_settings
from wardrobe.models.recipes import Recipe
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training.distributed.launch import Process

TRACKERS = ("tensorboard", "mlflow")  # and the packages that they need
START_AGAIN = "start it again on every host"


def check_trackers(names: Sequence[str]) -> list[str]:
    """Returns the names of experiment trackers without duplicates; see `workflows.trackers`.

    Raises:
        UsageError: a name is unknown. ImportError: its package is not installed.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # MLflow reads it when it is imported
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--log-to {name} is unknown; give 'tensorboard' or 'mlflow'")
        importlib.import_module(name)
    return list(dict.fromkeys(names))


@contextmanager
def loading_keras(display: TrainingDisplay) -> Iterator[None]:
    """Says that Keras is being loaded, which takes seconds; see `keras_settings.loading_keras`."""
    display.stage("Starting Keras")
    with keras_settings.loading_keras():
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
