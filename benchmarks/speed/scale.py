"""What Ray costs: `wardrobe predict --engine ray` against the plain command, on the same cores, in turn."""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks import results
from benchmarks.speed import predict as predict_benchmark
from wardrobe.errors import UsageError
from wardrobe.inference.engines import count_cores
from wardrobe.terminal import console

SMALL, PHOTOS = "28x28 PNG", "1200x1600 JPEG"
PLAIN, RAY = "the plain command", "Ray"

# Runs a command on so many cores, and so all that it starts.
PINNED = """
import os, subprocess, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
sys.exit(subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode)
"""


def scale(images: int, photos: int, rounds: int, folder: Path, stream: TextIO) -> dict[str, Any]:
    """Classifies links to one small image, and to one photo, on one core and on all, in turn `rounds` times.

    With Ray there is a worker for each core, and all processes of Ray share these cores with them.

    Args:
        images, photos: how many links of each.
        folder: gets results/scale.json and RESULTS.md.

    Raises:
        UsageError: a number is below 1, or processes cannot be held to cores here.
    """
    predict_benchmark.check_counts(images=images, photos=photos, rounds=rounds)
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("this system cannot hold a process to one core; measure on Linux")
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        inputs = {
            SMALL: predict_benchmark.links(
                predict_benchmark.small_image(here), here / "small", images
            ),
            PHOTOS: predict_benchmark.links(
                predict_benchmark.drawn_photo(here), here / "photos", photos
            ),
        }
        rows = [
            row
            for kind, place in inputs.items()
            for count in sorted({1, count_cores()})
            for row in _in_turn(kind, place, count, rounds, here, stream)
        ]
    figures = {
        "benchmark": "scale",
        "command": results.format_command("scale", images=images, photos=photos, rounds=rounds),
        **results.provenance(),
        "ray": _ray_version(),
        "rounds": rounds,
        "rows": rows,
    }
    results.write_results(figures, folder)
    return figures


def _in_turn(
    kind: str, place: Path, count: int, rounds: int, here: Path, stream: TextIO
) -> Iterator[dict[str, Any]]:
    """Yields a row for the plain command and one for Ray, on `count` cores: medians, and that of the ratios."""
    number = sum(1 for _ in place.iterdir())
    predict = [*console.COMMAND, "predict", str(place)]
    pairs = []
    for turn in range(rounds):
        out = here / f"{place.name}-{count}-{turn}"
        plain = _seconds(count, [*predict, "--csv", f"{out}.csv"])
        ray = _seconds(
            count, [*predict, "--engine", "ray", "--workers", str(count), "--out", str(out)]
        )
        pairs.append((plain, ray))
        print(
            f"{kind}, cores: {count}: {plain:.1f} s, with Ray {ray:.1f} s", file=stream, flush=True
        )
    for which, engine in enumerate((PLAIN, RAY)):
        seconds = statistics.median(pair[which] for pair in pairs)
        yield {
            "input": kind,
            "images": number,
            "engine": engine,
            "cores": count,
            "seconds": seconds,
            "images_per_second": number / seconds,
            "overhead": statistics.median(pair[which] / pair[0] - 1 for pair in pairs),
        }


def _seconds(count: int, command: Sequence[str]) -> float:
    return predict_benchmark.seconds([sys.executable, "-c", PINNED, str(count), *command])


def _ray_version() -> str:
    from importlib import metadata

    return metadata.version("ray")
