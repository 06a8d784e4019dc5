"""Run folders: atomic files, locks, finding a run by name or as the latest, the table of runs."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from wardrobe import runs
from wardrobe.errors import RunError, UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import provenance
from wardrobe.runs.run import HISTORY_FIELDS
from wardrobe.workflows.planning import recipe_files


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), runs.atomic_write(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    missing = tmp_path / "missing/file.json"
    with pytest.raises(FileNotFoundError) as raised:
        runs.write_json(missing, {})
    assert raised.value.filename == str(missing), "not the temporary file"


def test_a_write_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    runs.write_json(path, {"a": 1})
    runs.write_json(path, {"a": "é"})
    assert json.loads(path.read_text()) == {"a": "é"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_is_not_utf8_comes_back_from_run_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / os.fsdecode(b"l\xe4uft")
    run = runs.create_run(recipes.get("sprint"), path, data=str(path))
    run.write_history([dict.fromkeys(HISTORY_FIELDS[:-1], 1.0)])
    assert run.info()["data"] == str(path)
    assert len(run.history()) == 1
    assert r"l\udce4uft" in (path / "run.json").read_text(encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("wardrobe.runs.create.write_json", fail)
    with pytest.raises(OSError, match="full"):
        runs.create_run(recipes.get("sprint"), tmp_path / "new")
    assert not (tmp_path / "new").exists()  # the same command can be given again


def test_a_folder_is_locked_by_one_at_a_time_and_left_clean(tmp_path: Path) -> None:
    busy = RunError("busy")
    with runs.exclusive_lock(tmp_path, busy):
        with pytest.raises(RunError, match="busy"), runs.exclusive_lock(tmp_path, busy):
            pass
        with pytest.raises(RunError, match="busy"), runs.exclusive_lock(tmp_path, busy):
            pass
    with runs.exclusive_lock(tmp_path, busy):
        pass
    assert not list(tmp_path.iterdir())


def test_run_json_holds_recipe_versions_and_machine(tmp_path: Path) -> None:
    info = runs.create_run(
        recipes.get("baseline"), tmp_path / "run", data="synthetic", seed=3
    ).info()
    assert (info["status"], info["data"], info["seed"]) == ("running", "synthetic", 3)
    assert info["recipe"] == {
        "name": "baseline",
        "conv_filters": [32, 64], "pool_after": [1, 2], "kernel_size": 3, "conv_strides": None,
        "stem_filters": [], "padding": "valid", "dense_units": 128, "batch_norm": False,
        "ensemble_size": 1, "whitened_stem": False,
        "epochs": 10, "minutes": None, "patience": None, "class_weights": "none",
        "batch_size": 32, "optimizer": "adam", "muon_iterations": 5, "learning_rate": 0.001,
        "schedule": "constant", "warmup_fraction": 0.25,
        "weight_decay": 0.0, "dropout": 0.0, "precision": "float32",
        "alternating_flip": False, "max_shift": 0, "erase_probability": 0.0,
        "photo_fraction": 0.0, "warp_fraction": 0.0, "unknown_fraction": 0.0,
        "hard_fraction": 1.0, "scoring_epochs": 1,
        "held_out": None, "tta_views": 1, "network": None,
    }  # fmt: skip
    assert {"python", "wardrobe", "keras", "numpy", "onnxruntime"} <= info["versions"].keys()
    assert info["machine"]["cores"] >= info["machine"]["usable_cores"] >= 1


def test_what_may_change_the_weights_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    before = runs.describe_provenance()
    if Path("/proc/cpuinfo").exists():
        assert before["machine"]["vector_extensions"]
    memory = {**before, "machine": {**before["machine"], "memory_gib": 1}}
    assert runs.list_differences(memory, before) == []
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.setenv("UNRELATED", "3")
    (difference,) = runs.list_differences(before, runs.describe_provenance())
    assert difference.startswith("settings ")
    assert "'TF_NUM_INTRAOP_THREADS': '3'" in difference.partition(", now ")[2]
    assert "UNRELATED" not in difference


def test_other_source_code_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "SOURCE", tmp_path)
    code, page = tmp_path / "code.py", tmp_path / "README.md"
    code.write_text("one")
    before = runs.describe_provenance()
    page.write_text("a result")
    assert runs.list_differences(before, runs.describe_provenance()) == []
    code.write_text("two")
    (difference,) = runs.list_differences(before, runs.describe_provenance())
    assert difference == f"the source code of commit {before['git_commit']}, now other code"


def test_a_recipe_keeps_every_field(tmp_path: Path) -> None:
    baseline = replace(recipes.get("baseline"), epochs=3, conv_filters=(8,))
    assert runs.create_run(baseline, tmp_path / "a", data="x").recipe() == baseline
    own = Recipe("own", (4, 4, 4), (), kernel_size=5, dense_units=10, learning_rate=0.1)
    assert runs.create_run(own, tmp_path / "b", data="x").recipe() == own


def test_a_missing_field_has_its_default(tmp_path: Path) -> None:
    run = runs.create_run(recipes.get("champion"), tmp_path / "run", data="x")
    fields = run.info()["recipe"]
    del fields["held_out"]  # 1,000 in the recipe that ships
    run.update(recipe=fields)
    assert run.recipe() == replace(recipes.get("champion"), held_out=None)


def test_a_recipe_of_another_version_is_refused(tmp_path: Path) -> None:
    run = runs.create_run(recipes.get("baseline"), tmp_path / "run", data="x")
    fields = run.info()["recipe"]
    run.update(recipe={**fields, "mirrored": True})
    with pytest.raises(
        RunError, match=r"another version of wardrobe \(its recipe has unknown fields: mirrored\); "
    ):
        run.recipe()
    run.update(recipe={**fields, "schedule": "one-cycle"})
    with pytest.raises(UsageError, match=r"run\.json: schedule=one-cycle is not possible; give "):
        recipe_files.read(run.path)


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"already exists; give --out a new folder$"):
        runs.create_run(recipes.get("baseline"), tmp_path)
    runs.create_run(recipes.get("baseline"), tmp_path / "a run")
    with pytest.raises(RunError, match=r"or resume the run: wardrobe train --resume '.*/a run'"):
        runs.create_run(recipes.get("baseline"), tmp_path / "a run")


def test_two_runs_in_the_same_second_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = [runs.create_run(recipes.get("baseline"), None, data="x").path for _ in range(3)]
    assert len(set(made)) == 3
    assert all(path.name.startswith("baseline-20") for path in made)


def test_latest_is_the_newest_run_at_any_depth(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="create one with: wardrobe train"):
        runs.find_run("latest", tmp_path)
    for name, started in (("b", "2026-01-01"), ("deep/a", "2026-03-01"), ("c", "2026-02-01")):
        runs.create_run(recipes.get("baseline"), tmp_path / name, data="x", seed=0).update(
            started=started
        )
    assert runs.find_run("latest", tmp_path).path == tmp_path / "deep/a"
    assert [row["run"] for row in runs.tabulate_runs(tmp_path)] == [
        str(tmp_path / name) for name in ("b", "c", "deep/a")
    ]


def test_the_table_skips_damaged_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("good", "bad", "foreign"):
        runs.create_run(recipes.get("baseline"), tmp_path / name, data="x", seed=0)
    (tmp_path / "bad/run.json").write_text("{")
    (tmp_path / "foreign/run.json").write_text("[1]")
    for number, (file, content) in enumerate(
        {"history.csv": "epoch\nx", "metrics.json": "{}", "run.json": "{}"}.items()
    ):
        damaged = runs.create_run(
            recipes.get("baseline"), tmp_path / f"damaged-{number}", data="x", seed=0
        )
        (damaged.path / file).write_text(content)
    assert [row["run"] for row in runs.tabulate_runs(tmp_path)] == [str(tmp_path / "good")]
    warned = capsys.readouterr().err
    for name in (
        "bad/run.json",
        "foreign/run.json",
        "damaged-0/history.csv",
        "damaged-1/metrics.json",
        "damaged-2/run.json",
    ):
        assert name in warned


def test_a_damaged_run_json_is_refused(tmp_path: Path) -> None:
    run = runs.create_run(recipes.get("baseline"), tmp_path / "run")
    (run.path / "run.json").write_text('{"status": ')
    with pytest.raises(RunError, match=r"run\.json is not valid JSON"):
        run.info()


def test_a_run_that_nobody_trains_is_interrupted(tmp_path: Path) -> None:
    run = runs.create_run(recipes.get("baseline"), tmp_path / "run", data="synthetic", seed=0)
    with run.lock():
        statuses = [run.status()]
        run.update(status=runs.PAUSED)
        statuses.append(run.status())
    statuses.append(run.status())  # as after SIGKILL
    run.update(status=runs.DONE)
    assert [*statuses, run.status()] == ["running", "paused", "interrupted", "done"]
    assert [row["status"] for row in runs.tabulate_runs(tmp_path)] == ["done"]
