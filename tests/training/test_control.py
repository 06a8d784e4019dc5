"""A running training is followed, paused, stopped and given another learning rate."""

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_trainings import FEW_FILTERS, Killed, Weights, create, equal
from traced_models import share_traced_models

from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.errors import InterruptedRunError
from wardrobe.models import initializers, recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run, StepsReader
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints, control, live, loop
from wardrobe.workflows import train_run

CONSTANT = replace(recipes.get("baseline"), epochs=3, **FEW_FILTERS)
SCHEDULED = replace(CONSTANT, schedule="warmup-linear")


class Acting(TrainingDisplay):
    """Calls a function after each call of Keras, with the epoch and the step."""

    def __init__(self, act: Callable[[tuple[int, int]], None]) -> None:
        super().__init__(io.StringIO())
        self.act, self.current = act, 1

    def start(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.current = done + 1

    def step(self, step: int, loss: float, accuracy: float) -> None:
        self.act((self.current, step))

    def epoch(self, row: Any) -> None:
        self.current += 1


@pytest.fixture(scope="module", autouse=True)
def _trace_each_model_once() -> Iterator[None]:
    with share_traced_models():
        yield


@pytest.fixture(scope="module")
def dataset(drawn_data: Dataset) -> Dataset:
    """Ten batches to train on and 100 images to validate."""
    return replace(drawn_data, train=drawn_data.train[:320], validation=drawn_data.validation[:100])


@pytest.fixture(autouse=True)
def _a_row_every_four_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 4)  # 4, 8 and 10 of an epoch
    monkeypatch.setattr(live, "ROW_SECONDS", 0)  # however fast the machine is


def fit(dataset: Dataset, run: Run, act: Callable[[tuple[int, int]], None]) -> Weights:
    weights: Weights = loop.fit(run.recipe(), dataset, run, 1, Acting(act)).get_weights()
    return weights


