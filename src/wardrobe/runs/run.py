"""A run folder: create, find, list and read it. docs/run-folder.md lists its files."""

import contextlib
import csv
import dataclasses
import hashlib
import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe.errors import RunError, UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs.files import atomic_write, write_json
from wardrobe.runs.locks import exclusive_lock, is_locked
from wardrobe.runs.provenance import describe_provenance
from wardrobe.terminal import console

ROOT = Path("runs")
LATEST = "latest"
RUNNING, PAUSED, DONE, INTERRUPTED = "running", "paused", "done", "interrupted"
IMAGES = "images"  # a run's own data: one folder per class
JOB, LOG = "job.json", "job.log"  # of a training that a page started
CONTROL = "control.json"
NETWORK = "network.py"  # the code of a network of one's own
SCORE_FOLDERS = {"test": "", "validation": "validation"}  # split → subfolder with its scores
REQUIRED_FIELDS: dict[str, set[str]] = {
    "run.json": {"recipe", "started", "status"},
    "metrics.json": {"split", "n", "accuracy", "ece"},
    "explain.json": set(),
}
HISTORY_FIELDS = (
    *("epoch", "seconds", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "data"),
)

Row = dict[str, float]


class _File:
    """An attribute of a run: the path of a file in its folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: "Run", _: type["Run"]) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class Run:
    """A run folder: `Run("runs/x")`, or `Run("latest")` for the newest below runs/."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        found = find_run(LATEST).path if path == LATEST else Path(path)
        object.__setattr__(self, "path", found)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    keras_path = _File("model.keras")
    onnx_path = _File("model.onnx")
    metrics_path = _File("metrics.json")
    predictions_path = _File("predictions.npz")
    report_path = _File("report.html")
    checkpoint_folder = _File("checkpoint")
    snapshots_folder = _File("snapshots")
    images_folder = _File(IMAGES)
    steps_path = _File("steps.csv")
    live_path = _File("live.npz")
    control_path = _File(CONTROL)
    followed_path = _File("followed")
    explanation_path = _File("explain.json")
    layers_path = _File("layers.json")
    plots_folder = _File("plots")

    @property
    def resume_line(self) -> str:
        """The command that resumes the run."""
        return f"wardrobe train --resume {shlex.quote(str(self.path))}"

    def lock(self) -> AbstractContextManager[None]:
        """Returns a context in which no other process can train this run.

        It raises RunError if another process is training it.
        """
        busy = f"{self.path} is being trained by another process; wait for it, or stop it"
        return exclusive_lock(self.path, RunError(busy))

    def is_training(self) -> bool:
        """Returns whether a process is training this run."""
        return is_locked(self.path)

    def status(self) -> str:
        """Returns "running", "paused", "interrupted" or "done".

        A run whose process was killed still says "running" in run.json. It is interrupted.
        """
        status = str(self.info()["status"])
        return INTERRUPTED if status in (RUNNING, PAUSED) and not self.is_training() else status

    def snapshot_path(self, epoch: int) -> Path:
        """Returns the path of the snapshot after `epoch` epochs; 0: the initial weights."""
        return self.snapshots_folder / f"epoch-{epoch:04d}.npz"

    def snapshot_epochs(self) -> list[int]:
        """Returns the epochs that have a snapshot, sorted."""
        paths = self.snapshots_folder.glob("epoch-*.npz")
        return sorted(int(path.stem.removeprefix("epoch-")) for path in paths)

    def info(self) -> dict[str, Any]:
        """Returns run.json."""
        return self._read_json("run.json")

    def score_folder(self, split: str = "test") -> Path:
        """Returns where metrics.json, predictions.npz and plots of a split are."""
        return self.path / SCORE_FOLDERS[split]

    def metrics(self, split: str = "test") -> dict[str, Any]:
        """Returns metrics.json of a split.

        Raises:
            RunError: the run has not been evaluated on it yet.
        """
        return self._read_json(str(Path(SCORE_FOLDERS[split], "metrics.json")))

    def scores(self) -> dict[str, dict[str, Any]]:
        """Returns metrics.json of each split that the run was evaluated on, test first."""
        name = self.metrics_path.name
        scored = [each for each in SCORE_FOLDERS if (self.score_folder(each) / name).is_file()]
        # Older versions wrote the scores of any split into the run folder itself.
        return {found["split"]: found for found in map(self.metrics, scored)}

    def explanation(self) -> dict[str, Any]:
        """Returns explain.json; empty if missing or damaged: it can be rebuilt."""
        try:
            explanation = self._read_json("explain.json")
        except RunError:
            return {}
        return explanation if isinstance(explanation.get("figures"), list) else {}

    def forget_explanation(self) -> None:
        """Removes explain.json and its plots."""
        for name in self.explanation().get("figures", []):
            for suffix in ("png", "json"):
                (self.plots_folder / f"{name}.{suffix}").unlink(missing_ok=True)
        self.explanation_path.unlink(missing_ok=True)

    def update(self, **fields: Any) -> None:
        """Adds fields to run.json, or replaces them."""
        write_json(self.path / "run.json", {**self.info(), **fields})

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Writes metrics.json of the split that `metrics` are of."""
        folder = self.score_folder(metrics["split"])
        folder.mkdir(exist_ok=True)
        write_json(folder / "metrics.json", metrics)

    def recipe(self) -> Recipe:
        """Returns the recipe of the run, with the value that every field had.

        The path of a network of one's own is that of the run's copy.

        Raises:
            RunError: another version of wardrobe made the run, with other fields.
        """
        try:
            recipe = recipes.from_dict(self.info()["recipe"])
        except TypeError as error:
            raise RunError(
                f"{self.path} was made by another version of wardrobe ({error}); predict and "
                "serve can use it; for anything else, train it again"
            ) from None
        if recipe.network is None:
            return recipe
        return dataclasses.replace(recipe, network=str(self.path / NETWORK))

    def check_network(self) -> None:
        """Checks that the code of a network of one's own is what the training began with.

        Raises:
            RunError: it is gone, or has changed.
        """
        expected, path = self.info().get("network_sha256"), self.path / NETWORK
        if expected is None:
            return
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise RunError(
                f"{path} is not the code that the training began with; restore it, or train a new "
                "run"
            )

    def history(self) -> list[Row]:
        """Returns history.csv, one row per epoch; empty before the first epoch ends."""
        path = self.path / "history.csv"
        if not path.exists():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            return [{k: float(value) for k, value in row.items() if k != "data"} for row in rows]
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{path} is damaged ({error}); restore it, or remove it to continue without it"
            ) from None

    def kept_epoch(self) -> int:
        """Returns the epoch whose weights the model has: the last so far, but with `patience`."""
        end = self.info().get("training_end")  # older runs have none
        return int(end["kept_epoch"]) if end else len(self.history())

    def fit_seconds(self) -> float:
        """Returns the seconds of all epochs so far, including validation."""
        return sum(row["seconds"] for row in self.history())

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Writes history.csv."""
        data, path = self.info()["data"], self.path / "history.csv"
        with (
            atomic_write(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
        ):
            writer = csv.DictWriter(stream, HISTORY_FIELDS)
            writer.writeheader()
            writer.writerows({**row, "epoch": int(row["epoch"]), "data": data} for row in rows)

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                f"{self.path} has no {name} yet; choose a run that has one (see: wardrobe runs)"
            ) from None
        except ValueError as error:
            raise RunError(
                f"{path} is not valid JSON ({error}); restore the file or train again"
            ) from None
        required = REQUIRED_FIELDS[path.name]
        if not isinstance(value, dict) or not required <= value.keys():
            fields = ", ".join(sorted(required))
            raise RunError(f"{path} needs the fields {fields}; restore the file or train again")
        return value


