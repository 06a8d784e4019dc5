"""How far a training is: its scores so far, status, learning rate and remaining time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardrobe import runs
from wardrobe.runs import Row, Run, StepRow, StepsReader
from wardrobe.serving.learn.training import folders

MAX_ROWS = 8_000  # of steps.csv; more are thinned, for a chart has fewer pixels
MEAN_EPOCHS = 3  # the last ones, whose mean duration is expected of the next


@dataclass(frozen=True)
class Progress:
    """What a run folder says at one moment.

    Attributes:
        rows: of steps.csv, all or every second, fourth, … one.
        generation: how often the rows began anew; rows are only appended otherwise.
        steps_per_epoch: None before training starts.
        status: the event "status".
    """

    rows: Sequence[StepRow] = ()
    generation: int = 0
    steps_per_epoch: int | None = None
    history: Sequence[Row] = ()
    status: Mapping[str, Any] | None = None

    @property
    def is_active(self) -> bool:
        """Whether training has not ended."""
        return self.status is None or self.status["status"] in folders.ACTIVE


class ProgressReader:
    """Reads a run folder while training writes into it."""

    def __init__(self, path: Path) -> None:
        self.path, self.run = path, Run(path)
        self._steps = StepsReader(self.run.steps_path)
        self._rows: list[StepRow] = []
        self._generation = 0

    def read(self) -> Progress:
        """Returns the progress now.

        Raises:
            WardrobeError, OSError, …: see `folders.DAMAGES`.
        """
        self._read_rows()
        history = self.run.history()
        status, message = folders.find_status(self.path)
        fields: dict[str, Any] = {
            "status": status,
            "learning_rate": None,
            "seconds_left": None,
            "message": message,
            "stage": folders.read_stage(self.path) if status in folders.ACTIVE else None,
        }
        if not self.run.exists():
            return Progress(status=fields)
        info = self.run.info()
        changes = info.get("learning_rate_changes") or [info["recipe"]]
        fields["learning_rate"] = changes[-1]["learning_rate"]
        if status in (runs.RUNNING, runs.PAUSED):
            fields["seconds_left"] = _estimate_seconds(info, self._rows, history)
        steps = _count_steps(info, self._rows)
        return Progress(tuple(self._rows), self._generation, steps, history, fields)

    def show_followed(self) -> None:
        """Tells the training that somebody follows it, so that it writes live.npz."""
        if self.run.exists():  # otherwise the folder has to stay new
            self.run.followed_path.touch()

    def _read_rows(self) -> None:
        new = self._steps.read_new()
        if new and self._rows and new[0][:2] <= self._rows[-1][:2]:  # training was resumed
            self._rows = []
            self._generation += 1
        self._rows += new
        while len(self._rows) > MAX_ROWS:
            self._rows = self._rows[::2]
            self._generation += 1


def _count_steps(info: Mapping[str, Any], rows: Sequence[StepRow]) -> int:
    """Returns the steps of an epoch: of those that are complete, otherwise as the data says."""
    complete = [step for epoch, step, *_ in rows if epoch < rows[-1][0]]
    images = info["dataset"]["splits"]["train"]
    return max(complete, default=-(-images // info["recipe"]["batch_size"]))  # rounded up


def _estimate_seconds(
    info: Mapping[str, Any], rows: Sequence[StepRow], history: Sequence[Row]
) -> int | None:
    """Returns the seconds until the last epoch is complete; None if there is nothing to go by."""
    done, spent, seconds = len(history), 0.0, 0.0  # spent: in the current epoch
    if history:
        recent = history[-MEAN_EPOCHS:]
        seconds = sum(row["seconds"] for row in recent) / len(recent)
    if rows and rows[-1][0] > done:
        _, step, spent, *_ = rows[-1]
        seconds = seconds or spent / step * _count_steps(info, rows)
    left = (runs.count_epochs(info) - done) * seconds - min(spent, seconds)
    return round(left) if seconds else None
