"""The files by which a training is followed and controlled: steps.csv, control.json, the lock."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardrobe import runs
from wardrobe.errors import RunError, UsageError, WardrobeError
from wardrobe.models import recipes
from wardrobe.runs import Control, Run, StepsReader, StepsWriter

ROWS = [(1, 16, 0.5, 2.25, 0.25), (1, 32, 0.75, 1.5, 0.5), (2, 16, 0.5, 1.25, 0.75)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runs.create_run(recipes.get("baseline"), tmp_path / "run", data="x")


def test_a_process_that_trains_is_seen_and_one_that_was_killed_is_not(run: Run) -> None:
    assert not run.is_training()
    with run.lock():
        assert run.is_training()
    assert not run.is_training()
    (run.path / ".lock").touch()  # SIGKILL leaves it
    assert not run.is_training()
    assert [path.name for path in run.path.iterdir()] == ["run.json"]


def test_steps_are_read_as_they_are_written(run: Run) -> None:
    reader = StepsReader(run.steps_path)
    assert reader.read_new() == []
    writer = StepsWriter(run.steps_path, 0)
    for row in ROWS:
        writer.append(row)
        assert reader.read_new() == [row]
    writer.close()
    lines = run.steps_path.read_text().splitlines()
    assert lines[:2] == ["epoch,step,seconds,loss,accuracy", "1,16,0.500,2.25000,0.25000"]
    with run.steps_path.open("a") as stream:
        stream.write("2,32,1.0,nan,0.5\nnonsense\n2,48,1.5,")
        stream.flush()
        assert reader.read_new() == []
        stream.write("1.0,0.5\n")
    assert reader.read_new() == [(2, 48, 1.5, 1.0, 0.5)]


def test_a_resumed_training_drops_the_rows_of_the_unfinished_epoch(run: Run) -> None:
    reader, writer = StepsReader(run.steps_path), StepsWriter(run.steps_path, 0)
    for row in ROWS:
        writer.append(row)
    writer.close()
    assert reader.read_new() == ROWS
    StepsWriter(run.steps_path, 1).close()
    assert reader.read_new() == ROWS[:2]


def test_control_keeps_what_is_not_changed(run: Run) -> None:
    assert runs.read_control(run) == Control(paused=False, stop=False, learning_rate=None)
    runs.write_control(run, learning_rate=0.01)
    runs.write_control(run, paused=True)
    assert runs.read_control(run) == Control(paused=True, learning_rate=0.01)
    assert json.loads(run.control_path.read_text()) == {
        "paused": True, "stop": False, "learning_rate": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0}, "learning_rate is 0; give a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; give a number above 0"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1'; give a number above 0"),
        ({"paused": 1}, "paused is 1; give true or false"),
    ],
)
def test_a_wrong_value_is_refused(run: Run, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        runs.write_control(run, **changes)
    assert not run.control_path.exists()


@pytest.mark.parametrize("content", ["{", "[1]", '{"speed": 1}', '{"learning_rate": -1}'])
def test_a_damaged_control_json_is_refused(run: Run, content: str) -> None:
    run.control_path.write_text(content)
    with pytest.raises(RunError, match=r"control\.json cannot be used \(.*\); remove it"):
        runs.read_control(run)


def test_a_training_of_several_processes_is_not_controlled(run: Run) -> None:
    run.update(processes=2)
    with pytest.raises(RunError, match="is trained by 2 processes, which read no control"):
        runs.write_control(run, stop=True)


def test_a_folder_that_has_only_images_may_be_the_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "run/images/hat/0001.png"
    image.parent.mkdir(parents=True)
    image.touch()

    def fail(*_: object) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr("wardrobe.runs.create.write_json", fail)
        runs.create_run(recipes.get("baseline"), tmp_path / "run", data="x")
    assert image.exists()
    run = runs.create_run(recipes.get("baseline"), tmp_path / "run", data="x")
    assert image.exists()
    assert run.info()["data"] == "x"
    with pytest.raises(WardrobeError, match="already exists"):
        runs.create_run(recipes.get("baseline"), tmp_path / "run", data="x")


def test_snapshots_are_listed_by_epoch(run: Run) -> None:
    assert run.snapshot_epochs() == []
    run.snapshots_folder.mkdir()
    for epoch in (10, 0, 2):
        run.snapshot_path(epoch).touch()
    assert run.snapshot_epochs() == [0, 2, 10]
