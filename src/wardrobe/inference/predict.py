"""From paths to predictions: finds pictures, prepares them on every core, classifies them in batches, keeps none."""

import contextlib
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import has_magic
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.engines import count_cores

STDIN = "-"
CHUNK = 32  # pictures handed on at once
CHUNKS_AHEAD = 2  # being prepared while one is classified
LARGEST_STREAM = 100_000_000  # bytes read of standard input or a pipe

# In a folder, a file with another ending is no picture and is passed over. SVG and PDF are tried, and so named.
EXTENSIONS = {f".{ending}" for group in (
    ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "bmp", "dib", "tif", "tiff", "webp", "avif"),
    ("heic", "heif", "ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "tga", "ico", "svg", "pdf", "eps"),
) for ending in group}  # fmt: skip


@dataclass(frozen=True)
class Prediction:
    """A picture and what the model says of it."""

    path: str  # as given or found; "-" for standard input
    pixels: npt.NDArray[np.uint8]  # (28, 28): what the model saw
    class_names: tuple[str, ...]  # the model's, in its order
    probabilities: dict[str, float]  # class name → 0-1, the likeliest first
    reason: str | None  # why it is not sure; None where it is

    @property
    def label(self) -> str:
        return next(iter(self.probabilities))

    @property
    def not_sure(self) -> bool:
        return self.reason is not None

    @property
    def confidence(self) -> float:
        return self.probabilities[self.label]


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready to be classified."""

    path: str
    pixels: npt.NDArray[np.uint8]  # (28, 28)


@dataclass(frozen=True)
class Failure:
    """A path that gave no prediction, and why."""

    path: str
    error: str


def predict_paths(
    paths: Sequence[str], load: Callable[[], Classifier]
) -> Iterator[Prediction | Failure]:
    """Yields a prediction or a failure for every picture that `paths` name, in order; memory does not grow with them.

    Args:
        paths: files, folders (with all below them), patterns such as "photos/*.jpg", and "-" for standard input.
        load: gives the model; called while the first pictures are being prepared.

    Raises:
        WardrobeError: what `load` raises.
    """
    sources = map(_read_streams, find_pictures(paths))
    pool = ThreadPoolExecutor(count_cores())

    def begun() -> Iterator[list[Future[Prepared | Failure]]]:
        while chunk := list(islice(sources, CHUNK)):
            yield [pool.submit(_prepared, *each) for each in chunk]

    try:
        chunks = begun()
        ahead = deque(islice(chunks, CHUNKS_AHEAD))
        classifier = load()
        while ahead:
            prepared = [future.result() for future in ahead.popleft()]
            ahead.extend(islice(chunks, 1))
            yield from _classified(prepared, classifier)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # nothing waits for what is no longer wanted


def to_json(
    probabilities: dict[str, float], reason: str | None, top: int | None = None
) -> dict[str, Any]:
    """Returns an answer as it goes into JSON.

    Args:
        probabilities: class name → 0-1, the likeliest first.
        reason: why it should be doubted; None where it should not.
        top: how many classes to list; None: all.
    """
    label, confidence = next(iter(probabilities.items()))
    return {
        "label": label,
        "confidence": confidence,
        "probabilities": dict(islice(probabilities.items(), top)),
        "not_sure": reason is not None,
        "reason": reason,
    }


def find_pictures(paths: Iterable[str]) -> Iterator[str | Failure]:
    """Yields the path of every picture that `paths` name, folders sorted; and a failure for what is not there.

    Links to files are followed, links to folders inside a folder are not, so that none can loop. Hidden files and
    folders are passed over, and in a folder what has no picture's ending.
    """
    for (
        given
    ) in paths:  # os.path's functions answer for any text; Path's raise where a name is too long
        if os.path.isdir(given):  # noqa: PTH112
            yield from _in_folder(given)
        elif given == STDIN or _can_be_read(given):
            yield given
        elif has_magic(given) and not os.path.lexists(given):
            yield from _matching(given)
        else:
            there = os.path.lexists(given)
            yield Failure(
                given,
                "it is no file and no folder, or leads to none" if there else "it does not exist",
            )


def _in_folder(folder: str) -> Iterator[str | Failure]:
    unread: list[OSError] = []
    pictures = 0
    for parent, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS:  # noqa: PTH122
                pictures += 1
                path = os.path.join(parent, name)  # noqa: PTH118  a Path for each of a million is slow
                yield (
                    path
                    if os.path.isfile(path)  # noqa: PTH113
                    else Failure(path, "it is no file, or leads to none")
                )
    for error in unread:
        yield Failure(str(error.filename), str(error.strerror).lower())
    if not pictures and not unread:
        yield Failure(folder, "no picture is in this folder")


def _matching(pattern: str) -> Iterator[str | Failure]:
    """Yields what matches, sorted; folders that match are entered, but not under "**", which enters them itself."""
    root, parts = Path(Path(pattern).anchor), Path(pattern).parts
    deep = "**" in parts
    tail = str(Path(*parts[1:] if root.anchor else parts)) + ("/*" if parts[-1] == "**" else "")
    matches = 0
    for match in sorted(
        root.glob(tail)
    ):  # unlike glob.glob, does not enter linked folders, so it cannot loop
        if any(part.startswith(".") and part not in parts for part in match.parts) or (
            deep and match.is_dir()
        ):
            continue
        matches += 1
        yield from _in_folder(str(match)) if match.is_dir() else [str(match)]
    if not matches:
        yield Failure(pattern, "nothing matches this pattern")


def _can_be_read(path: str) -> bool:
    """Tells whether there is a file, or a pipe such as the shell's <(command)."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def _read_streams(found: str | Failure) -> tuple[str | Failure, bytes | None]:
    """Reads standard input and pipes, here and not in a thread, which could not be interrupted."""
    if isinstance(found, Failure) or (found != STDIN and os.path.isfile(found)):  # noqa: PTH113
        return found, None
    if found == STDIN and sys.stdin is None:
        return Failure(found, "standard input is closed"), None
    with (
        contextlib.nullcontext(sys.stdin.buffer)
        if found == STDIN
        else Path(found).open("rb") as stream
    ):
        content = stream.read(LARGEST_STREAM + 1)
    if len(content) > LARGEST_STREAM:
        return Failure(found, f"it has more than {LARGEST_STREAM:,} bytes; give a file"), None
    return found, content


