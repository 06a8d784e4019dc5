"""Trainings, one at a time: start, resume, pause, stop. Each is the command `wardrobe train`."""

import contextlib
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.errors import (
    ConflictError,
    ForbiddenError,
    RequestError,
    RunError,
    StorageError,
    UsageError,
)
from wardrobe.inference.classifier import SHIPPED_FILES
from wardrobe.runs import Run
from wardrobe.serving.learn.runs import list_folders
from wardrobe.serving.learn.training import folders, processes
from wardrobe.serving.learn.training.own_classes import write_classes
from wardrobe.serving.learn.training.requests import Training

MIN_FREE_BYTES = 500_000_000  # a run has about 5 MB; the disk is for others too
PAUSE, CONTINUE, STOP, RESUME = "pause", "continue", "stop", "resume"
ACTIONS = PAUSE, CONTINUE, STOP, RESUME


class Jobs:
    """Starts and controls trainings, one at a time."""

    def __init__(self, refusal: str | None) -> None:
        """Takes why a page may not train, in one line; None: it may."""
        self.refusal = refusal
        self._lock = threading.Lock()  # two requests must not start a training at once

    def start(self, training: Training, classes: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
        """Starts a training; returns its name, and the same as a command and in Python.

        Raises:
            ForbiddenError, ConflictError, StorageError: it may not be started, or not now.
        """
        with self._lock:
            self._check_startable()
            path = runs.make_numbered_folder(_choose_name(training))
            try:
                if classes:
                    write_classes(path / runs.IMAGES, classes)
                    training = replace(training, data=str(path / runs.IMAGES))
                job = {
                    "training": asdict(training),
                    "epochs": training.count_epochs(),
                    "class_names": [*classes],
                    "started": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                processes.start_process([*training.list_arguments(), "--out", str(path)], path, job)
            except BaseException:
                shutil.rmtree(path)
                raise
        command, python = training.format_command(), training.format_python()
        return {"name": path.name, "command": command, "python": python}

    def control(self, path: Path, action: str) -> None:
        """Pauses, continues, stops or resumes a training.

        Raises:
            ForbiddenError: no training may be controlled. ConflictError: not in this state.
        """
        self._check_allowed()
        if action == RESUME:
            return self._resume(path)
        status, _ = folders.find_status(path)
        is_possible = {
            PAUSE: status == runs.RUNNING,
            CONTINUE: status in (runs.RUNNING, runs.PAUSED),  # it may not have paused yet
            STOP: status in folders.ACTIVE,
        }
        if not is_possible[action]:
            raise ConflictError(f"{path.name} is {status}; a page cannot {action} it now")
        if action == STOP:
            return _stop(path)
        _write_control(path, paused=action == PAUSE)

    def change_learning_rate(self, path: Path, rate: Any) -> None:
        """Changes the learning rate of a running training; with a schedule, its peak."""
        self._check_allowed()
        status, _ = folders.find_status(path)
        if status not in (runs.RUNNING, runs.PAUSED):
            raise ConflictError(f"{path.name} is {status}; its learning rate cannot be changed now")
        _write_control(path, learning_rate=rate)

    def stop_all(self) -> None:
        """Stops what pages have started, as Ctrl-C does; it can be resumed."""
        if self.refusal is None:
            with self._lock:  # a training that is being started is stopped too
                for path in filter(processes.is_alive, list_folders()):
                    with contextlib.suppress(*folders.DAMAGES):
                        _stop(path)

    def _resume(self, path: Path) -> None:
        with self._lock:
            status, _ = folders.find_status(path)
            if status not in (runs.INTERRUPTED, folders.FAILED) or not Run(path).exists():
                raise ConflictError(f"{path.name} is {status}; only an interrupted run is resumed")
            self._check_startable()
            Run(path).control_path.unlink(missing_ok=True)
            processes.start_process(
                ["train", "--resume", str(path)], path, processes.read_job(path)
            )

    def _check_allowed(self) -> None:
        if self.refusal is not None:
            raise ForbiddenError(self.refusal)

    def _check_startable(self) -> None:
        self._check_allowed()
        if (active := folders.find_active()) is not None:
            raise ConflictError(f"{active} is being trained; stop it, or wait until it is done")
        free = shutil.disk_usage(runs.ROOT if runs.ROOT.exists() else ".").free
        if free < MIN_FREE_BYTES:
            raise StorageError(
                f"the disk has {free / 1e6:,.0f} MB left, expected at least "
                f"{MIN_FREE_BYTES / 1e6:,.0f} MB; free some space"
            )


def _choose_name(training: Training) -> str:
    """Returns the name of a run folder: recipe, date, time."""
    shipped = training.start_from if training.start_from in SHIPPED_FILES else "run"
    return f"{training.recipe or shipped}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def _stop(path: Path) -> None:
    """Ends a training as Ctrl-C does.

    A signal can be lost while TensorFlow is loaded. Then training ends at its first steps.
    """
    if processes.is_alive(path):
        processes.stop_process(path)
    if Run(path).exists():
        return _write_control(path, stop=True)
    runs.write_json(Run(path).control_path, asdict(runs.Control(stop=True)))


def _write_control(path: Path, **changes: Any) -> None:
    try:
        runs.write_control(Run(path), **changes)
    except UsageError as error:
        raise RequestError(str(error)) from error
    except RunError as error:
        raise ConflictError(str(error)) from error
