"""Trains a run, resumes it, and joins a distributed training as a worker."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, Unpack

from wardrobe import runs
from wardrobe.data import AUTO, FASHION_MNIST, NAMES, Dataset, load_training_data
from wardrobe.errors import RunError, UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal import console, progress
from wardrobe.training.distributed.launch import Process
from wardrobe.workflows.opening import Moved, open_run_data
from wardrobe.workflows.planning import plan, sources
from wardrobe.workflows.starting import START_AGAIN, check_trackers, connect_workers, loading_keras

if TYPE_CHECKING:
    import keras

SEED_LIMIT = 2**32  # of NumPy, and so of Keras


def train(
    recipe: str | Path | Recipe | None = None,
    *,
    data: str = AUTO,
    data_dir: str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    photos_dir: str | Path | None = None,
    extra_photos: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    start_from: str | Path | None = None,
    out: str | Path | None = None,
    stream: TextIO | None = None,
    process: Process | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    log_to: Sequence[str] = (),
) -> Run:
    """Trains a recipe, scores it on the test split, and writes figures, model.onnx and report.

    Args:
        recipe: a recipe, its name, or the path of its file (`recipe_files.read`); None: that of
            the network that training starts from, or "baseline".
        data, data_dir, limit: as in `wardrobe.load_data`.
        photos_dir, extra_photos: photos for the recipe `photo`; see `load_training_data`.
        epochs: 1 or more; None: the recipe's.
        settings: fields of the recipe to change, with their values or texts; see
            `models.settings.apply`.
        start_from: the trained network whose weights, all but the last layer's, training starts
            from: "photo", a run, or a file (`sources.find`), or "nothing" for random weights. None:
            "photo" for an own folder of fewer than 5,000 files if there is no recipe, otherwise
            "nothing". A recipe given by its name is adapted to it (`sources.fine_tune`).
        seed: of the initial weights and the image order, 0 to 2**32 - 1.
        out: the new run folder; None: `runs/<recipe>-<date>-<time>`.
        stream: where progress is printed; None: stdout.
        process: process 0 of a distributed training run, which writes the run folder; the other
            processes call `train_worker`.
        callbacks: Keras's, or your own. `on_train_begin`, `on_epoch_begin` and so on are called as
            in `keras.Model.fit`, with the row of history.csv as the epoch's `logs`, and those of
            training batches about every 16 batches. `model.stop_training` ends training after the
            epoch. Of several processes, process 0 alone has them.
        log_to: experiment trackers, "tensorboard" or "mlflow"; see `trackers`.

    Raises:
        WardrobeError: the message says what failed and what to do.
    """
    log_to, settings = check_trackers(log_to), settings or {}
    start = sources.choose_default(recipe, data) if start_from is None else start_from
    source = sources.find(start)
    chosen = plan.choose_recipe(recipe, settings, epochs, source, data)
    if process is not None:
        plan.refuse_network(chosen, "training in several processes")
    if not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"--seed {seed} is out of range; give 0 to {SEED_LIMIT - 1}")
    folder = Path(out) if out is not None else None
    runs.check_new_folder(folder)
    display = progress.make_training_display(stream or sys.stdout)
    if start_from is None and source is not None:
        display.stage(sources.explain_default(source, data))
    display.stage("Opening the data")
    dataset = load_training_data(chosen, data, data_dir, limit, photos_dir, extra_photos)
    count, planned = len(dataset.train), chosen
    if source is None:  # a trained network needs few steps: docs/log.md, 2026-11-28
        is_fixed = plan.has_chosen_length(recipe, settings, epochs)
        chosen = plan.ensure_steps(planned, is_fixed, count, display)
    with loading_keras(display):
        from wardrobe.workflows import train_run
    train_run.check_start(chosen, source.file if source else None, len(dataset.class_names))
    connect_workers(process, chosen, dataset, limit, seed, display)
    lengthened_from = {"epochs": planned.epochs, "batch_size": planned.batch_size}
    run = runs.create_run(
        chosen,
        folder,
        **_describe_places(dataset, data, data_dir, extra_photos),
        dataset=dataset.describe(),
        limit=limit,
        seed=seed,
        start_from=source and source.describe(),
        log_to=log_to,
        lengthened_from=None if chosen == planned else lengthened_from,
        reproduce=partial(
            plan.format_command, chosen, source, dataset.name, count, seed, limit, extra_photos
        ),
    )
    train_run.train(run, dataset, display, callbacks)
    return run


def resume(
    name: str | Path | Run,
    recipe: str | None = None,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
    process: Process | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    log_to: Sequence[str] = (),
    **moved: Unpack[Moved],
) -> Run:
    """Resumes an interrupted run, bit for bit with the same machine, threads and versions.

    If they differ, a warning lists the differences, and run.json records them under "resumed".

    Args:
        name: the run folder, or "latest".
        recipe: if given, must be the run's.
        data_dir, moved: where the data is now; None: where it was. run.json keeps the new place.
        process: as in `train`; the number of processes may differ from before.
        callbacks: as in `train`. The run keeps what they did to the model, such as another constant
            learning rate, but not what they count themselves.
        log_to: more trackers, as in `train`. Those that the run has are kept.

    Raises:
        RunError: there is no such run, it is done, it has another recipe, or its data has changed.
    """
    run = runs.find_run(name)
    info = run.info()
    if info["status"] == runs.DONE:
        again = shlex.join(["wardrobe", "train", "--from", str(run.path), "--data", info["data"]])
        hint = f"start a new run from its weights: {again}"
        if info["recipe"].get("network"):
            hint = f"train a new run: {info['reproduce']}"  # --from takes no network of one's own
        raise RunError(f"{run.path} is done, and so is the schedule of its learning rate; {hint}")
    trained = info["recipe"]["name"]
    if recipe is not None and recipes.get(recipe).name != trained:
        raise RunError(
            f"{run.path} has recipe {trained!r}, not {recipe!r}; leave it out: {run.resume_line}"
        )
    log_to = check_trackers([*info.get("log_to", []), *log_to])
    with run.lock():  # fails before Keras is loaded if another process trains the run
        run.control_path.unlink(missing_ok=True)  # it was for the process before
    run.check_network()
    start_from = sources.check_unchanged(run)
    display, dataset = open_run_data(run, data_dir, stream, **moved)
    with loading_keras(display):
        from wardrobe.workflows import train_run
    connect_workers(process, run.recipe(), dataset, info["limit"], info["seed"], display)
    places = _describe_places(dataset, moved.get("data"), data_dir, moved.get("extra_photos"))
    changes: dict[str, Any] = {key: place for key, place in places.items() if place is not None}
    changes |= {"start_from": start_from, "log_to": log_to}
    differences = runs.list_differences(info, runs.describe_provenance())
    if differences and not run.keras_path.exists():  # it is written when training ends
        changed = "; ".join(differences)
        console.warn(f"the weights may differ from those of an uninterrupted run: {changed}")
        changes["resumed"] = [*info.get("resumed", []), differences]
    run.update(status=runs.RUNNING, **changes)
    train_run.train(run, dataset, display, callbacks)
    return run


def train_worker(
    process: Process,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
    *,
    photos_dir: str | Path | None = None,
    extra_photos: str | Path | None = None,
) -> None:
    """Trains together with process 0, on the data of this host; writes no files.

    Args:
        process: any process but 0.
        data_dir, photos_dir, extra_photos: where this host has what process 0 is given.

    Raises:
        WardrobeError: process 0 cannot be reached or is lost, or its data is different.
    """
    display = progress.make_training_display(stream or sys.stdout)
    with loading_keras(display):
        from wardrobe.workflows import train_run
    from wardrobe.training.distributed import collectives

    display.stage(f"{process} waits for process 0 at {process.coordinator}")
    collectives.join(process)
    with collectives.report_lost_process(START_AGAIN):
        task = collectives.broadcast_object(None)
        recipe = recipes.from_dict(task["recipe"])
        collectives.check_batch_size(recipe.batch_size)
        folders = photos_dir, extra_photos
        dataset = load_training_data(recipe, task["data"], data_dir, task["limit"], *folders)
        collectives.check_equal("data", dataset.checksums)
    train_run.train_worker(recipe, dataset, task["seed"], display)


def _describe_places(
    dataset: Dataset, data: str | None, data_dir: str | Path | None, extra_photos: str | Path | None
) -> dict[str, str | None]:
    """Returns the entries of run.json that say where the data is, from what a command was given.

    Fashion-MNIST is in `data` if that is a folder or file, otherwise in `data_dir`. If neither is
    given, it is in the folder where it was found, such as $WARDROBE_DATA.
    """
    if dataset.name == FASHION_MNIST:
        if data is not None and data not in NAMES:
            data_dir = data
        elif data_dir is None and Path(dataset.source).is_dir():
            data_dir = dataset.source
    photos_dir = dataset.photos.source if dataset.photos is not None else None
    places = {"data_dir": data_dir, "photos_dir": photos_dir, "extra_photos": extra_photos}
    found = {
        key: None if place is None else str(Path(place).resolve()) for key, place in places.items()
    }
    return {"data": dataset.name, **found}
