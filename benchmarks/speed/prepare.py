"""Time from a photo to its tile on one thread, with the finder and with GrabCut, its teacher."""

import time
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks import results
from benchmarks.speed.predict import check_counts
from wardrobe import photo
from wardrobe.data import clothing_photos
from wardrobe.errors import DataError
from wardrobe.photo import garment
from wardrobe.training.finder import teacher


def measure_preparation(photos: Path, rounds: int, folder: Path) -> dict[str, Any]:
    """Times `photo.prepare` for each photo, read into memory before, in turn with GrabCut.

    Args:
        photos: folder of a split, with one subfolder per kind.
        rounds: repetitions; the median of a photo's times counts.
        folder: for results/prepare.json and RESULTS.md.

    Raises:
        UsageError: `rounds` is below 1, or `photos` is not such a folder.
    """
    check_counts(rounds=rounds)
    contents = [path.read_bytes() for path in clothing_photos.list_photos(photos)]
    if not contents:
        raise DataError(f"{photos} has no photos in its subfolders; give the folder of a split")
    cv2.setNumThreads(1)
    photo.prepare(contents[0])  # opens the finder
    pairs = [
        [(_time(content), _time_with_grabcut(content)) for _ in range(rounds)]
        for content in contents
    ]
    finder, grabcut = 1000 * np.median(pairs, axis=1).T  # milliseconds, each (photos,)
    measured = {
        "benchmark": "prepare",
        "command": results.format_command("prepare", photos=photos, rounds=rounds),
        **results.provenance(),
        "folder": photos.resolve().name,
        "photos": len(contents),
        "rounds": rounds,
        "rows": [_summarize("finder", finder), _summarize("GrabCut", grabcut)],
        "times_faster": float(np.median(grabcut / finder)),
    }
    results.write_results(measured, folder)
    return measured


def _time(content: bytes) -> float:
    """Returns the seconds from a file's content to the tile."""
    start = time.perf_counter()
    photo.prepare(content)
    return time.perf_counter() - start


def _time_with_grabcut(content: bytes) -> float:
    with mock.patch.object(garment, "segment_with_network", teacher.segment_with_grabcut):
        return _time(content)


def _summarize(name: str, milliseconds: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Returns the median and the 95th percentile over the photos."""
    median, slow = np.quantile(milliseconds, [0.5, 0.95])
    return {"finder": name, "median_ms": float(median), "p95_ms": float(slow)}
