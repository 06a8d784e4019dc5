"""How good and how fast each recipe is: trains with several seeds and scores once on the test split."""

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

BASELINE = "baseline"  # the recipe whose fit time the others' are divided by
PUBLISHED = {  # the best published accuracies on the present files
    "fine-tuned DARTS, arXiv 2006.09042": 0.9691,
    "WRN-28-10 with random erasing, arXiv 1708.04896": 0.9635,
}
MATRIX = 2048  # rows and columns of the product that shows what the machine can do
PASSES = 3  # a training step computes about three forward passes: one forward, two backward


def train(
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
    """Trains each recipe with seeds 0, 1, …, in turn, scores each once on the test split, and writes the results.

    Started again after a break with the same arguments, it keeps the runs that are done and resumes the other.

    Args:
        folder: gets results/train.json (or, trained without `baseline`, results/train-NAMES.json), results/train.png with
            the recipes trained in turn with `baseline`, RESULTS.md and the runs.

    Returns:
        What the file in results holds.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds} measures nothing; give 1 or more")
    for name in recipe_names:
        recipes.get(name)
    done: dict[str, list[Run]] = {name: [] for name in recipe_names}
    for seed in range(seeds):
        for name in recipe_names:
            options = {
                "data": data,
                "data_dir": data_dir,
                "epochs": epochs,
                "limit": limit,
                "seed": seed,
            }
            done[name].append(
                _one(folder / "runs" / "benchmark-train" / f"{name}-{seed}", name, options, stream)
            )
    asked = {
        "recipes": ",".join(recipe_names),
        "seeds": seeds,
        "data": data,
        "epochs": epochs,
        "limit": limit,
    }
    rate = float(np.median([run.info()["matmul_gflops"] for each in done.values() for run in each]))
    command = results.format_command("train", **asked)
    benchmark = "train" if BASELINE in recipe_names else "-".join(["train", *recipe_names])
    figures = {
        "benchmark": benchmark,
        "command": command,
        **cached_runs.provenance([run for each in done.values() for run in each]),
        "matmul_gflops": rate,
    }
    figures["rows"] = [_row(name, done[name], done.get(BASELINE), rate) for name in recipe_names]
    figures["published"] = PUBLISHED
    results.write_results(figures, folder)
    if benchmark == "train":  # times measured apart are not to be compared
        figure = plots.plot_accuracy_against_time(figures["rows"], PUBLISHED)
        save_figure(
            figure, folder / "results" / "train.png", figures["data"], figures["data"] == SYNTHETIC
        )
    return figures


def _one(path: Path, name: str, options: dict[str, Any], stream: TextIO | None) -> Run:
    """Returns the finished run in `path`: as it lies there, resumed, or made; the machine's rate noted after it."""
    run = cached_runs.train_or_resume(path, name, stream=stream, **options)
    if "matmul_gflops" not in run.info():
        run.update(matmul_gflops=_matmul_gflops())
    return run


def _matmul_gflops() -> float:
    """Returns the rate of float32 matrix products in NumPy, GFLOP a second: the best of five, after one to warm up."""
    matrix = np.random.default_rng(0).random((MATRIX, MATRIX), np.float32)
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds[1:]) / 1e9


def _row(
    name: str, done: list[Run], baseline: list[Run] | None, matmul_gflops: float
) -> dict[str, Any]:
    scores = [run.metrics() for run in done]
    accuracy = np.array([score["accuracy"] for score in scores])
    seconds = np.array([run.fit_seconds() for run in done])
    ratio = float(np.mean(seconds / [run.fit_seconds() for run in baseline])) if baseline else None
    info = done[0].info()
    images = info["dataset"]["splits"]["train"] * info["recipe"]["epochs"]
    gflops = PASSES * info["forward_flops"] * images / float(seconds.mean()) / 1e9
    return {
        "recipe": name,
        "seeds": len(done),
        "epochs": info["recipe"]["epochs"],
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)) if len(done) > 1 else None,
        "accuracies": accuracy.tolist(),
        "ece_before_mean": float(np.mean([score["ece"]["before"] for score in scores])),
        "ece_after_mean": float(np.mean([score["ece"]["after"] for score in scores])),
        "nll_before_mean": float(np.mean([score["nll"]["before"] for score in scores])),
        "nll_after_mean": float(np.mean([score["nll"]["after"] for score in scores])),
        "fit_seconds": float(seconds.mean()),
        "fit_ratio_to_baseline": ratio,
        "gflops": gflops,
        "share_of_matmul_rate": gflops / matmul_gflops,
        "precision": info["precision"],
        "tta_views": info["recipe"]["tta_views"],
        "parameters": info["parameters"],
        "mflops": info["forward_flops"] / 1e6,
        "train_images": info["dataset"]["splits"]["train"],
        "test_images": scores[0]["n"],
        "onnx_largest_logit_difference": max(
            run.info()["onnx_largest_logit_difference"] for run in done
        ),
    }
