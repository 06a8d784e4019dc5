"""The forms in which people have Fashion-MNIST, each read as the bytes of the published IDX files.

The rows of CSV, .npz and Parquet files keep their order, which decides the splits. The Parquet
files of the Hugging Face hub have the published order. The CSV files on Kaggle do not: they are of
the release from before August 2017, with 43 duplicates and other images in the test split.
"""

import gzip
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049  # 0x803, 0x801: uint8, of 3 axes, of 1 axis
IMAGES_HEADER, LABELS_HEADER = 16, 8  # bytes: magic, n, 28, 28; magic, n
PIXELS = 28 * 28
# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, fashion-mnist_train.csv, …
NAME = re.compile(r".*(ubyte|\.idx|\.gz|\.csv|\.npz|\.parquet)", re.IGNORECASE)

Reader = Callable[[Path], Iterable[bytes]]


def find_reader(path: Path) -> Reader | None:
    """Returns the function that reads a file as bytes of IDX files; None if it has another format.

    Raises:
        OSError: the file cannot be read, or its compressed data is damaged.
    """
    with _open(path) as stream:
        first = stream.readline(10_000)  # bytes; a line of CSV has at most 3,140, a header 6,907
    if first.startswith((b"\0\0\x08\x03", b"\0\0\x08\x01")) or "ubyte" in path.name.lower():
        return _read_idx
    if first.startswith(b"PK\3\4") and path.suffix.lower() == ".npz":
        return _read_npz
    if first.startswith(b"PAR1"):
        return _read_parquet
    return _read_csv if first.count(b",") == PIXELS else None  # a label and the pixels


def parse_images(content: bytes) -> npt.NDArray[np.uint8]:
    """Returns the images of an IDX file: (n, 28, 28) uint8, 0-255, light on black."""
    return np.frombuffer(content, np.uint8, offset=IMAGES_HEADER).reshape(-1, 28, 28)


def parse_labels(content: bytes) -> npt.NDArray[np.int64]:
    """Returns the labels of an IDX file: (n,) int64, 0-9, as in `labels.CLASS_NAMES`."""
    return np.frombuffer(content, np.uint8, offset=LABELS_HEADER).astype(np.int64)


def _open(path: Path) -> Any:
    with path.open("rb") as stream:
        is_gzipped = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_gzipped else path.open("rb")


def _read_idx(path: Path) -> Iterable[bytes]:
    with _open(path) as stream:
        yield stream.read(IMAGES_HEADER + 60_000 * PIXELS + 1)  # no published file has more


def _read_csv(path: Path) -> Iterable[bytes]:
    """Reads label, pixel1, …, pixel784, with or without a header."""
    with _open(path) as stream:
        skipped = 0 if stream.read(1).isdigit() else 1
    with _open(path) as stream:
        table = np.loadtxt(stream, np.uint8, delimiter=",", skiprows=skipped)
    return _to_idx(table[:, 1:]), _to_idx(table[:, 0])


def _read_npz(path: Path) -> Iterable[bytes]:
    with np.load(path) as arrays:
        yield from map(_to_idx, arrays.values())  # the content, not the key, says which it is


def _read_parquet(path: Path) -> Iterable[bytes]:
    """Reads the columns image, with PNG files, and label."""
    from pyarrow import parquet  # here: this form alone needs it

    table = parquet.read_table(path, columns=["image", "label"])
    encoded = (np.frombuffer(each["bytes"], np.uint8) for each in table["image"].to_pylist())
    images = [np.asarray(cv2.imdecode(each, cv2.IMREAD_GRAYSCALE)) for each in encoded]
    return _to_idx(np.stack(images)), _to_idx(table["label"].to_numpy())


def _to_idx(array: npt.NDArray[np.generic]) -> bytes:
    """Returns an array of images, in any shape, or of labels as an IDX file.

    Pixels may be scaled to 0-1.
    """
    if array.dtype.kind == "f" and array.max() <= 1:
        array = np.rint(array * 255)
    count = len(array)
    is_images = array.size == count * PIXELS
    header = (IMAGES_MAGIC, count, 28, 28) if is_images else (LABELS_MAGIC, count)
    return np.array(header, ">i4").tobytes() + array.astype(np.uint8).tobytes()
