"""What `train --from photo` gains: the ten kinds of the clothing photos as a user's own classes.

It is compared with training from random weights, with few and all training photos of each kind.
The settings were chosen on validation photos (docs/log.md, 2026-11-28); a run is scored once, on
the test photos. The shipped network was trained on the training photos before, which favours it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import cached_runs, results
from benchmarks.accuracy.ablation import compute_interval
from wardrobe import runs
from wardrobe.data import Dataset, clothing_photos, load_data
from wardrobe.errors import UsageError
from wardrobe.models import keras_settings, recipes
from wardrobe.models.recipes import Recipe
from wardrobe.terminal import progress
from wardrobe.workflows.planning import plan, sources
from wardrobe.workflows.planning.sources import Source

ALL = "all"  # training photos of each kind
WAYS: tuple[tuple[str, str | None], ...] = (  # --from, recipe
    (sources.DEFAULT, None),
    (sources.NOTHING, "sprint"),
    (sources.NOTHING, "strong"),
)


def measure_start(
    sizes: Sequence[str], seeds: int, *, photos_dir: Path | None, folder: Path, stream: TextIO
) -> dict[str, Any]:
    """Trains in each way on each number of photos, with seeds 0, 1, …, which also draw the photos.

    If interrupted, call it again with the same arguments to resume.

    Args:
        sizes: numbers of training photos of each kind, such as "20", or "all".
        folder: for results/start-from.json, RESULTS.md and the runs.

    Returns:
        The content of the result file.

    Raises:
        UsageError: `seeds` is below 2, a size is not a number, or a run cannot be reused.
    """
    if seeds < 2:
        raise UsageError(f"--seeds {seeds} is too small; give 2 or more, for an interval")
    for size in sizes:
        if size != ALL and not size.isdecimal():
            raise UsageError(f"--sizes {size} is not a number; give numbers or 'all': 20,100,all")
    dataset = load_data(str(clothing_photos.locate(photos_dir)))
    rows: list[dict[str, Any]] = [
        {"photos_per_kind": size, "from": start, "accuracies": []}
        for size in sizes
        for start, _ in WAYS
    ]
    for seed in range(seeds):
        for row, (start, name) in zip(rows, WAYS * len(sizes), strict=True):
            drawn = draw_photos(dataset, row["photos_per_kind"], seed)
            source = sources.find(start)
            recipe = plan.choose_recipe(name, {}, None, source, dataset.name)
            if source is None:  # as `wardrobe train` does
                recipe = recipes.with_enough_steps(recipe, len(drawn.train))
            path = folder / "runs/benchmark-start-from" / f"{recipe.name}-{len(drawn.train)}-{seed}"
            print(path.name, file=stream, flush=True)
            row |= {"recipe": recipe.name, "epochs": recipe.epochs, "photos": len(drawn.train)}
            row["accuracies"].append(_train(path, recipe, source, drawn, seed, stream))
    measured = {
        "benchmark": "start-from",
        "command": results.format_command("start-from", sizes=",".join(sizes), seeds=seeds),
        **results.provenance(),
        "test_photos": dataset.test_size,
        "rows": _summarize(rows),
    }
    results.write_results(measured, folder)
    return measured


def draw_photos(dataset: Dataset, size: str, seed: int) -> Dataset:
    """Returns the data set with `size` random training photos of each kind."""
    count = None if size == ALL else int(size)
    labels, rng = dataset.train.labels, np.random.default_rng(seed)
    kinds = [np.flatnonzero(labels == kind) for kind in range(len(dataset.class_names))]
    chosen = np.sort(np.concatenate([rng.permutation(kind)[:count] for kind in kinds]))
    return replace(dataset, train=dataset.train[chosen])


def _train(
    path: Path, recipe: Recipe, source: Source | None, dataset: Dataset, seed: int, stream: TextIO
) -> float:
    """Returns the test accuracy of the run in `path`: reused, resumed or new."""
    with keras_settings.loading_keras():
        from wardrobe.evaluation import scoring
        from wardrobe.training import loop
    fields = {"data": dataset.name, "seed": seed, "start_from": source and source.describe()}
    if path.exists():
        run = cached_runs.open_cached(path, recipe, dataset, **fields)
    else:
        run = runs.create_run(recipe, path, dataset=dataset.describe(), **fields)
    if run.info()["status"] != runs.DONE:
        model = loop.fit(recipe, dataset, run, seed, progress.make_training_display(stream))
        run.write_metrics(scoring.evaluate(model, dataset, recipe).metrics)
        run.update(status=runs.DONE)
    return float(run.metrics()["accuracy"])


def _summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds mean and standard deviation, and what the first way gains over each other one."""
    for row in rows:
        accuracies = np.array(row["accuracies"])
        row["accuracy_mean"] = float(accuracies.mean())
        row["accuracy_std"] = float(accuracies.std(ddof=1))
        first = next(each for each in rows if each["photos_per_kind"] == row["photos_per_kind"])
        if row is not first:
            gains = np.array(first["accuracies"]) - accuracies
            row["gain_mean"] = float(gains.mean())
            row["gain_interval_95"] = [*compute_interval(gains)]
    return rows
