"""The command line in a shell: completion, --quiet, `python -m wardrobe`, `wardrobe doctor`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WARDROBE, environment, wardrobe, wardrobe_here

from wardrobe.cli.app import progress_stream
from wardrobe.cli.lookup.doctor import doctor
from wardrobe.terminal import console, progress


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], ["train"]),
        (["train", "s"], ["sprint", "strong"]),
        (["recipes", "champ"], ["champion"]),
        (["evaluate", ""], ["latest", "runs/one"]),
        (["predict", "--model", "runs/"], ["runs/one"]),
        (["train", "--res"], ["--resume"]),
    ],
)
def test_words_are_completed(words: list[str], expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/run.json").touch()
    asked = {"COMP_WORDS": " ".join(["wardrobe", *words]), "COMP_CWORD": str(len(words))}
    env = environment(tmp_path) | {"_WARDROBE_COMPLETE": "complete_bash"} | asked
    found = subprocess.run([WARDROBE], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout.split() == expected
    assert not found.stderr


def test_quiet_leaves_results_and_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "quiet", False)  # restored after the test
    found = wardrobe_here("predict", "no.png", "--quiet", cwd=tmp_path)
    assert found.stderr.count("\n") == 2  # the reason, and how many failed
    progress.make_training_display(progress_stream(as_json=False)).stage("Training")
    progress.make_training_display(progress_stream(as_json=True)).stage("Training")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.count_images(10, 0) as advance, progress.download_bar("data") as bar:
        bar.total = 10
        bar.update(1)
        advance(1)
    assert capsys.readouterr() == ("", "")
    assert wardrobe_here("runs", "--quiet", cwd=tmp_path).stdout.startswith("No runs")


@pytest.mark.parametrize(
    "arguments", [["evaluate", "nowhere"], ["train", "--epochs", "x"], ["data", "--data", "no"]]
)
def test_an_error_is_json_where_json_is_asked_for(arguments: list[str], tmp_path: Path) -> None:
    found = wardrobe_here(*arguments, "--json", cwd=tmp_path)
    assert found.returncode
    assert found.stderr == f"wardrobe: error: {json.loads(found.stdout)['error']}\n"


def test_predictions_in_json_name_what_failed_themselves(tmp_path: Path) -> None:
    found = wardrobe_here("predict", "no.png", "--json", cwd=tmp_path)
    assert found.returncode == 1
    assert json.loads(found.stdout)["failed"] == [{"path": "no.png", "error": "does not exist"}]


def test_python_m_wardrobe_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wardrobe", "--version"]
    result = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True)
    assert result.stdout.startswith("wardrobe ")


def test_the_doctor_shows_what_a_bug_report_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    about = json.loads(wardrobe("doctor", "--json", cwd=tmp_path).stdout)
    assert about["cores"] >= 1
    assert about["versions"]["numpy"]
    assert "'torch', expected tensorflow or jax" in about["backend"]
    assert about["fashion_mnist"] is None
    text = wardrobe_here("doctor", cwd=tmp_path).stdout
    assert [
        line.split("  ")[0].replace(" (GiB)", "_gib").replace(" ", "_")
        for line in text.splitlines()
    ] == [*about]


def test_the_doctor_says_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as if not installed
    doctor(as_json=True)
    cache = json.loads(capsys.readouterr().out)["cache"]
    assert cache.endswith("not installed; run: pip install 'wardrobe-cnn[train]'")


def test_the_doctor_finds_the_data(fashion_mnist_dir: Path, tmp_path: Path) -> None:
    about = json.loads(
        wardrobe_here("doctor", "--json", cwd=tmp_path, data_dir=fashion_mnist_dir).stdout
    )
    assert about["fashion_mnist"] == str(fashion_mnist_dir)