def test_a_run_that_is_followed_and_paused_has_the_same_weights(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fit(dataset, create(dataset, tmp_path / "alone", SCHEDULED), lambda _: None)
    run, seen, status = create(dataset, tmp_path / "run", SCHEDULED), [], []
    run.followed_path.touch()
    monkeypatch.setattr(live, "LIVE_SECONDS", 0)
    monkeypatch.setattr(live, "LIVE_FRACTION", 1e9)
    slept = 0

    def sleep(_: float) -> None:
        nonlocal slept
        slept += 1
        status.append(run.info()["status"])
        runs.write_control(run, paused=slept % 2 == 1)  # the first time, it stays paused

    def act(now: tuple[int, int]) -> None:
        if run.live_path.exists():
            with np.load(run.live_path) as network:
                seen.append((int(network["epoch"]), int(network["step"]), len(network.files)))
        if now == (2, 4):
            runs.write_control(run, paused=True)

    fake = SimpleNamespace(
        sleep=sleep,
        perf_counter=lambda: time.perf_counter() + 10_000 * slept,
        time=lambda: run.followed_path.stat().st_mtime,  # fresh, however slow the machine is
    )
    for module in (control, live, loop):
        monkeypatch.setattr(module, "time", fake)
    assert equal(fit(dataset, run, act), expected)
    assert seen[:3] == [(1, 4, 10), (1, 8, 10), (1, 10, 10)]  # four layers, epoch and step
    assert status == ["paused", "paused"]
    assert run.info()["status"] == "running"
    assert not run.live_path.exists()
    assert run.fit_seconds() < 10_000  # without the pause
    assert all(row[2] < 10_000 for row in StepsReader(run.steps_path).read_new())


@pytest.mark.parametrize("recipe", [CONSTANT, SCHEDULED], ids=lambda recipe: recipe.schedule)
def test_a_run_with_another_learning_rate_resumes_to_the_same_weights(
    dataset: Dataset, tmp_path: Path, recipe: Recipe
) -> None:
    whole, killed = (create(dataset, tmp_path / name, recipe) for name in ("whole", "killed"))

    def change(now: tuple[int, int]) -> None:
        if now == (2, 4):
            runs.write_control(whole, learning_rate=2e-3)

    def change_and_kill(now: tuple[int, int]) -> None:
        if now == (2, 4):
            runs.write_control(killed, learning_rate=2e-3)
        if now == (2, 8):
            raise Killed

    def kill(now: tuple[int, int]) -> None:
        if now == (3, 4):
            raise Killed

    expected = fit(dataset, whole, change)
    with pytest.raises(Killed):
        fit(dataset, killed, change_and_kill)
    killed.control_path.unlink()  # as `wardrobe train --resume` does
    assert {row[0] for row in StepsReader(killed.steps_path).read_new()} == {1, 2}
    with pytest.raises(Killed):
        fit(dataset, killed, kill)
    assert equal(fit(dataset, killed, lambda _: None), expected)
    recorded = [run.info()["learning_rate_changes"] for run in (whole, killed)]
    assert recorded == [[{"epoch": 2, "step": 4, "learning_rate": 2e-3}]] * 2
    rates, again = ([row["learning_rate"] for row in run.history()] for run in (whole, killed))
    assert rates == again
    factor = {"constant": 1, "warmup-linear": 9 / 22.5}[recipe.schedule]  # 9 of 30 steps are left
    assert rates[1] == pytest.approx(2e-3 * factor)


def test_a_new_change_replaces_those_that_a_killed_process_made_later(
    dataset: Dataset, tmp_path: Path
) -> None:
    run = create(dataset, tmp_path / "run", replace(CONSTANT, epochs=1))
    made = [{"epoch": 1, "step": step, "learning_rate": 1e-5} for step in (4, 10)]
    run.update(learning_rate_changes=made)

    def act(now: tuple[int, int]) -> None:
        if now == (1, 8):
            runs.write_control(run, learning_rate=2e-3)

    fit(dataset, run, act)
    last = {"epoch": 1, "step": 8, "learning_rate": 2e-3}
    assert run.info()["learning_rate_changes"] == [made[0], last]
    assert run.history()[0]["learning_rate"] == pytest.approx(2e-3)


def test_a_run_is_stopped_as_by_ctrl_c(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create(dataset, tmp_path / "run", CONSTANT)

    def act(now: tuple[int, int]) -> None:
        if now == (1, 4):
            run.control_path.write_text("{")  # is not obeyed
        if now == (2, 4):
            run.control_path.unlink()
            runs.write_control(run, stop=True)

    with pytest.raises(InterruptedRunError, match="interrupted after 1 of 3 epochs"):
        train_run.train(run, dataset, Acting(act))
    assert run.info()["status"] == "interrupted"
    assert "control.json cannot be used" in capsys.readouterr().err


def test_steps_csv_has_the_means_since_the_row_before(real_run: tuple[Run, Any]) -> None:
    rows, batch = StepsReader(real_run[0].steps_path).read_new(), 32
    for epoch, history in enumerate(real_run[0].history(), start=1):
        own = [row for row in rows if row[0] == epoch]
        assert own[-1][1] == 63  # steps of 2,000 images
        assert own[-1][2] <= history["seconds"]
        images = np.diff([0, *(min(row[1] * batch, 2000) for row in own)])
        means = np.average([row[3:] for row in own], axis=0, weights=images)
        assert means == pytest.approx([history["loss"], history["accuracy"]], abs=1e-4)


def test_there_is_a_snapshot_of_every_epoch(real_run: tuple[Run, Any]) -> None:
    run = real_run[0]
    assert run.snapshot_epochs() == [0, 1, 2]
    initial = initializers.build_untrained(run.recipe(), 10, 0, np.empty((0, 28, 28), np.uint8))
    for epoch, model in ((0, initial), (2, checkpoints.load_model(run))):
        with np.load(run.snapshot_path(epoch)) as saved:
            found = [saved[name] for name in saved.files]
        assert all(each.dtype == np.float16 for each in found)
        assert equal(found, [each.astype(np.float16) for each in model.get_weights()])
