"""The whole jobs behind the commands and the Python API: each calls the layers below in order and fills a run folder."""

import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import keras
import numpy as np

from wardrobe import console, evaluation, explain, export, metrics, plots, recipes, report, runs, training
from wardrobe.data import AUTO, Dataset, load_data
from wardrobe.errors import InterruptedRunError, RunError, UsageError
from wardrobe.evaluation import Evaluation
from wardrobe.recipes import Recipe
from wardrobe.runs import Run

SEED_LIMIT = 2**32  # NumPy's, and so Keras's
GRID_IMAGES = 40
BARS_FIRST, BARS_WRONG = 9, 6  # images in the plot of confidence bars


def train(
    recipe: str | Recipe = "seed",
    *,
    data: str = AUTO,
    data_dir: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    path: Path | None = None,
    stream: TextIO | None = None,
) -> Run:
    """Does the whole job: data, training, test evaluation, plots, ONNX, report.

    Args:
        recipe: a recipe or its name.
        data, data_dir, limit: as in `data.load_data`.
        epochs: in place of the recipe's own, 1 or more.
        seed: of initial weights and image order, 0 to 2**32 - 1.
        path: the run folder to make; without it `runs/<recipe>-<date>-<time>`.
        stream: where progress goes; stdout without it.

    Raises:
        WardrobeError: what could not be done, and what to do next.
    """
    chosen = _checked(recipes.get(recipe) if isinstance(recipe, str) else recipe, epochs, seed)
    if path is not None:
        runs.check_free(path)
    dataset = load_data(data, data_dir, limit)
    run = runs.create(
        chosen,
        path,
        data=dataset.name,
        dataset=dataset.describe(),
        data_dir=str(data_dir.resolve()) if data_dir else None,
        limit=limit,
        seed=seed,
        reproduce=_reproduce(chosen, dataset.name, seed, limit),
    )
    return _train_and_finish(run, dataset, stream)


def resume(name: str | Path, recipe: str | None = None, data_dir: Path | None = None, stream: TextIO | None = None) -> Run:
    """Goes on with a run that was killed or interrupted, to the same end as if it had been left alone.

    Args:
        name: the run folder, or "latest".
        recipe: if given, must be the one that the run was made with.
        data_dir: where the data lies now, if elsewhere.

    Raises:
        RunError: no such run, one that is done, one of another recipe, or its data has changed.
    """
    run = runs.find(name)
    info = run.info()
    if info["status"] == runs.DONE:
        raise RunError(f"{run.path} is done, there is nothing to resume; train again with: wardrobe train")
    if recipe is not None and recipes.get(recipe) != run.recipe():
        raise RunError(
            f"{run.path} was made with recipe {info['recipe']['name']!r}"
            f"{' and other settings' if info['recipe']['name'] == recipe else ''}, not with {recipe!r}; "
            f"leave the recipe out: {training.resume_line(run)}"
        )
    dataset = _same_data(run, data_dir)
    run.update(status=runs.RUNNING)
    return _train_and_finish(run, dataset, stream)


def evaluate(
    name: str | Path, split: str = evaluation.TEST, data_dir: Path | None = None, stream: TextIO | None = None
) -> Run:
    """Scores a run on "test" or "validation" and writes its metrics, plots and report again.

    Raises:
        RunError: no such run, no model in it, or its data has changed.
        UsageError: `split` is neither.
    """
    if split not in (evaluation.TEST, evaluation.VALIDATION):
        raise UsageError(f"unknown split {split!r}; give 'test' or 'validation'")
    run = runs.find(name)
    model = training.load(run)
    display = console.training_display(stream or sys.stdout)
    _evaluate(model, run, _same_data(run, data_dir), split, display)
    display.stage(f"Report: {report.write(run)}")
    return run


def summary(run: Run) -> dict[str, Any]:
    """Returns the object that `--json` prints for a run: who it is, and metrics.json."""
    info = run.info()
    head = {key: info[key] for key in ("data", "seed", "status")}
    return {"run": str(run.path), "recipe": info["recipe"]["name"], **head, **run.metrics()}


def _checked(recipe: Recipe, epochs: int | None, seed: int) -> Recipe:
    if epochs is not None and epochs < 1:
        raise UsageError(f"--epochs {epochs} trains nothing; give 1 or more, or leave it out for {recipe.epochs}")
    if not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"--seed {seed} is out of range; give 0 to {SEED_LIMIT - 1}")
    return replace(recipe, epochs=epochs) if epochs else recipe


