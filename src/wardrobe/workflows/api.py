"""The jobs behind the commands and the Python API: check what is asked, open data and run, hand over to workflows/train_run.py.

Keras is loaded last, so that a wrong call is answered at once.
"""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from wardrobe import runs
from wardrobe.data import AUTO, FASHION_MNIST, TEST, VALIDATION, Dataset, load_data
from wardrobe.errors import PhotoError, RunError, UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import TTA_VIEWS, Recipe
from wardrobe.runs import Run
from wardrobe.terminal import console, progress
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training.distributed.launch import Process

SEED_LIMIT = 2**32  # NumPy's, and so Keras's


def train(
    recipe: str | Recipe = "baseline",
    *,
    data: str = AUTO,
    data_dir: str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    out: str | Path | None = None,
    stream: TextIO | None = None,
    member: Process | None = None,
) -> Run:
    """Does the whole job: data, training, test evaluation, plots, ONNX, report.

    Args:
        recipe: a recipe or its name.
        data, data_dir, limit: as in `data.load_data`.
        epochs: in place of the recipe's own, 1 or more.
        seed: of initial weights and image order, 0 to 2**32 - 1.
        out: the run folder to make; without it `runs/<recipe>-<date>-<time>`.
        stream: where progress goes; stdout without it.
        member: process 0 of a training of several, which keeps the run; the others call `train_beside`.

    Raises:
        WardrobeError: what could not be done, and what to do next.
    """
    chosen = _checked(recipes.get(recipe) if isinstance(recipe, str) else recipe, epochs, seed)
    folder = Path(out) if out is not None else None
    if folder is not None:
        runs.check_new_folder(folder)
    display = progress.make_training_display(stream or sys.stdout)
    display.stage("Opening the data")
    dataset = load_data(data, data_dir, limit, chosen.held_out)
    train_run = _load_train_run(display)
    _lead(member, chosen, dataset, limit, seed, display)
    run = runs.create_run(
        chosen,
        folder,
        data=dataset.name,
        dataset=dataset.describe(),
        data_dir=str(Path(data_dir).resolve()) if data_dir else None,
        limit=limit,
        seed=seed,
        reproduce=_reproduce(chosen, dataset.name, seed, limit),
    )
    train_run.train(run, dataset, display)
    return run


def resume(
    name: str | Path,
    recipe: str | None = None,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
    member: Process | None = None,
) -> Run:
    """Goes on with a run that was killed or interrupted, to the same end as if it had been left alone.

    Args:
        name: the run folder, or "latest".
        recipe: if given, must be the one that the run was made with.
        data_dir: where the data lies now, if elsewhere.
        member: as in `train`; as many processes as before, or others, or none.

    Raises:
        RunError: no such run, one that is done, one of another recipe, or its data has changed.
    """
    run = runs.find_run(name)
    info = run.info()
    if info["status"] == runs.DONE:
        raise RunError(
            f"{run.path} is done, there is nothing to resume; train again with: wardrobe train"
        )
    made_with = info["recipe"]["name"]
    if recipe is not None and recipes.get(recipe).name != made_with:
        raise RunError(
            f"{run.path} was made with recipe {made_with!r}, not with {recipe!r}; leave it out: {run.resume_line}"
        )
    with run.locked():  # told before Keras is loaded, if another process trains it
        pass
    display, dataset = _opened(run, data_dir, stream)
    train_run = _load_train_run(display)
    _lead(member, run.recipe(), dataset, info["limit"], info["seed"], display)
    kept = {} if data_dir is None else {"data_dir": str(Path(data_dir).resolve())}
    run.update(status=runs.RUNNING, **kept)
    train_run.train(run, dataset, display)
    return run


def train_worker(
    member: Process, data_dir: str | Path | None = None, stream: TextIO | None = None
) -> None:
    """Trains what process 0 does, beside it, with the data of this host; keeps nothing.

    Args:
        member: any process but 0.

    Raises:
        WardrobeError: process 0 cannot be met, or is lost; or the data here is not what it has.
    """
    display = progress.make_training_display(stream or sys.stdout)
    train_run = _load_train_run(display)
    from wardrobe.training.distributed import collectives

    display.stage(f"{member} waits for process 0 at {member.coordinator}")
    collectives.join(member)
    with collectives.report_lost_process("start it again on every host"):
        task = collectives.broadcast_object(None)
        recipe = recipes.from_dict(task["recipe"])
        collectives.check_batch_size(recipe.batch_size)
        dataset = load_data(task["data"], data_dir, task["limit"], recipe.held_out)
        collectives.check_equal("data", dataset.checksums)
    train_run.train_worker(recipe, dataset, task["seed"], display)


