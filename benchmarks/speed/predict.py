"""How fast `wardrobe predict` is, and how little memory it takes, against the same done with Keras."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import results
from wardrobe.data import synthetic
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.terminal import console

# The shortest that people write: load the model, load the photo, predict.
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
    sys.argv[2], labels=None, color_mode="grayscale", image_size=(28, 28), batch_size=256, shuffle=False)
print(model.predict(images, verbose=0).argmax(axis=1).sum())
"""

# Prints the peak memory of the command that it runs, in KiB (in bytes on macOS).
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""


def predict(rounds: int, images: int, many: int, folder: Path) -> dict[str, Any]:
    """Measures in turn, `rounds` times: one photo from a cold start, a folder of `images`, and memory over `many`.

    Args:
        folder: gets results/predict.json and RESULTS.md.

    Raises:
        UsageError: a number is below 1.
    """
    check_counts(rounds=rounds, images=images, many=many)
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        model, photo, small = _keras_model(here), drawn_photo(here), _small_images(here, images)
        wardrobe = [*console.COMMAND, "predict"]
        keras_one, keras_many = (
            [sys.executable, "-c", code, str(model)] for code in (KERAS_ONE, KERAS_MANY)
        )
        one = _in_turn([*wardrobe, str(photo)], [*keras_one, str(photo)], rounds)
        to_csv = ["--csv", str(here / "out.csv")]
        folder_of = _in_turn([*wardrobe, str(small), *to_csv], [*keras_many, str(small)], rounds)
        places = (
            links(small_image(here), here / f"links-{count}", count) for count in (1000, many)
        )
        few, lots = (_peak_memory([*wardrobe, str(place), *to_csv]) for place in places)
    rows = [
        _row("one photo, from a cold start", 1, one),
        _row("a folder of small images", images, folder_of),
    ]
    figures = {
        "benchmark": "predict",
        "command": f"wardrobe benchmark predict --rounds {rounds} --images {images} --many {many}",
        **results.provenance(),
        "rounds": rounds,
        "rows": rows,
        "memory": {"few": 1000, "few_mib": few, "many": many, "many_mib": lots},
    }
    results.write_results(figures, folder)
    return figures


def check_counts(**counts: float) -> None:
    """Raises UsageError where one of these options is below 1."""
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"--{name} {value} measures nothing; give 1 or more")


def _row(task: str, images: int, times: dict[str, float]) -> dict[str, Any]:
    rates = {
        "images_per_second": images / times["wardrobe_seconds"],
        "keras_images_per_second": images / times["keras_seconds"],
    }
    return {"task": task, "images": images, **times, **rates}


def _in_turn(ours: Sequence[str], theirs: Sequence[str], rounds: int) -> dict[str, float]:
    """Runs both in turn and returns the medians of their seconds, and of the ratio."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return {
        "wardrobe_seconds": statistics.median(pair[0] for pair in pairs),
        "keras_seconds": statistics.median(pair[1] for pair in pairs),
        "times_faster": statistics.median(pair[1] / pair[0] for pair in pairs),
    }


def seconds(command: Sequence[str]) -> float:
    """Runs a command to its end and returns its seconds."""
    began = time.perf_counter()
    run(command)
    return time.perf_counter() - began


def _peak_memory(command: Sequence[str]) -> float:
    """Runs a command and returns its peak of resident memory in MiB.

    It is started by a small process of its own: a child begins with the peak of whoever started it.
    """
    return float(run([sys.executable, "-c", LAUNCHER, *command]).splitlines()[-1]) / 1024


def run(command: Sequence[str]) -> str:
    """Returns what a command printed.

    Raises:
        WardrobeError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WardrobeError(
            f"{' '.join(command[:4])} ended with {done.returncode}: {done.stderr[-300:]}"
        )
    return done.stdout


def _keras_model(folder: Path) -> Path:
    """Writes the shipped recipe's network as .keras; its weights do not matter to its speed."""
    path = folder / "model.keras"
    code = "import sys; from wardrobe import models, recipes; models.build(recipes.get('photo'), 10).save(sys.argv[1])"
    run([sys.executable, "-c", code, str(path)])
    return path


def drawn_photo(folder: Path) -> Path:
    """Draws a garment on a grained floor, 1200x1600 pixels, as a phone would give it."""
    garment = Image.fromarray(synthetic.draw_one(2, np.random.default_rng(0))).resize(
        (900, 900), Image.Resampling.BICUBIC
    )
    grain = np.random.default_rng(0).normal(170, 14, (1600, 1200, 1)) + np.array([20.0, 0, -30])
    floor = Image.fromarray(grain.clip(0, 255).astype(np.uint8))
    floor.paste((40, 60, 140), (150, 350), garment.point(lambda tone: 255 * (tone > 30)))
    path = folder / "photo.jpg"
    floor.save(path, quality=90)
    return path


def _small_images(folder: Path, count: int) -> Path:
    """Writes `count` drawn garments as PNGs of 28x28."""
    (folder / "small").mkdir()
    for i, image in enumerate(synthetic.draw(count)[0]):
        Image.fromarray(image).save(folder / "small" / f"{i:06d}.png")
    return folder / "small"


def small_image(folder: Path) -> Path:
    """Writes a drawn garment as a PNG of 28x28."""
    path = folder / "small.png"
    Image.fromarray(synthetic.draw_one(2, np.random.default_rng(0))).save(path)
    return path


def links(picture: Path, place: Path, count: int) -> Path:
    """Makes a folder `place` with `count` links to one picture."""
    place.mkdir()
    for i in range(count):
        (place / f"{i:07d}{picture.suffix}").symlink_to(picture)
    return place
