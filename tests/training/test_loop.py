"""Training: reproducible weights, resuming after a kill, Ctrl-C, runs that cannot be resumed."""

import io
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WARDROBE, Result, environment, refused, wait_until, wardrobe_here
from fake_runs import make_run
from small_trainings import FEW_FILTERS, Weights, create, equal
from traced_models import share_traced_models

from wardrobe import runs
from wardrobe.data import Dataset, load_data
from wardrobe.data.clothing_photos import ClothingPhotos, Photos
from wardrobe.errors import InterruptedRunError, RunError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal import progress
from wardrobe.training import checkpoints, loop, losses, sampling
from wardrobe.training.distributed import collectives
from wardrobe.training.distributed.launch import Process
from wardrobe.workflows import api, train_run

BASELINE = recipes.get("baseline")
MANY = 1000  # epochs of a run that is interrupted: more than are trained until then
SMALL_CHAMPION = replace(recipes.get("champion"), ensemble_size=2, **FEW_FILTERS)
SMALL_PHOTO = replace(recipes.get("photo"), stem_filters=(4,), dropout=0.2, **FEW_FILTERS)
SMALL_STRONG = replace(recipes.get("strong"), scoring_epochs=2, **FEW_FILTERS)


@pytest.fixture(scope="module", autouse=True)
def _trace_each_model_once() -> Iterator[None]:
    with share_traced_models():
        yield


@pytest.fixture(scope="module")
def dataset(drawn_data: Dataset) -> Dataset:
    """320 synthetic images to train on and 100 to validate."""
    return replace(drawn_data, train=drawn_data.train[:320], validation=drawn_data.validation[:100])


def fitted(
    dataset: Dataset, path: Path, seed: int, epochs: int = 3, recipe: Recipe = BASELINE
) -> tuple[Run, Weights]:
    recipe = replace(recipe, epochs=epochs)
    run = runs.create_run(recipe, path, data=dataset.name, seed=seed)
    model = loop.fit(recipe, dataset, run, seed, progress.TrainingDisplay(io.StringIO()))
    return run, model.get_weights()


@pytest.fixture(scope="module")
def first(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Weights]:
    """A run of three epochs, read-only, and its weights."""
    return fitted(dataset, tmp_path_factory.mktemp("trained") / "run", seed=0)


@pytest.fixture(scope="module")
def trained(first: tuple[Run, Weights]) -> Run:
    return first[0]


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Run:
    """A copy of that run, to change."""
    shutil.copytree(trained.path, tmp_path / "run")
    return Run(tmp_path / "run")


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    dataset: Dataset, first: tuple[Run, Weights], tmp_path: Path
) -> None:
    _, again = fitted(dataset, tmp_path / "again", seed=0)
    _, other = fitted(dataset, tmp_path / "other", seed=1)
    assert equal(first[1], again)
    assert not any(np.array_equal(a, b) for a, b in zip(first[1], other, strict=True))


@pytest.mark.parametrize(
    "recipe", [SMALL_PHOTO, SMALL_STRONG, SMALL_CHAMPION], ids=lambda recipe: recipe.name
)
def test_other_recipes_are_reproducible_and_follow_their_schedule(
    dataset: Dataset, tmp_path: Path, recipe: Recipe
) -> None:
    if recipe.photo_fraction:
        photos = Photos(dataset.validation.images[:10], np.array(["hat", "shoes"] * 5))
        dataset = replace(dataset, photos=ClothingPhotos("", {}, photos, photos))
    whole, expected = fitted(dataset, tmp_path / "whole", 1, epochs=4, recipe=recipe)
    rates, highest = [row["learning_rate"] for row in whole.history()], recipe.learning_rate
    slope = highest / 12 / (1 - recipe.warmup_fraction)  # of 12 steps
    assert rates == pytest.approx([slope * left for left in (8, 5, 2)] + [highest / 1000])
    assert 0 < whole.history()[-1]["val_accuracy"] <= 1
    run = create(dataset, tmp_path / "cut", replace(recipe, epochs=4))

    class Stopping(progress.TrainingDisplay):
        def epoch(self, row: Mapping[str, float]) -> None:
            if row["epoch"] == 3:  # `strong` has kept its losses for the fourth
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(run.recipe(), dataset, run, 1, Stopping(io.StringIO()))
    model = loop.fit(run.recipe(), dataset, run, 1, progress.TrainingDisplay(io.StringIO()))
    assert equal(model.get_weights(), expected)