def _reproduce(recipe: Recipe, data: str, seed: int, limit: int | None) -> str:
    """Returns the line that makes this run again: of the command line, or of Python for a recipe that does not ship."""
    shipped = recipes.RECIPES.get(recipe.name)
    if shipped is None or replace(shipped, epochs=recipe.epochs) != recipe:
        return f"wardrobe.train({recipe!r}, data={data!r}, seed={seed}, limit={limit})"
    words = ["wardrobe", "train", recipe.name, "--data", shlex.quote(data), "--seed", str(seed)]
    words += ["--epochs", str(recipe.epochs)] if recipe.epochs != shipped.epochs else []
    words += ["--limit", str(limit)] if limit else []
    return " ".join(words)


def _same_data(run: Run, data_dir: Path | None) -> Dataset:
    """Opens the run's data again and checks that it is what it was."""
    info = run.info()
    if data_dir is None and info["data_dir"]:
        data_dir = Path(info["data_dir"])
    dataset = load_data(info["data"], data_dir, info["limit"])
    if dataset.sums != info["dataset"]["sums"] or list(dataset.class_names) != info["dataset"]["class_names"]:
        raise RunError(f"the data in {dataset.source} is not what {run.path} was trained on; restore it, or train again")
    return dataset


def _train_and_finish(run: Run, dataset: Dataset, stream: TextIO | None) -> Run:
    info, recipe = run.info(), run.recipe()
    display = console.training_display(stream or sys.stdout)
    try:
        model = training.fit(recipe, dataset, run, info["seed"], display)
        training.save(model, run)
        evaluated = _evaluate(model, run, dataset, evaluation.TEST, display)
        display.stage("Writing model.onnx and checking it against Keras")
        about = {"class_names": list(dataset.class_names), "recipe": recipe.name, "data": dataset.name, "seed": info["seed"]}
        scores = {key: evaluated.metrics[key] for key in ("temperature", "split", "n", "accuracy", "accuracy_interval_95")}
        difference = export.to_onnx(model, run.onnx_path, about | scores, evaluated.images, evaluated.logits)
        run.update(
            status=runs.DONE,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            onnx_largest_logit_difference=difference,
        )
        display.stage(f"Report: {report.write(run)}")
    except KeyboardInterrupt:
        run.update(status=runs.INTERRUPTED)
        raise InterruptedRunError(
            f"interrupted after {len(run.history())} of {recipe.epochs} epochs; go on with: {training.resume_line(run)}"
        ) from None
    return run


def _evaluate(
    model: keras.Model, run: Run, dataset: Dataset, split: str, display: console.TrainingDisplay
) -> Evaluation:
    size = dataset.test_size if split == evaluation.TEST else len(dataset.validation)
    display.stage(f"Scoring {size:,} {split} images")
    evaluated = evaluation.evaluate(model, dataset, split)
    run.write_metrics(evaluated.metrics)
    with runs.replacing(run.predictions_path) as path:
        np.savez_compressed(path, logits=evaluated.logits, labels=evaluated.labels, data=np.array(dataset.name))
    display.stage("Drawing plots")
    _draw(model, run, dataset, evaluated, split)
    return evaluated


def _draw(model: keras.Model, run: Run, dataset: Dataset, evaluated: Evaluation, split: str) -> None:
    """Draws every plot of the run folder."""
    images, labels, sure = evaluated.images, evaluated.labels, evaluated.probabilities
    names, scores = dataset.class_names, evaluated.metrics
    wrong = np.flatnonzero(sure.argmax(axis=1) != labels)
    worst = wrong[np.argsort(-sure.max(axis=1)[wrong], kind="stable")][:GRID_IMAGES]
    first = np.arange(len(labels))[:GRID_IMAGES]
    barred = np.concatenate([first[:BARS_FIRST], wrong[wrong >= BARS_FIRST][:BARS_WRONG]])
    examples = dataset.validation.images[evaluation.first_of_each_class(dataset.validation)]
    before, after = (metrics.reliability(each, labels) for each in (evaluated.uncalibrated, sure))
    figures = {
        "samples": plots.samples(dataset.train.images, dataset.train.labels, names),
        "curves": plots.curves(run.history()),
        "predictions": plots.predictions(
            images[first], labels[first], sure[first], names, f"The first {len(first)} {split} images"
        ),
        "confidence": plots.confidence(
            images[barred], labels[barred], sure[barred], names, f"The first {split} images, then the next mistakes"
        ),
        "confusion": plots.confusion(np.array(scores["confusion"]), names),
        "per_class": plots.per_class(scores["per_class"]),
        "reliability": plots.reliability(before, after, scores["ece"], scores["temperature"]),
        "mistakes": plots.mistakes(images[worst], labels[worst], sure[worst], names, len(wrong)),
        "filters": plots.filters(explain.first_filters(model), "conv1"),
        "feature_maps": plots.feature_maps(examples, explain.feature_maps(model, examples), names),
    }
    run.plots_folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        plots.save(figure, run.plots_folder / f"{name}.png", dataset.name, dataset.is_synthetic)
