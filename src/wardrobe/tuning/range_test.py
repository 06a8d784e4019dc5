"""The learning-rate range test: the loss of each batch while the learning rate rises.

Source: Smith 2017, "Cyclical learning rates for training neural networks", arXiv 1506.01186. The
rule for the suggestion is that of fastai: the rate at which the loss falls fastest.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe import runs
from wardrobe.data import load_training_data
from wardrobe.errors import WardrobeError
from wardrobe.models import keras_settings
from wardrobe.runs import write_json
from wardrobe.workflows.planning import plan

SPAN = 1000  # the rate rises from the recipe's, divided by this, to its product
STEPS = 200  # batches
SMOOTHING = 0.9  # of the exponential moving average of the losses
DIVERGED = 4  # times the lowest smoothed loss so far: the test ends

Floats = npt.NDArray[np.float64]


def run_range_test(
    name: str | Path,
    *,
    data: str,
    data_dir: Path | None,
    limit: int | None,
    out: Path | None,
    photos_dir: Path | None = None,
) -> dict[str, Any]:
    """Trains a recipe for at most 200 batches with a rising learning rate, and draws the losses.

    Args:
        name: recipe name, or the path of its file.
        data, data_dir, limit, photos_dir: as in `load_training_data`.
        out: folder for learning-rate.png and learning-rate.json; None: runs/tune-RECIPE.

    Returns:
        {"recipe", "data", "learning_rate", "suggested", "figure"}, and in the JSON file also
        "rates" and "losses", one for each batch.

    Raises:
        WardrobeError: the loss never fell.
    """
    recipe = plan.choose_recipe(name, {}, None)
    plan.refuse_network(recipe, "wardrobe tune")
    out = out or runs.ROOT / f"tune-{recipe.name}"
    runs.check_writable(out)
    dataset = load_training_data(recipe, data, data_dir, limit, photos_dir)
    with keras_settings.loading_keras():
        from wardrobe import plots
        from wardrobe.training import loop, sampling

    constant = replace(recipe, schedule="constant")
    steps = -(-len(dataset.train) // recipe.batch_size)
    model = loop.compile_model(constant, len(dataset.class_names), 0, steps)
    model.steps_per_execution = 1  # the rate changes after each batch
    rates = recipe.learning_rate * np.geomspace(1 / SPAN, SPAN, STEPS)
    losses: list[float] = []
    for epoch in range(-(-STEPS // steps)):
        if not has_diverged(losses):
            batches = sampling.make_epoch_batches(constant, dataset, model, 0, epoch)
            model.fit(**batches, shuffle=False, verbose=0, callbacks=[_raise(rates, losses)])
    smooth = smooth_losses(losses)
    tried = rates[: len(smooth)]
    suggested = suggest_rate(tried, smooth)
    out.mkdir(parents=True, exist_ok=True)
    figure = plots.training.plot_range_test(tried, smooth, suggested, recipe.learning_rate)
    plots.save_figure(figure, out / "learning-rate.png", dataset.name, dataset.is_synthetic)
    found = {
        "recipe": recipe.name,
        "data": dataset.name,
        "learning_rate": recipe.learning_rate,
        "suggested": suggested,
        "figure": str(out / "learning-rate.png"),
    }
    series = {"rates": tried.tolist(), "losses": losses}
    write_json(out / "learning-rate.json", found | series)
    return found


def _raise(rates: Floats, losses: list[float]) -> Any:
    """Returns a Keras callback that gives each batch the next rate and appends its loss."""
    import keras

    first = len(losses)

    def set_rate(batch: int, logs: Any = None) -> None:
        callback.model.optimizer.learning_rate = rates[len(losses)]

    def add_loss(batch: int, logs: Any = None) -> None:
        mean = logs["loss"]  # over the batches of this epoch
        losses.append(float(mean * (batch + 1) - sum(losses[first:])))
        if len(losses) == len(rates) or has_diverged(losses):
            callback.model.stop_training = True

    callback = keras.callbacks.LambdaCallback(
        on_train_batch_begin=set_rate, on_train_batch_end=add_loss
    )
    return callback


def has_diverged(losses: Sequence[float]) -> bool:
    """Returns whether training has broken down: the loss is not finite, or far above its lowest."""
    smooth = smooth_losses(losses)
    is_finite = len(smooth) == len(losses)
    return not is_finite or bool(len(smooth) and smooth[-1] > DIVERGED * smooth.min())


def smooth_losses(losses: Sequence[float]) -> Floats:
    """Returns the exponential moving average, corrected for its start at 0: (n,).

    It ends before the first loss that is not finite.
    """
    means, mean = [], 0.0
    for step, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**step))
    found = np.array(means)
    return found[: int(np.argmin(np.isfinite(found)))] if not np.isfinite(found).all() else found


def suggest_rate(rates: Floats, smooth: Floats) -> float:
    """Returns the rate, in two digits, at which the smoothed loss falls fastest.

    Args:
        rates, smooth: (n,), rising rates and the smoothed losses of their batches.

    Raises:
        WardrobeError: the loss never fell.
    """
    end = int(smooth.argmin()) + 1 if len(smooth) else 0
    if end < 3:
        raise WardrobeError(
            "the loss never fell in the range test; give a recipe with another learning rate: "
            "--recipe FILE"
        )
    slopes = np.gradient(smooth[:end], np.log(rates[:end]))
    return float(f"{rates[int(slopes.argmin())]:.2g}")
