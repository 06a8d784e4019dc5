"""Starts one process of a training of several, and tells in one line how it ended.

Where a process is lost, JAX ends the others by force, with a page of C++. One that only watches can say it better.
"""

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.errors import RunError
from wardrobe.runs import Run
from wardrobe.terminal import console
from wardrobe.training.distributed.launch import BACKEND, SUPERVISED, Process

# How lines of JAX's and TensorFlow's C++ begin, and the one by which absl heads the first of them in a process.
NOISE = re.compile(
    r"\[(Gloo|external/)|[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog"
)
FAILING = re.compile(r"[EF]\d{4} \d\d:\d\d:")  # and those behind which a page of them follows
OURS = "wardrobe: "


def supervise(member: Process, folder: Path | None) -> int:
    """Runs this command line in a second process to its end. Returns the exit status.

    Args:
        folder: of the run, of which process 0 says at a bad end how to go on with it; None where it is named by time.
    """
    began = datetime.now(UTC).isoformat(timespec="seconds")
    debug = "--debug" in sys.argv
    child = subprocess.Popen(
        [*console.COMMAND, *sys.argv[1:]],
        env={**os.environ, **_environment(member)},
        stdin=subprocess.PIPE,  # closed when this process ends, however it does: see `launch.exit_with_supervisor`
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C comes once, from here
    )

    asked = False

    def interrupt(*_: Any) -> None:
        nonlocal asked
        child.send_signal(
            signal.SIGKILL if asked else signal.SIGINT
        )  # in JAX's C++ the first may have to wait
        asked = True

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    held: list[str] = []
    assert child.stderr is not None
    for line in child.stderr:
        if not debug and not line.startswith(OURS) and (held or FAILING.match(line)):
            held.append(line)
        elif debug or not NOISE.match(line):
            sys.stderr.write(line)
            sys.stderr.flush()
    status = child.wait()
    if status >= 0:
        sys.stderr.writelines(held if status == 0 else [])
        return status
    run = _run(folder, began) if member.is_first else None
    console.warn(f"error: {_explained(member, signal.Signals(-status), run)}")
    return 1


def _environment(member: Process) -> dict[str, str]:
    """Returns what is set for the process that trains: the others are reached directly, whatever proxies there are."""
    coordinator = member.coordinator.rpartition(":")[0]
    return {
        SUPERVISED: "1",
        BACKEND: "jax",
        "no_grpc_proxy": coordinator,
        "JAX_CHECK_PROXY_ENVS": "0",
    }


def _run(folder: Path | None, began: str) -> Run | None:
    """Returns the run in `folder`, or the one begun last since then; None where there is none yet."""
    try:
        if folder is not None:
            return runs.find_run(folder)
        run = runs.find_run(runs.LATEST)
        info = run.info()
        return run if info["started"] >= began and info["status"] == runs.RUNNING else None
    except RunError:
        return None


def _explained(member: Process, killed_by: signal.Signals, run: Run | None) -> str:
    """Returns what to tell the person, and notes in run.json that the run was interrupted."""
    if killed_by == signal.SIGABRT:
        what = f"{member} does not reach the others: one has died or was not started, or the network is down"
    else:
        what = f"{member} was ended by {killed_by.name}"
    if run is not None:
        run.update(status=runs.INTERRUPTED)
        return f"{what}; {resume_hint(run)}"
    where = "there is no run yet" if member.is_first else "process 0 has the line"
    return f"{what}; start it again on every host, {where}"


def resume_hint(run: Run) -> str:
    """Returns the words that say how a training of several processes goes on."""
    done, epochs = len(run.history()), run.recipe().epochs
    return f"{done} of {epochs} epochs are done; go on, with the same options on every host, with: {run.resume_line}"
