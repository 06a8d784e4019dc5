"""Starts one process of a training of several, and tells in one line how it ended.

Where a process is lost, JAX ends the others by force, with a page of C++. One that only watches can say it better.
"""

import os
import re
import signal
import subprocess
import sys
from typing import Any

from wardrobe import console, runs
from wardrobe.cluster import BACKEND, SUPERVISED, Member
from wardrobe.errors import RunError
from wardrobe.runs import Run

MAIN = "from wardrobe.cli import main; main()"
NOISE = re.compile(r"\[(Gloo|external/)|[IW]\d{4} \d\d:\d\d:")  # how lines of JAX's C++ begin
FAILING = re.compile(r"[EF]\d{4} \d\d:\d\d:")  # and those behind which a page of them follows
OURS = "wardrobe: "


def supervise(member: Member, named: str) -> int:
    """Runs this command line in a second process to its end. Returns the exit status.

    Args:
        named: the run folder, or "latest", of which process 0 says at a bad end how to go on with it.
    """
    debug = "--debug" in sys.argv
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, *sys.argv[1:]],
        env={**os.environ, **_environment(member)},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C comes once, from here
    )

    def interrupt(*_: Any) -> None:
        child.send_signal(signal.SIGINT)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    failing = False
    assert child.stderr is not None
    for line in child.stderr:
        failing = failing or FAILING.match(line) is not None
        if debug or line.startswith(OURS) or not (failing or NOISE.match(line)):
            sys.stderr.write(line)
            sys.stderr.flush()
    status = child.wait()
    if status >= 0:
        return status
    console.warn(f"error: {_explained(member, signal.Signals(-status), named)}")
    return 1


def _environment(member: Member) -> dict[str, str]:
    """Returns what is set for the process that trains: the others are reached directly, whatever proxies there are."""
    coordinator = member.coordinator.rpartition(":")[0]
    return {SUPERVISED: "1", BACKEND: "jax", "no_grpc_proxy": coordinator, "JAX_CHECK_PROXY_ENVS": "0"}


def _explained(member: Member, killed_by: signal.Signals, named: str) -> str:
    """Returns what to tell the person, and notes in run.json that the run was interrupted."""
    if killed_by == signal.SIGABRT:
        what = f"{member} does not reach the others: one has died or was not started, or the network is down"
    else:
        what = f"{member} was ended by {killed_by.name}"
    if not member.is_first:
        return f"{what}; start it again on every host, process 0 has the line"
    try:
        run = runs.find(named)
        run.update(status=runs.INTERRUPTED)
    except RunError:
        return f"{what} before there was a run; start it again on every host"
    return f"{what}; {go_on(run)}"


def go_on(run: Run) -> str:
    """Returns the words that say how a training of several processes goes on."""
    done, epochs = len(run.history()), run.recipe().epochs
    return f"{done} of {epochs} epochs are done; go on, with the same options on every host, with: {run.resume_line}"
