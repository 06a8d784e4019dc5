"""Ablation: trains a recipe without each of its techniques, scores it on the validation split."""

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

FULL, SINGLE = "the full recipe", "single network"
ADAM_RATE = 2e-3  # the learning rate of Adam in place of Muon, as in the recipe `photo`


def run_ablation(
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
    """Trains a recipe and its variants with seeds 0, 1, …, and scores them on the validation split.

    To save time, techniques are removed from a single network where the recipe is an ensemble; that
    network has a row of its own. If interrupted, call it again with the same arguments to resume.

    Args:
        folder: for results/ablation-NAME.json, RESULTS.md and the runs.

    Returns:
        The content of results/ablation-NAME.json.

    Raises:
        UsageError: the recipe is unknown, or there is no seed.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds} is too small; give 1 or more")
    # held_out=None: the whole validation split is for scoring.
    recipe = replace(recipes.with_epochs(recipes.get(name), epochs), held_out=None)
    dataset = load_data(data, data_dir, limit)
    root = folder / "runs" / f"benchmark-ablation-{name}"
    done = _train_variants(root, recipe, dataset, seeds, limit, stream or sys.stdout)
    options: dict[str, Any] = {"seeds": seeds, "data": data, "epochs": epochs, "limit": limit}
    measured = {
        "benchmark": f"ablation-{name}",
        "command": results.format_command(f"ablation {name}", **options),
        "recipe": name,
        "epochs": recipe.epochs,
        "mflops": done[FULL][0].info()["forward_flops"] / 1e6,
        "data": dataset.name,
        "train_images": len(dataset.train),
        "validation_images": len(dataset.validation),
        **results.provenance(),
        "rows": [_make_row(what, done[what], done[_find_reference(what, recipe)]) for what in done],
    }
    results.write_results(measured, folder)
    return measured


def make_variants(recipe: Recipe) -> dict[str, Recipe]:
    """Returns the full recipe, its single network, and that without each technique, by name."""
    base = replace(recipe, ensemble_size=1)
    mirrored = recipe.alternating_flip and recipe.tta_views > 1
    plain: dict[str, dict[str, Any]] = {
        "Adam, not Muon": {"optimizer": "adam", "learning_rate": ADAM_RATE}
        if recipe.optimizer == "muon"
        else {},
        "trained first convolution": {"whitened_stem": False},
        "no batch normalization": {"batch_norm": False},
        "no weight decay": {"weight_decay": 0.0},
        "constant learning rate": {"schedule": "constant"},
        "no alternating flip": {"alternating_flip": False},
        "no shifts": {"max_shift": 0},
        "no random erasing": {"erase_probability": 0.0},
        "no hard-example mining": {"hard_fraction": 1.0},
        "no dropout": {"dropout": 0.0},
        "float32": {"precision": FLOAT32} if recipe.precision == BFLOAT16 else {},
        "no TTA": {"tta_views": 1},
        # TTA shows mirror images, which are new to a network trained without flips.
        "no TTA, no alternating flip": {"tta_views": 1, "alternating_flip": False}
        if mirrored
        else {},
    }
    variants = {FULL: recipe, SINGLE: base} if base != recipe else {FULL: recipe}
    less = {what: replace(base, **changed) for what, changed in plain.items()}
    return variants | {what: variant for what, variant in less.items() if variant != base}


def _find_reference(what: str, recipe: Recipe) -> str:
    return SINGLE if recipe.ensemble_size > 1 and what not in (FULL, SINGLE) else FULL


def _find_same_training(recipe: Recipe, variants: dict[str, Recipe]) -> str:
    """Returns the first variant with the same training; the number of TTA views may differ."""
    return next(
        what
        for what, each in variants.items()
        if replace(each, tta_views=recipe.tta_views) == recipe
    )


def _train_variants(
    root: Path, recipe: Recipe, dataset: Dataset, seeds: int, limit: int | None, stream: TextIO
) -> dict[str, list[Run]]:
    """Returns the runs of each variant, one per seed; variants are trained in turn."""
    variants = make_variants(recipe)
    done: dict[str, list[Run]] = {what: [] for what in variants}
    for seed in range(seeds):
        fields = {"data": dataset.name, "seed": seed, "limit": limit}
        for number, (what, variant) in enumerate(variants.items()):
            print(f"seed {seed}: {what}", file=stream)
            same = done[_find_same_training(variant, variants)]
            trained = same[seed] if len(same) > seed else None
            path = root / f"{number}-{seed}"
            done[what].append(_train_variant(path, variant, dataset, fields, trained, stream))
    return done


def _train_variant(
    path: Path,
    recipe: Recipe,
    dataset: Dataset,
    fields: dict[str, Any],
    trained: Run | None,
    stream: TextIO,
) -> Run:
    """Returns the finished run in `path`: trained, resumed, or copied from `trained`."""
    with console.suppress_native_logs():
        from wardrobe.workflows import train_run
    run = cached_runs.find_cached(path, recipe, **fields)
    if run is None:
        run = runs.create_run(recipe, path, **fields)
        if trained is not None:
            _copy_training(run, trained)
    if run.info()["status"] != runs.DONE:
        train_run.validate(run, dataset, progress.make_training_display(stream))
    return run


def _copy_training(run: Run, trained: Run) -> None:
    """Copies weights and history of another run."""
    run.write_history(trained.history())
    run.checkpoint_folder.mkdir()
    for checkpoint in trained.checkpoint_folder.iterdir():
        with runs.atomic_write(run.checkpoint_folder / checkpoint.name) as path:
            shutil.copyfile(checkpoint, path)


def _make_row(what: str, done: list[Run], reference: list[Run]) -> dict[str, Any]:
    accuracy, full = (
        np.array([run.metrics()["accuracy"] for run in each]) for each in (done, reference)
    )
    pairs = zip(done, reference, strict=True)
    ratios = [run.fit_seconds() / each.fit_seconds() for run, each in pairs]
    return {
        "variant": what,
        "seeds": len(done),
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)) if len(done) > 1 else None,
        "difference": float((accuracy - full).mean()),
        "nll_mean": float(np.mean([run.metrics()["nll"]["after"] for run in done])),
        "fit_ratio": float(np.median(ratios)),  # on a shared machine, single runs can be slow
        "split": VALIDATION,
    }
