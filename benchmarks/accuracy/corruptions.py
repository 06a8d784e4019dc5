"""How models hold out in bad light, behind bad lenses and badly aimed: the test images, corrupted, side by side."""

import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import results
from wardrobe.data import TEST, load_data
from wardrobe.errors import UsageError
from wardrobe.evaluation import corruptions
from wardrobe.inference.classifier import Classifier
from wardrobe.terminal import console


def corrupted(
    models: list[str],
    *,
    data: str,
    data_dir: Path | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Scores models on the test images, without and with each corruption, and writes results/corruptions.json.

    Args:
        models: as in `Classifier.load`, "photo" for the one that ships; those of one recipe are taken together.
        folder: gets results/corruptions.json and RESULTS.md.

    Returns:
        What results/corruptions.json holds.

    Raises:
        UsageError: a model has other classes than the data. ModelError, RunError: there is no such model.
    """
    dataset = load_data(data, data_dir)
    classifiers = [Classifier.load(model) for model in models]
    for classifier in classifiers:
        if classifier.class_names != dataset.class_names:
            raise UsageError(
                f"{classifier.name} knows {', '.join(classifier.class_names)}; expected the classes of {dataset.name}"
            )
    with console.suppress_native_logs():
        from wardrobe.evaluation import scoring
    test = scoring.open_split(dataset, TEST)
    recipes = list(dict.fromkeys(str(classifier.metadata["recipe"]) for classifier in classifiers))
    rows = []
    for kind in ("none", *corruptions.CORRUPTIONS):
        print(f"Corruption: {kind}", file=stream or sys.stdout, flush=True)
        severities = (0,) if kind == "none" else corruptions.SEVERITIES
        images = [
            test.images if kind == "none" else corruptions.corrupt(test.images, kind, each)
            for each in severities
        ]
        scores = [
            [
                float((classifier.logits(some).argmax(axis=1) == test.labels).mean())
                for some in images
            ]
            for classifier in classifiers
        ]
        rows.append({"corruption": kind, "accuracy": _by_recipe(recipes, classifiers, scores)})
    figures = {
        "benchmark": "corruptions",
        "command": results.format_command("corruptions", models=",".join(models), data=data),
        "data": dataset.name,
        "test_images": len(test),
        **results.provenance(),
        "models": [
            {
                "recipe": recipe,
                "networks": sum(each.metadata["recipe"] == recipe for each in classifiers),
            }
            for recipe in recipes
        ],
        "rows": rows,
    }
    results.write_results(figures, folder)
    return figures


def _by_recipe(
    recipes: list[str], classifiers: list[Classifier], scores: list[list[float]]
) -> dict[str, Any]:
    """Returns, for each recipe, the mean and the deviation over its networks at each severity."""
    found = {}
    for recipe in recipes:
        own = np.array(
            [
                row
                for row, each in zip(scores, classifiers, strict=True)
                if each.metadata["recipe"] == recipe
            ]
        )
        deviation = own.std(axis=0, ddof=1).tolist() if len(own) > 1 else None
        found[recipe] = {"mean": own.mean(axis=0).tolist(), "deviation": deviation}
    return found