def _prepared(found: str | Failure, content: bytes | None) -> Prepared | Failure:
    """Returns what the model sees of a picture, or why it cannot."""
    if isinstance(found, Failure):
        return found
    pixels = photo.prepare_or_reason(found if content is None else content)
    return Failure(found, pixels) if isinstance(pixels, str) else Prepared(found, pixels)


def _classified(
    prepared: Sequence[Prepared | Failure], classifier: Classifier
) -> Iterator[Prediction | Failure]:
    good = [each.pixels for each in prepared if isinstance(each, Prepared)]
    answers = classifier.classify(
        np.stack(good) if good else np.empty((0, photo.SIDE, photo.SIDE), np.uint8)
    )
    row = 0
    for each in prepared:
        if isinstance(each, Failure):
            yield each
            continue
        yield Prediction(
            each.path, each.pixels, answers.class_names, answers.ranked(row), answers.reason(row)
        )
        row += 1


def unique_file_name(path: str, numbers: dict[str, int]) -> str:
    """Returns the name of the PNG of what the model saw of a picture; a second one of that name gets a number.

    Args:
        numbers: name in lower case, for disks that do not tell it from upper → the last number given; carried on.
    """
    stem = (
        "stdin"
        if path == STDIN
        else "".join(each if each.isprintable() else "_" for each in Path(path).stem)
    )
    number = numbers.get(stem.lower(), 0) + 1
    while (name := stem if number == 1 else f"{stem}-{number}").lower() in numbers:
        number += 1
    numbers[stem.lower()] = number
    numbers.setdefault(name.lower(), 1)
    return f"{name}.png"
