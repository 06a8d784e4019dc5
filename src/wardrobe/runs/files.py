"""Files that are replaced in one step, so that a reader never meets a half-written one.

A command finds out before its work whether it can write them.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wardrobe.errors import RunError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, and renames it to `path` if the block succeeds.

    If the block fails, the temporary file is removed and `path` keeps its old content. An OSError
    names `path`, not the temporary file. A device or a pipe, such as /dev/stdout, cannot be
    replaced: there the block gets `path` itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    # The name ends as before, because Keras reads the format from the suffix.
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename in (temporary, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)  # missing after the rename


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    r"""Writes JSON, indented by two spaces or, if `indent` is None, on one line, in one step.

    Bytes of a path that are not UTF-8 become escapes such as \udcfc, which Python's json restores.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)  # NaN is not JSON
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def check_writable(path: Path, remedy: str = "give --out a folder on a writable disk") -> None:
    """Checks that a folder can be made at `path`, or files in it if it exists.

    A command calls it before its work for whatever it writes at the end.

    Args:
        remedy: what the error tells a person to do.

    Raises:
        RunError: the nearest folder that exists is not writable.
    """
    nearest = next(each for each in (path, *path.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):  # os.access is true for root
            pass
    except OSError as error:
        created = "" if nearest == path else f"cannot be created: {nearest} "
        raise RunError(f"{path} {created}is not writable ({error.strerror}); {remedy}") from error
