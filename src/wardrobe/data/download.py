"""The cache, and downloads into it: resumed, checked, and moved into place in one step."""

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardrobe.errors import DataError
from wardrobe.runs.locks import exclusive_lock
from wardrobe.terminal import progress

TIMEOUT_SECONDS = 30  # without an answer
CHUNK_BYTES = 65_536
OK, RANGE_NOT_SATISFIABLE = 200, 416  # HTTP status codes


def cache_folder(name: str) -> Path:
    """Returns the folder of a data set in the cache; it may not exist yet."""
    import platformdirs  # here: most commands need no cache

    return Path(platformdirs.user_cache_path("wardrobe")) / name


def raise_if_disk_error(error: OSError, folder: Path, advice: str) -> None:
    """Raises a DataError if the error is one of the file system, not of the network."""
    if error.errno is not None:
        raise DataError(
            f"{error.filename or folder}: {error.strerror}; cannot store the download; "
            f"free some space, or {advice}"
        ) from error


def download_archive(
    url: str, target: Path, pattern: re.Pattern[str], is_valid: Callable[[Path], bool]
) -> bool:
    """Downloads a .tar.gz archive and moves its files to the new folder `target` in one step.

    A download that was interrupted is resumed, also by the next call.

    Args:
        pattern: matches the names of the members to extract; their path in `target` is group 1.
        is_valid: tells whether a folder has the expected files.

    Returns:
        Whether the files were valid. If they were not, `target` does not exist.

    Raises:
        OSError: the server cannot be reached or refuses, or the files cannot be written.
        DataError: another process is downloading to `target`.
    """
    archive = target.with_name(f"{target.name}.tar.gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    busy = DataError(f"another process is downloading to {target}; wait until it has ended")
    with exclusive_lock(target.parent, busy):
        is_resumed = _count_bytes(archive) > 0
        if not target.is_dir():  # otherwise another process has just downloaded it
            _download(url, archive)
            _unpack(archive, target, pattern, is_valid)
        if not target.is_dir() and is_resumed:  # its parts may be from different archives
            _download(url, archive)
            _unpack(archive, target, pattern, is_valid)
    return target.is_dir()


def _count_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _download(url: str, path: Path) -> None:
    """Downloads to `path`, from where an earlier download of it ended.

    If the connection breaks, it continues as long as each attempt adds to the file.
    """
    while True:
        before = _count_bytes(path)
        try:
            return _request_rest(url, path)
        except OSError as error:
            if error.errno is not None or _count_bytes(path) <= before:
                raise


def _request_rest(url: str, path: Path) -> None:
    """Adds to `path` what is missing, or writes all of it if the server sends no parts of files."""
    import pooch  # here: only a download needs it

    with path.open("ab") as file, progress.download_bar(path.name) as bar:
        received = file.tell()  # bytes

        def start_again_if_whole(answer: Any, **_: object) -> None:
            if answer.status_code == OK:  # 206 if it is the part that was asked for
                file.truncate(0)

        headers = {"Accept-Encoding": "identity"}  # bytes as they are stored
        if received:
            headers["Range"] = f"bytes={received}-"
        request = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=CHUNK_BYTES,
            timeout=TIMEOUT_SECONDS,
            headers=headers,
            hooks={"response": start_again_if_whole},
        )
        try:
            request(url, file, None)
        except OSError as error:
            answer = getattr(error, "response", None)
            if answer is None or answer.status_code != RANGE_NOT_SATISFIABLE:
                raise  # otherwise all had been received: nothing is left to send


def _unpack(
    archive: Path, target: Path, pattern: re.Pattern[str], is_valid: Callable[[Path], bool]
) -> None:
    """Extracts an archive to `target` if its files are valid, and removes it."""
    unpacked = target.with_name(f".{target.name}")
    shutil.rmtree(unpacked, ignore_errors=True)  # of a process that was killed
    try:
        _extract(archive, unpacked, pattern)
        if is_valid(unpacked):
            unpacked.replace(target)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError):
        pass  # not an archive, or an incomplete one
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    archive.unlink()


def _extract(archive: Path, folder: Path, pattern: re.Pattern[str]) -> None:
    """Writes the regular files whose names match, and nothing else, below `folder`."""
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            match = pattern.fullmatch(member.name)
            content = members.extractfile(member) if match and member.isfile() else None
            if match is None or content is None:
                continue
            path = folder / match[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