def test_the_unknown_class_has_the_logit_0() -> None:
    loss = losses.CrossEntropyWithUnknown()
    none, first = np.array([[0, 0, 1.0]]), np.array([[1.0, 0, 0]])
    logits = np.array([[2.0, -1.0]], np.float32)
    total = np.exp([2.0, -1.0, 0.0]).sum()
    assert float(loss(none, logits)) == pytest.approx(np.log(total))
    assert float(loss(first, logits)) == pytest.approx(np.log(total) - 2)


def test_every_epoch_has_a_new_order() -> None:
    first, second = (sampling.shuffle_indices(100, seed=0, epoch=epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).any()


def test_history_has_a_row_per_epoch_and_run_json_the_parameters(trained: Run) -> None:
    run = trained
    header = (run.path / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,seconds,learning_rate,loss,accuracy,val_loss,val_accuracy,data"
    rows = run.history()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert run.info()["parameters"] == 225_034
    assert len(run.info()["seconds_per_epoch"]) == 3


def test_only_the_last_checkpoint_is_kept(trained: Run) -> None:
    assert [path.name for path in trained.checkpoint_folder.iterdir()] == ["epoch-0003.keras"]


def test_fewer_images_than_a_batch(dataset: Dataset, tmp_path: Path) -> None:
    seven = replace(dataset, train=dataset.train[:7])
    run, _ = fitted(seven, tmp_path / "run", seed=0, epochs=1)
    assert len(run.history()) == 1


def test_resuming_drops_the_surplus_row_and_the_unfinished_file(
    dataset: Dataset, copied: Run
) -> None:
    surplus = {**copied.history()[0], "epoch": 4, "loss": 99.0}  # killed before the checkpoint
    copied.write_history([*copied.history(), surplus])
    (copied.checkpoint_folder / ".123-epoch-0004.keras").write_bytes(b"half")
    recipe = replace(recipes.get("baseline"), epochs=4)
    loop.fit(recipe, dataset, copied, 0, progress.TrainingDisplay(io.StringIO()))
    assert [row["epoch"] for row in copied.history()] == [1, 2, 3, 4]
    assert copied.history()[3]["loss"] < 5
    assert [path.name for path in copied.checkpoint_folder.iterdir()] == ["epoch-0004.keras"]


def test_a_damaged_checkpoint_is_refused(dataset: Dataset, copied: Run) -> None:
    (copied.checkpoint_folder / "epoch-0003.keras").write_bytes(b"PK cut short")
    with pytest.raises(RunError, match=r"epoch-0003\.keras cannot be read .*; remove it"):
        loop.fit(BASELINE, dataset, copied, 0, progress.TrainingDisplay(io.StringIO()))


def test_a_loss_that_is_not_finite_ends_the_run(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = loop.compile_model

    def broken(*arguments: Any) -> Any:
        model = compiled(*arguments)
        model.get_layer("logits").bias.assign(np.full(10, np.nan))
        return model

    monkeypatch.setattr(loop, "compile_model", broken)
    with pytest.raises(RunError, match="the loss is nan after epoch 1"):
        fitted(dataset, tmp_path / "run", seed=0)
    assert not (tmp_path / "run/checkpoint").exists()


def test_an_interruption_wrapped_by_tensorflow_is_recognized(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*arguments: Any) -> None:
        raise RuntimeError("pybind11::error_already_set: … REPLACED BY KeyboardInterrupt: …")

    run = runs.create_run(recipes.get("baseline"), tmp_path / "run", data=dataset.name, seed=0)
    monkeypatch.setattr(loop, "fit", fit)
    with pytest.raises(
        InterruptedRunError, match=r"interrupted after 0 of 10 epochs; resume with: .* --resume"
    ):
        train_run.train(run, dataset, progress.TrainingDisplay(io.StringIO()))
    assert run.info()["status"] == "interrupted"
    monkeypatch.setattr(collectives, "_process", Process("127.0.0.1:9", 2, 0))
    with pytest.raises(
        InterruptedRunError, match=r"0 of 10 epochs are done; .* on every host: .* --resume"
    ):
        train_run.train(run, dataset, progress.TrainingDisplay(io.StringIO()))


def start(cwd: Path, *arguments: object) -> subprocess.Popen[str]:
    """Starts a training that does not end by itself while a test runs."""
    return subprocess.Popen(
        [str(WARDROBE), "train", *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_epoch(run: Run, epoch: int, process: subprocess.Popen[str]) -> None:
    """Waits until the run has a checkpoint of `epoch` epochs or more."""
    paths = run.checkpoint_folder
    wait_until(lambda: any(int(e.stem[-4:]) >= epoch for e in paths.glob("epoch-*")), process)


def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, few_of_own: Path
) -> None:
    run = Run(tmp_path / "killed")
    options = ("--data", few_of_own, "--out", "killed", "--seed", 5, "--epochs", MANY)
    killed = start(tmp_path, "baseline", *options)
    wait_for_epoch(run, 2, killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert run.info()["status"] == "running"
    epochs = len(run.history()) + 2
    assert 4 <= epochs < MANY
    run.update(recipe={**run.info()["recipe"], "epochs": epochs})  # its schedule is constant
    runs.write_control(run, stop=True)  # for the process that was killed
    resumed = wardrobe_here("train", "--resume", "killed", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "may differ" not in resumed.stderr
    assert "resumed" not in run.info()
    assert json.loads(resumed.stdout)["status"] == "done"
    assert [row["epoch"] for row in run.history()] == list(range(1, epochs + 1))
    dataset = load_data(str(few_of_own))
    _, expected = fitted(dataset, tmp_path / "alone", seed=5, epochs=epochs)
    assert equal(checkpoints.load_model(run).get_weights(), expected)


def test_one_process_trains_a_run_until_ctrl_c_or_sigterm_which_print_how_to_resume(
    tmp_path: Path, few_of_own: Path
) -> None:
    run, resume = Run(tmp_path / "run"), ("--resume", "run")
    first = ("baseline", "--data", few_of_own, "--out", "run", "--epochs", MANY)
    for sent, arguments in ((signal.SIGINT, first), (signal.SIGTERM, resume)):
        before = checkpoints.count_epochs_done(run)
        process = start(tmp_path, *arguments)
        wait_for_epoch(run, before + 1, process)
        another = wardrobe_here("train", *resume, cwd=tmp_path)
        refused(another, 1, "run is being trained by another process")
        assert run.info()["status"] == "running"
        process.send_signal(sent)
        out, err = process.communicate()
        # Its checkpoint counts: history.csv, written before it, may have a row more.
        done = f"interrupted after {checkpoints.count_epochs_done(run)} of {MANY} epochs"
        result = Result([], process.returncode, out, err)
        refused(result, 128 + sent, done, "wardrobe train --resume run")
        assert run.info()["status"] == "interrupted"
        assert not list(run.path.rglob(".*"))


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is done, .*: wardrobe train --from .*/finished --data "):
        api.resume(make_run(tmp_path, "finished", status=runs.DONE).path)


def test_a_run_of_another_recipe_is_not_resumed(dataset: Dataset, tmp_path: Path) -> None:
    other = replace(recipes.get("baseline"), name="other")
    run = runs.create_run(other, tmp_path / "run", data=dataset.name, seed=0)
    with pytest.raises(RunError, match=r"has recipe 'other', not 'baseline'; leave it out"):
        api.resume(run.path, recipe="baseline")


def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no run\.json"):
        api.resume(tmp_path)
    with pytest.raises(RunError, match="does not exist"):
        api.resume(tmp_path / "nothing")


def test_a_run_whose_data_has_changed_is_not_resumed(few_of_own: Path, tmp_path: Path) -> None:
    about = {**load_data(str(few_of_own)).describe(), "checksums": {"sha256": "another"}}
    fields = {"data": str(few_of_own), "seed": 0, "data_dir": None, "dataset": about}
    run = runs.create_run(recipes.get("baseline"), tmp_path / "run", limit=None, **fields)
    with pytest.raises(RunError, match=r"is not what .* was trained on"):
        api.resume(run.path)


def test_champion_trains_on_the_images_not_held_out_in_every_process_and_when_resumed(
    tmp_path: Path, fashion_mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, champion, stream = [], recipes.get("champion"), io.StringIO()

    def note(_: object, dataset: Dataset, *others: object) -> None:
        sizes.append((len(dataset.train), len(dataset.validation)))

    task = {"recipe": asdict(champion), "data": "fashion-mnist", "limit": None, "seed": 0}
    monkeypatch.setattr(train_run, "train", note)
    monkeypatch.setattr(train_run, "train_worker", note)
    monkeypatch.setattr(collectives, "broadcast_object", lambda _: task)
    for name in ("join", "check_batch_size", "check_equal"):
        monkeypatch.setattr(collectives, name, lambda *_: None)
    run = api.train(
        champion,
        data="fashion-mnist",
        data_dir=fashion_mnist_dir,
        out=tmp_path / "run",
        stream=stream,
    )
    api.resume(run.path, stream=stream)
    api.train_worker(Process("here:1", 2, 1), fashion_mnist_dir, stream)
    assert sizes == [(59_000, 1_000)] * 3
