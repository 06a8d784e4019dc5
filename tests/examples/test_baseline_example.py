"""The one-file example runs on a small subset of the real data."""

import ast
import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment
from PIL import Image

EXAMPLE = ROOT / "examples/baseline.py"
FIGURES = ("samples", "curves", "predictions", "mistakes", "filters")
SUBSET = {"train": 600, "t10k": 200}  # images
FILES = {"images-idx3": (16, 28 * 28), "labels-idx1": (8, 1)}  # header size, item size; in bytes


@pytest.fixture
def keras_home(tmp_path: Path, fashion_mnist_dir: Path) -> Path:
    """A Keras cache folder with the first images of each split, so that nothing is downloaded."""
    folder = tmp_path / "datasets/fashion-mnist"
    folder.mkdir(parents=True)
    for split, count in SUBSET.items():
        for part, (header, size) in FILES.items():
            name = f"{split}-{part}-ubyte.gz"
            with gzip.open(fashion_mnist_dir / name) as file:
                content = file.read(header + count * size)
            (folder / name).write_bytes(gzip.compress(content, compresslevel=1))
    return tmp_path


def test_the_example_trains_evaluates_and_saves_figures(keras_home: Path) -> None:
    variables = environment(keras_home) | {"MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "2"}
    # Set by wardrobe.training in this process; the example has no seed, which it would demand.
    variables.pop("TF_DETERMINISTIC_OPS", None)
    run = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=keras_home,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    # TensorFlow logs which instructions it uses on some processors, whatever its log level is.
    log = re.compile(r"WARNING: All log messages before absl|[IW]\d{4} |To enable the following")
    assert [line for line in run.stderr.splitlines() if not log.match(line)] == []
    accuracy = re.search(r"^Test accuracy: ([\d.]+)% of 200 images$", run.stdout, re.MULTILINE)
    assert accuracy
    assert 60 < float(accuracy[1]) <= 100  # guessing reaches 10
    folder = keras_home / "runs/baseline-example"
    assert {path.stem for path in folder.glob("*.png")} == set(FIGURES)
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as figure:
            darkest, lightest = figure.convert("L").getextrema()
        assert (darkest, lightest) == (0, 255), name


def test_the_example_is_short_and_does_not_import_wardrobe() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 120
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").partition(".")[0])
    assert modules == {"keras", "matplotlib", "numpy", "pathlib"}
