"""Fashion-MNIST as it is published: four gzipped IDX files, found or downloaded, checked by MD5, read.

Source: arXiv 1708.07747 and its repository, zalandoresearch/fashion-mnist. Files from before August 2017 held images
that stand in both splits; the sums tell them apart.
"""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe.errors import DataError, DataMissingError, UsageError
from wardrobe.terminal import console, progress

MIRRORS: tuple[str, ...] = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
TIMEOUT_SECONDS = 30
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049


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
    """Finds the four files, each with the right sum: `data_dir`, `$WARDROBE_DATA`, the cache, then a download into it.

    A file with a wrong sum is named on stderr and never used. In the cache it is renamed to `NAME.wrong-sum` and
    fetched again; in a person's own folder it is left as it is and passed over.

    Returns:
        A path for each key of `FILES`.

    Raises:
        UsageError: `data_dir` is no folder.
        DataMissingError: a file is nowhere and cannot be downloaded.
        DataError: a person's own file has a wrong sum and no good copy can be had.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(
            f"--data-dir {data_dir} is no folder; give the folder that holds {_names()}"
        )
    if data_dir is not None and not any((data_dir / file.name).exists() for file in FILES.values()):
        console.warn(f"{data_dir} has none of {_names()}; looking elsewhere")
    named = [
        data_dir,
        Path(os.environ["WARDROBE_DATA"]) if os.environ.get("WARDROBE_DATA") else None,
    ]
    folders = [folder for folder in named if folder is not None]
    return {key: _locate_one(file, folders) for key, file in FILES.items()}


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a gzipped IDX file of images: (n, 28, 28) uint8, 0-255 (black to white, garment bright on black).

    Raises:
        DataError: the file is no such file, or is cut short.
    """
    data = _read_idx(path, IMAGES_MAGIC, header_bytes=16)
    return data.reshape(-1, 28, 28)


def read_labels(path: Path) -> npt.NDArray[np.int64]:
    """Reads a gzipped IDX file of labels: (n,) int64, 0-9, as in `labels.CLASS_NAMES`.

    Raises:
        DataError: the file is no such file, or is cut short.
    """
    return _read_idx(path, LABELS_MAGIC, header_bytes=8).astype(np.int64)


def cache_folder() -> Path:
    """Returns where downloads are kept for this user; it need not exist yet."""
    import platformdirs

    return Path(platformdirs.user_cache_path("wardrobe")) / "fashion-mnist"


def md5(path: Path) -> str:
    """Returns the MD5 sum of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _names() -> str:
    return ", ".join(file.name for file in FILES.values())


def _locate_one(file: File, folders: list[Path]) -> Path:
    wrong = None
    for folder in folders:
        path = folder / file.name
        if path.is_file():
            if md5(path) == file.md5:
                return path
            wrong = f"{path} has MD5 {md5(path)}, expected {file.md5}: it is cut short, damaged or of an old release"
            console.warn(f"{wrong}; it is not used")
    try:
        return _from_cache(file)
    except OSError as error:
        if error.errno is not None:  # of this machine, not of the network
            raise DataError(
                f"{error.filename or cache_folder()}: {error.strerror}; the download cannot be kept; make room, or put "
                "the four files in a folder and name it with --data-dir"
            ) from error
        reason = f"no download from {len(MIRRORS)} mirrors worked ({type(error).__name__})"
    if wrong:
        raise DataError(f"{wrong}; {reason}; replace that file")
    searched = ", ".join(str(folder) for folder in [*folders, cache_folder()])
    raise DataMissingError(
        f"{file.name} was not found in {searched}, and {reason}; put the four Fashion-MNIST files in one folder and "
        "name it with --data-dir, or train on the drawn wardrobe with --data synthetic"
    )


def _from_cache(file: File) -> Path:
    path = cache_folder() / file.name
    if path.is_file():
        found = md5(path)
        if found == file.md5:
            return path
        aside = path.with_name(path.name + ".wrong-sum")
        path.replace(aside)
        console.warn(
            f"{path} has MD5 {found}, expected {file.md5}; set aside as {aside.name}, fetching it again"
        )
    _download(file, path)
    return path


def _download(file: File, path: Path) -> None:
    """Fetches `file` from the first mirror that gives it whole; pooch checks the sum, then renames into place."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    failures: list[OSError] = []
    for mirror in MIRRORS:
        try:
            with progress.download_bar(file.name) as bar:
                pooch.retrieve(
                    mirror + file.name,
                    known_hash=f"md5:{file.md5}",
                    fname=path.name,
                    path=path.parent,
                    downloader=pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT_SECONDS),
                )
            return
        except OSError as error:  # no connection, an HTTP error, a full or read-only disk
            failures.append(error)
        except ValueError:  # pooch's word for a wrong sum; it has removed what it fetched
            console.warn(
                f"{mirror}{file.name} has a wrong MD5 sum, expected {file.md5}; it is not used"
            )
            failures.append(OSError("wrong sum"))
    raise failures[-1]


def _read_idx(path: Path, magic: int, header_bytes: int) -> npt.NDArray[np.uint8]:
    """Returns the bytes behind the header, checked against the sizes that the header gives."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is no whole gzip file ({error}); replace it or remove it to have it fetched"
        ) from None
    header = np.frombuffer(raw[:header_bytes].ljust(header_bytes, b"\0"), dtype=">i4")
    body = np.frombuffer(raw[header_bytes:], dtype=np.uint8)
    if header[0] != magic or body.size != np.prod(header[1:], dtype=np.int64):
        raise DataError(f"{path} is no IDX file of kind {magic}, or is cut short; replace it")
    return body
