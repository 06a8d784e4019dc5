"""A run folder: find, list, read and change it. docs/run-folder.md lists its files."""

import csv
import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from wardrobe.errors import RunError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs.files import atomic_write, write_json
from wardrobe.runs.locks import exclusive_lock, is_locked
from wardrobe.terminal import console

ROOT = Path("runs")
LATEST = "latest"
RUNNING, PAUSED, DONE, INTERRUPTED = "running", "paused", "done", "interrupted"
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

    def exists(self) -> bool:
        """Returns whether the folder is that of a run: whether it has run.json."""
        return (self.path / "run.json").is_file()

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
    run = name if isinstance(name, Run) else Run(name)
    if not run.exists():
        what = "is not a run folder: it has no run.json" if run.path.exists() else "does not exist"
        raise RunError(f"{run.path} {what}; give a run folder or 'latest' (see: wardrobe runs)")
    return run


def find_run_of(file: Path) -> Run | None:
    """Returns the run whose folder a file is in, such as a model; None if it is in no run's."""
    run = Run(file.parent)
    return run if run.exists() else None


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


def format_recipe(info: Mapping[str, Any]) -> str:
    """Returns the recipe in words, from run.json: "baseline (changed: epochs, conv_filters)"."""
    name, words = info["recipe"]["name"], shlex.split(info.get("reproduce", ""))
    changed = ["epochs"] if "--epochs" in words else []
    changed += [each.partition("=")[0] for word, each in pairwise(words) if word == "--set"]
    return f"{name} (changed: {', '.join(changed)})" if changed else name
