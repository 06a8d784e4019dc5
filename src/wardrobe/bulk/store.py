"""Files on this machine and at addresses such as s3://bucket/photos, by fsspec; one is written whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.core import url_to_fs

from wardrobe.errors import UsageError, WardrobeError
from wardrobe.runs.files import atomic_write
from wardrobe.runs.locks import exclusive_lock


def is_address(place: str) -> bool:
    """Tells s3://bucket/photo.jpg and the like from a path on this machine."""
    return "://" in place


def to_absolute(place: str) -> str:
    """Returns a place by a name that holds in every folder; an address as it is."""
    return place if is_address(place) else os.path.abspath(place)  # noqa: PTH100  a Path for each of a million is slow


def printable(place: str) -> str:
    """Returns a place as text that can be stored: bytes of a file's name that are no UTF-8 are spelled out."""
    return place.encode("utf-8", "backslashreplace").decode()


def open_file(place: str) -> BinaryIO:
    """Opens a file for reading, on this machine or at an address."""
    if not is_address(place):
        return Path(place).open("rb")
    files, path = filesystem(place)
    return files.open(path, "rb")


def filesystem(address: str) -> tuple[Any, str]:
    """Returns the file system of an address, and the path in it.

    Raises:
        UsageError: there is no such file system, or its package is not installed.
    """
    try:
        return url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{address} cannot be opened ({error}); give a path, or an address that fsspec knows"
        ) from error


class Store:
    """A folder of files, on this machine or at an address.

    Attributes:
        place: the folder, from the root, or its address.
        files, root: the address's file system, and the folder in it; None and `place` on this machine.
    """

    def __init__(self, place: str) -> None:
        place = place.removeprefix(
            "file://"
        )  # where a file can be renamed, it is whole or not there
        self.place = to_absolute(place).rstrip("/") or "/"
        found: tuple[Any, str] = filesystem(place) if is_address(place) else (None, self.place)
        self.files, self.root = found

    def __truediv__(self, name: str) -> str:
        return f"{self.place}/{name}"

    def names(self) -> set[str]:
        """Returns the names of what is in the folder; none where there is no folder."""
        with contextlib.suppress(FileNotFoundError):
            if self.files is None:
                return set(os.listdir(self.place))  # noqa: PTH208
            self.files.invalidate_cache()
            return {
                path.rstrip("/").rpartition("/")[2]
                for path in self.files.ls(self.root, detail=False)
            }
        return set()

    def make(self) -> None:
        """Makes the folder where there is none."""
        if self.files is None:
            Path(self.place).mkdir(parents=True, exist_ok=True)
        else:
            self.files.makedirs(self.root, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes of this machine from writing here while the block runs; at an address, none.

        Raises:
            WardrobeError: another does.
        """
        if self.files is not None:
            yield
            return
        busy = WardrobeError(
            f"--out {self.place} is being written by another process; wait for it, or stop it"
        )
        with exclusive_lock(Path(self.place), busy):
            yield

    def tidy(self) -> None:
        """Removes what was being written by processes that were killed; only for when nothing is being written."""
        if self.files is None:
            for name in self.names():
                if name.startswith(".") and name.endswith(".parquet"):
                    Path(self / name).unlink(missing_ok=True)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Gives a file on this machine to write into; it gets its place and name when the block ends well."""
        if self.files is None:
            with atomic_write(Path(self.place) / name) as path:
                yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / name
            self.files.put_file(f"{folder}/{name}", f"{self.root}/{name}")
