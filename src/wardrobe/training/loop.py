"""The training loop. It uses Keras alone, so that every backend trains the same recipes.

With the same machine, number of threads and versions, the same seed gives the same weights, bit
for bit, even if training was killed and resumed: the initial weights follow from the seed, the
order of an epoch from the seed and the epoch, and a checkpoint holds weights and optimizer.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wardrobe.data import batches
from wardrobe.data.dataset import Dataset
from wardrobe.errors import RunError
from wardrobe.models import architecture, initializers
from wardrobe.models.recipes import FLOAT32, Recipe
from wardrobe.runs import Row, Run, format_recipe
from wardrobe.terminal import console
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints, losses, sampling, schedules, transfer
from wardrobe.training.control import Controller
from wardrobe.training.distributed import collectives
from wardrobe.training.live import Recorder
from wardrobe.training.muon import Muon
from wardrobe.training.precision import choose_precision

# Batches that Keras runs between two updates of the display; 16 saves a quarter of the time.
STEPS_PER_CALL = 16
VALIDATION_BATCH = 500  # images
OPTIMIZERS = {"adam": keras.optimizers.Adam, "muon": Muon}


def fit(
    recipe: Recipe,
    dataset: Dataset,
    run: Run | None,
    seed: int,
    display: TrainingDisplay,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.Model:
    """Trains `recipe` and returns its model for inference, in float32.

    Training resumes from the run's checkpoint if it has one. Each epoch writes history.csv, a
    snapshot and a checkpoint. See also `live` and `control`.

    Args:
        run: None in all but the first of several processes; see training/distributed.
        seed: of the initial weights, the order of the images and their augmentation.
        callbacks: their hooks for training, epochs and training batches are called; see `_Hooks`.

    Raises:
        RunError: the checkpoint is damaged, or the loss is not finite.
        KeyboardInterrupt: the last complete epoch is on disk.
    """
    steps = -(-len(dataset.train) // recipe.batch_size)  # batches an epoch, rounded up
    history = [] if run is None else _read_history(run, checkpoints.count_epochs_done(run))
    recipe = _set_epochs(recipe, run, history)  # if killed before it was written
    model, local, done = _prepare(recipe, dataset, run, seed, steps)
    controller = Controller(model, recipe, run, steps, done, display)
    recorder = None if run is None else Recorder(model, run, done, len(dataset.train), recipe)
    display.start(_format_title(recipe, dataset, run, seed), recipe.epochs, done, steps)
    progress = _Progress(display, recorder, controller)
    hooks = _Hooks(model, [progress, *callbacks], epochs=recipe.epochs, steps=steps)
    hooks.listeners.on_train_begin()
    try:
        while (reason := _find_end(recipe, run, history, done)) is None:
            hooks.listeners.on_epoch_begin(done)
            training = sampling.make_epoch_batches(recipe, dataset, local, seed, done, run)
            scores = _train(model, training, hooks) | _validate(local, model, recipe, dataset)
            seconds = round(progress.seconds, 3)
            _check_loss(scores["loss"], done)  # before the checkpoint: the last good one stays
            rate = float(model.optimizer.learning_rate)  # the schedule's value after the epoch
            row = {"epoch": done + 1, "seconds": seconds, "learning_rate": rate, **scores}
            history.append(row)
            hooks.listeners.on_epoch_end(done, row)  # before the checkpoint, which has its changes
            _save_epoch(model, recipe, run, history, hooks.is_stopped)
            done += 1
            if (longer := _set_epochs(recipe, run, history)) != recipe:
                recipe = longer
                controller.set_epochs(recipe)
                display.set_epochs(recipe.epochs)
            display.epoch(row)
        hooks.listeners.on_train_end()
    finally:
        display.close()
        if recorder is not None:
            recorder.close()
    if run is not None and _keep_best(local, recipe, run, history, done, reason, display) != done:
        model = local
    return architecture.to_inference(model, recipe)


def _set_epochs(recipe: Recipe, run: Run | None, history: list[Row]) -> Recipe:
    """Returns the recipe with the epochs that fit into its minutes; run.json has them first."""
    epochs = collectives.broadcast_object(schedules.count_epochs(recipe, history))
    if epochs == recipe.epochs:
        return recipe
    recipe = replace(recipe, epochs=epochs)
    if run is not None:
        run.update(recipe={**run.info()["recipe"], "epochs": epochs})
    return recipe


def _find_end(recipe: Recipe, run: Run | None, history: list[Row], done: int) -> str | None:
    """Returns why training ends after the epochs done; None if it does not."""
    reason, best = None, checkpoints.find_best_epoch(recipe, history)
    if done >= recipe.epochs:
        minutes = recipe.minutes
        reason = "all epochs are done" if minutes is None else f"no more fit into {minutes:g} min"
    elif run is not None and done and run.info().get("stopped_after") == done:
        reason = "a callback stopped it"
    elif best is not None and recipe.patience is not None and done - best >= recipe.patience:
        reason = f"val_loss has not fallen for {recipe.patience} epochs"
    answer: str | None = collectives.broadcast_object(reason)  # of process 0, for all
    return answer


def _keep_best(
    local: keras.Model,
    recipe: Recipe,
    run: Run,
    history: list[Row],
    done: int,
    reason: str,
    display: TrainingDisplay,
) -> int:
    """Loads the weights that the run keeps, and says in run.json which and why; returns the epoch.

    Args:
        local: keeps its weights if they are those of the last epoch.
    """
    kept = checkpoints.find_best_epoch(recipe, history) or done
    if kept != done:
        checkpoints.restore_best(local, run, kept)
    run.update(
        seconds_per_epoch=[row["seconds"] for row in history],
        training_end={"epochs": done, "kept_epoch": kept, "reason": reason},
    )
    if recipe.minutes is not None or recipe.patience is not None or done < recipe.epochs:
        which = f"the weights are those of epoch {kept}"
        display.stage(f"Training ended after epoch {done}: {reason}; {which}")
    return kept


def _save_epoch(
    model: keras.Model, recipe: Recipe, run: Run | None, history: list[Row], is_stopped: bool
) -> None:
    """Writes what a resumed run needs. The checkpoint is last: what it has, the others have."""
    if run is None:
        return
    epoch = int(history[-1]["epoch"])
    if is_stopped:
        run.update(stopped_after=epoch)
    run.write_history(history)
    checkpoints.save_snapshot(model, run, epoch)
    best = checkpoints.find_best_epoch(recipe, history)
    checkpoints.save_checkpoint(model, run, epoch, best)


def _format_title(recipe: Recipe, dataset: Dataset, run: Run | None, seed: int) -> str:
    info: dict[str, Any] = {"recipe": {"name": recipe.name}} if run is None else run.info()
    start = f" from {info['start_from']['source']}" if info.get("start_from") else ""
    images = f"{len(dataset.train):,} training images of {dataset.name}"
    return f"{format_recipe(info)}{start}, seed {seed}: {images}"


def _prepare(
    recipe: Recipe, dataset: Dataset, run: Run | None, seed: int, steps: int
) -> tuple[keras.Model, keras.Model, int]:
    """Returns the model to train, the model for this process alone, and the epochs done.

    Both models have the same weights. In a single process they are the same object. In several, the
    first is distributed over all, and the second computes validation and losses in this one.
    """
    precision = choose_precision(recipe.precision)
    class_count = len(dataset.class_names)
    weights = None
    if recipe.class_weights == "balanced":
        weights = losses.balance_classes(dataset.train.labels, class_count)
    local = compile_model(recipe, class_count, seed, steps, precision, weights)
    if recipe.whitened_stem:
        initializers.whiten_stem(local, dataset.train.images)  # from the images: no seed involved
    # Only process 0 has a run folder. It tells the others where to start.
    done = 0 if run is None else checkpoints.restore_checkpoint(local, run)
    if run is not None and not done and (source := run.info().get("start_from")):
        transfer.load_weights(local, transfer.read_weights(Path(source["file"]), recipe))
    done = collectives.broadcast_object(done)
    _restore_dropout(local, done * steps)  # before the copy below, so that all processes agree
    if run is not None:
        network = architecture.build(recipe, class_count)  # for inference: norms are folded in
        flops = architecture.count_forward_flops(network)
        run.update(
            parameters=network.count_params(),
            forward_flops=flops,
            precision=precision,
            backend=keras.backend.backend(),
            devices=keras.distribution.list_devices(),
            processes=collectives.count_processes(),
            class_weights=weights and dict(zip(dataset.class_names, weights, strict=True)),
        )
        if done == 0:
            checkpoints.save_snapshot(local, run, 0)
    if not collectives.is_distributed():
        return local, local, done
    with collectives.distribution_scope():
        model = compile_model(recipe, class_count, seed, steps, precision, weights)
        state = [keras.ops.convert_to_numpy(variable) for variable in _list_variables(local)]
        state = collectives.broadcast(state)
        for variable, value in zip(_list_variables(model), state, strict=True):
            variable.assign(value)
    return model, local, done


def compile_model(
    recipe: Recipe,
    class_count: int,
    seed: int,
    steps: int,
    precision: str = FLOAT32,
    class_weights: Sequence[float] | None = None,
) -> keras.Model:
    """Returns the recipe's model with initial weights, optimizer, loss and metric.

    Args:
        steps: batches per epoch.
        precision: of the layers' arithmetic, "float32" or "bfloat16".
        class_weights: of the loss, one for each class; None: all count as 1.
    """
    keras.utils.set_random_seed(seed)  # for dropout, and the weights of a network of one's own
    model = architecture.build(recipe, class_count, precision, for_training=True)
    if recipe.network is None:  # otherwise Keras has drawn them, from the seed set above
        initializers.initialize_weights(model, seed)  # NumPy draws them: equal on every backend
    schedule = schedules.SCHEDULES[recipe.schedule]
    rate = schedule(recipe.learning_rate, recipe.epochs * steps, recipe.warmup_fraction)
    options = {"iterations": recipe.muon_iterations} if recipe.optimizer == "muon" else {}
    decay = recipe.weight_decay or None
    optimizer = OPTIMIZERS[recipe.optimizer](rate, weight_decay=decay, **options)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    loss, metric = losses.build_loss_and_metric(recipe, class_weights)
    model.compile(optimizer, loss, metrics=[metric], steps_per_execution=STEPS_PER_CALL)
    # Without variables, the optimizer could not take its state from a checkpoint.
    model.optimizer.build(model.trainable_variables)
    return model


def _list_variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


def _restore_dropout(model: keras.Model, steps: int) -> None:
    """Sets the random state of dropout, which checkpoints do not hold, to that after `steps`."""
    for layer in model.layers:
        if (generator := getattr(layer, "seed_generator", None)) is not None:
            # (seed, number of draws so far): one draw per batch
            state = keras.ops.convert_to_numpy(generator.state)
            generator.state.assign(np.array([state[0], steps], state.dtype))


def _read_history(run: Run, done: int) -> list[Row]:
    """Returns the rows of the epochs done.

    history.csv is written before the checkpoint. A kill in between leaves one row too many.
    """
    history = run.history()[:done]
    if len(history) < done:
        lost = f"{run.path}/history.csv lacks {done - len(history)} of {done} epochs"
        console.warn(f"{lost}; the weights include them")
    return history


def _train(model: keras.Model, training: dict[str, Any], hooks: keras.callbacks.Callback) -> Row:
    """Trains one epoch; returns the means of loss and accuracy over it."""
    with collectives.distribution_scope():
        # sampling.py has shuffled the images.
        result = model.fit(**training, shuffle=False, callbacks=[hooks], verbose=0)
    return {name: values[0] for name, values in result.history.items()}  # fit ran one epoch


def _validate(local: keras.Model, model: keras.Model, recipe: Recipe, dataset: Dataset) -> Row:
    """Returns val_loss and val_accuracy of `model`, computed by `local` with the same weights."""
    if local is not model:
        local.set_weights(model.get_weights())  # `local` is of this process alone
    images, labels = dataset.validation.images[..., None], dataset.validation.labels
    if recipe.photo_fraction:  # the targets have one more class, "unknown"
        labels = keras.utils.to_categorical(labels, len(dataset.class_names) + 1)
    validation = batches.from_arrays(images, labels, VALIDATION_BATCH)
    scores = local.evaluate(**validation, return_dict=True, verbose=0)
    return {f"val_{name}": value for name, value in scores.items()}


def _check_loss(loss: float, epoch: int) -> None:
    if not np.isfinite(loss):
        problem = f"the loss is {loss} after epoch {epoch + 1}, expected a number"
        raise RunError(f"{problem}; lower the learning rate")


class _Hooks(keras.callbacks.Callback):
    """Passes the hooks of training batches on; the loop itself calls those of epochs and training.

    The loop runs Keras's `fit` once an epoch, and each would be a whole training to a callback.
    Keras calls the hooks of batches every STEPS_PER_CALL batches.

    Attributes:
        listeners: the callbacks.
        is_stopped: whether one has set `model.stop_training`. Training stops at the epoch's end, so
            that each row and checkpoint has a whole epoch.
    """

    def __init__(self, model: keras.Model, callbacks: Sequence[Any], **params: int) -> None:
        super().__init__()
        self.listeners = keras.callbacks.CallbackList(list(callbacks), model=model, **params)
        self.trained = model  # `self.model` would copy the weights on JAX
        self._is_stopped = False

    @property
    def is_stopped(self) -> bool:
        return bool(self._is_stopped or self.trained.stop_training)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.listeners.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.listeners.on_train_batch_end(batch, logs)
        self._is_stopped, self.trained.stop_training = self.is_stopped, False


class _Progress(keras.callbacks.Callback):
    """Shows and records Keras's running means, then lets the training be controlled.

    Attributes:
        seconds: since the epoch began, without pauses.
    """

    def __init__(
        self, display: TrainingDisplay, recorder: Recorder | None, controller: Controller
    ) -> None:
        super().__init__()
        self.display, self.recorder, self.controller = display, recorder, controller

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.epoch = epoch + 1
        self.started, self.paused = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started - self.paused

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if not logs:  # they come every STEPS_PER_CALL batches
            return
        step = min(batch + 1, self.controller.steps)  # Keras counts the last call as a full one
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        self.display.step(step, loss, accuracy)
        if self.recorder is not None:
            self.recorder.record(self.epoch, step, self.seconds, loss, accuracy)
        self.paused += self.controller.obey(self.epoch, step)
