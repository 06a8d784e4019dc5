"""Selective prediction: the model abstains when its confidence is below a threshold.

Throughout: probabilities (n, k), rows that sum to 1; labels (n,) int, 0 to k-1.

Source: selection with guaranteed risk (SGR), Geifman and El-Yaniv 2017, arXiv 1705.08500.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtri

from wardrobe.evaluation.metrics import Floats, Labels, accuracy

DELTA = 0.05  # largest probability that a threshold misses its target; 5 % by convention


def accuracy_coverage_curve(probabilities: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Returns the accuracy of the most confident predictions, for every number of them.

    Returns:
        coverage (n,), the fraction of images with a prediction, 1/n to 1; accuracy (n,), 0-1.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")  # most confident first
    correct = (probabilities.argmax(axis=1) == labels)[order]
    answered = np.arange(1, len(labels) + 1)
    return answered / len(labels), np.cumsum(correct) / answered  # (n,) each


def choose_threshold(
    probabilities: Floats, labels: Labels, target_accuracy: float, delta: float = DELTA
) -> float | None:
    """Chooses a confidence threshold, 0-1, that guarantees an accuracy; None if no threshold does.

    The guarantee: with a probability of at least 1 - delta over the draw of the n labelled images,
    predictions with at least this confidence have at least the target accuracy on new images of the
    same distribution. The model need not be calibrated. There are two conditions: neither its
    confidence was fitted nor its recipe chosen on these images (a temperature alone has no
    measurable effect), and its accuracy does not fall as the threshold rises. The guarantee is for
    this target alone and for all new images together, not for each class, and not for images of
    another distribution.

    Args:
        target_accuracy: 0-1.
        delta: probability that the threshold misses it, 0-1.
    """
    confidences = probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")  # most confident first
    confidences = confidences[order]
    errors = np.cumsum((probabilities.argmax(axis=1) != labels)[order])  # of the first 1, 2, …
    allowed, refused = 0, len(labels) + 1  # numbers of predictions; the search narrows them
    tests = len(labels).bit_length()  # in that search; each gets a share of delta, so that all hold
    while refused - allowed > 1:
        middle = (allowed + refused) // 2
        # A threshold cannot separate equal confidences: all of them get a prediction.
        n = np.searchsorted(-confidences, -confidences[middle - 1], side="right")
        # The error rate at which so few errors have a probability of only delta / tests: the upper
        # limit of Clopper and Pearson; NaN if all are errors.
        if bdtri(errors[n - 1], n, delta / tests) <= 1 - target_accuracy:
            allowed = middle
        else:
            refused = middle
    return float(confidences[allowed - 1]) if allowed else None


@dataclass(frozen=True)
class Selective:
    """The performance of a model that abstains when its confidence is too low."""

    target_accuracy: float  # 0-1
    threshold: float | None  # lowest confidence, 0-1; None: no threshold guarantees the accuracy
    coverage: float  # fraction of images with a prediction, 0-1
    accuracy: float | None  # of those predictions, 0-1; None: there are none
    delta: float = DELTA  # probability that the threshold misses the target accuracy


def evaluate_selective(
    target_accuracy: float, chosen_on: tuple[Floats, Labels], probabilities: Floats, labels: Labels
) -> Selective:
    """Chooses a threshold that guarantees an accuracy, and measures it on other images.

    Args:
        target_accuracy: 0-1.
        chosen_on: probabilities and labels of the images that the threshold is chosen on; see
            `choose_threshold`.
    """
    threshold = choose_threshold(*chosen_on, target_accuracy)
    if threshold is None:
        return Selective(target_accuracy, None, 0.0, None)
    answered = probabilities.max(axis=1) >= threshold
    measured = accuracy(probabilities[answered], labels[answered]) if answered.any() else None
    return Selective(target_accuracy, threshold, float(answered.mean()), measured)
