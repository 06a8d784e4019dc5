"""Locks between processes: one at a time trains a run, or writes into a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardrobe.errors import WardrobeError

WAIT_SECONDS = 0.2  # `is_locked` of another process may hold the lock for a moment


@contextmanager
def exclusive_lock(
    folder: Path, busy: WardrobeError, timeout: float = WAIT_SECONDS
) -> Iterator[None]:
    """Holds `folder/.lock` while the block runs.

    The operating system releases the lock when the process ends, however it ends.

    Args:
        folder: an existing folder. The lock keeps out only those who ask for it.
        busy: raised if another process holds the lock.
        timeout: seconds to wait for it.
    """
    from filelock import FileLock, Timeout  # here, because `predict` needs no lock: 40 ms

    lock = FileLock(folder / ".lock", timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        # Safe while the lock is held: filelock retries if the file it opened has been unlinked.
        # Windows cannot unlink an open file; there filelock does it after the release.
        if os.name == "posix":
            (folder / ".lock").unlink(missing_ok=True)
        lock.release()


def is_locked(folder: Path) -> bool:
    """Returns whether a process holds `folder/.lock`.

    It takes the lock for a moment to find out, but only if there is a lock file. The file that a
    killed process left is removed.
    """
    if not (folder / ".lock").exists():
        return False
    try:
        with exclusive_lock(folder, WardrobeError(), timeout=0):
            return False
    except (WardrobeError, OSError):  # OSError: the lock file is another user's
        return True
