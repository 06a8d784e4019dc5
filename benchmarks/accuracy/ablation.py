"""What each trick of a recipe is worth: trains it with the trick taken out, on the validation split."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import cached_runs, results
from wardrobe import runs
from wardrobe.data import VALIDATION, Dataset, load_data
from wardrobe.errors import UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import BFLOAT16, FLOAT32, Recipe
from wardrobe.runs import Run
from wardrobe.terminal import console, progress

AS_IT_IS, ONE_COLUMN = "as it is", "one column"
ADAM_RATE = 2e-3  # the learning rate with Adam, where Muon is taken out: that of the recipe `photo`


def ablation(
    name: str,
    seeds: int,
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Trains a recipe, and the recipe less each of its tricks, with seeds 0, 1, …, and scores them on validation.

    The tricks of a recipe of several columns are taken out of one column, which is a row of its own, to save time.
    Started again after a break with the same arguments, it keeps the runs that are done and resumes the other.

    Args:
        folder: gets results/ablation-NAME.json, RESULTS.md and the runs.

    Returns:
        What results/ablation-NAME.json holds.

    Raises:
        UsageError: an unknown recipe, or no seed.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds} measures nothing; give 1 or more")
    recipe = replace(
        recipes.with_epochs(recipes.get(name), epochs), held_out=0
    )  # it is scored on validation, all of it
    dataset = load_data(data, data_dir, limit)
    variants = variants_of(recipe)
    root = folder / "runs" / f"benchmark-ablation-{name}"
    done: dict[str, list[Run]] = {what: [] for what in variants}
    for seed in range(seeds):
        for number, (what, variant) in enumerate(variants.items()):
            print(f"{name}, seed {seed}: {what}", file=stream or sys.stdout)
            alike = done[_trained_alike(variant, variants)]
            twin = (
                alike[seed] if len(alike) > seed else None
            )  # None: this is the first, which is trained
            fields = {"data": dataset.name, "seed": seed, "limit": limit}
            done[what].append(
                _one(
                    root / f"{number}-{seed}", variant, dataset, fields, twin, stream or sys.stdout
                )
            )
    figures = {
        "benchmark": f"ablation-{name}",
        "command": results.format_command(
            f"ablation {name}", seeds=seeds, data=data, epochs=epochs, limit=limit
        ),
        "recipe": name,
        "epochs": recipe.epochs,
        "mflops": done[AS_IT_IS][0].info()["forward_flops"] / 1e6,
        "data": dataset.name,
        "train_images": len(dataset.train),
        "validation_images": len(dataset.validation),
        **results.provenance(),
        "rows": [_row(what, done[what], done[_compared_with(what, recipe)]) for what in variants],
    }
    results.write_results(figures, folder)
    return figures


def variants_of(recipe: Recipe) -> dict[str, Recipe]:
    """Returns the recipe "as it is", in "one column" where it has more, and that less each of its tricks, by name."""
    base = replace(recipe, ensemble_size=1)
    mirrored = recipe.alternating_flip and recipe.tta_views > 1
    plain: dict[str, dict[str, Any]] = {
        "Adam, not Muon": {"optimizer": "adam", "learning_rate": ADAM_RATE}
        if recipe.optimizer == "muon"
        else {},
        "a first convolution that is learnt": {"whitened_stem": False},
        "no batch normalisation": {"batch_norm": False},
        "no weight decay": {"weight_decay": 0.0},
        "constant learning rate": {"schedule": "constant"},
        "no mirror images in training": {"alternating_flip": False},
        "no moves in training": {"max_shift": 0},
        "nothing erased": {"erase_probability": 0.0},
        "all images in every epoch": {"hard_fraction": 1.0},
        "no dropout": {"dropout": 0.0},
        "float32": {"precision": FLOAT32} if recipe.precision == BFLOAT16 else {},
        "one view": {"tta_views": 1},
        # What the mirror images are worth in training: the other views are mirrored too, and would be new to it.
        "one view, no mirror images in training": {"tta_views": 1, "alternating_flip": False}
        if mirrored
        else {},
    }
    variants = {AS_IT_IS: recipe, ONE_COLUMN: base} if base != recipe else {AS_IT_IS: recipe}
    less = {what: replace(base, **changed) for what, changed in plain.items()}
    return variants | {what: variant for what, variant in less.items() if variant != base}


def _compared_with(what: str, recipe: Recipe) -> str:
    return (
        ONE_COLUMN if recipe.ensemble_size > 1 and what not in (AS_IT_IS, ONE_COLUMN) else AS_IT_IS
    )


def _trained_alike(recipe: Recipe, variants: dict[str, Recipe]) -> str:
    """Returns the first variant that is trained as the recipe is: the two may answer with different views."""
    return next(
        what
        for what, each in variants.items()
        if replace(each, tta_views=recipe.tta_views) == recipe
    )


def _one(
    path: Path,
    recipe: Recipe,
    dataset: Dataset,
    fields: dict[str, Any],
    twin: Run | None,
    stream: TextIO,
) -> Run:
    """Returns the run in `path`: as it lies there, resumed, or made; from a run trained alike, where there is one."""
    with console.suppress_native_logs():
        from wardrobe.workflows import train_run
    run = cached_runs.find_cached(path, recipe, **fields)
    if run is None:
        run = runs.create_run(recipe, path, **fields)
        if twin is not None:
            _take_over(run, twin)
    if run.info()["status"] != runs.DONE:
        train_run.validate(run, dataset, progress.make_training_display(stream))
    return run


def _take_over(run: Run, trained: Run) -> None:
    """Gives a run the weights and the history of another, so that its training is done."""
    run.write_history(trained.history())
    run.checkpoint_folder.mkdir()
    for checkpoint in trained.checkpoint_folder.iterdir():
        with runs.atomic_write(run.checkpoint_folder / checkpoint.name) as path:
            shutil.copyfile(checkpoint, path)


def _row(what: str, done: list[Run], whole: list[Run]) -> dict[str, Any]:
    accuracy, as_it_is = (
        np.array([run.metrics()["accuracy"] for run in each]) for each in (done, whole)
    )
    return {
        "variant": what,
        "seeds": len(done),
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)) if len(done) > 1 else None,
        "difference": float((accuracy - as_it_is).mean()),
        "nll_mean": float(np.mean([run.metrics()["nll"]["after"] for run in done])),
        "fit_ratio": float(  # the median: on a shared machine a run now and then takes twice as long
            np.median(
                [
                    run.fit_seconds() / each.fit_seconds()
                    for run, each in zip(done, whole, strict=True)
                ]
            )
        ),
        "split": VALIDATION,
    }
