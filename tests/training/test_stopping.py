"""Keras callbacks in a training, and what ends a training before its last epoch."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small_trainings import Killed, Weights, create, equal
from traced_models import share_traced_models

from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.errors import UsageError
from wardrobe.models import recipes, settings
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import loop, losses, schedules

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


class Killing(TrainingDisplay):
    def __init__(self, after: int | None) -> None:
        super().__init__(io.StringIO())
        self.after = after

    def epoch(self, row: Any) -> None:
        super().epoch(row)
        if row["epoch"] == self.after:
            raise Killed


@pytest.fixture(scope="module", autouse=True)
def _trace_each_model_once() -> Iterator[None]:
    with share_traced_models():
        yield


@pytest.fixture(scope="module")
def dataset(drawn_data: Dataset) -> Dataset:
    """Four batches to train on and 40 images to validate."""
    return replace(drawn_data, train=drawn_data.train[:160], validation=drawn_data.validation[:40])


def fit(
    dataset: Dataset,
    run: Run,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    kill_after: int | None = None,
) -> Weights:
    display = Killing(kill_after)
    weights: Weights = loop.fit(run.recipe(), dataset, run, 1, display, callbacks).get_weights()
    return weights


def test_callbacks_see_one_training_and_stop_it_for_good(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 2)
    run, first, second = create(dataset, tmp_path / "run", SMALL), Calls(), Calls(stop_in=2)
    batches = [("batch", 1), ("batch", 3)]
    with pytest.raises(Killed):
        fit(dataset, run, [first], kill_after=2)
    assert first.calls == [("begin", 4), *batches, (0, 1, True), *batches, (1, 2, True)]
    weights = fit(dataset, run, [second])
    assert second.calls == [("begin", 4), *batches, (2, 3, True), "end"]
    assert equal(fit(dataset, run), weights)  # killed before model.keras was written
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]


def ending(run: Run) -> tuple[int, int, str]:
    end = run.info()["training_end"]
    return end["epochs"], end["kept_epoch"], end["reason"]


def patient(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe whose val_loss is lowest after epoch 2, and which stops after epoch 4."""
    validate = loop._validate

    def given(local: Any, model: Any, recipe: Recipe, dataset: Dataset) -> Any:
        epoch = int(model.optimizer.iterations) // 4
        return {**validate(local, model, recipe, dataset), "val_loss": abs(epoch - 2) + 0.5}

    monkeypatch.setattr(loop, "_validate", given)
    return replace(SMALL, epochs=9, patience=2)


def test_patience_keeps_the_best_epoch_also_if_killed_after_it(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = patient(monkeypatch)
    run, killed = (create(dataset, tmp_path / name, recipe) for name in ("whole", "killed"))
    weights = fit(dataset, run)
    assert ending(run) == (4, 2, "val_loss has not fallen for 2 epochs")
    with np.load(run.snapshot_path(2)) as best:
        assert equal([each.astype(np.float16) for each in weights], list(best.values()))
    assert (runs.count_epochs(run.info()), run.kept_epoch()) == (4, 2)
    assert len(list(run.checkpoint_folder.iterdir())) == 2
    with pytest.raises(Killed):
        fit(dataset, killed, kill_after=3)
    assert equal(fit(dataset, killed), weights)


def test_minutes_set_the_epochs_and_the_end_of_the_schedule_once(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop._Progress, "seconds", property(lambda self: 30.0))
    recipe = replace(SMALL, schedule="warmup-linear", minutes=2.6)
    whole, killed = (create(dataset, tmp_path / name, recipe) for name in ("whole", "killed"))
    weights = fit(dataset, whole)
    assert ending(whole) == (5, 5, "no more fit into 2.6 min")
    assert whole.recipe().epochs == 5
    assert whole.history()[-1]["learning_rate"] == pytest.approx(1e-6)  # a thousandth of the peak
    update = Run.update

    def killing(run: Run, **fields: Any) -> None:
        if "recipe" in fields:
            raise Killed
        update(run, **fields)

    with monkeypatch.context() as patch, pytest.raises(Killed):  # before run.json has the epochs
        patch.setattr(Run, "update", killing)
        fit(dataset, killed)
    monkeypatch.setattr(loop._Progress, "seconds", property(lambda self: 1.0))  # not read again
    with pytest.raises(Killed):
        fit(dataset, killed, kill_after=4)
    assert equal(fit(dataset, killed), weights)


@pytest.mark.parametrize(
    ("seconds", "minutes", "mined", "epochs"),
    [
        ([], 5, 1.0, 10),
        ([61], 1, 1.0, 1),  # at least one
        ([40], 1, 1.0, 1),  # a second would not fit
        ([40], 2, 1.0, 10),
        ([40, 10, 30], 2, 1.0, 9),  # the first includes compilation
        ([40, 10], 2, 0.4, 10),
        ([40, 10, 14], 2, 0.4, 7),  # the first two are not mined
    ],
)
def test_as_many_epochs_as_fit(
    seconds: list[float], minutes: float, mined: float, epochs: int
) -> None:
    recipe = replace(recipes.get("baseline"), minutes=minutes, hard_fraction=mined)
    assert schedules.count_epochs(recipe, [{"seconds": each} for each in seconds]) == epochs


@pytest.mark.parametrize("members", [1, 2])
def test_balanced_weights_are_those_of_scikit_learn_in_loss_and_validation(members: int) -> None:
    labels = np.array([0, 0, 0, 2, 1, 0])
    weights = losses.balance_classes(labels, 4)
    assert weights == pytest.approx([6 / (3 * 4), 6 / 3, 6 / 3, 0])
    recipe = replace(SMALL, ensemble_size=members)
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    outputs = logits if members == 1 else np.stack([logits] * 2, axis=1)
    (plain, _), (weighted, _) = (
        losses.build_loss_and_metric(recipe, each) for each in (None, weights)
    )
    each = [float(plain(labels[[i]], outputs[[i]])) for i in range(6)]
    expected = np.mean([weights[label] * loss for label, loss in zip(labels, each, strict=True)])
    assert float(weighted(labels, outputs)) == pytest.approx(expected)
    again = keras.losses.deserialize(keras.losses.serialize(weighted))
    assert float(again(labels, outputs)) == pytest.approx(expected)


def test_balanced_classes_are_recorded_and_photos_are_refused(
    dataset: Dataset, tmp_path: Path
) -> None:
    run = create(dataset, tmp_path / "run", replace(SMALL, epochs=1, class_weights="balanced"))
    fit(dataset, run)
    counts = np.bincount(dataset.train.labels, minlength=10)
    assert list(run.info()["class_weights"].values()) == pytest.approx(list(16 / counts))
    with pytest.raises(UsageError, match="class_weights=balanced with photos"):
        settings.apply(recipes.get("photo"), {"class_weights": "balanced"})
