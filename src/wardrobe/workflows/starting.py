"""Starts what trains: Keras, and the other processes of a distributed training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from wardrobe.data import Dataset
from wardrobe.models import keras_settings
from wardrobe.models.recipes import Recipe
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training.distributed.launch import Process

START_AGAIN = "start it again on every host"


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
