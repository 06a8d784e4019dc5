"""A lock for object stores, which have none: an object that its holder rewrites while it works.

It needs only that a store can create an object on the condition that none has its name. Clocks are
not compared. A process that finds a lease waits to see whether it changes.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wardrobe.errors import WardrobeError
from wardrobe.terminal import console

LEASE = "_lease-"  # followed by a number; the next holder uses the next number
RENEW_SECONDS = 10.0  # between two writes of the holder
DEAD_SECONDS = 60.0  # without a write, after which the holder counts as dead


@contextmanager
def hold_lease(files: Any, root: str, busy: WardrobeError) -> Iterator[None]:
    """Holds the lease of the folder `root` of an fsspec file system while the block runs.

    Raises:
        WardrobeError: `busy`, if another process holds it.
    """
    path, ended = _claim(files, root, busy), threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_SECONDS):
            with contextlib.suppress(Exception):  # the next write may succeed
                files.pipe_file(path, secrets.token_bytes())

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        files.rm_file(path)


def _claim(files: Any, root: str, busy: WardrobeError) -> str:
    """Creates the next lease, once the holder of the last one is dead. Returns its path."""
    files.invalidate_cache()
    number = 0
    for held in sorted(files.glob(f"{root}/{LEASE}*")):
        if not _is_dead(files, held):
            raise busy
        number = int(held.rpartition("-")[2])
    path = f"{root}/{LEASE}{number + 1:06d}"
    try:
        files.pipe_file(path, secrets.token_bytes(), mode="create")
    except FileExistsError:  # another waiting process created it first
        raise busy from None
    if number:
        files.rm_file(f"{root}/{LEASE}{number:06d}")
    return path


def _is_dead(files: Any, path: str) -> bool:
    """Returns whether the holder of a lease no longer renews it, or has removed it."""
    console.warn(f"{path} exists; waiting up to {DEAD_SECONDS:.0f} s to see if its process lives")
    end = time.monotonic() + DEAD_SECONDS
    try:
        before = files.cat_file(path)
        while time.monotonic() < end:
            time.sleep(RENEW_SECONDS)
            if files.cat_file(path) != before:
                return False
    except FileNotFoundError:
        pass
    return True
