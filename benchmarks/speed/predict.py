"""Time and peak memory of `wardrobe predict`, compared with Keras."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks import results
from wardrobe.data import synthetic
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.terminal import console

# The shortest usual script: load the model, load the photo, predict.
KERAS_ONE = """
import sys, keras
model = keras.models.load_model(sys.argv[1])
image = keras.utils.load_img(sys.argv[2], color_mode="grayscale", target_size=(28, 28))
print(model.predict(keras.utils.img_to_array(image)[None]).argmax())
"""
KERAS_MANY = """
import sys, keras
model = keras.models.load_model(sys.argv[1])
images = keras.utils.image_dataset_from_directory(
    sys.argv[2], labels=None, color_mode="grayscale", image_size=(28, 28), batch_size=256,
    shuffle=False)
print(model.predict(images, verbose=0).argmax(axis=1).sum())
"""

# Writes the untrained network of a recipe; weights do not change its speed.
BUILD_MODEL = """
import sys
from wardrobe.models import architecture, recipes
architecture.build(recipes.get("photo"), 10).save(sys.argv[1])
"""

# Prints the peak memory of a command in KiB; ru_maxrss is in bytes on macOS.
MEASURE_MEMORY = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak // (1024 if sys.platform == "darwin" else 1))
"""
FEW = 1000  # images for peak memory, to compare with `many`


def measure_predict(rounds: int, images: int, many: int, folder: Path) -> dict[str, Any]:
    """Times one photo and a folder of images, in turn with Keras, and measures peak memory.

    Args:
        rounds: repetitions; medians are reported.
        images: how many, in the folder.
        many: images for peak memory.
        folder: for results/predict.json and RESULTS.md.

    Raises:
        UsageError: a number is below 1.
    """
    check_counts(rounds=rounds, images=images, many=many)
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        model, photo = _write_keras_model(here), write_photo(here)
        small = _write_small_images(here, images)
        predict = [*console.COMMAND, "predict"]
        keras_one, keras_many = (
            [sys.executable, "-c", code, str(model)] for code in (KERAS_ONE, KERAS_MANY)
        )
        one = _time_pair([*predict, str(photo)], [*keras_one, str(photo)], rounds)
        to_csv = ["--csv", str(here / "out.csv")]
        all_small = _time_pair([*predict, str(small), *to_csv], [*keras_many, str(small)], rounds)
        image = write_small_image(here)
        folders = (link_images(image, here / f"links-{count}", count) for count in (FEW, many))
        peaks = [_measure_memory([*predict, str(each), *to_csv]) for each in folders]
    options = {"rounds": rounds, "images": images, "many": many}
    measured = {
        "benchmark": "predict",
        "command": results.format_command("predict", **options),
        **results.provenance(),
        "rounds": rounds,
        "rows": [
            _make_row("one photo, from a cold start", 1, one),
            _make_row("a folder of small images", images, all_small),
        ],
        "memory": {"few": FEW, "few_mib": peaks[0], "many": many, "many_mib": peaks[1]},
    }
    results.write_results(measured, folder)
    return measured


def check_counts(**counts: float) -> None:
    """Checks options that must be at least 1.

    Raises:
        UsageError: one is below 1.
    """
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"--{name} {value} is too small; give 1 or more")


def time_command(command: Sequence[str]) -> float:
    """Runs a command and returns its seconds."""
    start = time.perf_counter()
    run_command(command)
    return time.perf_counter() - start


def run_command(command: Sequence[str]) -> str:
    """Runs a command and returns what it prints.

    Raises:
        WardrobeError: it fails.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        words = " ".join(command[:4])
        raise WardrobeError(f"{words} exited with {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


def write_photo(folder: Path) -> Path:
    """Writes a JPEG of a synthetic garment on a wooden floor, 1200x1600 pixels as from a phone.

    The boards differ in tone, as most floors do, so that their colour alone does not tell the
    garment from them.
    """
    rng = np.random.default_rng(0)
    boards = np.repeat(rng.normal(150, 35, (1600 // 100, 1)), 100, axis=0)  # (height, 1)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (1600, 1200)), (0, 0), 12, sigmaY=1.5)
    # (height, width, 3): the tone of each pixel, plus the colour of wood.
    wood = (boards + grain)[..., None] + np.array([25.0, 0, -35])
    floor = Image.fromarray(wood.clip(0, 255).astype(np.uint8))
    drawn = Image.fromarray(synthetic.draw_one(2, np.random.default_rng(0)))
    garment = drawn.resize((900, 900), Image.Resampling.BICUBIC)
    floor.paste((40, 60, 140), (150, 350), garment.point(lambda tone: 255 * (tone > 30)))
    path = folder / "photo.jpg"
    floor.save(path, quality=90)
    return path


def write_small_image(folder: Path) -> Path:
    """Writes a PNG of a synthetic garment, 28x28 pixels."""
    path = folder / "small.png"
    Image.fromarray(synthetic.draw_one(2, np.random.default_rng(0))).save(path)
    return path


def link_images(image: Path, folder: Path, count: int) -> Path:
    """Creates `folder` with `count` symbolic links to one image."""
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:07d}{image.suffix}").symlink_to(image)
    return folder


def _make_row(task: str, images: int, times: dict[str, float]) -> dict[str, Any]:
    rates = {
        "images_per_second": images / times["wardrobe_seconds"],
        "keras_images_per_second": images / times["keras_seconds"],
    }
    return {"task": task, "images": images, **times, **rates}


def _time_pair(wardrobe: Sequence[str], keras: Sequence[str], rounds: int) -> dict[str, float]:
    """Runs both commands in turn; returns the medians of their seconds and of the ratio."""
    pairs = [(time_command(wardrobe), time_command(keras)) for _ in range(rounds)]
    return {
        "wardrobe_seconds": statistics.median(pair[0] for pair in pairs),
        "keras_seconds": statistics.median(pair[1] for pair in pairs),
        "times_faster": statistics.median(pair[1] / pair[0] for pair in pairs),
    }


def _measure_memory(command: Sequence[str]) -> float:
    """Runs a command and returns its peak resident memory in MiB.

    A small process starts it, because the peak of a child includes its parent's before exec.
    """
    printed = run_command([sys.executable, "-c", MEASURE_MEMORY, *command])
    return float(printed.splitlines()[-1]) / 1024


def _write_keras_model(folder: Path) -> Path:
    path = folder / "model.keras"
    run_command([sys.executable, "-c", BUILD_MODEL, str(path)])
    return path


def _write_small_images(folder: Path, count: int) -> Path:
    """Writes `count` PNGs of synthetic garments, 28x28 pixels."""
    (folder / "small").mkdir()
    for i, image in enumerate(synthetic.draw(count)[0]):
        Image.fromarray(image).save(folder / "small" / f"{i:06d}.png")
    return folder / "small"
