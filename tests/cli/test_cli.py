"""The command line: fast help, one-line errors, JSON on stdout, runs on synthetic data."""

import json
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import ROOT, WARDROBE, Result, environment, refused, wardrobe, wardrobe_here
from PIL import Image

from wardrobe import runs
from wardrobe.models import recipes, settings
from wardrobe.runs import Run
from wardrobe.workflows import train_run


def run_in_shell(command: str, cwd: Path) -> Result:
    env = environment(cwd)
    return subprocess.run(["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["runs"]])
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", str(WARDROBE), *arguments]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert result.returncode == 0
    assert result.stdout
    imported = {
        line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines()
    }
    assert "typer" in imported
    heavy = {"tensorflow", "keras", "jax", "matplotlib", "sklearn", "scipy", "onnxruntime"}
    assert not imported & {*heavy, "numpy", "PIL"}


def test_the_python_package_is_loaded_lazily() -> None:
    code = (
        "import sys, wardrobe; assert not {'keras', 'numpy'} & sys.modules.keys(); "
        "print(wardrobe.load_data)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "function load_data" in result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["train", "baselin"], 2, ["unknown recipe 'baselin'", "did you mean 'baseline'?"]),
        (["train", "--epochs", "0"], 2, ["epochs=0 is not possible", "1 to 9999"]),
        (["train", "--epochs", "few"], 2, ["--epochs"]),
        (["train", "--set", "droput=0.1"], 2, ["no such field", "did you mean 'dropout'?"]),
        (["train", "--epochs", "3", "--set", "epochs=4"], 2, ["are both given; give one"]),
        (
            ["train", "--resume", "my x", "--set", "epochs=4"],
            2,
            ["--set cannot be given with", "wardrobe train --from 'my x'"],
        ),
        (["train", "--epochs", "3", "--minutes", "1"], 2, ["epochs=3 and minutes=1 are both"]),
        (["train", "--epochs", "3", "--set", "minutes=1"], 2, ["epochs=3 and minutes=1 are both"]),
        (
            ["train", "--json", "--quiet"],
            1,
            ["train-images-idx3-ubyte.gz was not found", "--data synthetic"],
        ),
        (["data", "--json"], 1, ["train-images-idx3-ubyte.gz was not found", "--data synthetic"]),
        (["train", "--resume", "x", "--from", "photo"], 2, ["--from cannot be given with"]),
        (["train", "--from", "nowhere"], 1, ["nowhere does not exist", "give a run folder"]),
        (["train", "--from", "no.onnx"], 1, ["--from no.onnx does not exist", "model.keras"]),
        (["train", "--from", "photo", "--set", "batch_norm=true"], 2, ["leave it out"]),
        (["recipes", "sprin"], 2, ["unknown recipe 'sprin'", "did you mean 'sprint'?"]),
        (["train", "--limit", "-1", "--data", "synthetic"], 2, ["--limit -1 is too small"]),
        (["train", "--seed", "-1"], 2, ["--seed -1 is out of range"]),
        (
            ["train", "--data", "fashion-mnist"],
            1,
            ["train-images-idx3-ubyte.gz was not found", "--data-dir", "synthetic"],
        ),
        (["train", "--data", "nowhere"], 2, ["--data nowhere is neither"]),
        (["train", "--data-dir", "nowhere"], 2, ["--data-dir nowhere is not a folder"]),
        (["train", "--resume", "nowhere"], 1, ["nowhere does not exist"]),
        (["train", "--resume", "."], 1, ["is not a run folder"]),
        (["train", "--resume", "latest"], 1, ["no run in", "wardrobe train"]),
        (
            ["train", "--resume", "x", "--epochs", "3", "--seed", "1"],
            2,
            ["--epochs, --seed cannot be given with --resume"],
        ),
        (["train", "--out", "taken"], 1, ["taken already exists", "give --out a new folder"]),
        (
            ["train", "baseline", "--out", "/proc/no/run", "--data", "nowhere"],
            1,
            ["/proc/no/run cannot be created: /proc is not writable"],  # before the data is opened
        ),
        (["tune", "baseline", "--out", "/proc/x", "--data", "no"], 1, ["/proc/x cannot be"]),
        (
            ["tune", "baseline", "--range-test", "--out", "/proc/x", "--data", "no"],
            1,
            ["/proc/x cannot be created: /proc is not writable", "give --out"],
        ),
        (["export", "photo", "--out", "/proc/x", "--data", "no"], 1, ["/proc/x cannot be"]),
        (
            ["explain", f"{ROOT}/docs/predictions.png", "--out", "/proc/x/y.png"],
            1,
            ["/proc/x can", "give --out a file on a"],
        ),
        (
            ["predict", "no.png", "--csv", "/proc/x.csv"],
            1,
            ["/proc is not writable", "give --csv a file on a"],
        ),
        (["predict", "no.png", "--save-input", "/proc/x"], 1, ["/proc/x", "--save-input"]),
        (["predict", "no.png", "--engine", "ray", "--out", "/proc/x"], 1, ["/proc/x"]),
        (["train", "--bogus"], 2, ["--bogus"]),
        (["evaluate", "nowhere"], 1, ["nowhere does not exist"]),
        (["evaluate", "--split", "train"], 2, ["unknown split 'train'"]),
        (["report", "nowhere"], 1, ["nowhere does not exist"]),
        (["train", "--data", ""], 2, ["--data is empty"]),
        (["train", "--out", "latest"], 2, ["'latest' means the newest run"]),
        (["runs", "nowhere"], 1, ["nowhere is not a folder"]),
        (["wear"], 2, ["wear"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, arguments: list[str], status: int, words: list[str]
) -> None:
    (tmp_path / "taken").mkdir()
    refused(wardrobe_here(*arguments, cwd=tmp_path, home=tmp_path.parent), status, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"], "files are left behind"


def test_a_folder_that_cannot_be_made_is_refused_before_the_data_is_opened(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    command = ("train", "baseline", "--data", "nowhere")
    refused(wardrobe_here(*command, cwd=tmp_path), 1, "runs is not writable (Not a directory)")
    refused(wardrobe_here(*command, "--out", "runs/x", cwd=tmp_path), 1, "runs/x cannot be created")


def test_recipes_are_listed_with_every_field(tmp_path: Path) -> None:
    listed = wardrobe_here("recipes", cwd=tmp_path)
    assert all(name in listed.stdout for name in recipes.RECIPES)
    one = wardrobe_here("recipes", "strong", cwd=tmp_path).stdout
    assert "conv1 3x3x1x" in one
    assert all(f" {name} " in one for name in settings.FIELDS)
    assert re.search(r"dropout +0\.0 +a number from 0\.0 to 0\.95 +dropout rate before", one)
    about = json.loads(wardrobe_here("recipes", "strong", "--json", cwd=tmp_path).stdout)
    assert about == json.loads(json.dumps({**settings.describe(), "recipes": about["recipes"]}))
    (strong,) = about["recipes"]
    assert strong["fields"]["conv_strides"] == [1, 1, 2, 1, 1, 1]


def test_without_a_command_it_prints_its_help(tmp_path: Path) -> None:
    result = wardrobe(cwd=tmp_path)
    assert result.returncode == 0
    assert "predict" in result.stdout
    assert result.stderr == ""


def test_ctrl_c_before_training_is_one_line_and_leaves_no_run(tmp_path: Path) -> None:
    command = [str(WARDROBE), "train", "--data", "synthetic"]  # generates images for half a minute
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "Opening the data\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    refused(subprocess.CompletedProcess([], process.returncode, out, err), 130, "interrupted")
    assert not (tmp_path / "runs").exists()


def test_a_reader_that_leaves_early_causes_no_traceback(tmp_path: Path) -> None:
    command = f"{WARDROBE} runs --json | true; exit ${{PIPESTATUS[0]}}"
    result = run_in_shell(command, tmp_path)
    assert "Exception ignored" not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_does_not_crash(tmp_path: Path, redirection: str) -> None:
    command = f"{WARDROBE} runs {redirection}"
    result = run_in_shell(command, tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""


def test_help_names_the_defaults(tmp_path: Path) -> None:
    shown = " ".join(wardrobe("train", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    for default in ("baseline, or that of --from", "auto", "0", "runs/RECIPE-DATE-TIME"):
        assert f"[default: ({default})]" in shown
    assert f"Recipe to train: {', '.join(recipes.RECIPES)} " in shown


def test_debug_prints_the_traceback(tmp_path: Path) -> None:
    result = wardrobe("report", "nowhere", "--debug", cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "RunError" in result.stderr


def test_without_data_or_network_every_file_says_synthetic(
    drawn_training: tuple[Run, Result],
) -> None:
    run, result = drawn_training
    assert "THIS IS NOT FASHION-MNIST" in result.stderr
    assert "SYNTHETIC WARDROBE, NOT FASHION-MNIST" in result.stdout
    assert run.info()["data"] == run.metrics()["data"] == "synthetic"
    assert run.info()["dataset"]["splits"] == {"train": 4_000, "validation": 5_000, "test": 10_000}
    assert "This is not Fashion-MNIST" in run.report_path.read_text()
    assert (run.path / "history.csv").read_text().splitlines()[-1].endswith(",synthetic")
    assert np.load(run.predictions_path)["data"] == "synthetic"
    session = onnxruntime.InferenceSession(run.onnx_path)
    assert session.get_modelmeta().custom_metadata_map["data"] == "synthetic"
    assert json.loads((run.plots_folder / "confusion.json").read_text())["data"] == "synthetic"
    for plot in run.plots_folder.glob("*.png"):
        with Image.open(plot) as image:
            assert "SYNTHETIC WARDROBE" in image.info["Description"], plot


def test_the_keras_file_says_synthetic_too(drawn_training: tuple[Run, Result]) -> None:
    from wardrobe.training import checkpoints

    assert "synthetic" in checkpoints.load_model(drawn_training[0]).name


def test_plain_progress_has_one_line_per_epoch(drawn_training: tuple[Run, Result]) -> None:
    lines = [line for line in drawn_training[1].stdout.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("val_accuracy" in line and "left" in line for line in lines)
    assert "\x1b" not in drawn_training[1].stdout


def test_json_is_the_only_output_on_stdout(real_run: tuple[Run, dict[str, Any]]) -> None:
    run, printed = real_run
    assert Path(printed["run"]).name == run.path.name
    assert printed.keys() >= {
        "run",
        "recipe",
        "data",
        "seed",
        "status",
        "accuracy",
        "per_class",
        "confusion",
        "ece",
    }


def test_runs_are_compared(real_run: tuple[Run, dict[str, Any]]) -> None:
    cwd, name = real_run[0].path.parents[1], real_run[0].path.name
    (row,) = json.loads(wardrobe("runs", "--json", cwd=cwd).stdout)["runs"]
    assert (row["run"], row["epochs_done"], row["status"]) == (f"runs/{name}", 2, "done")
    assert row["accuracy"] == real_run[1]["accuracy"]
    table = wardrobe("runs", cwd=cwd).stdout
    assert name in table
    assert row["recipe"] == "baseline" and "baseline (changed: epochs) " in table
    assert f"{100 * row['accuracy']:.2f}" in table


def test_the_names_of_runs_are_never_cut(tmp_path: Path) -> None:
    name, data = "long-" * 40, "/photos/" * 20
    for each in (name, "short"):
        runs.create_run(recipes.get("baseline"), tmp_path / "runs" / each, data=data, seed=0)
    lines = wardrobe_here("runs", cwd=tmp_path).stdout.splitlines()
    assert len(lines) == 3
    assert f"runs/{name}" in lines[1] + lines[2]
    assert "…" in lines[1]
    assert "interrupted" in lines[1]  # nobody trains it


@pytest.mark.parametrize("missing", ["matplotlib", "a folder"])
def test_data_shows_what_it_knows_without_a_sheet_of_samples(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    reason = "File exists"
    if missing == "matplotlib":
        reason = "wardrobe.plots is missing"
        monkeypatch.setitem(sys.modules, "wardrobe.plots", None)
        monkeypatch.delattr("wardrobe.plots", raising=False)
    else:
        (tmp_path / "runs").touch()
    result = wardrobe_here("data", "--data", few_of_own, cwd=tmp_path)
    assert result.returncode == 0
    assert "the sheet of samples, is left out: " in result.stderr
    assert reason in result.stderr
    assert "boots" in result.stdout
    assert "samples   left out" in result.stdout


def test_data_prints_its_source_and_writes_samples(tmp_path: Path, fashion_mnist_dir: Path) -> None:
    about = json.loads(
        wardrobe_here("data", "--json", cwd=tmp_path, data_dir=fashion_mnist_dir).stdout
    )
    assert about["source"] == str(fashion_mnist_dir)
    assert about["checksums"]["train-labels-idx1-ubyte.gz"] == "25c81989df183df01b3e8a0aad5dffbe"
    assert about["class_counts"]["Bag"] == {"train": 5500, "validation": 500}
    with Image.open(tmp_path / about["sheet"]) as sheet:
        assert sheet.width > 1000


def test_a_truncated_file_in_the_data_dir_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b cut short")
    result = wardrobe_here("train", "--data-dir", "files", cwd=tmp_path)
    refused(
        result,
        1,
        "files has no usable copy of train-images-idx3-ubyte.gz",
        "files/train-images-idx3-ubyte.gz cannot be read",
    )
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_one_line_and_the_run_can_be_resumed(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "CHAPTERS", ())  # no figures, which take most of the time
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600 * 1024, unlimited[1]))  # bytes a file
    command = ("train", "baseline", "--data", few_of_own, "--epochs", 1, "--out", "run")
    try:
        full = wardrobe_here(*command, cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    refused(full, 1, "free some space", "wardrobe train --resume run")
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == [
        "checkpoint",
        "epoch-0000.npz",
        "epoch-0001.npz",
        "history.csv",
        "run.json",
        "snapshots",
        "steps.csv",
    ]
    run = Run(tmp_path / "run")
    info = run.info()
    run.update(versions={**info["versions"], "numpy": "1.0"})
    resumed = wardrobe_here("train", "--resume", "run", "--json", cwd=tmp_path)
    assert json.loads(resumed.stdout)["status"] == "done", resumed.stderr
    different = f"numpy 1.0, now {info['versions']['numpy']}"
    assert f"may differ from those of an uninterrupted run: {different}\n" in resumed.stderr
    assert run.info()["resumed"] == [[different]]


def test_a_damaged_model_is_one_line(
    tmp_path: Path, real_run: tuple[Run, Any], fashion_mnist_dir: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(json.dumps(real_run[0].info()))
    call = ("evaluate", "run")
    refused(
        wardrobe_here(*call, cwd=tmp_path),
        1,
        "run has no model.keras",
        "wardrobe train --resume run",
    )
    (tmp_path / "run/model.keras").write_bytes(b"PK\x03\x04 cut short")
    result = wardrobe_here(*call, cwd=tmp_path, data_dir=fashion_mnist_dir)
    refused(result, 1, "run/model.keras cannot be read")