def create_run(recipe: Recipe, path: Path | None, **fields: Any) -> Run:
    """Makes a run folder and its run.json: status, recipe, `fields`, versions, machine, commit.

    Args:
        recipe: what is trained.
        path: the folder to make; if None, `runs/<recipe>-<date>-<time>`.
        fields: more fields of run.json, such as `data` and `seed`; for a function, what it returns
            for the run's folder.

    Raises:
        RunError: `path` exists, with more in it than that; see `check_new_folder`.
    """
    now = datetime.now(UTC)
    facts: dict[str, Any] = {
        "status": RUNNING,
        "started": now.isoformat(timespec="seconds"),
        "recipe": dataclasses.asdict(recipe),
        **describe_provenance(),
    }
    if path is None:
        path = make_numbered_folder(f"{recipe.name}-{now.astimezone():%Y%m%d-%H%M%S}")
    else:
        check_new_folder(path)
        path.mkdir(parents=True, exist_ok=_is_prepared(path))
    facts |= {name: value(path) if callable(value) else value for name, value in fields.items()}
    try:
        if recipe.network is not None:
            code = Path(recipe.network).read_bytes()
            facts["recipe"] |= {"network": NETWORK}
            facts["network_sha256"] = hashlib.sha256(code).hexdigest()
            (path / NETWORK).write_bytes(code)
        write_json(path / "run.json", facts)
    except BaseException:
        (path / NETWORK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it has images
            path.rmdir()  # an empty folder would refuse the same command
        raise
    return Run(path)


def check_new_folder(path: Path) -> None:
    """Checks that a run can be created at `path`.

    A folder may exist that has only `images`, the data of the new run, and what the server wrote.

    Raises:
        RunError: `path` exists.
        UsageError: its name is "latest", which is reserved for the newest run.
    """
    if path.name == LATEST:
        raise UsageError(f"--out {path}: 'latest' means the newest run; choose another name")
    if path.exists() and not _is_prepared(path):
        is_run = (path / "run.json").is_file()
        hint = f", or resume the run: {Run(path).resume_line}" if is_run else ""
        raise RunError(f"{path} already exists; give --out a new folder{hint}")


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


def _is_prepared(path: Path) -> bool:
    """Returns whether a folder has nothing but what a new run may find there."""
    names = {each.name for each in path.iterdir()} if path.is_dir() else set()
    visible = {name for name in names if not name.startswith(".")}  # hidden: being written
    return bool(names) and visible <= {IMAGES, JOB, LOG, CONTROL}


def find_run(name: str | Path | Run, root: Path = ROOT) -> Run:
    """Returns the run in the folder `name`; for "latest", the run that was started last.

    A `Run` is checked and returned.

    Raises:
        RunError: there is no such run.
    """
    if str(name) == LATEST:
        known = list_runs(root)
        if not known:
            raise RunError(f"no run in {root.resolve()}; create one with: wardrobe train")
        return known[-1]
    path = name.path if isinstance(name, Run) else Path(name)
    if not (path / "run.json").is_file():
        what = "is not a run folder: it has no run.json" if path.exists() else "does not exist"
        raise RunError(f"{path} {what}; give a run folder or 'latest' (see: wardrobe runs)")
    return Run(path)


def list_runs(root: Path = ROOT) -> list[Run]:
    """Returns the runs below `root`, at any depth, in the order in which they were started."""
    found = []
    for path in root.rglob("run.json"):
        run = Run(path.parent)
        try:
            found.append((run.info()["started"], run.path.name, run))
        except (RunError, OSError) as error:
            console.warn(f"{error}; skipped")
    return [run for _, _, run in sorted(found, key=lambda each: each[:2])]


def count_epochs(info: Mapping[str, Any]) -> int:
    """Returns the epochs of a training by run.json: those done once it has ended, else planned."""
    end = info.get("training_end")
    return int(end["epochs"] if end else info["recipe"]["epochs"])


def make_numbered_folder(name: str) -> Path:
    """Makes runs/NAME, or NAME-2, NAME-3, … if other runs were started in the same second."""
    path, number = ROOT / name, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = ROOT / f"{name}-{number}"
        else:
            return path
