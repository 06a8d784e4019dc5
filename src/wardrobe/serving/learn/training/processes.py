"""The process of a training that a page started: start, find, stop.

All that is known of it is in its run folder, so that another server finds it if this one is killed.
job.log is locked as long as the process lives, because the process inherits the open file.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.runs import JOB, LOG
from wardrobe.terminal import console

try:
    import fcntl
except ImportError:  # Windows: a page cannot start a training there
    fcntl = None  # type: ignore[assignment]

LOG_BYTES = 8_000  # at the end of job.log that are read


def start_process(arguments: Sequence[str], path: Path, job: Mapping[str, Any]) -> None:
    """Starts the command `wardrobe` in a session of its own, and writes job.json.

    Args:
        path: the run folder.
        job: what else job.json holds.
    """
    spawned = time.time()
    with (path / LOG).open("wb") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [*console.COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the server's terminal does not reach it
        )
    runs.write_json(path / JOB, {**job, "pid": process.pid, "spawned": spawned})
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie


def is_alive(path: Path) -> bool:
    """Returns whether the process that a page started in a run folder lives."""
    try:
        with (path / LOG).open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):  # there is no file; Windows
        return False
    return False


def stop_process(path: Path) -> None:
    """Ends the process in a run folder, as Ctrl-C does."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(read_job(path)["pid"], signal.SIGTERM)


def read_job(path: Path) -> dict[str, Any]:
    """Returns job.json; empty if a page did not start this run.

    Raises:
        ValueError: it is damaged.
    """
    try:
        job = json.loads((path / JOB).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(job, dict):
        raise ValueError(f"{JOB} is not an object")
    return job


def read_log(path: Path) -> str:
    """Returns the end of job.log; "" if a page did not start this run."""
    try:
        with (path / LOG).open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - LOG_BYTES, 0))
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
