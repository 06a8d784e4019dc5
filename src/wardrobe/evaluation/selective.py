"""Selective prediction: the model abstains when its confidence is below a threshold.

Throughout: probabilities (n, k), rows that sum to 1; labels (n,) int, 0 to k-1.

Source: Geifman and El-Yaniv 2017, arXiv 1705.08500.
"""

from dataclasses import dataclass

import numpy as np

from wardrobe.evaluation.metrics import Floats, Labels, accuracy


def accuracy_coverage_curve(probabilities: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Returns the accuracy of the most confident predictions, for every number of them.

    Returns:
        coverage (n,), the fraction of images with a prediction, 1/n to 1; accuracy (n,), 0-1.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")  # most confident first
    correct = (probabilities.argmax(axis=1) == labels)[order]
    answered = np.arange(1, len(labels) + 1)
    return answered / len(labels), np.cumsum(correct) / answered  # (n,) each


@dataclass(frozen=True)
class Selective:
    """How a model does that abstains when its confidence is too low."""

    target_accuracy: float  # 0-1
    threshold: float | None  # lowest confidence, 0-1; None: no threshold reached the accuracy
    coverage: float  # fraction of images with a prediction, 0-1
    accuracy: float | None  # of those predictions, 0-1; None: there are none


def evaluate_selective(
    target_accuracy: float, chosen_on: tuple[Floats, Labels], probabilities: Floats, labels: Labels
) -> Selective:
    """Chooses the lowest threshold that reaches an accuracy, and measures it on other images.

    Args:
        target_accuracy: 0-1.
        chosen_on: probabilities and labels of the images that the threshold is chosen on.
    """
    _, accuracies = accuracy_coverage_curve(*chosen_on)
    confidences = np.sort(chosen_on[0].max(axis=1))[::-1]  # descending, as the accuracies
    # A threshold cannot separate equal confidences, so only the last of them counts.
    last_of_equals = np.append(confidences[1:] < confidences[:-1], True)
    reached = np.flatnonzero((accuracies >= target_accuracy) & last_of_equals)
    if not len(reached):
        return Selective(target_accuracy, None, 0.0, None)
    threshold = float(confidences[reached[-1]])  # the last that reaches it: most answers
    answered = probabilities.max(axis=1) >= threshold
    measured = accuracy(probabilities[answered], labels[answered]) if answered.any() else None
    return Selective(target_accuracy, threshold, float(answered.mean()), measured)
