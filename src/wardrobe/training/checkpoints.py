"""The models that a run keeps on disk: checkpoint, snapshots, and the trained model."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

# TensorFlow reads this before its first operation. The cost is too small to measure on a CPU.
# It is set here because everything that trains or loads a model imports this module.
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.errors import RunError
from wardrobe.models import architecture
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Row, Run
from wardrobe.runs.files import atomic_write

LOSSES = "losses.json"  # in the checkpoint folder


def save_checkpoint(
    model: keras.Model, run: Run, epochs_done: int, best: int | None = None
) -> None:
    """Writes weights and optimizer, then removes older checkpoints, but that of epoch `best`."""
    run.checkpoint_folder.mkdir(exist_ok=True)
    older = _list_checkpoints(run)  # before the new one, so that there is always one on disk
    with atomic_write(run.checkpoint_folder / f"epoch-{epochs_done:04d}.keras") as path:
        model.save(path)  # weights, optimizer state and the steps done, in one archive
    for path in older:
        if _parse_epoch(path) != best:
            path.unlink()


def restore_checkpoint(model: keras.Model, run: Run) -> int:
    """Loads the newest checkpoint into `model`, with its optimizer; returns the epochs done.

    Raises:
        RunError: the checkpoint is damaged.
    """
    for unfinished in run.checkpoint_folder.glob(".*"):  # the process was killed while it wrote
        unfinished.unlink()
    paths = _list_checkpoints(run)
    if not paths:
        return 0
    _load_weights(model, run, paths[-1])
    return count_epochs_done(run)


def restore_best(model: keras.Model, run: Run, best: int) -> None:
    """Loads the weights of the epoch `best`, which `save_checkpoint` kept.

    Raises:
        RunError: its checkpoint is missing or damaged.
    """
    _load_weights(model, run, run.checkpoint_folder / f"epoch-{best:04d}.keras")


def save_losses(run: Run, losses: npt.NDArray[np.floating]) -> None:
    """Writes the losses (n,) that choose hard examples in the epochs to come."""
    run.checkpoint_folder.mkdir(exist_ok=True)
    with atomic_write(run.checkpoint_folder / LOSSES) as path:
        path.write_text(json.dumps(losses.tolist()))


def load_losses(run: Run) -> list[float] | None:
    """Returns what `save_losses` wrote, exactly; None if there is no such file."""
    path = run.checkpoint_folder / LOSSES
    return json.loads(path.read_text()) if path.exists() else None


def find_best_epoch(recipe: Recipe, history: Sequence[Row]) -> int | None:
    """Returns the first epoch with the lowest val_loss; None if the last epoch is kept."""
    if recipe.patience is None or not history:
        return None
    return int(min(history, key=lambda row: row["val_loss"])["epoch"])


def _load_weights(model: keras.Model, run: Run, path: Path) -> None:
    try:
        model.load_weights(path)
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        reason = f"{path} cannot be read ({type(error).__name__})"
        raise RunError(f"{reason}; remove it to start over with: {run.resume_line}") from error


def count_epochs_done(run: Run) -> int:
    """Returns how many epochs the newest checkpoint has trained; 0 without a checkpoint."""
    paths = _list_checkpoints(run)
    return _parse_epoch(paths[-1]) if paths else 0


def _list_checkpoints(run: Run) -> list[Path]:
    return sorted(run.checkpoint_folder.glob("epoch-*.keras"))  # four digits: sorted by epoch


def _parse_epoch(path: Path) -> int:
    return int(path.stem.removeprefix("epoch-"))


def save_snapshot(model: keras.Model, run: Run, epochs_done: int) -> None:
    """Writes the inference weights in half precision, in the order of Keras's `get_weights`.

    A network of one's own has none: what reads a snapshot builds its network from the recipe.
    """
    if run.info()["recipe"].get("network") is not None:
        return
    run.snapshots_folder.mkdir(exist_ok=True)
    weights = architecture.inference_weights(model)
    with atomic_write(run.snapshot_path(epochs_done)) as path:
        np.savez_compressed(path, *[each.astype(np.float16) for each in weights])


def load_snapshots(run: Run) -> dict[int, keras.Model]:
    """Returns the network after 1, 2, 4, 8, … epochs, before the one kept: epochs done → network.

    `wardrobe explain` shows from them how the layers develop.
    """
    recipe, class_count = run.recipe(), len(run.info()["dataset"]["class_names"])
    snapshots = {}
    for epoch in run.snapshot_epochs():
        if not 0 < epoch < run.kept_epoch() or epoch & (epoch - 1):  # not a power of two
            continue
        network = architecture.build(recipe, class_count)
        with np.load(run.snapshot_path(epoch)) as weights:
            network.set_weights([weights[name].astype(np.float32) for name in weights.files])
        snapshots[epoch] = network
    return snapshots


def save_model(model: keras.Model, run: Run) -> None:
    """Writes model.keras, for inference: pixels 0-255 in, logits out.

    It is saved without the optimizer, at a third of the size. The model's name says its recipe and
    its data: "baseline-fashion-mnist".
    """
    # A server takes the name as the model's id, so only characters that a URL path allows.
    data = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(run.info()["data"]).name)
    # `Model.save` has no include_optimizer for .keras files; a model that is not compiled has none.
    bare = keras.Model(model.input, model.output, name=f"{model.name}-{data}")
    with atomic_write(run.keras_path) as path:
        bare.save(path)


def load_model(run: Run) -> keras.Model:
    """Returns the run's trained model.

    Raises:
        RunError: model.keras is missing or damaged.
    """
    try:
        return keras.saving.load_model(run.keras_path)
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        reason = f"{run.keras_path} cannot be read ({type(error).__name__})"
        raise RunError(f"{reason}; train the run again") from error
