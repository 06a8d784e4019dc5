"""Fashion-MNIST as published: four gzipped IDX files, found or downloaded, checked by MD5, read.

Files from before August 2017 had images in both splits. The checksums tell them apart.

Source: arXiv 1708.07747 and its repository, zalandoresearch/fashion-mnist.
"""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe.data import download
from wardrobe.errors import DataError, DataMissingError, UsageError
from wardrobe.terminal import console, progress

MIRRORS: tuple[str, ...] = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049  # 0x803, 0x801: uint8, of 3 axes, of 1 axis


@dataclass(frozen=True)
class File:
    """One published file."""

    name: str
    md5: str  # of the gzipped file


FILES: dict[str, File] = {
    "train_images": File("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    "train_labels": File("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    "test_images": File("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
    "test_labels": File("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
}


def locate(data_dir: Path | None = None) -> dict[str, Path]:
    """Finds the four files: in `data_dir`, `$WARDROBE_DATA`, the cache, otherwise by download.

    A file with a wrong checksum is reported on stderr and never used. In the cache it is renamed to
    `NAME.wrong-checksum` and downloaded again. Elsewhere it is left unchanged.

    Returns:
        A path for each key of `FILES`.

    Raises:
        UsageError: `data_dir` is not a folder.
        DataMissingError: a file is not found and cannot be downloaded.
        DataError: a file has a wrong checksum and there is no good copy.
    """
    names = ", ".join(file.name for file in FILES.values())
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"--data-dir {data_dir} is not a folder; give the folder of {names}")
    if data_dir is not None and not any((data_dir / file.name).exists() for file in FILES.values()):
        console.warn(f"{data_dir} has none of {names}; looking elsewhere")
    given = data_dir, os.environ.get("WARDROBE_DATA")
    folders = [Path(folder) for folder in given if folder]
    return {key: _locate_file(file, folders) for key, file in FILES.items()}


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a gzipped IDX file of images: (n, 28, 28) uint8, 0-255, light on black.

    Raises:
        DataError: the file is not an IDX file of images, or is truncated.
    """
    return _read_idx(path, IMAGES_MAGIC, header_bytes=16).reshape(-1, 28, 28)  # magic, n, 28, 28


def read_labels(path: Path) -> npt.NDArray[np.int64]:
    """Reads a gzipped IDX file of labels: (n,) int64, 0-9, as in `labels.CLASS_NAMES`.

    Raises:
        DataError: the file is not an IDX file of labels, or is truncated.
    """
    return _read_idx(path, LABELS_MAGIC, header_bytes=8).astype(np.int64)  # magic, n


def cache_folder() -> Path:
    """Returns the folder for downloads; it may not exist yet."""
    return download.cache_folder("fashion-mnist")


def _compute_md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _locate_file(file: File, folders: list[Path]) -> Path:
    wrong = None
    for path in (folder / file.name for folder in folders):
        if path.is_file():
            found = _compute_md5(path)
            if found == file.md5:
                return path
            wrong = f"{path} has MD5 {found}, expected {file.md5} (truncated or an old release)"
            console.warn(f"{wrong}; it is not used")
    try:
        return _find_or_download(file)
    except OSError as error:
        advice = "put the four files in a folder and give it with --data-dir"
        download.raise_if_disk_error(error, cache_folder(), advice)
        reason = f"the download failed from {len(MIRRORS)} mirrors ({type(error).__name__})"
    if wrong:
        raise DataError(f"{wrong}; {reason}; replace that file")
    searched = ", ".join(str(folder) for folder in [*folders, cache_folder()])
    raise DataMissingError(
        f"{file.name} was not found in {searched}, and {reason}; put the four Fashion-MNIST files "
        "in a folder and give it with --data-dir, or use synthetic images with --data synthetic"
    )


def _find_or_download(file: File) -> Path:
    path = cache_folder() / file.name
    if path.is_file():
        found = _compute_md5(path)
        if found == file.md5:
            return path
        renamed = path.replace(path.with_name(path.name + ".wrong-checksum"))
        console.warn(
            f"{path} has MD5 {found}, expected {file.md5}; renamed to {renamed.name}; "
            "downloading again"
        )
    _download(file, path)
    return path


def _download(file: File, path: Path) -> None:
    """Downloads from the first mirror that works; pooch checks the MD5, then renames into place."""
    import pooch  # here: only a download needs it

    pooch.get_logger().setLevel("WARNING")  # the bar says that it downloads
    failures: list[OSError] = []
    for mirror in MIRRORS:
        try:
            with progress.download_bar(file.name) as bar:
                pooch.retrieve(
                    mirror + file.name,
                    known_hash=f"md5:{file.md5}",
                    fname=path.name,
                    path=path.parent,
                    downloader=pooch.HTTPDownloader(
                        progressbar=bar, timeout=download.TIMEOUT_SECONDS
                    ),
                )
            return
        except OSError as error:  # no connection, an HTTP error, a full or read-only disk
            failures.append(error)
        except ValueError:  # raised by pooch for a wrong MD5, after it has removed the file
            console.warn(
                f"{mirror}{file.name} has a wrong MD5, expected {file.md5}; it is not used"
            )
            failures.append(OSError("wrong MD5"))
    raise failures[-1]


def _read_idx(path: Path, magic: int, header_bytes: int) -> npt.NDArray[np.uint8]:
    """Returns the bytes after the header, checked against the sizes in the header."""
    try:
        raw = gzip.decompress(path.read_bytes())  # at most 47 MB
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a complete gzip file ({error}); replace it, or delete it for a new copy"
        ) from None
    header = np.frombuffer(raw[:header_bytes].ljust(header_bytes, b"\0"), dtype=">i4")  # big-endian
    body = np.frombuffer(raw[header_bytes:], dtype=np.uint8)
    if header[0] != magic or body.size != np.prod(header[1:], dtype=np.int64):
        raise DataError(f"{path} is not an IDX file of type {magic}, or is truncated; replace it")
    return body
