"""From paths to predictions: finds images, prepares them on every core, classifies them in batches.

Predictions are yielded one by one, so memory does not grow with the number of images.
"""

import functools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import has_magic
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.inference import streams
from wardrobe.inference.classifier import Answer, Classifier
from wardrobe.inference.engines import count_cores
from wardrobe.photo.listing import Failure, describe_ignored, find_matches, find_photos, is_ignored
from wardrobe.terminal import console

Prepared = tuple[str, npt.NDArray[np.uint8] | str]  # path; its pixels (28, 28), or the error

CHUNK = 32  # images classified at once
CHUNKS_AHEAD = 2  # prepared while one is classified


@dataclass(frozen=True)
class Prediction(Answer):
    """An image and the model's answer."""

    path: str  # as given or found
    pixels: npt.NDArray[np.uint8]  # (28, 28): what the model sees
    class_names: tuple[str, ...]  # in the order of the model


def predict_paths(
    paths: Sequence[str], load: Callable[[], Classifier]
) -> Iterator[Prediction | Failure]:
    """Yields a prediction or a failure for every image in `paths`, in order.

    Args:
        paths: files, folders (recursive), patterns such as "photos/*.jpg", "-" for stdin,
            "https://…" and "camera:0".
        load: returns the model; called while the first images are prepared.

    Raises:
        WardrobeError: raised by `load`.
    """
    sources = map(_read_stream, find_images(paths))  # lazy: paths are found while images run
    pool = ThreadPoolExecutor(count_cores())  # Pillow and OpenCV release the GIL

    def submit_chunks() -> Iterator[list[Future[Prepared]]]:
        while chunk := list(islice(sources, CHUNK)):
            yield [pool.submit(_prepare, *each) for each in chunk]

    try:
        chunks = submit_chunks()
        ahead = deque(islice(chunks, CHUNKS_AHEAD))
        classifier = load()  # after the first chunks: the pool works meanwhile
        while ahead:
            prepared = [future.result() for future in ahead.popleft()]
            ahead.extend(islice(chunks, 1))  # before the classification, so that cores stay busy
            yield from _classify(prepared, classifier)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


# Below, os.path is used in place of Path, which raises where a name is too long and is slow for a
# million files.


def find_images(paths: Iterable[str]) -> Iterator[str | Failure]:
    """Yields the path of every image in `paths`, and a failure for what is missing.

    In folders, the images are those of `find_photos`. Links to files are followed.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112
            yield from _find_in_folder(path)
        elif streams.is_stream(path) or _is_readable(path):
            yield path
        elif has_magic(path) and not os.path.lexists(path):
            yield from _find_matches(path)
        else:
            reason = "not a file or folder" if os.path.lexists(path) else "does not exist"
            is_address = "://" in path
            yield Failure(path, "not an https:// address or a file" if is_address else reason)


def _find_in_folder(folder: str) -> Iterator[str | Failure]:
    ignored: dict[str, str] = {}
    is_empty = True
    for found in find_photos(folder, ignored):
        is_empty = False
        yield found
    if ignored:
        _warn_once(describe_ignored(folder, ignored))
    if is_empty:
        yield Failure(folder, "no image in this folder")


@functools.cache
def _warn_once(text: str) -> None:
    """Warns, but not again if the folder is listed again: to count its images, or to resume."""
    console.warn(text)


def _find_matches(pattern: str) -> Iterator[str | Failure]:
    """Yields the matches of a pattern, sorted, and the images in matching folders.

    The longest part of it that exists is no pattern: a folder may be called "My [2024]". With
    "**", the folders themselves are skipped, because their files match too.
    """
    root = next(each for each in Path(pattern).parents if os.path.isdir(each))  # noqa: PTH112
    parts = Path(pattern).relative_to(root).parts
    is_recursive = "**" in parts
    tail = "/".join(parts) + ("/*" if parts[-1] == "**" else "")
    matches = find_matches(tail, root.glob)  # glob.glob would follow links and could loop
    is_empty = True
    for match in matches:
        if is_ignored(str(match), pattern) or (is_recursive and match.is_dir()):
            continue
        is_empty = False
        yield from _find_in_folder(str(match)) if match.is_dir() else [str(match)]
    if is_empty:
        yield Failure(pattern, "no match for this pattern")


def _is_readable(path: str) -> bool:
    """Tells whether there is a file, or a pipe such as the shell's <(command)."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def _read_stream(source: str | Failure) -> tuple[str | Failure, bytes | None]:
    """Returns the source with the content of a stream or a pipe, None for a file.

    It reads in the main thread, because a thread could not be interrupted.
    """
    if isinstance(source, Failure):
        return source, None
    if not streams.is_stream(source) and os.path.isfile(source):  # noqa: PTH113
        return source, None
    content = streams.read(source)
    return (content, None) if isinstance(content, Failure) else (source, content)


def _prepare(source: str | Failure, content: bytes | None) -> Prepared:
    if isinstance(source, Failure):
        return source.path, source.error
    return source, photo.prepare_or_reason(source if content is None else content)


def _classify(
    prepared: Sequence[Prepared], classifier: Classifier
) -> Iterator[Prediction | Failure]:
    tiles = [pixels for _, pixels in prepared if not isinstance(pixels, str)]
    images = np.array(tiles, np.uint8).reshape(-1, photo.SIDE, photo.SIDE)
    answers = iter(classifier.classify(images))
    for path, pixels in prepared:
        if isinstance(pixels, str):
            yield Failure(path, pixels)
        else:
            answer = next(answers)
            yield Prediction(
                **vars(answer), path=path, pixels=pixels, class_names=classifier.class_names
            )


def unique_file_name(path: str, numbers: dict[str, int]) -> str:
    """Returns the name of a PNG for an image; a repeated name gets a number.

    Args:
        numbers: lower-case name → last number used, updated here. Lower case, because some file
            systems do not distinguish case.
    """
    printable = "".join(each if each.isprintable() else "_" for each in Path(path).stem)
    stem = "stdin" if path == streams.STDIN else printable
    number = numbers.get(stem.lower(), 0) + 1
    while (name := stem if number == 1 else f"{stem}-{number}").lower() in numbers:
        number += 1
    numbers[stem.lower()] = number
    numbers.setdefault(name.lower(), 1)
    return f"{name}.png"
