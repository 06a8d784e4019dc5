"""`wardrobe predict`: files, folders, patterns and stdin; text, JSON and CSV; broken files."""

import contextlib
import csv
import fcntl
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WARDROBE, Result, environment, refused, wait_until, wardrobe, wardrobe_here
from PIL import Image

from wardrobe import photo
from wardrobe.data import synthetic
from wardrobe.inference.classifier import Answer, Classifier
from wardrobe.inference.output import Lines
from wardrobe.inference.predict import Prediction, find_images, unique_file_name
from wardrobe.labels import CLASS_NAMES
from wardrobe.photo.listing import Failure
from wardrobe.runs import Run


def save_noise(path: Path) -> None:
    """Saves an image of no class, the same in each run."""
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten synthetic garments in two nested folders, with special characters in their names."""
    folder = tmp_path / "my photos"
    (folder / "été [2024]").mkdir(parents=True)
    images, labels = synthetic.draw(10, seed=3)
    for image, label in zip(images, labels, strict=True):
        parent = folder if label < 5 else folder / "été [2024]"
        Image.fromarray(image).save(parent / f"{label} it's.png")
    return folder


def read_predictions(result: Result, status: int = 0) -> dict[str, Any]:
    assert result.returncode == status, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_a_folder_is_searched_recursively_in_sorted_order(photos: Path, tmp_path: Path) -> None:
    (photos / "notes.txt").write_text("a text file")
    (photos / ".hidden.png").write_bytes(b"")
    answer = read_predictions(wardrobe_here("predict", "my photos", "--json", cwd=tmp_path))
    assert answer["model"] == "photo"
    assert answer["failed"] == []
    paths = [each["path"] for each in answer["predictions"]]
    assert paths == [f"my photos/{i} it's.png" for i in range(5)] + [
        f"my photos/été [2024]/{i} it's.png" for i in range(5, 10)
    ]
    for each in answer["predictions"]:
        probabilities = list(each["probabilities"].values())
        assert set(each["probabilities"]) == set(CLASS_NAMES)
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1)
        assert (each["label"], each["confidence"]) == next(iter(each["probabilities"].items()))
        assert each["not_sure"] is (each["reason"] is not None)
        assert each["not_sure"] is (each["familiarity"] < answer["familiarity_threshold"])


def test_json_has_the_familiarity_of_every_image(photos: Path, tmp_path: Path) -> None:
    Image.new("L", (28, 28), 90).save(photos / "blank.png")
    save_noise(photos / "noise.png")
    answer = read_predictions(wardrobe_here("predict", photos, "--json", cwd=tmp_path))
    classifier = Classifier.load()
    assert answer["familiarity_threshold"] == classifier.metadata["familiarity_threshold"]
    tiles = np.stack([photo.prepare(each["path"]) for each in answer["predictions"]])
    expected = classifier.classify(tiles).familiarity
    found = {Path(each["path"]).stem: each for each in answer["predictions"]}
    assert [each["familiarity"] for each in found.values()] == pytest.approx(expected, abs=1e-3)
    assert found["blank"]["reason"] == "the image is blank"
    assert found["noise"]["familiarity"] < answer["familiarity_threshold"]
    only_failures = wardrobe_here("predict", "gone.png", "--json", cwd=tmp_path)
    assert read_predictions(only_failures, status=1) == {
        "model": "photo",
        "familiarity_threshold": answer["familiarity_threshold"],
        "predictions": [],
        "failed": [{"path": "gone.png", "error": "does not exist"}],
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_null_for_what_is_not_finite(value: float) -> None:
    answer = Answer({"Coat": value, "Bag": 0.5}, value, "unlike the training data").to_json()
    assert (answer["label"], answer["confidence"], answer["familiarity"]) == ("Coat", None, None)
    assert answer["probabilities"] == {"Coat": None, "Bag": 0.5}


def test_files_patterns_and_stdin(photos: Path, tmp_path: Path) -> None:
    one = "my photos/3 it's.png"
    answer = read_predictions(
        wardrobe_here("predict", one, "my photos/*.png", "**/[67]*.png", "--json", cwd=tmp_path)
    )
    names = [Path(each["path"]).name[0] for each in answer["predictions"]]
    assert (names[0], sorted(names[1:6]), sorted(names[6:])) == ("3", list("01234"), ["6", "7"])
    command = [str(WARDROBE), "predict", "-", "--json"]
    piped = subprocess.run(
        command,
        input=(tmp_path / one).read_bytes(),
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    from_stdin = json.loads(piped.stdout)["predictions"][0]
    assert from_stdin["path"] == "-"
    assert from_stdin["probabilities"] == answer["predictions"][0]["probabilities"]


def test_text_output(photos: Path, tmp_path: Path) -> None:
    save_noise(photos / "noise.png")
    result = wardrobe_here("predict", "my photos", "--top", 3, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 11
    assert "\033" not in result.stdout  # no colours outside a terminal
    confident = [line for line in lines if "█" in line]
    assert len(confident) >= 6
    for line in confident:
        assert any(name in line for name in CLASS_NAMES)
        confidence = float(line.split("%")[0].split()[-1].lstrip(">")) / 100
        assert line.count("█") == pytest.approx(16 * confidence, abs=0.51)
        assert line.count("%") == 3, line
    (noise,) = (line for line in lines if line.startswith("my photos/noise.png"))
    assert "unlike the 10 classes  familiarity " in noise
    assert "%" not in noise


@pytest.mark.parametrize(
    ("reason", "confidence", "words", "percentages"),
    [
        ("unlike the 10 classes (familiarity 1, expected 2)", 0.94, "unlike the 10 classes", 0),
        ("the image is blank", 0.94, "the image is blank", 0),
        (None, 0.38, "uncertain between Pullover and Coat", 3),
        (None, 0.94, "Pullover", 3),
    ],
)
def test_the_answer_in_words_is_whole_in_a_narrow_terminal(
    reason: str | None, confidence: float, words: str, percentages: int
) -> None:
    names, tile = ("Pullover", "Coat", "Bag"), np.zeros((28, 28), np.uint8)
    values = confidence, (1 - confidence) / 1.9, 0.01
    found = dict(zip(names, values, strict=True))
    prediction = Prediction(found, 1.0, reason, "a/long/path/to/a/photo.jpg", tile, names)
    for width in (160, 60, 40):
        lines, out = Lines(3), io.StringIO()
        lines.width = width
        with contextlib.redirect_stdout(out):
            lines.write(prediction)
            lines.write_card(prediction)
        line, _, card = out.getvalue().partition("\n")
        assert words.split()[0] in line
        assert percentages or words in line
        if width == 160 and words.startswith("uncertain"):
            assert "between Pullover 38.0 % and Coat 32.6 %; Bag 1.0 %" in line
        assert len(line.rstrip()) <= width or line.count("█")  # a bar is never cut
        card = re.sub(r"\033\[[0-9;]*m|[▀\s]+", " ", card)
        assert re.sub(" +", "", words) in card.replace(" ", "")
        assert card.count("%") == percentages


def test_csv_output_and_top(photos: Path, tmp_path: Path) -> None:
    result = wardrobe_here("predict", "my photos", "--csv", "out.csv", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = ["path", "label", "confidence", "not_sure", "reason", "familiarity"]
    assert [*rows[0]] == [*first, *CLASS_NAMES]
    assert len(rows) == 10
    for row in rows:
        assert (
            float(row["confidence"])
            == max(float(row[name]) for name in CLASS_NAMES)
            == float(row[row["label"]])
        )
    answer = read_predictions(
        wardrobe_here("predict", "my photos", "--json", "--top", 2, cwd=tmp_path)
    )
    assert [float(row["familiarity"]) for row in rows] == pytest.approx(
        [each["familiarity"] for each in answer["predictions"]], abs=1e-6
    )
    assert {len(each["probabilities"]) for each in answer["predictions"]} == {2}


def test_csv_to_a_pipe_or_a_device_does_not_replace_it(photos: Path, tmp_path: Path) -> None:
    result = wardrobe("predict", "my photos", "--csv", "/dev/stdout", cwd=tmp_path)
    assert len(result.stdout.splitlines()) == 11, result.stderr
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert wardrobe("predict", "my photos", "--csv", "pipe", cwd=tmp_path).returncode == 0
        assert reader.communicate()[0] == result.stdout
    assert pipe.is_fifo()


def test_save_input_writes_one_file_per_photo(photos: Path, tmp_path: Path) -> None:
    (photos / "again").mkdir()
    shutil.copy(photos / "0 it's.png", photos / "again" / "0 IT'S.png")
    result = wardrobe_here(
        "predict", "my photos", "--save-input", "seen/inputs", "--json", cwd=tmp_path
    )
    read_predictions(result)
    saved = {path.name for path in (tmp_path / "seen/inputs").iterdir()}
    assert saved == {f"{i} it's.png" for i in range(10)} - {"0 it's.png"} | {
        "0 it's.png",
        "0 IT'S-2.png",
    }
    seen = np.asarray(Image.open(tmp_path / "seen/inputs/3 it's.png"))
    np.testing.assert_array_equal(seen, photo.prepare(photos / "3 it's.png"))
    numbers: dict[str, int] = {}
    names = [
        unique_file_name(path, numbers) for path in ("a/x.jpg", "b/X.png", "x-2.gif", "-", "x.bmp")
    ]
    assert names == ["x.png", "X-2.png", "x-2-2.png", "stdin.png", "x-3.png"]


def test_save_input_never_overwrites_files(photos: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    refused(
        wardrobe_here("predict", "my photos", "--save-input", "my photos", cwd=tmp_path),
        2,
        "my photos is not empty",
    )
    inside = wardrobe_here("predict", "my photos", "--save-input", "my photos/seen", cwd=tmp_path)
    refused(inside, 2, "--save-input my photos/seen is inside the input my photos")
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before


def test_broken_files_are_named_and_counted_and_the_others_classified(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "words.jpg").write_text("a text file")
    (photos / "empty.png").write_bytes(b"")
    (photos / "tiny.png").write_bytes((photos / "0 it's.png").read_bytes()[:100])
    Image.new("L", (1, 1)).save(photos / "dot.png")
    Image.new("1", (20_000, 20_000)).save(photos / "bomb.png")
    (photos / "drawing.svg").write_text("<svg/>")
    (photos / "paper.pdf").write_bytes(b"%PDF-1.4")
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    (photos / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(photos / "pipe.png")  # reading it would block
    (photos / "two\nlines.png").write_bytes(b"?")
    result = wardrobe_here(
        "predict", "my photos", "missing.jpg", "*.tif", "a" * 300, "--json", cwd=tmp_path
    )
    refused(result, 1, "13 of 23 could not be used")
    answer = json.loads(result.stdout)
    assert len(answer["predictions"]) == 10
    reasons = {Path(each["path"]).name: each["error"] for each in answer["failed"]}
    expected = {
        "words.jpg": "not an image",
        "empty.png": "empty file",
        "tiny.png": "corrupted or incomplete",
        "dot.png": "1x1 is too few pixels",
        "bomb.png": "too many pixels",
        "drawing.svg": "an SVG drawing",
        "paper.pdf": "a PDF",
        "gone.png": "not a file, or a broken link",
        "pipe.png": "not a file, or a broken link",
        "two\nlines.png": "not an image",
        "a" * 300: "does not exist",
        "missing.jpg": "does not exist",
        "*.tif": "no match for this pattern",
    }
    assert reasons.keys() == expected.keys()
    for name, words in expected.items():
        assert words in reasons[name]
        escaped = name.replace("\n", "\\n")
        assert sum(f"{escaped}: " in line for line in result.stderr.splitlines()) == 1


def test_permission_errors_are_reported(photos: Path, tmp_path: Path) -> None:
    (photos / "0 it's.png").chmod(0)
    (photos / "été [2024]").chmod(0)
    dropped = "-dac_override,-dac_read_search"  # with these capabilities, root can read every file
    without_root_rights = (
        ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped] if os.geteuid() == 0 else []
    )
    command = [*without_root_rights, str(WARDROBE), "predict", "my photos"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    (photos / "été [2024]").chmod(0o755)
    refused(result, 1, "2 of 6 could not be used")
    assert result.stderr.count("permission denied") == 2


def test_an_unreadable_folder_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", denied)
    assert list(find_images([str(tmp_path)])) == [Failure(str(tmp_path), "permission denied")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[1].png", ["[1].png"]),
        ("*[[]1].png", ["[1].png", "shoe [1].png"]),
        ("shoe [*", ["shoe [1].png"]),
        ("shoe [1]*", ["shoe [1].png"]),
        ("[12].png", ["1.png"]),
        ("[9].png", ["[9].png: no match for this pattern"]),
        ("My [2024]/*.png", ["My [2024]/a.png"]),
        ("My [2024]", ["My [2024]/a.png"]),
        ("M? [2024]/a*", ["My [2024]/a.png"]),
        ("**/[a].png", ["My [2024]/a.png"]),
    ],
)
def test_brackets_are_a_pattern_unless_they_name_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: list[str]
) -> None:
    (tmp_path / "My [2024]").mkdir()
    for name in ("1.png", "[1].png", "shoe [1].png", "My [2024]/a.png"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = find_images([given])
    names = [e if isinstance(e, str) else f"{e.path}: {e.error}" for e in found]
    assert names == expected


def test_patterns_do_not_follow_cyclic_links(photos: Path, tmp_path: Path) -> None:
    (photos / "été [2024]" / "up").symlink_to(photos, target_is_directory=True)
    for pattern in ("my photos/**/*.png", "my photos/**", f"{tmp_path}/**/*.png"):
        answer = read_predictions(wardrobe_here("predict", pattern, "--json", cwd=tmp_path))
        assert len(answer["predictions"]) == 10


def test_closed_stdin_or_a_missing_model_is_reported(photos: Path, tmp_path: Path) -> None:
    one = photos / "3 it's.png"
    closed = subprocess.run(
        ["sh", "-c", f'"{WARDROBE}" predict - "$1" --json <&-', "sh", str(one)],
        capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path),
    )  # fmt: skip
    answer = json.loads(closed.stdout)
    assert [each["path"] for each in answer["predictions"]] == [str(one)]
    assert answer["failed"] == [{"path": "-", "error": "standard input is closed"}]
    with subprocess.Popen(
        [str(WARDROBE), "predict", "-", "--model", "nowhere"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path),
    ) as waiting:  # fmt: skip
        assert waiting.stderr is not None
        assert b"nowhere does not exist" in waiting.stderr.readline()  # before stdin is closed
        waiting.communicate()


def test_json_is_valid_in_every_terminal_encoding(tmp_path: Path) -> None:
    Image.fromarray(synthetic.draw_one(1, np.random.default_rng(1))).save(tmp_path / "été 👗.png")
    environ = {**environment(tmp_path), "PYTHONIOENCODING": "ascii"}
    command = [str(WARDROBE), "predict", "été 👗.png"]
    result = subprocess.run([*command, "--json"], cwd=tmp_path, env=environ, capture_output=True)
    assert json.loads(result.stdout)["predictions"][0]["path"] == "été 👗.png"
    lines = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True)
    assert b"#" in lines.stdout or b"." * 10 in lines.stdout


def test_ctrl_c_exits_with_status_130(photos: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [str(WARDROBE), "predict", "my photos", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env=environment(tmp_path),
    ) as waiting:  # fmt: skip
        assert waiting.stdin
        pipe = waiting.stdin.fileno()
        os.write(pipe, b"?")
        # Until the command has read it, and waits for more.
        wait_until(lambda: not any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))), waiting)
        waiting.send_signal(signal.SIGINT)
        _, errors = waiting.communicate()
        assert waiting.returncode == 130
        assert errors == "wardrobe: error: interrupted\n"


def test_a_folder_without_images_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    result = wardrobe_here("predict", "bare", cwd=tmp_path)
    refused(result, 1, "1 of 1 could not be used")
    assert "wardrobe: bare: no image in this folder" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, ["no image is given"]),
        (["a.png", "--model", "nowhere"], 1, ["model nowhere does not exist", "'baseline'"]),
        (["a.png", "--model", "a.png"], 1, ["a.png is not a model file; expected .onnx"]),
        (["a.png", "--model", "latest"], 1, ["no run in"]),
        (["a.png", "--csv", "x.csv", "--json"], 2, ["choose one"]),
        (["a.png", "--csv", "no/folder/x.csv"], 2, ["there is no folder no/folder"]),
        (["a.png", "--csv", "."], 2, ["--csv . is a folder"]),
        (["--csv", "a.png", "b.png"], 2, ["--csv a.png does not end in .csv"]),
        (["a.png", "--save-input", "a.png"], 2, ["--save-input a.png is not empty"]),
        (["a.png", "--top", "0"], 2, ["--top"]),
    ],
)
def test_wrong_arguments_are_a_one_line_error(
    tmp_path: Path, arguments: list[str], status: int, words: list[str]
) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    refused(wardrobe_here("predict", *arguments, cwd=tmp_path), status, *words)


def test_a_run_folder_can_be_the_model(
    real_run: tuple[Run, Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = real_run[0]
    answer = read_predictions(
        wardrobe_here("predict", photos, "--json", "--model", run.path, cwd=tmp_path)
    )
    assert answer["model"] == Classifier.load(run).name == str(run.path)
    monkeypatch.chdir(run.path.parents[1])
    assert Classifier.load("latest").name == f"runs/{run.path.name}", "what a server answers"
    same = read_predictions(
        wardrobe_here("predict", photos, "--json", "--model", run.onnx_path, cwd=tmp_path)
    )
    assert same["predictions"] == answer["predictions"]


def test_predict_imports_no_heavy_library(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", str(WARDROBE), "predict", str(photos)]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert result.returncode == 0
    imported = {
        line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines()
    }
    assert "onnxruntime" in imported
    assert not imported & {"tensorflow", "keras", "matplotlib", "sklearn", "scipy", "onnx"}
