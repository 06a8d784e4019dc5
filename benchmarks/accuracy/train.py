"""Accuracy and fit time of recipes: trains with several seeds, scores once on the test split."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import cached_runs, plots, results
from wardrobe.data import SYNTHETIC
from wardrobe.errors import UsageError
from wardrobe.models import recipes
from wardrobe.plots import save_figure
from wardrobe.runs import Run

BASELINE = "baseline"  # fit times are relative to this recipe's
PUBLISHED = {  # the best accuracies on the current files with public code; see results/records.json
    "WRN-40-4, Liang-yc/fn_playground": 0.9659,
    "ResNet-20 with random erasing, zhunzhong07/Random-Erasing": 0.9555,
}
MATRIX = 2048  # rows and columns of the matrix product that the training rate is compared with
PASSES = 3  # a training step computes about three forward passes: one forward, two backward


def measure_training(
    recipe_names: Sequence[str],
    seeds: int,
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Trains each recipe with seeds 0, 1, …, in turn, and scores each run once on the test split.

    If interrupted, call it again with the same arguments to resume.

    Args:
        folder: for results/train.json and results/train.png (or, without `baseline` among the
            recipes, results/train-NAMES.json), RESULTS.md and the runs.

    Returns:
        The content of the result file.

    Raises:
        UsageError: a recipe is unknown, or there is no seed.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds} is too small; give 1 or more")
    for name in recipe_names:
        recipes.get(name)
    done: dict[str, list[Run]] = {name: [] for name in recipe_names}
    options: dict[str, Any] = {"data": data, "epochs": epochs, "limit": limit}
    for seed in range(seeds):
        for name in recipe_names:
            path = folder / "runs" / "benchmark-train" / f"{name}-{seed}"
            run = cached_runs.train_or_resume(
                path, name, data_dir=data_dir, seed=seed, stream=stream, **options
            )
            if "matmul_gflops" not in run.info():
                run.update(matmul_gflops=_measure_matmul_gflops())
            done[name].append(run)
    measured = _summarize(done, {"seeds": seeds, **options})
    results.write_results(measured, folder)
    if measured["benchmark"] == "train":  # times of separate commands cannot be compared
        figure = plots.plot_accuracy_against_time(measured["rows"], PUBLISHED)
        data_name = measured["data"]
        path = folder / "results" / "train.png"
        save_figure(figure, path, data_name, data_name == SYNTHETIC)
    return measured


def _summarize(done: dict[str, list[Run]], options: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of the result file, from the runs of each recipe."""
    all_runs = [run for each in done.values() for run in each]
    rate = float(np.median([run.info()["matmul_gflops"] for run in all_runs]))
    baseline = done.get(BASELINE)
    return {
        "benchmark": "train" if baseline else "-".join(["train", *done]),
        "command": results.format_command("train", recipes=",".join(done), **options),
        **cached_runs.provenance(all_runs),
        "matmul_gflops": rate,
        "rows": [_make_row(name, each, baseline, rate) for name, each in done.items()],
        "published": PUBLISHED,
    }


def _measure_matmul_gflops() -> float:
    """Returns the rate of NumPy's float32 matrix product in GFLOP per second, the best of five."""
    matrix = np.random.default_rng(0).random((MATRIX, MATRIX), np.float32)
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds[1:]) / 1e9  # the first one is a warm-up


def _make_row(
    name: str, done: list[Run], baseline: list[Run] | None, matmul_gflops: float
) -> dict[str, Any]:
    scores = [run.metrics() for run in done]
    accuracy = np.array([score["accuracy"] for score in scores])
    seconds = np.array([run.fit_seconds() for run in done])
    ratio = float(np.mean(seconds / [run.fit_seconds() for run in baseline])) if baseline else None
    info = done[0].info()
    epochs, train_images = info["recipe"]["epochs"], info["dataset"]["splits"]["train"]
    flops = PASSES * info["forward_flops"] * train_images * epochs
    gflops = flops / float(seconds.mean()) / 1e9
    means = {
        f"{metric}_{when}_mean": float(np.mean([score[metric][when] for score in scores]))
        for metric in ("ece", "nll")
        for when in ("before", "after")  # temperature scaling
    }
    return {
        "recipe": name,
        "seeds": len(done),
        "epochs": epochs,
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)) if len(done) > 1 else None,
        "accuracies": accuracy.tolist(),
        **means,
        "fit_seconds": float(seconds.mean()),
        "fit_ratio_to_baseline": ratio,
        "gflops": gflops,
        "fraction_of_matmul_rate": gflops / matmul_gflops,
        "precision": info["precision"],
        "tta_views": info["recipe"]["tta_views"],
        "parameters": info["parameters"],
        "mflops": info["forward_flops"] / 1e6,
        "train_images": train_images,
        "test_images": scores[0]["n"],
        "onnx_largest_logit_difference": max(
            run.info()["onnx_largest_logit_difference"] for run in done
        ),
    }
