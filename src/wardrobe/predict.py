"""From paths to predictions: finds pictures, prepares them on every core, classifies them in batches, keeps none."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import has_magic, iglob
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.classifier import Classifier
from wardrobe.errors import PhotoError

STDIN = "-"
CHUNK = 32  # pictures handed on at once
CHUNKS_AHEAD = 2  # being prepared while one is classified

# In a folder, a file with another ending is no picture and is passed over. SVG and PDF are tried, and so named.
ENDINGS = {f".{ending}" for group in (
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
    not_sure: bool
    reason: str | None  # why not sure

    @property
    def label(self) -> str:
        return next(iter(self.probabilities))

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


def predictions(paths: Sequence[str], load: Callable[[], Classifier]) -> Iterator[Prediction | Failure]:
    """Yields a prediction or a failure for every picture that `paths` name, in order; memory does not grow with them.

    Args:
        paths: files, folders (with all below them), patterns such as "photos/*.jpg", and "-" for standard input.
        load: gives the model; called while the first pictures are being prepared.

    Raises:
        WardrobeError: what `load` raises.
    """
    found = find_pictures(paths)
    threads = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:

        def begun() -> Iterator[list[Future[Prepared | Failure]]]:
            while chunk := list(islice(found, CHUNK)):
                yield [pool.submit(_prepared, each) for each in chunk]

        chunks = begun()
        ahead = deque(islice(chunks, CHUNKS_AHEAD))
        classifier = load()
        while ahead:
            prepared = [future.result() for future in ahead.popleft()]
            ahead.extend(islice(chunks, 1))
            yield from _classified(prepared, classifier)


def find_pictures(paths: Iterable[str]) -> Iterator[str | Failure]:
    """Yields the path of every picture that `paths` name, folders sorted; and a failure for what is not there.

    Links to files are followed, links to folders inside a folder are not, so that none can loop.
    """
    for given in paths:
        path = Path(given)
        if given == STDIN or path.is_file():
            yield given
        elif path.is_dir():
            yield from _in_folder(given)
        elif has_magic(given) and not path.exists():
            yield from _matching(given)
        else:
            yield Failure(given, "it does not exist" if not os.path.lexists(path) else "it is no file and no folder")


def _in_folder(folder: str) -> Iterator[str | Failure]:
    unread: list[OSError] = []
    pictures = 0
    for parent, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS:
                pictures += 1
                yield os.path.join(parent, name)  # noqa: PTH118  a Path for each of a million is slow
    for error in unread:
        yield Failure(str(error.filename), _why(error))
    if not pictures and not unread:
        yield Failure(folder, "no picture is in this folder")


def _matching(pattern: str) -> Iterator[str | Failure]:
    matches = 0
    for match in iglob(pattern, recursive=True):  # noqa: PTH207  Path.glob takes no absolute pattern
        matches += 1
        yield from _in_folder(match) if Path(match).is_dir() else [match]
    if not matches:
        yield Failure(pattern, "nothing matches this pattern")


def _prepared(found: str | Failure) -> Prepared | Failure:
    """Returns what the model sees of a picture, or why it cannot."""
    if isinstance(found, Failure):
        return found
    try:
        return Prepared(found, photo.prepare(sys.stdin.buffer.read() if found == STDIN else found))
    except PhotoError as error:
        return Failure(found, str(error))
    except (OSError, MemoryError) as error:
        return Failure(found, _why(error))


def _classified(prepared: Sequence[Prepared | Failure], classifier: Classifier) -> Iterator[Prediction | Failure]:
    good = [each.pixels for each in prepared if isinstance(each, Prepared)]
    answers = classifier.classify(np.stack(good) if good else np.empty((0, photo.SIDE, photo.SIDE), np.uint8))
    row = 0
    for each in prepared:
        if isinstance(each, Failure):
            yield each
            continue
        chances = answers.probabilities[row]
        ranked = {answers.class_names[i]: float(chances[i]) for i in np.argsort(-chances, kind="stable")}
        reason = answers.reason(row)
        yield Prediction(each.path, each.pixels, answers.class_names, ranked, reason is not None, reason)
        row += 1


def file_name(path: str, taken: set[str]) -> str:
    """Returns the name of the PNG of what the model saw of a picture; a second one of that name gets a number.

    Args:
        taken: names given so far, in lower case, for disks that do not tell it from upper; the new one is added.
    """
    stem = "stdin" if path == STDIN else Path(path).stem
    name, number = stem, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return f"{name}.png"


def _why(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than there is; make it smaller"
    return str(getattr(error, "strerror", None) or error).lower()
