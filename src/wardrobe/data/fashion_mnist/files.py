"""The four published files: found in any form or downloaded, and checked by MD5.

Releases from before August 2017 had images in both splits. The checksums tell them apart.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from wardrobe.data import download
from wardrobe.data.fashion_mnist import forms
from wardrobe.errors import DataError, DataMissingError, UsageError
from wardrobe.terminal import console, progress

MIRRORS: tuple[str, ...] = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)


@dataclass(frozen=True)
class File:
    """One published file."""

    name: str
    md5: str  # of the gzipped file
    content_md5: str  # of what it unpacks to, which is the same in every form


FILES: dict[str, File] = {
    "train_images": File(
        "train-images-idx3-ubyte.gz",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    ),
    "train_labels": File(
        "train-labels-idx1-ubyte.gz",
        "25c81989df183df01b3e8a0aad5dffbe",
        "9018921c3c673c538a1fc5bad174d6f9",
    ),
    "test_images": File(
        "t10k-images-idx3-ubyte.gz",
        "bef4ecab320f06d8554ea6380940ec79",
        "8181f5470baa50b63fa0f6fddb340f0a",
    ),
    "test_labels": File(
        "t10k-labels-idx1-ubyte.gz",
        "bb300cfdad3c16e7a12a480ee83cd310",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
FORMS = "IDX files, gzipped or not, or CSV, .npz or Parquet files"
LEVELS = "*", "*/*", "*/*/*", "*/*/*/*"  # the deepest: a snapshot in the cache of Hugging Face
MAX_NAMES = 5  # of other files, in an error


@dataclass(frozen=True)
class Copy:
    """What one published file unpacks to, with the place where it was found."""

    path: Path
    content: bytes


def find(data_dir: Path | None = None) -> dict[str, Copy]:
    """Finds the four files: in `data_dir`, or else in the places below, otherwise by download.

    These are `$WARDROBE_DATA`, the cache, the cache of Keras, and torchvision's folder in ./data. A
    file with other content than the published one is reported on stderr and never used. In the
    cache it is renamed to `NAME.wrong-checksum`. Elsewhere it is left unchanged.

    Args:
        data_dir: a folder, searched four levels deep, or one file of it. No other place is used.

    Returns:
        A copy for each key of `FILES`.

    Raises:
        UsageError: `data_dir` does not exist.
        DataMissingError: a file is not found and cannot be downloaded.
        DataError: `data_dir` has not all files; or a file has other content than the published one
            and there is no good copy.
    """
    if data_dir is not None:
        return _find_in_data_dir(data_dir)
    found, wrong, places = find_here()
    missing = {key: file for key, file in FILES.items() if key not in found}
    if missing:
        for reason in wrong:
            console.warn(f"{reason}; it is not used")
        found |= _download_all(missing, wrong, places)
    return {key: found[key] for key in FILES}


def find_here() -> tuple[dict[str, Copy], list[str], list[Path]]:
    """Finds the four files on this machine, in the places that `find` names.

    Returns:
        A copy for each key of `FILES` that is there, why other files cannot be used, the places.
    """
    environment = os.environ.get("WARDROBE_DATA")
    keras_home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    places = [
        *([Path(environment)] if environment else []),
        cache_folder(),
        keras_home / "datasets/fashion-mnist",
        Path("data/FashionMNIST/raw"),
    ]
    found: dict[str, Copy] = {}
    wrong: list[str] = []
    for place in places:
        if len(found) < len(FILES):
            copies, unusable = _search(place)
            found = {**copies, **found}
            wrong += unusable
    return found, wrong, places


def is_copy(path: Path) -> bool:
    """Returns whether `path` is a file, or a folder with Fashion-MNIST in some form, not classes.

    The content is not checked.
    """
    if not path.is_dir():
        return path.is_file()
    folders = [child for child in path.iterdir() if child.is_dir() and child.name[0] != "."]
    return len(folders) < 2 and any(_has_reader(each) for each in _list_candidates(path))


def cache_folder() -> Path:
    """Returns the folder for downloads; it may not exist yet."""
    return download.cache_folder("fashion-mnist")


def _find_in_data_dir(data_dir: Path) -> dict[str, Copy]:
    if not data_dir.exists():
        raise UsageError(f"--data-dir {data_dir} is not a folder or file; give {FORMS}")
    found, unusable = _search(data_dir)
    missing = [file.name for key, file in FILES.items() if key not in found]
    if not missing:
        return found
    names = sorted(path.name for path in data_dir.iterdir()) if data_dir.is_dir() else []
    others = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    others = f"it has {others or 'no files'}" if data_dir.is_dir() else "it has another format"
    seen = "; ".join(unusable) or others
    raise DataError(
        f"{data_dir} has no usable copy of {', '.join(missing)}: {seen}; expected Fashion-MNIST as "
        f"{FORMS}; replace that file, or leave the option out to look elsewhere"
    )


def _search(place: Path) -> tuple[dict[str, Copy], list[str]]:
    """Returns the usable copies in a folder, or around a file, and why other files are unusable."""
    keys = {file.content_md5: key for key, file in FILES.items()}
    found: dict[str, Copy] = {}
    unusable = []
    for path in _list_candidates(place):
        try:
            reader = forms.find_reader(path)
            contents = list(reader(path)) if reader else []
        except (OSError, EOFError, ValueError, KeyError, zlib.error, BadZipFile) as error:
            unusable.append(f"{path} cannot be read ({error})")
            continue
        copies = {hashlib.md5(content).hexdigest(): Copy(path, content) for content in contents}
        found = {keys[md5]: copy for md5, copy in copies.items() if md5 in keys} | found
        wrong = [md5 for md5 in copies if md5 not in keys]
        if wrong:
            unusable.append(
                f"the content of {path} has MD5 {wrong[0]}, which no published file has "
                "(truncated, in another order, or an old release, as the CSV files on Kaggle)"
            )
        if len(found) == len(FILES):
            break
    return found, unusable


def _list_candidates(place: Path) -> list[Path]:
    """Returns the files whose names may be those of Fashion-MNIST; those that load fast first."""
    if place.is_dir():
        paths = [path for level in LEVELS for path in place.glob(level)]
    else:
        paths = [*place.parent.glob("*")] if place.is_file() else []
    matches = {path: forms.NAME.fullmatch(path.name) for path in paths if path.is_file()}
    kinds = {path: match[1].lower() for path, match in matches.items() if match}
    if place.is_file():  # the others of its kind, beside it
        kind = kinds.get(place)
        return [place, *sorted(path for path in kinds if kinds[path] == kind and path != place)]
    return sorted(kinds, key=lambda path: (kinds[path] in (".csv", ".parquet"), path))


def _has_reader(path: Path) -> bool:
    try:
        return forms.find_reader(path) is not None
    except (OSError, EOFError, zlib.error):
        return False


def _download_all(
    files: Mapping[str, File], wrong: list[str], places: list[Path]
) -> dict[str, Copy]:
    """Downloads files to the cache."""
    try:
        return {key: _download(file, cache_folder() / file.name) for key, file in files.items()}
    except OSError as error:
        advice = "put the four files in a folder and give it with --data-dir"
        download.raise_if_disk_error(error, cache_folder(), advice)
        reason = f"the download failed from {len(MIRRORS)} mirrors ({type(error).__name__})"
    if wrong:
        raise DataError(f"{wrong[0]}; {reason}; replace that file")
    searched = ", ".join(map(str, places))
    raise DataMissingError(
        f"{next(iter(files.values())).name} was not found in {searched}, and {reason}; put the "
        f"four Fashion-MNIST files in a folder and give it with --data-dir ({FORMS}), or use "
        "synthetic images with --data synthetic"
    )


def _download(file: File, path: Path) -> Copy:
    """Downloads from the first mirror that works; pooch checks the MD5, then renames into place."""
    import pooch  # here: only a download needs it

    if path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() != file.md5:
        renamed = path.replace(path.with_name(path.name + ".wrong-checksum"))
        console.warn(f"{path} is renamed to {renamed.name}; downloading again")
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
            return Copy(path, gzip.decompress(path.read_bytes()))
        except OSError as error:  # no connection, an HTTP error, a full or read-only disk
            failures.append(error)
        except ValueError:  # raised by pooch for a wrong MD5, after it has removed the file
            console.warn(
                f"{mirror}{file.name} has a wrong MD5, expected {file.md5}; it is not used"
            )
            failures.append(OSError("wrong MD5"))
    raise failures[-1]
