"""Robustness to corruptions: accuracy of models on clean and corrupted test images."""

import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import results
from wardrobe.data import TEST, Dataset, Split, load_data
from wardrobe.errors import UsageError
from wardrobe.evaluation import corruptions
from wardrobe.inference.classifier import Classifier
from wardrobe.models import keras_settings


def score_corruptions(
    models: list[str],
    *,
    data: str,
    data_dir: Path | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Scores models on the test images, clean and with each corruption at each severity.

    Args:
        models: as in `Classifier.load`; "photo" is the shipped model. Models of one recipe
            are averaged.
        folder: for results/corruptions.json and RESULTS.md.

    Returns:
        The content of results/corruptions.json.

    Raises:
        UsageError: a model has other classes, or was trained on other data.
        ModelError, RunError: a model does not exist.
    """
    dataset = load_data(data, data_dir)
    classifiers = _load_classifiers(models, dataset)
    with keras_settings.loading_keras():
        from wardrobe.evaluation import scoring
    test = scoring.open_split(dataset, TEST)
    rows = []
    for name in ("none", *corruptions.CORRUPTIONS):
        print(f"Corruption: {name}", file=stream or sys.stdout, flush=True)
        rows.append({"corruption": name, "accuracy": _score_corruption(name, classifiers, test)})
    names = [str(classifier.metadata["recipe"]) for classifier in classifiers]
    measured = {
        "benchmark": "corruptions",
        "command": results.format_command("corruptions", models=",".join(models), data=data),
        "data": dataset.name,
        "test_images": len(test),
        **results.provenance(),
        "models": [
            {"recipe": name, "networks": names.count(name)} for name in dict.fromkeys(names)
        ],
        "rows": rows,
    }
    results.write_results(measured, folder)
    return measured


def _load_classifiers(models: list[str], dataset: Dataset) -> list[Classifier]:
    classifiers = [Classifier.load(model) for model in models]
    for classifier in classifiers:
        if classifier.class_names != dataset.class_names:
            raise UsageError(
                f"{classifier.name} has the classes {', '.join(classifier.class_names)}; "
                f"expected those of {dataset.name}"
            )
        trained_on = classifier.metadata.get("data")
        if trained_on != dataset.public_name:
            raise UsageError(
                f"{classifier.name} was trained on {trained_on}, expected {dataset.name}; give a "
                "model of that data, or --data"
            )
    return classifiers


def _score_corruption(name: str, classifiers: list[Classifier], test: Split) -> dict[str, Any]:
    """Returns the mean and standard deviation of the accuracy at each severity, by recipe."""
    severities = (0,) if name == "none" else corruptions.SEVERITIES
    scores: dict[str, list[list[float]]] = {}  # recipe → one row per network
    accuracies = np.zeros((len(classifiers), len(severities)))
    for column, severity in enumerate(severities):
        images = test.images if severity == 0 else corruptions.corrupt(test.images, name, severity)
        for row, classifier in enumerate(classifiers):
            answers = classifier.logits(images).argmax(axis=1)
            accuracies[row, column] = (answers == test.labels).mean()
    for classifier, row_of_one in zip(classifiers, accuracies.tolist(), strict=True):
        scores.setdefault(str(classifier.metadata["recipe"]), []).append(row_of_one)
    return {
        recipe: {
            "mean": np.mean(rows, axis=0).tolist(),
            "std": np.std(rows, axis=0, ddof=1).tolist() if len(rows) > 1 else None,
        }
        for recipe, rows in scores.items()
    }
