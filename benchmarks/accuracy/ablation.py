"""Ablation: trains a recipe without each of its techniques, scores it on the validation split.

Each variant gets as many epochs as fit into the training time of the full recipe, and the best
learning rate for that number of epochs. Otherwise a technique could get credit for a better rate or
for more training.
"""

import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks import cached_runs, results
from wardrobe import runs
from wardrobe.data import VALIDATION, Dataset, load_training_data
from wardrobe.data.load import stratified_split
from wardrobe.errors import UsageError
from wardrobe.models import keras_settings
from wardrobe.models.recipes import BFLOAT16, FLOAT32, Recipe
from wardrobe.runs import Run
from wardrobe.terminal import progress
from wardrobe.workflows.planning import plan

FULL, NO_TTA, NO_FLIP = "the full recipe", "no TTA", "no alternating flip"
ADAM_RATE = 2e-3  # for Adam in place of Muon; from the recipe `photo`
RATE_SEED = 1000  # of the runs that choose epochs and rates; the compared runs have others
CONFIDENCE = 0.95  # of the interval of a difference


def run_ablation(
    name: str,
    seeds: int,
    rates: int,
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Compares a recipe with its variants, with seeds 0, 1, …, on the validation split.

    One half of the validation images selects the learning rates, the other half compares the
    variants. If interrupted, call it again with the same arguments to resume.

    Args:
        seeds: runs of each variant, 2 or more.
        rates: number of learning rates to try for the recipe and for each variant.
        folder: for results/ablation-NAME.json, RESULTS.md and the runs.

    Returns:
        The content of results/ablation-NAME.json.

    Raises:
        UsageError: the recipe is unknown, `seeds` is below 2, or `rates` below 1.
    """
    if seeds < 2:
        raise UsageError(f"--seeds {seeds} is too small; give 2 or more, for an interval")
    if rates < 1:
        raise UsageError(f"--rates {rates} is too small; give 1 or more")
    # held_out=None: the whole validation split is for selection and comparison.
    recipe = replace(plan.choose_recipe(name, {}, epochs, None, data), held_out=None)
    dataset = load_training_data(recipe, data, data_dir, limit)
    selection, comparison = halve_validation(dataset)
    variants = make_variants(recipe)
    root = folder / "runs" / f"benchmark-ablation-{name}"
    output = stream or sys.stdout
    same = {what: _find_same_training(each, variants) for what, each in variants.items()}
    trainings = {what: variants[what] for what in dict.fromkeys(same.values())}
    trainings = _match_epochs(root / "timing", trainings, selection, limit, output)
    tried = _try_rates(root / "rates", trainings, rates, selection, limit, output)
    best = {what: min(each, key=_get_nll).recipe() for what, each in tried.items()}
    chosen = {what: replace(best[same[what]], tta_views=variants[what].tta_views) for what in same}
    done = _train_all(root / "seeds", chosen, range(seeds), comparison, limit, output)
    options: dict[str, Any] = {"seeds": seeds, "rates": rates, "data": data}
    options |= {"epochs": epochs, "limit": limit}
    measured = {
        "benchmark": f"ablation-{name}",
        "command": results.format_command(f"ablation {name}", **options),
        "recipe": name,
        "epochs": recipe.epochs,
        "mflops": done[FULL][0].info()["forward_flops"] / 1e6,
        "data": dataset.name,
        "train_images": len(dataset.train),
        "selection_images": len(selection.validation),
        "comparison_images": len(comparison.validation),
        **results.provenance(),
        "rows": [_make_row(what, done, tried[same[what]]) for what in done],
    }
    results.write_results(measured, folder)
    return measured


def make_variants(recipe: Recipe) -> dict[str, Recipe]:
    """Returns, by name, the full recipe and the recipe without each technique."""
    # Half of the views of TTA are mirror images, which are new to a network trained without flips.
    # So the flip is removed from the recipe without TTA.
    mirrored = recipe.alternating_flip and recipe.tta_views > 1
    is_constant = recipe.schedule == "constant"
    # Half of the peak is the mean of the schedule `warmup-linear`.
    constant = {"schedule": "constant", "learning_rate": recipe.learning_rate / 2}
    changes: dict[str, dict[str, Any]] = {
        FULL: {},
        "single network": {"ensemble_size": 1},
        "Adam, not Muon": {"optimizer": "adam", "learning_rate": ADAM_RATE}
        if recipe.optimizer == "muon"
        else {},
        "five iterations of Muon": {"muon_iterations": 5},
        "trained first convolution": {"whitened_stem": False},
        "no batch normalization": {"batch_norm": False},
        "no weight decay": {"weight_decay": 0.0},
        "constant learning rate": {} if is_constant else constant,
        "warm-up over a quarter": {"warmup_fraction": 0.25},
        "no shifts": {"max_shift": 0},
        "no random erasing": {"erase_probability": 0.0},
        "no hard-example mining": {"hard_fraction": 1.0},
        "mining with new losses in every epoch": {"scoring_epochs": 1},
        "no dropout": {"dropout": 0.0},
        "float32": {"precision": FLOAT32} if recipe.precision == BFLOAT16 else {},
        NO_TTA: {"tta_views": 1},
        NO_FLIP: {"alternating_flip": False} | ({"tta_views": 1} if mirrored else {}),
    }
    variants = {what: replace(recipe, **changed) for what, changed in changes.items()}
    return {what: each for what, each in variants.items() if what == FULL or each != recipe}


def make_rates(rate: float, count: int) -> list[float]:
    """Returns `count` learning rates: `rate` times 1/2, 1 and 2 for 3; 1/4, 1/2, 1 and 2 for 4.

    `rate` is that of the recipe; the constant rate and Adam have their own, see `make_variants`.
    """
    return [rate * 2.0 ** (number - count // 2) for number in range(count)]


def halve_validation(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Returns the data set twice, each with one stratified half of the validation images."""
    whole = dataset.validation
    halves = stratified_split(whole.labels, len(whole) // 2)
    first, second = (replace(dataset, validation=whole[half]) for half in halves)
    return first, second


def compute_interval(differences: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the mean of paired differences (n,), n >= 2.

    Source: the paired t-test, with n - 1 degrees of freedom.
    """
    if np.ptp(differences) < 1e-9:  # equal, up to rounding: SciPy would warn of the lost precision
        return float(differences[0]), float(differences[0])
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def _find_same_training(recipe: Recipe, variants: dict[str, Recipe]) -> str:
    """Returns the first variant with the same training; the number of TTA views may differ."""
    return next(
        what
        for what, each in variants.items()
        if replace(each, tta_views=recipe.tta_views) == recipe
    )


def _get_accuracy(run: Run) -> float:
    return float(run.metrics(VALIDATION)["accuracy"])


def _get_nll(run: Run) -> float:
    """Returns the mean NLL after temperature scaling; less noisy than the accuracy."""
    return float(run.metrics(VALIDATION)["nll"]["after"])


def _match_epochs(
    root: Path, trainings: dict[str, Recipe], dataset: Dataset, limit: int | None, stream: TextIO
) -> dict[str, Recipe]:
    """Returns the trainings with as many epochs as come nearest to the training time of FULL."""
    with keras_settings.loading_keras():
        from wardrobe.training.sampling import WARMUP_EPOCHS
    print("cost of an epoch", file=stream)
    short = {
        what: replace(each, epochs=WARMUP_EPOCHS + 2 * each.scoring_epochs)
        for what, each in trainings.items()
    }
    timed = _train_all(root, short, [RATE_SEED], dataset, limit, stream)
    # Seconds of an epoch before hard-example mining starts, and after, as a mean over the epochs
    # that share their losses: the second of either kind, for TensorFlow compiles in the first.
    costs = {}
    for what, (run,) in timed.items():
        rows = [row["seconds"] for row in run.history()]
        costs[what] = rows[1], float(np.mean(rows[-short[what].scoring_epochs :]))
    before, after = costs[FULL]
    later = trainings[FULL].epochs - WARMUP_EPOCHS  # negative: FULL ends before mining starts
    seconds = WARMUP_EPOCHS * before + later * (after if later > 0 else before)
    matched = {}
    for what, (before, after) in costs.items():
        left = seconds - WARMUP_EPOCHS * before
        epochs = WARMUP_EPOCHS + left / (after if left > 0 else before)
        matched[what] = replace(trainings[what], epochs=max(1, round(epochs)))
    return matched


def _try_rates(
    root: Path,
    trainings: dict[str, Recipe],
    rates: int,
    dataset: Dataset,
    limit: int | None,
    stream: TextIO,
) -> dict[str, list[Run]]:
    """Returns the runs of each training with each learning rate, from the lowest to the highest."""
    tried: dict[str, list[Run]] = {what: [] for what in trainings}
    for number in range(rates):
        print(f"learning rate {number + 1} of {rates}", file=stream)
        candidates = {
            what: replace(each, learning_rate=make_rates(each.learning_rate, rates)[number])
            for what, each in trainings.items()
        }
        done = _train_all(root / str(number), candidates, [RATE_SEED], dataset, limit, stream)
        for what in trainings:
            tried[what] += done[what]
    return tried


def _train_all(
    root: Path,
    variants: dict[str, Recipe],
    seeds: Iterable[int],
    dataset: Dataset,
    limit: int | None,
    stream: TextIO,
) -> dict[str, list[Run]]:
    """Returns the runs of each variant, one per seed; variants are trained in turn."""
    done: dict[str, list[Run]] = {what: [] for what in variants}
    for seed in seeds:
        fields = {"data": dataset.name, "seed": seed, "limit": limit}
        for number, (what, variant) in enumerate(variants.items()):
            print(f"seed {seed}: {what}", file=stream)
            same = done[_find_same_training(variant, variants)]
            trained = same[-1] if len(same) > len(done[what]) else None  # the run of this seed
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
    with keras_settings.loading_keras():
        from wardrobe.workflows import train_run
    if path.exists():
        run = cached_runs.open_cached(path, recipe, dataset, **fields)
    else:
        run = runs.create_run(recipe, path, dataset=dataset.describe(), **fields)
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


def _make_row(what: str, done: dict[str, list[Run]], tried: list[Run]) -> dict[str, Any]:
    """Returns the row of a variant, from all variants' runs and those that selected its rate."""
    mine = done[what]
    reference = NO_TTA if what == NO_FLIP and NO_TTA in done else FULL
    accuracy, other = (np.array([*map(_get_accuracy, done[each])]) for each in (what, reference))
    low, high = compute_interval(accuracy - other)
    pairs = zip(mine, done[FULL], strict=True)
    ratios = [run.fit_seconds() / full.fit_seconds() for run, full in pairs]
    recipe = mine[0].recipe()
    return {
        "variant": what,
        "compared_with": None if what == FULL else reference,
        "learning_rate": recipe.learning_rate,
        "nll_by_rate": {f"{run.recipe().learning_rate:.3g}": _get_nll(run) for run in tried},
        "epochs": recipe.epochs,
        "seeds": len(mine),
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)),
        "difference": float((accuracy - other).mean()),
        "difference_interval_95": [low, high],
        "is_resolved": not low <= 0 <= high,
        "nll_mean": float(np.mean([*map(_get_nll, mine)])),
        "fit_ratio": float(np.median(ratios)),  # on a shared machine, single runs can be slow
        "split": VALIDATION,
    }
