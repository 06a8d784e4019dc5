"""How long a training is, and its learning rate. To add a schedule, also add it to SCHEDULES."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from wardrobe.models.recipes import Recipe


@keras.saving.register_keras_serializable("wardrobe")
class WarmupLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `peak` over a fraction of `steps`, then linear decay to 0.

    Source: the learning rate of the one-cycle policy, Smith and Topin 2017 (arXiv 1708.07120).
    """

    def __init__(self, peak: float, steps: int, warmup: float = 0.25) -> None:
        self.peak = peak
        self.steps = steps
        self.warmup = warmup  # fraction of the steps, above 0 and below 1

    def __call__(self, step: Any) -> Any:
        done = (ops.cast(step, "float32") + 1) / self.steps  # 0-1; the first step counts as done
        # At least a thousandth of the peak, so that the last step is not lost.
        rise, fall = done / self.warmup, (1 - done) / (1 - self.warmup)
        return self.peak * ops.clip(ops.minimum(rise, fall), 1e-3, 1)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}


# Recipe.schedule → (learning rate, steps of the training, warm-up) → what the optimizer takes.
SCHEDULES: dict[str, Callable[[float, int, float], Any]] = {
    "constant": lambda rate, steps, warmup: rate,
    "warmup-linear": WarmupLinear,
}


MAX_EPOCHS = 9_999  # as of the field `epochs`
MEASURED_EPOCH = 2  # whose seconds count: the first one includes compilation


def count_epochs(recipe: Recipe, history: Sequence[Mapping[str, float]]) -> int:
    """Returns the epochs of a training: the recipe's, or with `minutes`, as many as fit.

    They follow from the seconds of the first two epochs in history.csv, of three with hard-example
    mining. So a resumed run has as many. Before, the recipe's number sets the schedule, and
    training ends if the next epoch would not fit.

    Args:
        history: the rows of all epochs done.
    """
    if recipe.minutes is None:
        return recipe.epochs
    measured = MEASURED_EPOCH + (recipe.hard_fraction < 1)  # whose first two epochs are not mined
    rows = [row["seconds"] for row in history[:measured]]
    if not rows:
        return max(recipe.epochs, measured)
    more = (60 * recipe.minutes - sum(rows)) / max(rows[-1], 1e-3)
    epochs = min(len(rows) + max(int(more), 0), MAX_EPOCHS)
    if epochs == len(rows) or len(rows) == measured:
        return epochs
    return max(recipe.epochs, measured)


def set_learning_rate(model: keras.Model, recipe: Recipe, rate: float, steps: int) -> None:
    """Gives a model in training another learning rate, with a schedule another peak.

    Args:
        steps: of the whole training.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()  # JAX trains on copies of the variables
    schedule = SCHEDULES[recipe.schedule](rate, steps, recipe.warmup_fraction)
    model.optimizer.learning_rate = schedule
    if callable(schedule) and model.train_function is not None:
        # The peak is a constant of the compiled training step, so that is compiled again.
        model.make_train_function(force=True)
