"""The benchmarks, on small inputs made here."""

import contextlib
import importlib.metadata
import inspect
import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, refused, run_benchmark
from drawn_photos import scene, wood
from PIL import Image
from traced_models import share_traced_models

from benchmarks import cached_runs, results
from benchmarks.__main__ import app
from benchmarks.accuracy import peers, train
from benchmarks.speed import predict, soak
from wardrobe.evaluation import calibration, out_of_distribution
from wardrobe.runs import Run


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 2 + [False] * 8)
    assert calibration.expected_calibration_error(confidence, correct) == pytest.approx(
        (0 + 0.4) / 2
    )


def test_digits_noise_and_patterns_have_the_shape_of_the_models_input() -> None:
    for images in (
        out_of_distribution.draw_digits(),
        out_of_distribution.draw_noise(),
        out_of_distribution.draw_patterns(),
    ):
        assert images.shape[1:] == (28, 28)
        assert images.dtype == np.uint8
        assert images.max() > 200
    assert len(out_of_distribution.draw_digits()) == 1797


def test_models_are_scored_on_corrupted_images(
    tmp_path: Path, own_run: Run, few_of_own: Path
) -> None:
    own = own_run.path.parent / "own"
    arguments = (
        "corruptions",
        "--models",
        f"{own_run.path},{own_run.onnx_path}",
        "--data",
        own,
        "--json",
    )
    result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["models"] == [{"recipe": "sprint", "networks": 2}]
    rows = {row["corruption"]: row["accuracy"]["sprint"] for row in measured["rows"]}
    assert rows["none"] == {"mean": [pytest.approx(own_run.metrics()["accuracy"])], "std": [0]}
    assert len(rows) == 11
    assert rows["contrast"]["mean"][4] < rows["none"]["mean"][0] - 0.1
    assert (
        "| corruption | `sprint` | mean |\n|---|---|---|\n| none |"
        in (tmp_path / "RESULTS.md").read_text()
    )
    unlike = run_benchmark("corruptions", "--models", "photo", "--data", own, cwd=tmp_path)
    refused(unlike, 2, "photo has the classes T-shirt/top", "expected those of")
    other = run_benchmark(*arguments[:3], "--data", few_of_own, cwd=tmp_path)
    refused(other, 2, f"was trained on {own.name}, expected {few_of_own}")


