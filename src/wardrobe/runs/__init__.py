"""Run folders: made, found, listed, and written so that nothing is ever left half-written under its final name."""

import csv
import dataclasses
import json
import os
import platform
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe.terminal import console
from wardrobe.models import recipes
from wardrobe.errors import RunError, UsageError, WardrobeError
from wardrobe.models.recipes import Recipe

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ROOT = Path("runs")
LATEST = "latest"
RUNNING, DONE, INTERRUPTED = "running", "done", "interrupted"
REQUIRED: dict[str, set[str]] = {
    "run.json": {"recipe", "started", "status"},
    "metrics.json": {"split", "n", "accuracy", "ece"},
    "explain.json": set(),
}
HISTORY_FIELDS = ("epoch", "seconds", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "data")
PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "numpy", "scipy", "scikit-learn"),
    *("onnx", "onnxruntime", "tf2onnx", "pillow", "matplotlib"),
)

Row = dict[str, float]


@dataclass(frozen=True)
class Run:
    """A run folder. docs/run-folder.md lists its files."""

    path: Path

    @property
    def keras_path(self) -> Path:
        return self.path / "model.keras"

    @property
    def onnx_path(self) -> Path:
        return self.path / "model.onnx"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.json"

    @property
    def predictions_path(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def checkpoint_folder(self) -> Path:
        return self.path / "checkpoint"

    @property
    def snapshots_folder(self) -> Path:
        return self.path / "snapshots"

    @property
    def explanation_path(self) -> Path:
        return self.path / "explain.json"

    @property
    def plots_folder(self) -> Path:
        return self.path / "plots"

    @property
    def resume_line(self) -> str:
        """The command that goes on with the run."""
        return f"wardrobe train --resume {shlex.quote(str(self.path))}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other process from training this run while the block runs.

        Raises:
            RunError: another process trains it.
        """
        busy = RunError(f"{self.path} is being trained by another process; wait for it, or stop it")
        with exclusive_lock(self.path, busy):
            yield

    def info(self) -> dict[str, Any]:
        """Returns run.json."""
        return self._read_json("run.json")

    def metrics(self) -> dict[str, Any]:
        """Returns metrics.json.

        Raises:
            RunError: the run was not evaluated yet.
        """
        return self._read_json("metrics.json")

    def explanation(self) -> dict[str, Any]:
        """Returns explain.json; empty before the run was explained, or where the file is damaged: it is made again."""
        try:
            found = self._read_json("explain.json")
        except RunError:
            return {}
        return found if isinstance(found.get("pictures"), list) else {}

    def forget_explanation(self) -> None:
        """Removes explain.json and the pictures that it names, when the run is scored otherwise than they show."""
        for name in self.explanation().get("pictures", []):
            (self.plots_folder / f"{name}.png").unlink(missing_ok=True)
        self.explanation_path.unlink(missing_ok=True)

    def update(self, **fields: Any) -> None:
        """Writes fields into run.json, beside those it has."""
        write_json(self.path / "run.json", {**self.info(), **fields})

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        write_json(self.metrics_path, metrics)

    def recipe(self) -> Recipe:
        """Returns the recipe that the run was made with, every field as it was."""
        try:
            return recipes.from_dict(self.info()["recipe"])
        except TypeError as error:
            raise RunError(f"{self.path} was made by another version of wardrobe ({error}); train it again") from None

    def history(self) -> list[Row]:
        """Returns history.csv: a row an epoch; none before the first epoch is done."""
        path = self.path / "history.csv"
        if not path.exists():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            return [{key: float(value) for key, value in row.items() if key != "data"} for row in rows]
        except (ValueError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}); restore it, or remove it to go on without") from None

    def fit_seconds(self) -> float:
        """Returns the seconds of all epochs so far, validation included."""
        return sum(row["seconds"] for row in self.history())

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        data = self.info()["data"]
        with atomic_write(self.path / "history.csv") as path, path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, HISTORY_FIELDS)
            writer.writeheader()
            writer.writerows({**row, "epoch": int(row["epoch"]), "data": data} for row in rows)

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                f"{self.path} has no {name}; give a run that got so far (wardrobe runs lists them)"
            ) from None
        except ValueError as error:
            raise RunError(f"{path} is no JSON ({error}); restore the file or train again") from None
        if not isinstance(value, dict) or not REQUIRED[name] <= value.keys():
            raise RunError(f"{path} lacks {', '.join(sorted(REQUIRED[name]))}; restore the file or train again")
        return value


def create_run(recipe: Recipe, path: Path | None, **fields: Any) -> Run:
    """Makes a run folder and its run.json: recipe, versions, machine, git commit, status, and `fields`.

    Args:
        path: the folder to make; without it `runs/<recipe>-<date>-<time>`.

    Raises:
        RunError: `path` exists already.
    """
    now = datetime.now(UTC)
    if path is None:
        path = _new_folder(f"{recipe.name}-{now.astimezone():%Y%m%d-%H%M%S}")
    else:
        check_new_folder(path)
        path.mkdir(parents=True)
    run = Run(path)
    write_json(
        path / "run.json",
        {
            "status": RUNNING,
            "started": now.isoformat(timespec="seconds"),
            "recipe": dataclasses.asdict(recipe),
            **fields,
            "versions": package_versions(),
            "machine": describe_machine(),
            "git_commit": git_commit(),
        },
    )
    return run


def check_new_folder(path: Path) -> None:
    """Raises RunError if there is something at `path` already, UsageError if it has the name that means another."""
    if path.name == LATEST:
        raise UsageError(f"--out {path}: 'latest' means the run started last; give another name")
    if path.exists():
        go_on = f", or go on with it: {Run(path).resume_line}" if (path / "run.json").is_file() else ""
        raise RunError(f"{path} exists already; give --out a new folder{go_on}")


def find_run(name: str | Path, root: Path = ROOT) -> Run:
    """Returns the run in folder `name`, or the one that was started last for "latest".

    Raises:
        RunError: there is no such run.
    """
    if str(name) == LATEST:
        known = list_runs(root)
        if not known:
            raise RunError(f"no run in {root.resolve()}; make one with: wardrobe train")
        return known[-1]
    path = Path(name)
    if not (path / "run.json").is_file():
        what = "is no run folder: it has no run.json" if path.exists() else "does not exist"
        raise RunError(f"{path} {what}; give a folder that wardrobe train made, or 'latest' (wardrobe runs lists them)")
    return Run(path)


def list_runs(root: Path = ROOT) -> list[Run]:
    """Returns the runs below `root`, at any depth, by the time they were started."""
    found = []
    for path in root.rglob("run.json"):
        try:
            found.append((Run(path.parent).info()["started"], path.parent.name, Run(path.parent)))
        except (RunError, OSError) as error:
            console.warn(f"{error}; passed over")
    return [run for _, _, run in sorted(found, key=lambda each: each[:2])]


def tabulate_runs(root: Path = ROOT) -> list[dict[str, Any]]:
    """Returns one row a run: who it is, how far it got, and its scores (None before it has any).

    A damaged run is named on stderr and left out.
    """
    rows = []
    for run in list_runs(root):
        try:
            rows.append(_row(run))
        except (RunError, OSError, KeyError) as error:
            console.warn(f"{run.path}: {error}; passed over")
    return rows


@contextmanager
def exclusive_lock(folder: Path, busy: WardrobeError) -> Iterator[None]:
    """Holds a folder while the block runs, against processes that ask the same (not on Windows, which has no flock).

    Raises `busy` where another process holds it.
    """
    if fcntl is None:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
    finally:
        os.close(held)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, and renames it to `path` when the block ends well; else removes it.

    A device or a pipe, such as /dev/stdout, is given itself: a file in its place would be another thing.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    # The name keeps the suffix, by which Keras tells the format.
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, two spaces deep, in one step."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of every package that shapes a result."""
    from importlib import metadata  # only here: it is slow to load, and predict has no need of it

    found = {"python": platform.python_version()}
    for package in ("wardrobe", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_machine() -> dict[str, Any]:
    """Returns what is known of the machine: system, processor, cores, memory in GiB."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line for line in cpuinfo.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").partition(": ")[2]
    facts: dict[str, Any] = {"system": platform.platform(), "processor": model, "cores": os.cpu_count()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return facts


def git_commit() -> str | None:
    """Returns the source's commit, with "+changes" where files differ from it; None where it is not in git."""
    # Without optional locks, `git status` does not rewrite the repository's index.
    here = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run([*here, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True)
        commit = subprocess.run([*here, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changes = subprocess.run([*here, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes.strip() else "")


def _new_folder(name: str) -> Path:
    """Makes runs/NAME, or NAME-2, NAME-3, … where another run began in the same second."""
    path, number = ROOT / name, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = ROOT / f"{name}-{number}"
        else:
            return path


def _row(run: Run) -> dict[str, Any]:
    info = run.info()
    scores = run.metrics() if run.metrics_path.is_file() else None
    low, high = scores["accuracy_interval_95"] if scores else (0.0, 0.0)
    return {
        "run": str(run.path),
        "recipe": info["recipe"]["name"],
        "data": info["data"],
        "seed": info["seed"],
        "epochs": info["recipe"]["epochs"],
        "epochs_done": len(run.history()),
        "status": info["status"],
        "split": scores and scores["split"],
        "accuracy": scores and scores["accuracy"],
        "half_interval_95": (high - low) / 2 if scores else None,
        "ece": scores and scores["ece"]["after"],
        "seconds": run.fit_seconds(),
    }
