"""Obeys control.json while training runs: pauses, stops, changes the learning rate.

run.json records each change of the learning rate with its step, before it takes effect. A resumed
training repeats it at the same step, so it gives the same weights.
"""

import time
from typing import Any

import keras

from wardrobe.errors import RunError
from wardrobe.models.recipes import Recipe
from wardrobe.runs import PAUSED, RUNNING, Control, Run, read_control
from wardrobe.terminal import console
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import schedules
from wardrobe.training.distributed import collectives

PAUSE_SECONDS = 0.1  # between two looks at control.json while training is paused

Change = dict[str, Any]  # "epoch" from 1, "step" done in it, "learning_rate" from there on


class Controller:
    """Changes a training at the steps where run.json and control.json ask for it."""

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        run: Run | None,
        steps: int,
        epochs_done: int,
        display: TrainingDisplay,
    ) -> None:
        """Makes the changes of the learning rate that an earlier process made in the epochs done.

        Args:
            run: None in all but the first of several processes.
            steps: batches per epoch.
        """
        self.model, self.recipe, self.steps, self.display = model, recipe, steps, display
        changes = [] if run is None else run.info().get("learning_rate_changes", [])
        # Every process repeats them. Several processes obey no control.json: a process that reads
        # it a moment later than the others would train differently.
        self.pending: list[Change] = collectives.broadcast_object(changes)
        self.run = None if collectives.is_distributed() else run
        self.done: list[Change] = []
        self.learning_rate = recipe.learning_rate
        self._seen: tuple[int, int] | None = None  # time and inode of the control.json last read
        self.repeat_changes(epochs_done, steps)

    def repeat_changes(self, epoch: int, step: int) -> None:
        """Makes the recorded changes up to this step."""
        while self.pending and _position(self.pending[0]) <= (epoch, step):
            self.done.append(self.pending.pop(0))
            self._set_learning_rate(self.done[-1]["learning_rate"])

    def obey(self, epoch: int, step: int) -> float:
        """Does what control.json asks for, if it has changed; returns the seconds it paused.

        Raises:
            KeyboardInterrupt: it asks to stop.
        """
        self.repeat_changes(epoch, step)
        control = self._read_changed()
        if control is None:
            return 0.0
        self._apply(control, epoch, step)
        if self.run is None or not control.paused:
            return 0.0
        started = time.perf_counter()
        self.run.update(status=PAUSED)
        self.display.stage(f"Paused; to continue, remove {self.run.control_path}")
        while control.paused:
            time.sleep(PAUSE_SECONDS)
            control = self._read_changed() or control
            self._apply(control, epoch, step)
        self.run.update(status=RUNNING)
        self.display.stage("Continued")
        return time.perf_counter() - started

    def set_epochs(self, recipe: Recipe) -> None:
        """Makes the schedule end with another number of epochs."""
        self.recipe = recipe
        if recipe.schedule != "constant":
            self._set_learning_rate(self.learning_rate)

    def _read_changed(self) -> Control | None:
        """Returns control.json; None if it is the same as before, or damaged."""
        if self.run is None:
            return None
        try:
            stat = self.run.control_path.stat()
            seen = stat.st_mtime_ns, stat.st_ino
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            return read_control(self.run)
        except RunError as error:
            console.warn(str(error))
            return None

    def _apply(self, control: Control, epoch: int, step: int) -> None:
        if control.stop:
            raise KeyboardInterrupt
        rate = control.learning_rate
        if rate is None or rate == self.learning_rate or self.run is None:
            return
        change = {"epoch": epoch, "step": step, "learning_rate": rate}
        # It replaces another at the same step, and those that an earlier process made later.
        self.done = [each for each in self.done if _position(each) < (epoch, step)] + [change]
        self.pending = []
        self.run.update(learning_rate_changes=self.done)  # before it takes effect
        self._set_learning_rate(rate)

    def _set_learning_rate(self, rate: float) -> None:
        schedules.set_learning_rate(self.model, self.recipe, rate, self.recipe.epochs * self.steps)
        self.learning_rate = rate


def _position(change: Change) -> tuple[int, int]:
    return change["epoch"], change["step"]