def test_speed_is_measured_against_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "FEW", 100)
    run_command = predict.run_command

    def run_here(command: Sequence[str]) -> str:
        """Runs the Keras scripts in this process, which has loaded Keras."""
        if command[1] != "-c" or command[2] == predict.MEASURE_MEMORY:
            return run_command(command)
        printed = io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr(sys, "argv", ["-c", *command[3:]])
            exec(command[2], {"__name__": "__main__"})
        scripts.append(command[2])
        return printed.getvalue()

    scripts: list[str] = []
    monkeypatch.setattr(predict, "run_command", run_here)
    result = run_benchmark(
        "predict", "--rounds", 1, "--images", 50, "--many", 120, "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert scripts == [predict.BUILD_MODEL, predict.KERAS_ONE, predict.KERAS_MANY]
    assert [row["images"] for row in measured["rows"]] == [1, 50]
    for row in measured["rows"]:
        assert row["times_faster"] == pytest.approx(row["keras_seconds"] / row["wardrobe_seconds"])
    assert 30 < measured["memory"]["few_mib"] < 1000
    assert 30 < measured["memory"]["many_mib"] < 1000
    assert "## Speed of `wardrobe predict`" in (tmp_path / "RESULTS.md").read_text()


def test_a_soak_of_the_server_counts_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "WARM_UP", 20)  # each kind once
    result = run_benchmark("soak", "--minutes", 0.01, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["wrong"] == []
    assert set(measured["good"]) == {"V2 JSON", "V2 binary", "TensorFlow Serving", "JPEG"}
    statuses = {row["request"]: set(row["statuses"]) for row in measured["rows"]}
    assert statuses["zip bomb"] == {"413"}
    assert statuses["other origin"] == {"403"}
    assert statuses["disconnect"] == {"closed"}
    assert measured["after"]["threads"] <= measured["before"]["threads"] + 4
    assert "Every good request was answered correctly" in (tmp_path / "RESULTS.md").read_text()


def test_the_finder_is_timed_beside_grabcut(tmp_path: Path) -> None:
    (tmp_path / "photos" / "dress").mkdir(parents=True)
    for label in (0, 3):
        scene(wood(), label)[0].save(tmp_path / "photos" / "dress" / f"{label}.jpg")
    arguments = ("prepare", "--photos", "photos", "--rounds", 1, "--json")
    result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert [row["finder"] for row in measured["rows"]] == ["finder", "GrabCut"]
    assert measured["photos"] == 2 and measured["times_faster"] > 0
    assert "| GrabCut |" in (tmp_path / "RESULTS.md").read_text()


def test_train_writes_results_and_page(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "MATRIX", 256)
    arguments = (
        "train",
        "--recipes",
        "baseline",
        "--data",
        few_of_own,
        "--seeds",
        2,
        "--epochs",
        1,
        "--json",
    )
    with share_traced_models():
        result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured == json.loads((tmp_path / "results/train.json").read_text())
    (row,) = measured["rows"]
    assert (row["recipe"], row["seeds"], row["parameters"]) == ("baseline", 2, 224_131)
    scores = [
        Run(tmp_path / f"runs/benchmark-train/baseline-{seed}").metrics()["accuracy"]
        for seed in (0, 1)
    ]
    assert row["accuracies"] == scores
    assert row["accuracy_mean"] == pytest.approx(np.mean(scores))
    assert row["accuracy_std"] == pytest.approx(np.std(scores, ddof=1))
    assert row["fit_ratio_to_baseline"] == 1
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"| `baseline` | 2 | 1 | 1 | {100 * np.mean(scores):.2f} %" in page
    assert row["gflops"] == pytest.approx(3 * row["mflops"] * 312 / row["fit_seconds"] / 1e3)
    assert row["fraction_of_matmul_rate"] == pytest.approx(
        row["gflops"] / measured["matmul_gflops"]
    )
    with Image.open(tmp_path / "results/train.png") as image:
        assert image.width > 1000
    again = run_benchmark(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == measured, "finished runs were not reused"
    other = ("sprint", *arguments[3:5], "--seeds", 1, *arguments[7:])
    result = run_benchmark(*arguments[:2], *other, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    alone = json.loads(result.stdout)
    assert alone == json.loads((tmp_path / "results/train-sprint.json").read_text())
    assert (alone["rows"][0]["recipe"], alone["rows"][0]["fit_ratio_to_baseline"]) == (
        "sprint",
        None,
    )
    assert json.loads((tmp_path / "results/train.json").read_text()) == measured
    page = (tmp_path / "RESULTS.md").read_text()
    assert all(f"`{each['command']}`" in page for each in (measured, alone))
    assert page.count("results/train.png") == 1
    limited = run_benchmark(*arguments, "--limit", 100, cwd=tmp_path)
    refused(limited, 2, "limit is None, expected 100")
    first = Run(tmp_path / "runs/benchmark-train/baseline-0")
    first.update(seed=3)
    refused(
        run_benchmark(*arguments, cwd=tmp_path),
        2,
        "baseline-0 cannot be reused: seed is 3, expected 0; remove it to train it again",
    )
    first.update(seed=0)
    scores_of_one = tmp_path / "runs/benchmark-train/baseline-1/metrics.json"
    scores_of_one.write_text(
        scores_of_one.read_text().replace('"split": "test"', '"split": "validation"')
    )
    refused(run_benchmark(*arguments[:-1], cwd=tmp_path), 2, "was last scored on another split")


def test_the_leaderboard_has_the_fastest_row_of_each_target(tmp_path: Path) -> None:
    def row(accuracy: float, ratio: float | None, seeds: int = 5, seconds: float = 9) -> Any:
        scores = {"accuracy_mean": accuracy, "seeds": seeds}
        return {**scores, "fit_ratio_to_baseline": ratio, "fit_seconds": seconds}

    rows = [
        *(row(0.92, 0.9), row(0.913, 0.7, seconds=99), row(0.909, 0.2)),
        *(row(0.95, 0.3, seeds=3), row(0.945, 10), row(0.949, None)),  # too few seeds; no ratio
        row(0.956, None, seeds=3, seconds=3_600),  # three seeds are enough for so long a run
    ]
    table = {"data": "fashion-mnist", "git_commit": "abc", "machine": {"cores": 2}, "rows": rows}
    other = {**table, "data": "synthetic", "rows": [row(0.99, 0.1)]}
    larger = {**other, "data": "fashion-mnist", "machine": {"cores": 16}}
    tables = {"train": table, "train-peers": other, "train-x": other, "train-y": larger}
    best = {0.91: rows[1], 0.94: rows[4], 0.955: rows[6]}
    expected = {target: {**row, "git_commit": "abc"} for target, row in best.items()}
    assert results.find_records(tables) == expected
    assert results.find_records({"train-x": other})[0.91] is None
    kept = ROOT / "results"
    tables = {path.stem: json.loads(path.read_text()) for path in kept.glob("train*.json")}
    shutil.copytree(kept, tmp_path / "results")
    results.write_results(tables["train"], tmp_path)
    page = (tmp_path / "RESULTS.md").read_text()
    assert page == (ROOT / "RESULTS.md").read_text()
    assert "## Leaderboard" in page and "| 95.5 % |" in page


def test_peers_are_trained_in_turn_with_baseline(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "torch" not in {each.name for each in importlib.metadata.distributions()}:
        refused(run_benchmark("train", "--peers", cwd=tmp_path), 2, "pip install torch")
    baseline_run = SimpleNamespace(
        metrics=lambda: {"accuracy": 0.9}, fit_seconds=lambda: 2.0, info=lambda: {"parameters": 5}
    )
    monkeypatch.setattr(peers, "find_torch_version", lambda: "2.0")
    monkeypatch.setattr(cached_runs, "train_or_resume", lambda *_, **__: baseline_run)
    monkeypatch.delitem(peers.PEERS, "PyTorch")
    arguments = ("--data", few_of_own, "--seeds", 2, "--epochs", 1, "--json")
    result = run_benchmark("train", "--peers", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    baseline, example = json.loads(result.stdout)["rows"]
    assert (example["recipe"], example["parameters"], example["epochs"]) == ("Keras", 34_826, 1)
    ratio = example["fit_seconds"] / 2
    assert example["fit_ratio_to_baseline"] == pytest.approx(ratio)
    assert baseline["fit_ratio_to_baseline"] == 1 and len(example["accuracies"]) == 2
    assert "| Keras | 2 | 1 |" in (tmp_path / "RESULTS.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["speed"], 2, ["No such command 'speed'"]),
        (["train", "--recipes", "baselin"], 2, ["unknown recipe 'baselin'"]),
        (["photos", "--photos-dir", "nowhere"], 2, ["--photos-dir nowhere does not have the fold"]),
        (["photos", "--seeds", "-1"], 2, ["--seeds -1 is too small"]),
        (["soak", "--minutes", "0"], 2, ["--minutes 0.0 is too short"]),
        (["predict", "--rounds", "0"], 2, ["--rounds 0 is too small"]),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], status: int, words: list[str], tmp_path: Path
) -> None:
    refused(run_benchmark(*arguments, cwd=tmp_path), status, *words)


def test_results_are_written_to_the_repository_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in app.registered_commands:
        assert command.callback is not None
        default = inspect.signature(command.callback).parameters["folder"].default
        assert default == ROOT, command.name
        assert default.is_absolute()
