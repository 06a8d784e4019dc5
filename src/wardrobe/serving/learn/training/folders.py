"""Run folder → JSON. A folder that cannot be read is skipped with the reason."""

import contextlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.errors import WardrobeError
from wardrobe.runs import JOB, LOG, Run
from wardrobe.serving.learn.runs import list_folders
from wardrobe.serving.learn.training.processes import is_alive, read_job, read_log
from wardrobe.serving.learn.training.requests import Training, format_python

STARTING, FAILED = "starting", "failed"  # besides those of run.json
ACTIVE = STARTING, runs.RUNNING, runs.PAUSED
SUMMARIZED = "run.json", "history.csv", "metrics.json", JOB  # files
MAX_RUNS = 500  # in a list, the newest
ERROR = re.compile(r"^wardrobe: error: (.*)$", re.MULTILINE)
# Lines of job.log that are not progress: empty, of a frame, warnings, logs of TensorFlow's C++.
NO_STAGE = re.compile(r"\s*$|[^\w]|wardrobe: |[IWEF]\d{4} |\d{4}-|WARNING: All log")
DAMAGES = WardrobeError, OSError, KeyError, TypeError, ValueError, AttributeError


def summarize_all() -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Returns the summaries of the newest runs, and the name and error of each damaged one."""
    found, skipped = [], []
    for path in list_folders():
        try:
            if has_run(path):
                found.append(summarize(path))
        except DAMAGES as error:
            skipped.append({"name": path.name, "error": describe_damage(error)})
    found.sort(key=lambda each: (each["started"], each["name"]), reverse=True)
    return found[:MAX_RUNS], skipped


def has_run(path: Path) -> bool:
    """Returns whether a folder holds a run, or will hold one."""
    return Run(path).exists() or (path / JOB).is_file()


def describe_damage(error: Exception) -> str:
    """Returns one line on what is wrong with a folder."""
    if isinstance(error, WardrobeError):
        return str(error)
    return f"run.json or another file is damaged ({type(error).__name__}: {error})"


def find_active() -> str | None:
    """Returns the name of the run that is being trained; None if there is none."""
    for path in list_folders():
        with contextlib.suppress(*DAMAGES):
            if has_run(path) and find_status(path)[0] in ACTIVE:
                return path.name
    return None


def find_status(path: Path) -> tuple[str, str | None]:
    """Returns the status of a run, and the message of one that failed."""
    run, alive, written = Run(path), is_alive(path), _read_time(path / "run.json")
    if alive and written < read_job(path).get("spawned", 0.0):
        return STARTING, None
    errors = [each for each in ERROR.findall(read_log(path)) if not each.startswith("interrupted")]
    if not written:
        return FAILED, errors[-1] if errors else "it was stopped before training began"
    status = run.info()["status"]
    if status == runs.DONE:
        return runs.DONE, None
    if alive or run.is_training():
        return (runs.PAUSED if status == runs.PAUSED else runs.RUNNING), None
    # An older error is of a process before the one that wrote run.json.
    is_new = _read_time(path / LOG) >= written
    return (FAILED, errors[-1]) if errors and is_new else (runs.INTERRUPTED, None)


def read_stage(path: Path) -> str | None:
    """Returns the stage of the training that a page started: the last line of its progress."""
    lines = [line for line in read_log(path).splitlines() if not NO_STAGE.match(line)]
    return lines[-1] if lines else None


def summarize(path: Path) -> dict[str, Any]:
    """Returns name, settings, status and scores of a run."""
    times = tuple(_read_time(path / name) for name in SUMMARIZED)
    return {**_summarize(path, times), "status": find_status(path)[0]}


@lru_cache(2 * MAX_RUNS)  # each page asks for all runs every few seconds
def _summarize(path: Path, times: tuple[float, ...]) -> dict[str, Any]:
    """Returns the summary but for the status; `times` are those of the files that it reads."""
    run = Run(path)
    if not run.exists():
        return _summarize_job(path)
    info, history = run.info(), run.history()
    scores = run.metrics() if run.metrics_path.is_file() else {}
    return {
        "name": path.name,
        "recipe": info["recipe"]["name"],
        "recipe_title": runs.format_recipe(info),
        "data": info["data"],
        "seed": info["seed"],
        "epochs": runs.count_epochs(info),
        "epochs_done": len(history),
        "started": str(info["started"]),
        "accuracy": scores.get("accuracy"),
        "split": scores.get("split"),
        "seconds": sum(row["seconds"] for row in history),
        "class_names": info["dataset"]["class_names"],
        "parameters": info.get("parameters"),
    }


def _summarize_job(path: Path) -> dict[str, Any]:
    """Returns the summary of a training that has no run.json yet."""
    job = read_job(path)
    training = Training(**job["training"])
    name = training.recipe or training.start_from
    as_run = {"recipe": {"name": name}, "reproduce": training.format_command()}
    return {
        "name": path.name,
        "recipe": name,
        "recipe_title": runs.format_recipe(as_run),
        "data": training.data,
        "seed": training.seed,
        "epochs": job["epochs"],
        "epochs_done": 0,
        "started": job["started"],
        "accuracy": None,
        "split": None,
        "seconds": 0.0,
        "class_names": job["class_names"],
        "parameters": None,
    }


def describe(path: Path) -> dict[str, Any]:
    """Returns everything that a page shows of a run but its networks."""
    run, info = Run(path), None
    if run.exists():
        info = run.info()
        command, python = info["reproduce"], format_python(info, path)
    else:
        training = Training(**read_job(path)["training"])
        command, python = training.format_command(), training.format_python()
    return {
        "summary": summarize(path),
        "info": info,
        "history": run.history(),
        "metrics": run.metrics() if run.metrics_path.is_file() else None,
        "epochs": run.snapshot_epochs(),
        "command": command,
        "python": python,
        "message": find_status(path)[1],
    }


def _read_time(path: Path) -> float:
    """Returns when a file was written, in seconds; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns / 1e9
    except FileNotFoundError:
        return 0.0
