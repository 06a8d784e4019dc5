"""What a running training shows: a row of steps.csv, and the network of this moment in live.npz."""

import time

import keras
import numpy as np

from wardrobe.models import architecture
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run, StepsWriter, atomic_write

ROW_SECONDS = 0.25  # at least, between two rows of steps.csv
LIVE_SECONDS = 1  # at least, between two writes of live.npz
LIVE_FRACTION = 0.03  # of the time, at most, is spent on live.npz
FOLLOWED_SECONDS = 6  # the server touches `followed` every 2 s while someone follows


class Recorder:
    """Writes steps.csv, and live.npz while someone follows."""

    def __init__(
        self, model: keras.Model, run: Run, epochs_done: int, images: int, recipe: Recipe
    ) -> None:
        self.model, self.run = model, run
        self.images, self.batch_size = images, recipe.batch_size  # images: of an epoch
        self.has_live = recipe.network is None  # see `checkpoints.save_snapshot`
        run.live_path.unlink(missing_ok=True)  # of a process that was killed
        self.steps = StepsWriter(run.steps_path, epochs_done)
        self._last_row = 0.0  # seconds, as time.perf_counter
        self._next_live = 0.0
        self._seen = 0  # images of the epoch in the rows so far
        self._sums = np.zeros(2)  # of their losses and correct answers

    def record(self, epoch: int, step: int, seconds: float, loss: float, accuracy: float) -> None:
        """Writes what is due after a step.

        Args:
            epoch: from 1. step: batches done in it. seconds: since it began.
            loss, accuracy: means over the epoch so far.
        """
        now = time.perf_counter()
        seen = min(step * self.batch_size, self.images)
        if now - self._last_row >= ROW_SECONDS or seen == self.images:
            sums = np.array([loss, accuracy]) * seen
            loss, accuracy = (sums - self._sums) / (seen - self._seen)
            self.steps.append((epoch, step, seconds, float(loss), float(accuracy)))
            is_end = seen == self.images
            self._seen, self._sums = (0, np.zeros(2)) if is_end else (seen, sums)
            self._last_row = now
        if self.has_live and now >= self._next_live and self._is_followed():
            self._write_live(epoch, step)
            took = time.perf_counter() - now
            self._next_live = now + max(LIVE_SECONDS, took / LIVE_FRACTION)

    def close(self) -> None:
        """Closes steps.csv and removes live.npz: from here on, the snapshots show the network."""
        self.steps.close()
        self.run.live_path.unlink(missing_ok=True)

    def _is_followed(self) -> bool:
        try:
            touched = self.run.followed_path.stat().st_mtime
        except FileNotFoundError:
            return False
        return time.time() - touched < FOLLOWED_SECONDS

    def _write_live(self, epoch: int, step: int) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # JAX trains on copies of the variables
        weights = architecture.inference_weights(self.model)
        halves = [each.astype(np.float16) for each in weights]
        with atomic_write(self.run.live_path) as path:
            np.savez(path, *halves, epoch=epoch, step=step)
