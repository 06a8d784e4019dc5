"""The one-file example runs from top to bottom, on a small slice of the real data."""

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
PICTURES = ("samples", "curves", "predictions", "mistakes", "filters")
SLICE = {"train": 1200, "t10k": 500}  # images
FILES = {"images-idx3": (16, 28 * 28), "labels-idx1": (8, 1)}  # bytes of the header, bytes an item


@pytest.fixture
def keras_home(tmp_path: Path, fashion_mnist_dir: Path) -> Path:
    """A folder with the first images of each split, where Keras looks before it downloads."""
    folder = tmp_path / "datasets/fashion-mnist"
    folder.mkdir(parents=True)
    for split, count in SLICE.items():
        for kind, (header, size) in FILES.items():
            name = f"{split}-{kind}-ubyte.gz"
            with gzip.open(fashion_mnist_dir / name) as file:
                content = file.read(header + count * size)
            (folder / name).write_bytes(gzip.compress(content, compresslevel=1))
    return tmp_path


def test_the_example_trains_tests_and_draws(keras_home: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=keras_home,
        env={**environment(keras_home), "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    accuracy = re.search(r"^Test accuracy: ([\d.]+)% of 500 images$", run.stdout, re.MULTILINE)
    assert accuracy
    assert 60 < float(accuracy[1]) <= 100  # a guess is right in 10
    folder = keras_home / "runs/baseline-example"
    assert {path.stem for path in folder.glob("*.png")} == set(PICTURES)
    for name in PICTURES:
        with Image.open(folder / f"{name}.png") as picture:
            darkest, lightest = picture.convert("L").getextrema()
        assert (darkest, lightest) == (0, 255), name


def test_the_example_is_short_and_uses_nothing_of_wardrobe() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 120
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").partition(".")[0])
    assert modules == {"keras", "matplotlib", "numpy", "pathlib"}