def evaluate(
    name: str | Path,
    split: str = TEST,
    data_dir: str | Path | None = None,
    tta_views: int | None = None,
    stream: TextIO | None = None,
) -> Run:
    """Scores a run on "test" or "validation" and writes its metrics, plots and report again.

    Args:
        tta_views: of an image that an answer is the mean over, 1, 2 or 6, in place of the recipe's own; the run's
            model.onnx stays what it is.

    Raises:
        RunError: no such run, no model in it, or its data has changed.
        UsageError: `split` is neither, or `tta_views` none of these.
    """
    if split not in (TEST, VALIDATION):
        raise UsageError(f"unknown split {split!r}; give 'test' or 'validation'")
    if tta_views is not None and tta_views not in TTA_VIEWS:
        raise UsageError(
            f"--tta-views {tta_views} is not known; give 1, 2 or 6, or leave it out for the recipe's own"
        )
    run = runs.find_run(name)
    _check_model(run)
    display, dataset = _opened(run, data_dir, stream)
    _load_train_run(display).evaluate(
        run, dataset, split, tta_views or run.recipe().tta_views, display
    )
    return run


def export_model(
    name: str | Path,
    to: str = "onnx",
    int8: bool = False,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Writes a run's model in a format for other engines, checked against Keras on every test image.

    Args:
        name: a run folder, "latest", or a model that ships, "photo" or "baseline".
        to: "onnx", "litert" or "openvino".
        int8: with weights and activations as 8-bit integers.
        out: the folder where the file goes, made if need be; without it, into the run, or here for a model that ships.

    Returns:
        "model", "file", "format", "int8", "bytes"; "n" test images, "largest_logit_difference", "same_answers",
        "accuracy" and "keras_accuracy".

    Raises:
        UsageError: an unknown format. RunError: no such run, no model in it, or its data has changed.
        WardrobeError: the file is not what Keras is; it was not kept. ImportError: the format's package is missing.
    """
    from wardrobe.inference import engines
    from wardrobe.inference.classifier import PRETRAINED, SHIPPED_FILES

    engines.check_format(to, int8)
    display = progress.make_training_display(stream or sys.stdout)
    source: Run | Path
    if name in SHIPPED_FILES and not Path(name).exists():
        source = PRETRAINED / f"{name}.onnx"
        display.stage("Opening the data")
        dataset = load_data(FASHION_MNIST, data_dir)
    else:
        source = runs.find_run(name)
        _check_model(source)
        display, dataset = _opened(source, data_dir, stream)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
    found = _load_train_run(display).export_model(
        source, dataset, to, int8, None if out is None else Path(out), display
    )
    return {"model": str(name), **found}


def explain(
    name: str | Path,
    layer: str | None = None,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
) -> Run:
    """Looks into a run: pictures into its plots folder, numbers into explain.json, and the report anew.

    Args:
        layer: draw what excites the filters of this layer, as plots/layer-NAME.png, and nothing else.

    Raises:
        RunError: no such run, one that was not scored yet, or its data has changed. UsageError: no such layer.
    """
    run = runs.find_run(name)
    if not run.metrics_path.is_file():
        raise RunError(
            f"{run.path} was not scored yet: its training did not end; go on with: {run.resume_line}"
        )
    display, dataset = _opened(run, data_dir, stream)
    with _starting_keras(display):
        from wardrobe.workflows import explain_run
    if layer is None:
        explain_run.explain_run(run, dataset, display)
    else:
        display.stage(f"Written: {explain_run.explain_layer(run, dataset, layer, display)}")
    return run


def explain_image(
    image: str | Path,
    model: str | Path | None = None,
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    stream: TextIO | None = None,
) -> Path:
    """Draws one image's way from its pixels to the answer.

    Args:
        image: a photo, or a 28x28 picture in the form of the data.
        model: a run, "latest", an .onnx file, or None for the model that ships.
        out: the PNG to write; without it, `explain-<image>.png` in the run folder, or here where there is none.

    Returns:
        The PNG's path.

    Raises:
        PhotoError: the image cannot be read. ModelError, RunError: there is no such model, or its data has changed.
    """
    from wardrobe import photo
    from wardrobe.inference.classifier import resolve_model

    try:
        steps = photo.prepare_steps(image)
    except OSError as error:
        raise PhotoError(
            f"{image} cannot be read: {error.strerror or error}; give a picture"
        ) from error
    except PhotoError as error:
        raise PhotoError(f"{image}: {error}") from error
    file = resolve_model(model)  # told before Keras is loaded, if there is no such model
    beside = Run(file.parent)  # whose own model the file is, or another that is kept there
    run = beside if file == beside.onnx_path and (beside.path / "run.json").is_file() else None
    display = progress.make_training_display(stream or sys.stdout)
    dataset = None
    if run is not None and run.keras_path.is_file():
        display.stage("Opening the data")
        dataset = _same_data(run, data_dir)
    home = run.path if run is not None else Path()
    target = Path(out) if out is not None else home / f"explain-{Path(image).stem}.png"
    with _starting_keras(display):
        from wardrobe.workflows import image_sheet
    image_sheet.write_sheet(Path(image).name, steps, run or model, dataset, target, display)
    return target


def summarize(run: Run) -> dict[str, Any]:
    """Returns the object that `--json` prints for a run: who it is, and metrics.json."""
    info = run.info()
    head = {key: info[key] for key in ("data", "seed", "status")}
    return {"run": str(run.path), "recipe": info["recipe"]["name"], **head, **run.metrics()}


def _lead(
    member: Process | None,
    recipe: Recipe,
    dataset: Dataset,
    limit: int | None,
    seed: int,
    display: TrainingDisplay,
) -> None:
    """Meets the other processes, if there are any, and tells them what will be trained."""
    if member is None:
        return
    from wardrobe.training.distributed import collectives

    display.stage(f"{member} waits for the others at {member.coordinator}")
    collectives.join(member)
    with collectives.report_lost_process("start it again on every host"):
        collectives.broadcast_object(
            {"recipe": asdict(recipe), "data": dataset.name, "limit": limit, "seed": seed}
        )
        collectives.check_batch_size(recipe.batch_size)
        collectives.check_equal("data", dataset.checksums)


def _checked(recipe: Recipe, epochs: int | None, seed: int) -> Recipe:
    chosen = recipes.with_epochs(recipe, epochs)
    if not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"--seed {seed} is out of range; give 0 to {SEED_LIMIT - 1}")
    return chosen


def _reproduce(recipe: Recipe, data: str, seed: int, limit: int | None) -> str:
    """Returns the line that makes this run again: of the command line, or of Python for a recipe that does not ship."""
    shipped = recipes.RECIPES.get(recipe.name)
    if shipped is None or replace(shipped, epochs=recipe.epochs) != recipe:
        return f"wardrobe.train({recipe!r}, data={data!r}, seed={seed}, limit={limit})"
    words = ["wardrobe", "train", recipe.name, "--data", shlex.quote(data), "--seed", str(seed)]
    words += ["--epochs", str(recipe.epochs)] if recipe.epochs != shipped.epochs else []
    words += ["--limit", str(limit)] if limit else []
    return " ".join(words)


def _check_model(run: Run) -> None:
    if not run.keras_path.is_file():
        raise RunError(
            f"{run.path} has no model.keras: its training did not end; go on with: {run.resume_line}"
        )


def _opened(
    run: Run, data_dir: str | Path | None, stream: TextIO | None
) -> tuple[TrainingDisplay, Dataset]:
    """Returns what shows the work on a run, and the run's data."""
    display = progress.make_training_display(stream or sys.stdout)
    display.stage("Opening the data")
    return display, _same_data(run, data_dir)


def _same_data(run: Run, data_dir: str | Path | None) -> Dataset:
    """Opens the run's data again and checks that it is what it was."""
    info = run.info()
    if data_dir is None and info["data_dir"]:
        data_dir = Path(info["data_dir"])
    try:
        dataset = load_data(info["data"], data_dir, info["limit"], run.recipe().held_out)
    except UsageError as error:
        raise RunError(f"the data of {run.path} cannot be opened: {error}") from error
    if (
        dataset.checksums != info["dataset"]["checksums"]
        or list(dataset.class_names) != info["dataset"]["class_names"]
    ):
        raise RunError(
            f"the data in {dataset.source} is not what {run.path} was trained on; restore it, or train again"
        )
    return dataset


def _load_train_run(display: TrainingDisplay) -> ModuleType:
    with _starting_keras(display):
        from wardrobe.workflows import train_run
    return train_run


@contextmanager
def _starting_keras(display: TrainingDisplay) -> Iterator[None]:
    """Says that Keras and its backend are being loaded, some seconds, and keeps them quiet meanwhile."""
    display.stage("Starting Keras")
    with console.suppress_native_logs():
        yield
