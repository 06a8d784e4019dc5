"""Keras callbacks in a training, and what ends a training before its last epoch."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import loop

Weights = list[npt.NDArray[np.float32]]
SMALL = replace(
    recipes.get("baseline"), conv_filters=(2, 4), dense_units=None, batch_size=40, epochs=4
)


class Calls(keras.callbacks.Callback):
    """Notes each call with its epoch or step; stops in the middle of epoch `stop_in`, from 0."""

    def __init__(self, stop_in: int | None = None) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self.stop_in, self.epoch = stop_in, 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.calls.append(("begin", self.params["epochs"]))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("batch", batch))
        self.model.stop_training = self.epoch == self.stop_in

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append((epoch, logs["epoch"], "val_loss" in logs))

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append("end")


class Killed(BaseException):
    """Ends a training as SIGKILL does, after a checkpoint."""


class Killing(TrainingDisplay):
    def __init__(self, after: int | None) -> None:
        super().__init__(io.StringIO())
        self.after = after

    def epoch(self, row: Any) -> None:
        super().epoch(row)
        if row["epoch"] == self.after:
            raise Killed


@pytest.fixture(scope="module")
def dataset(drawn_data: Dataset) -> Dataset:
    """Four batches to train on and 40 images to validate."""
    return replace(drawn_data, train=drawn_data.train[:160], validation=drawn_data.validation[:40])


def create(dataset: Dataset, path: Path, recipe: Recipe = SMALL) -> Run:
    return runs.create_run(recipe, path, data=dataset.name, seed=1)


def fit(
    dataset: Dataset,
    run: Run,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    kill_after: int | None = None,
) -> Weights:
    display = Killing(kill_after)
    weights: Weights = loop.fit(run.recipe(), dataset, run, 1, display, callbacks).get_weights()
    return weights


def equal(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_callbacks_see_one_training_and_stop_it_for_good(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 2)
    run, first, second = create(dataset, tmp_path / "run"), Calls(), Calls(stop_in=2)
    batches = [("batch", 1), ("batch", 3)]
    with pytest.raises(Killed):
        fit(dataset, run, [first], kill_after=2)
    assert first.calls == [("begin", 4), *batches, (0, 1, True), *batches, (1, 2, True)]
    weights = fit(dataset, run, [second])
    assert second.calls == [("begin", 4), *batches, (2, 3, True), "end"]
    assert equal(fit(dataset, run), weights)  # killed before model.keras was written
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]
