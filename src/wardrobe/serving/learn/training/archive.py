"""Run folder → zip file, without checkpoints, made while it is sent."""

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from wardrobe.errors import BodyError
from wardrobe.runs import Run
from wardrobe.terminal.console import make_printable

MAX_BYTES = 1_000_000_000  # of all files
MAX_FILES = 20_000  # 12 classes of 500 images, and as many epochs as a recipe may have
CHUNK = 256_000  # bytes that are read at a time


def list_files(run: Run) -> list[Path]:
    """Returns the run's files but checkpoints, hidden ones, links, and those of a moment.

    Raises:
        BodyError: there are too many, or they are too large.
    """
    passing = {run.live_path, run.followed_path, run.control_path}
    found, size = [], 0
    for parent, folders, names in os.walk(run.path):
        kept = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in kept if Path(parent, name) != run.checkpoint_folder]
        for name in sorted(names):
            path = Path(parent, name)
            details = path.lstat()
            if stat.S_ISREG(details.st_mode) and not name.startswith(".") and path not in passing:
                found.append(path)
                size += details.st_size
    if len(found) > MAX_FILES or size > MAX_BYTES:
        raise BodyError(
            413,
            f"{run.path.name} has {len(found):,} files of {size / 1e6:,.0f} MB, expected at most "
            f"{MAX_FILES:,} of {MAX_BYTES / 1e6:,.0f} MB; copy the folder instead",
        )
    return found


def write_zip(run: Run, paths: list[Path]) -> Iterator[bytes]:
    """Yields a zip file of the paths, piece by piece. A file that is gone by then is left out."""
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            try:
                source = path.open("rb")
            except OSError:
                continue
            # A name may have bytes that are not UTF-8.
            name = make_printable(path.relative_to(run.path.parent).as_posix())
            entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            with source, archive.open(entry, "w") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield buffer.take()
    yield buffer.take()


class _Buffer(io.BytesIO):
    """What a zip file was written into since it was last taken."""

    def seekable(self) -> bool:
        return False  # what was taken cannot be written again

    def tell(self) -> int:
        raise io.UnsupportedOperation

    def take(self) -> bytes:
        """Returns and forgets the bytes."""
        content = self.getvalue()
        self.seek(0)
        self.truncate()
        return content
