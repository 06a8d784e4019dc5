"""The only place that trains. Keras alone, so that every backend runs the same recipes.

The same seed gives the same weights, bit for bit, also where training was killed and resumed: initial weights come
from the seed, each epoch's order from the seed and the epoch, and a checkpoint holds weights and optimiser.
"""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Must stand in the environment before TensorFlow starts; on the CPU it costs no time that could be measured.
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")

import keras
import numpy as np

from wardrobe.data import Dataset, batches
from wardrobe.errors import RunError
from wardrobe.models import architecture
from wardrobe.models.recipes import BFLOAT16, FLOAT32, Recipe
from wardrobe.runs import Row, Run
from wardrobe.runs.files import atomic_write
from wardrobe.terminal import console
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import losses, sampling
from wardrobe.training.distributed import collectives
from wardrobe.training.muon import Muon

STEPS_PER_CALL = (
    16  # batches that Keras runs between two looks at the progress; saves a quarter of the time
)
VALIDATION_BATCH = 500  # images
OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "muon": Muon,
}


def fit(
    recipe: Recipe, dataset: Dataset, run: Run | None, seed: int, display: TrainingDisplay
) -> keras.Model:
    """Trains `recipe`, from the run's last checkpoint where there is one, and writes history and checkpoints.

    Args:
        run: None in a process that helps another one, which keeps the run; see training/distributed/collectives.py.
        seed: of the initial weights and of the order of the images.

    Returns:
        The trained model, for use: its arithmetic is float32.

    Raises:
        RunError: the checkpoint is damaged, or the loss is no longer a number.
        KeyboardInterrupt: passed on; the last whole epoch is kept.
    """
    steps = -(-len(dataset.train) // recipe.batch_size)
    model, own, done = _begun(recipe, dataset, run, seed, steps)
    history = [] if run is None else _history(run, done)
    title = f"{recipe.name}, seed {seed}: {len(dataset.train):,} training images of {dataset.name}"
    display.start(title, recipe.epochs, done, steps)
    try:
        for epoch in range(done, recipe.epochs):
            row = _one_epoch(model, own, recipe, dataset, seed, epoch, display)
            history.append(row)
            if run is not None:
                run.write_history(history)
                _checkpoint(model, run, epoch + 1)
                _keep_snapshot(model, recipe, run, epoch + 1)
            display.epoch(row)
    finally:
        display.close()
    if run is not None:
        run.update(seconds_per_epoch=[row["seconds"] for row in history])
    return architecture.to_inference(model, recipe)


def _begun(
    recipe: Recipe, dataset: Dataset, run: Run | None, seed: int, steps: int
) -> tuple[keras.Model, keras.Model, int]:
    """Returns the model to train, with its first weights or those of the checkpoint, and how many epochs it has.

    Between the two: the same model for what this process computes without the others. Alone, it is the first itself.
    """
    precision = available_precision(recipe.precision)
    class_count = len(dataset.class_names)
    own = compile_model(recipe, class_count, seed, steps, precision)
    if recipe.whitened_stem:
        architecture.whiten_stem(own, dataset.train.images)
    done: int = collectives.broadcast_object(0 if run is None else _restore(own, run))
    _wind_dropout(own, done * steps)
    if run is not None:
        used = architecture.build(recipe, class_count)
        run.update(
            parameters=used.count_params(),
            forward_flops=architecture.count_forward_flops(used),
            precision=precision,
        )
    if not collectives.is_distributed():
        return own, own, done
    with collectives.distribution_scope():
        model = compile_model(recipe, class_count, seed, steps, precision)
        first = collectives.broadcast([keras.ops.convert_to_numpy(each) for each in _state(own)])
        for variable, value in zip(_state(model), first, strict=True):
            variable.assign(value)
    return model, own, done


def _state(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


def _history(run: Run, done: int) -> list[Row]:
    """Returns the rows of the epochs that are done: a kill between the two files leaves one too many, never too few."""
    history = run.history()[:done]
    if len(history) < done:
        console.warn(
            f"{run.path}/history.csv lacks {done - len(history)} of {done} epochs; the weights have them all"
        )
    return history


def available_precision(precision: str) -> str:
    """Returns the precision if the machine calculates in it, else "float32": emulated, bfloat16 is slower than that."""
    if precision != BFLOAT16 or any(
        "cpu" not in device for device in keras.distribution.list_devices()
    ):
        return precision
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    fast = keras.backend.backend() == "tensorflow" and (
        "avx512_bf16" in flags or "amx_bf16" in flags
    )
    return BFLOAT16 if fast else FLOAT32


def compile_model(
    recipe: Recipe, class_count: int, seed: int, steps: int, precision: str = FLOAT32
) -> keras.Model:
    """Returns the recipe's model with the initial weights of `seed`, its optimiser, loss and metric.

    Args:
        steps: batches in an epoch.
        precision: of training's arithmetic.
    """
    keras.utils.set_random_seed(seed)  # of dropout
    model = architecture.build(recipe, class_count, precision, for_training=True)
    architecture.initialize_weights(model, seed)
    is_scheduled = recipe.schedule == "warmup-linear"
    rate = (
        WarmupLinear(recipe.learning_rate, recipe.epochs * steps)
        if is_scheduled
        else recipe.learning_rate
    )
    loss, metric = losses.build_loss_and_metric(recipe)
    optimizer = OPTIMIZERS[recipe.optimizer](rate, weight_decay=recipe.weight_decay or None)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta"])
    model.compile(
        optimizer=optimizer, loss=loss, metrics=[metric], steps_per_execution=STEPS_PER_CALL
    )
    model.optimizer.build(
        model.trainable_variables
    )  # else a checkpoint's optimiser state has nowhere to go
    return model


@keras.saving.register_keras_serializable("wardrobe")
class WarmupLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Climbs in a line to `highest` over the first quarter of `steps`, then falls in a line to nothing.

    Source: Smith and Topin 2017 (arXiv 1708.07120), with lines for both slopes.
    """

    def __init__(self, highest: float, steps: int) -> None:
        self.highest = highest
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        done = (keras.ops.cast(step, "float32") + 1) / self.steps
        return self.highest * keras.ops.clip(
            keras.ops.minimum(done / 0.25, (1 - done) / 0.75), 1e-3, 1
        )

    def get_config(self) -> dict[str, Any]:
        return {"highest": self.highest, "steps": self.steps}


def load_model(run: Run) -> keras.Model:
    """Returns the run's trained model.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        return keras.saving.load_model(run.keras_path)
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        raise RunError(
            f"{run.keras_path} cannot be read ({type(error).__name__}); train the run again"
        ) from error


def save_model(model: keras.Model, run: Run) -> None:
    """Writes model.keras, for inference: pixels 0-255 in, logits out; without the optimiser, a third of the size.

    The model's name says what it is and what it learnt from: "seed-fashion-mnist".
    """
    data = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(run.info()["data"]).name)
    bare = keras.Model(model.input, model.output, name=f"{model.name}-{data}")
    with atomic_write(run.keras_path) as path:
        bare.save(path)


class _Progress(keras.callbacks.Callback):
    """Hands Keras's running means to the display."""

    def __init__(self, display: TrainingDisplay) -> None:
        super().__init__()
        self.display = display

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if logs:
            self.display.step(batch + 1, float(logs["loss"]), float(logs["accuracy"]))


def _one_epoch(
    model: keras.Model,
    own: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    epoch: int,
    display: TrainingDisplay,
) -> Row:
    """Trains and validates one epoch (0 the first); returns its row of history.csv.

    Args:
        own: as `_begun` returns it; given the weights of `model` at the end.
    """
    began = time.perf_counter()
    validation, labels = dataset.validation.images[..., None], dataset.validation.labels
    if recipe.augment == "photo":
        labels = keras.utils.to_categorical(labels, len(dataset.class_names) + 1)
    given = sampling.epoch_batches(recipe, dataset, own, seed, epoch)
    with collectives.distribution_scope():
        trained = model.fit(
            **given, shuffle=False, callbacks=[_Progress(display)], verbose=0
        ).history
    if own is not model:
        own.set_weights(model.get_weights())
    scores = own.evaluate(
        **batches.from_arrays(validation, labels, VALIDATION_BATCH), return_dict=True, verbose=0
    )
    means = {name: values[0] for name, values in trained.items()} | {
        f"val_{k}": value for k, value in scores.items()
    }
    seconds = time.perf_counter() - began
    if not np.isfinite(means["loss"]):
        raise RunError(
            f"the loss is {means['loss']} after epoch {epoch + 1}, expected a number; lower the learning rate"
        )
    rate = float(model.optimizer.learning_rate)
    return {"epoch": epoch + 1, "seconds": round(seconds, 3), "learning_rate": rate, **means}


def count_epochs_done(run: Run) -> int:
    """Returns how many epochs the run's newest checkpoint has behind it; 0 without one."""
    found = _checkpoints(run)
    return int(found[-1].stem.removeprefix("epoch-")) if found else 0


def _checkpoint(model: keras.Model, run: Run, done: int) -> None:
    """Writes the checkpoint of so many epochs, then removes the older ones."""
    run.checkpoint_folder.mkdir(exist_ok=True)
    older = _checkpoints(run)
    with atomic_write(run.checkpoint_folder / f"epoch-{done:04d}.keras") as path:
        model.save(path)
    for path in older:
        path.unlink()


def _checkpoints(run: Run) -> list[Path]:
    return sorted(run.checkpoint_folder.glob("epoch-*.keras"))


def _keep_snapshot(model: keras.Model, recipe: Recipe, run: Run, done: int) -> None:
    """Writes the weights for use, in half precision, after 1, 2, 4, 8, … epochs: how the layers came to be."""
    if done & (done - 1) or done == recipe.epochs:
        return
    run.snapshots_folder.mkdir(exist_ok=True)
    weights = architecture.to_inference(model, recipe).get_weights()
    with atomic_write(run.snapshots_folder / f"epoch-{done:04d}.npz") as path:
        np.savez_compressed(path, *[each.astype(np.float16) for each in weights])


def load_snapshots(run: Run) -> dict[int, keras.Model]:
    """Returns the run's network as it was after some of its epochs: epochs done → network; none in an older run."""
    recipe, classes = run.recipe(), len(run.info()["dataset"]["class_names"])
    found = {}
    for path in sorted(run.snapshots_folder.glob("epoch-*.npz")):
        network = architecture.build(recipe, classes)
        with np.load(path) as weights:
            network.set_weights([weights[name].astype(np.float32) for name in weights.files])
        found[int(path.stem.removeprefix("epoch-"))] = network
    return found


def _wind_dropout(model: keras.Model, steps: int) -> None:
    """Sets the random generators of dropout to where `steps` batches leave them; a checkpoint does not hold them."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            state = keras.ops.convert_to_numpy(
                layer.seed_generator.state
            )  # (seed, draws so far): one a batch
            layer.seed_generator.state.assign(np.array([state[0], steps], state.dtype))


def _restore(model: keras.Model, run: Run) -> int:
    """Loads the newest checkpoint into `model`, optimiser included. Returns how many epochs it has behind it."""
    for unfinished in run.checkpoint_folder.glob(".*"):  # a kill came while it was written
        unfinished.unlink()
    found = _checkpoints(run)
    if not found:
        return 0
    try:
        model.load_weights(found[-1])
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        raise RunError(
            f"{found[-1]} cannot be read ({type(error).__name__}); remove it, and {run.resume_line} begins again"
        ) from error
    return count_epochs_done(run)
