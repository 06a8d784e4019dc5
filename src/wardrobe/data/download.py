"""The cache, and downloads into it: resumed if interrupted, with a progress bar."""

from pathlib import Path
from typing import Any

from wardrobe.errors import DataError
from wardrobe.terminal import progress

TIMEOUT_SECONDS = 30  # without an answer
CHUNK_BYTES = 65_536
OK, RANGE_NOT_SATISFIABLE = 200, 416  # HTTP status codes


def cache_folder(name: str) -> Path:
    """Returns the folder of a data set in the cache; it may not exist yet."""
    import platformdirs  # here: most commands need no cache

    return Path(platformdirs.user_cache_path("wardrobe")) / name


def raise_if_of_disk(error: OSError, folder: Path, advice: str) -> None:
    """Raises a DataError if the error is one of the file system, not of the network."""
    if error.errno is not None:
        raise DataError(
            f"{error.filename or folder}: {error.strerror}; cannot store the download; "
            f"free some space, or {advice}"
        ) from error


def download(url: str, path: Path, name: str) -> None:
    """Downloads to `path`, from where an earlier download of it ended.

    If the connection breaks, it goes on as long as each attempt adds to the file. A server that
    sends no parts of files makes it start again. The caller checks the content.

    Args:
        name: shown beside the progress bar.

    Raises:
        OSError: the server cannot be reached or refuses, or `path` cannot be written. What has
            been received stays.
    """
    while True:
        before = path.stat().st_size if path.exists() else 0
        try:
            return _request_rest(url, path, name)
        except OSError as error:
            if error.errno is not None or path.stat().st_size <= before:
                raise


def _request_rest(url: str, path: Path, name: str) -> None:
    import pooch  # here: only a download needs it

    with path.open("ab") as file, progress.download_bar(name) as bar:
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
