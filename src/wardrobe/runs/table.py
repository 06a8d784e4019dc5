"""The table of runs: `wardrobe runs`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wardrobe.errors import RunError
from wardrobe.runs.run import ROOT, Run, count_epochs, format_recipe, list_runs
from wardrobe.terminal import console


def tabulate_runs(root: Path = ROOT) -> list[dict[str, Any]]:
    """Returns one row per run: its settings, progress and scores (None before evaluation).

    A damaged run is skipped with a warning on stderr.
    """
    rows = []
    for run in list_runs(root):
        try:
            rows.append(_summarize(run))
        except (RunError, OSError, KeyError) as error:
            console.warn(f"{run.path}: {error}; skipped")
    return rows


def _summarize(run: Run) -> dict[str, Any]:
    info = run.info()
    scores = {split: _summarize_scores(each) for split, each in run.scores().items()}
    split = next(iter(scores), None)
    return {
        "run": str(run.path),
        "recipe": info["recipe"]["name"],
        "recipe_title": format_recipe(info),
        "data": info["data"],
        "seed": info["seed"],
        "epochs": count_epochs(info),
        "epochs_done": len(run.history()),
        "status": run.status(),
        "split": split,  # that of the next three: test, if the run was evaluated on it
        **(scores[split] if split else dict.fromkeys(("accuracy", "half_interval_95", "ece"))),
        "scores": scores,
        "seconds": run.fit_seconds(),
    }


def _summarize_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    low, high = metrics["accuracy_interval_95"]
    ece = metrics["ece"]["after"]
    return {"accuracy": metrics["accuracy"], "half_interval_95": (high - low) / 2, "ece": ece}
