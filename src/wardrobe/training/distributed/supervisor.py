"""Runs the process that trains, one of several, and reports in one line how it ended.

If a process is lost, JAX aborts the others with a page of C++ output. Only a parent process can
turn that into an error message.
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

# Beginnings of log lines from the C++ of JAX and TensorFlow, and absl's heading of the first one.
NOISE = re.compile(
    r"\[(Gloo|external/)|[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog"
)
FATAL = re.compile(r"[EF]\d{4} \d\d:\d\d:")  # errors, which a page of stack trace follows
OURS = "wardrobe: "


def supervise(process: Process, folder: Path | None) -> int:
    """Runs this command line again in a child process, to its end. Returns the exit status.

    Args:
        folder: of the run, if it is known; process 0 says how to resume it after a failure.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    child = subprocess.Popen(
        [*console.COMMAND, *sys.argv[1:]],
        env={**os.environ, **_set_environment(process)},
        stdin=subprocess.PIPE,  # closed when this process ends: see launch.exit_with_supervisor
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # so that Ctrl-C reaches it once, from here
    )
    _forward_signals(child)
    held = _forward_stderr(child)
    status = child.wait()
    if status >= 0:  # below 0: minus the signal that ended it
        sys.stderr.writelines(held if status == 0 else [])  # a failure has its own line by now
        return status
    run = _find_run(folder, started) if process.is_first else None
    console.warn(f"error: {_explain_end(process, signal.Signals(-status), run)}")
    return 1


def resume_hint(run: Run) -> str:
    """Returns how far a run of several processes is, and how to resume it."""
    done, epochs = len(run.history()), run.recipe().epochs
    resume = f"resume with the same options on every host: {run.resume_line}"
    return f"{done} of {epochs} epochs are done; {resume}"


def _set_environment(process: Process) -> dict[str, str]:
    """Returns the child's variables. gRPC must reach the coordinator without a proxy."""
    host = process.coordinator.rpartition(":")[0]
    proxy = {"no_grpc_proxy": host, "JAX_CHECK_PROXY_ENVS": "0"}  # gRPC obeys http_proxy otherwise
    return {SUPERVISED: "1", BACKEND: "jax", **proxy}


def _forward_signals(child: subprocess.Popen[str]) -> None:
    """Passes SIGINT and SIGTERM on as SIGINT; the second one kills, for JAX may block the first."""
    was_interrupted = False

    def interrupt(*_: Any) -> None:
        nonlocal was_interrupted
        child.send_signal(signal.SIGKILL if was_interrupted else signal.SIGINT)
        was_interrupted = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def _forward_stderr(child: subprocess.Popen[str]) -> list[str]:
    """Prints the child's stderr without C++ noise; returns the lines from the first error on."""
    is_debug = "--debug" in sys.argv
    held: list[str] = []
    assert child.stderr is not None
    for line in child.stderr:
        if not is_debug and not line.startswith(OURS) and (held or FATAL.match(line)):
            held.append(line)
        elif is_debug or not NOISE.match(line):
            sys.stderr.write(line)
            sys.stderr.flush()
    return held


def _find_run(folder: Path | None, started: str) -> Run | None:
    """Returns the run in `folder`, or the one that is running since `started`, if there is one."""
    try:
        if folder is not None:
            return runs.find_run(folder)
        run = runs.find_run(runs.LATEST)
        info = run.info()
        return run if info["started"] >= started and info["status"] == runs.RUNNING else None
    except RunError:
        return None


def _explain_end(process: Process, killed_by: signal.Signals, run: Run | None) -> str:
    """Returns the error message; marks the run as interrupted."""
    if killed_by == signal.SIGABRT:  # JAX aborts if it loses the others
        causes = "one of them died or was not started, or the network is down"
        what = f"{process} cannot reach the others: {causes}"
    else:
        what = f"{process} was killed by {killed_by.name}"
    if run is not None:
        run.update(status=runs.INTERRUPTED)
        return f"{what}; {resume_hint(run)}"
    hint = "there is no run yet" if process.is_first else "process 0 prints the command"
    return f"{what}; start it again on every host; {hint}"
