"""The cost of Ray: `wardrobe predict --engine ray` against the plain command on the same cores."""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from benchmarks import results
from benchmarks.speed import predict
from wardrobe.errors import UsageError
from wardrobe.inference.engines import count_cores
from wardrobe.terminal import console

SMALL, PHOTOS = "28x28 PNG", "1200x1600 JPEG"
ENGINES = PLAIN, RAY = "wardrobe predict", "Ray"

# Runs a command and all its children on the given number of cores.
PIN_TO_CORES = """
import os, subprocess, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
sys.exit(subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode)
"""


def measure_ray(
    images: int, photos: int, rounds: int, folder: Path, stream: TextIO
) -> dict[str, Any]:
    """Classifies many links to one small image, and to one photo, on one core and on all cores.

    Ray has one worker per core; all its processes share these cores.

    Args:
        images, photos: number of links to each.
        rounds: repetitions, in turn; medians are reported.
        folder: for results/scale.json and RESULTS.md.

    Raises:
        UsageError: a number is below 1, or the system cannot pin processes to cores.
    """
    predict.check_counts(images=images, photos=photos, rounds=rounds)
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("this system cannot pin a process to a core; run this benchmark on Linux")
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        small, photo = predict.write_small_image(here), predict.write_photo(here)
        inputs = {
            SMALL: predict.link_images(small, here / "small", images),
            PHOTOS: predict.link_images(photo, here / "photos", photos),
        }
        rows = [
            row
            for name, place in inputs.items()
            for cores in sorted({1, count_cores()})
            for row in _compare_engines(name, place, cores, rounds, stream)
        ]
    measured = {
        "benchmark": "scale",
        "command": results.format_command("scale", images=images, photos=photos, rounds=rounds),
        **results.provenance(),
        "ray": metadata.version("ray"),
        "rounds": rounds,
        "rows": rows,
    }
    results.write_results(measured, folder)
    return measured


def _compare_engines(
    name: str, place: Path, cores: int, rounds: int, stream: TextIO
) -> Iterator[dict[str, Any]]:
    """Yields one row per engine, for the images in `place`, with medians over the rounds."""
    images = sum(1 for _ in place.iterdir())
    command = [*console.COMMAND, "predict", str(place)]
    with_ray = [*command, "--engine", "ray", "--workers", str(cores)]
    pairs = []
    for number in range(rounds):
        out = place.with_name(f"{place.name}-{cores}-{number}")
        plain = _time_pinned(cores, [*command, "--csv", f"{out}.csv"])
        ray = _time_pinned(cores, [*with_ray, "--out", str(out)])
        pairs.append((plain, ray))
        text = f"{name}, cores: {cores}: {plain:.1f} s, with Ray {ray:.1f} s"
        print(text, file=stream, flush=True)
    for which, engine in enumerate(ENGINES):
        seconds = statistics.median(pair[which] for pair in pairs)
        yield {
            "input": name,
            "images": images,
            "engine": engine,
            "cores": cores,
            "seconds": seconds,
            "images_per_second": images / seconds,
            "overhead": statistics.median(pair[which] / pair[0] - 1 for pair in pairs),
        }


def _time_pinned(cores: int, command: Sequence[str]) -> float:
    return predict.time_command([sys.executable, "-c", PIN_TO_CORES, str(cores), *command])
