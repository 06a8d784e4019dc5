"""Files on this machine, or at an address such as s3://bucket/photos through fsspec."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.core import url_to_fs

from wardrobe.bulk.lease import hold_lease
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.runs.files import atomic_write
from wardrobe.runs.locks import exclusive_lock


def is_address(location: str) -> bool:
    """Returns whether a location is an address, such as s3://bucket/photo.jpg, and not a path."""
    return "://" in location


def to_absolute(location: str) -> str:
    """Returns an absolute path. An address is returned unchanged."""
    if is_address(location):
        return location
    return os.path.abspath(location)  # noqa: PTH100  a Path for each of a million files is slow


def printable(location: str) -> str:
    """Returns a location as valid UTF-8. Invalid bytes of a file name become escapes."""
    return location.encode("utf-8", "backslashreplace").decode()


def open_file(location: str) -> BinaryIO:
    """Opens a file for reading, on this machine or at an address."""
    if not is_address(location):
        return Path(location).open("rb")
    filesystem, path = find_filesystem(location)
    return filesystem.open(path, "rb")


def find_filesystem(address: str) -> tuple[Any, str]:
    """Returns the fsspec file system of an address, and the path in it.

    Raises:
        UsageError: the file system is unknown, or its package is not installed.
    """
    try:
        return url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{address} cannot be opened ({error}); give a path, or an address that fsspec knows"
        ) from error


JOB = "_job.json"  # in the folder of each job


class Store:
    """A folder of files, on this machine or at an address.

    Attributes:
        location: absolute path or address of the folder.
        is_local: whether the folder is on this machine.
        filesystem, root: its fsspec file system, and its path there.
    """

    def __init__(self, location: str) -> None:
        # A file:// address becomes a path: a local file can be renamed, so its write is atomic.
        location = location.removeprefix("file://")
        self.is_local = not is_address(location)
        self.location = to_absolute(location).rstrip("/") or "/"
        self.filesystem, self.root = (
            (fsspec.filesystem("file"), self.location)
            if self.is_local
            else find_filesystem(location)
        )

    def __truediv__(self, name: str) -> str:
        return f"{self.location}/{name}"

    def list_names(self) -> set[str]:
        """Returns the names of the files in the folder; an empty set if it does not exist."""
        self.filesystem.invalidate_cache()  # other machines write here too
        with contextlib.suppress(FileNotFoundError):
            paths = self.filesystem.ls(self.root, detail=False)
            return {path.rstrip("/").rpartition("/")[2] for path in paths}
        return set()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Creates the folder and holds it for this process. A folder left empty is removed.

        Raises:
            WardrobeError: another process holds it.
        """
        busy = WardrobeError(
            f"--out {self.location} is in use by another process; wait for it, or stop it"
        )
        if not self.is_local:
            with hold_lease(self.filesystem, self.root, busy):
                yield
            return
        folder = Path(self.location)
        new = [each for each in (folder, *folder.parents) if not each.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with exclusive_lock(folder, busy):
                yield
        finally:
            for each in new:
                with contextlib.suppress(OSError):  # not empty
                    each.rmdir()

    def remove_partial_files(self) -> None:
        """Removes files that killed processes left unfinished. Call it when no one writes."""
        if self.is_local:
            for path in Path(self.location).glob(".[0-9]*-*"):  # as `atomic_write` names them
                path.unlink(missing_ok=True)

    @contextmanager
    def atomic_write(self, name: str) -> Iterator[Path]:
        """Yields a local path to write to. The file gets its name when the block succeeds."""
        if self.is_local:
            with atomic_write(Path(self / name)) as path:
                yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / name  # object stores replace whole objects: put is atomic
            self.filesystem.put_file(f"{folder}/{name}", f"{self.root}/{name}")
