"""How much the scores on photos vary between trainings: the recipe `photo` with several seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import cached_runs, results
from benchmarks.accuracy.photos import RECIPE, OpenPhotos
from wardrobe.evaluation import photos
from wardrobe.inference.classifier import Classifier
from wardrobe.runs import Run

SCORES = (  # of `photos.score`, for each split
    *("balanced_accuracy", "accuracy", "accuracy_of_all", "auroc"),
    *("ece", "coverage", "accuracy_of_answered", "not_sure_of_others"),
)


def measure_seeds(
    opened: OpenPhotos,
    seeds: int,
    *,
    photos_dir: Path | None,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Trains the recipe `photo` with seeds 0, 1, …, and scores each run once on the photos.

    If interrupted, call it again with the same arguments to resume.

    Args:
        opened: the photos of `photos_dir`.
        folder: for results/photos-seeds.json, RESULTS.md and the runs.

    Returns:
        The content of the result file.

    Raises:
        UsageError: a run cannot be reused.
    """
    options: dict[str, Any] = {"data": data, "epochs": epochs, "limit": limit}
    done = []
    for seed in range(seeds):
        path = folder / "runs" / "benchmark-photos" / f"{RECIPE}-{seed}"
        run = cached_runs.train_or_resume(
            path,
            RECIPE,
            data_dir=data_dir,
            photos_dir=photos_dir,
            seed=seed,
            stream=stream,
            **options,
        )
        done.append(run)
    rows = [_make_row(run, opened) for run in done]
    measured = {
        "benchmark": "photos-seeds",
        "command": results.format_command("photos", seeds=seeds, **options),
        **cached_runs.provenance(done),
        "is_published": all(each.is_published for each in opened.splits.values()),
        "recipe": RECIPE,
        "epochs": done[0].recipe().epochs,
        "parameters": done[0].info()["parameters"],
        "rows": rows,
        **summarize(rows),
    }
    results.write_results(measured, folder)
    return measured


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns "mean" and "std" of rows: the same numbers, in the same nested dictionaries."""
    found: dict[str, Any] = {"mean": {}, "std": {}}
    for key in (key for key in rows[0] if key != "seed"):
        values = [row[key] for row in rows]
        if isinstance(values[0], dict):
            nested = summarize(values)
            for name in found:
                found[name][key] = nested[name]
        elif None not in values:  # None: nothing to compute the score from
            found["mean"][key] = float(np.mean(values))
            found["std"][key] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return found


def _make_row(run: Run, opened: OpenPhotos) -> dict[str, Any]:
    """Returns the scores of a run. Those on photos are kept in run.json: they are scored once."""
    checksums = {split: each.checksum for split, each in opened.splits.items()}
    scored = run.info().get("photo_scores", {})
    if scored.get("checksums") != checksums:
        scores = _score(run, opened)
        scored = {"checksums": checksums, "scores": scores}
        run.update(photo_scores=scored)
    return {
        "seed": run.info()["seed"],
        "accuracy": run.metrics()["accuracy"],  # on the data set's test split
        "fit_seconds": run.fit_seconds(),
        **scored["scores"],
    }


def _score(run: Run, opened: OpenPhotos) -> dict[str, dict[str, float | None]]:
    classifier = Classifier.load(run)
    found = {}
    for split, each in opened.splits.items():
        scores = photos.score(classifier.classify(each.photos.images), each.photos.kinds)
        found[split] = {name: scores[name] for name in SCORES}
    return found
