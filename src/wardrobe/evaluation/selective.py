"""How far to trust an answer: when to keep silent, what set holds the truth, what is known. Arrays in, numbers out.

Throughout: probabilities (n, k) with rows that sum to 1; labels (n,) int in 0..k-1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


def accuracy_coverage_curve(probabilities: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Returns the accuracy over the surest answers, for every share of them that is given.

    Returns:
        coverage (n,), from 1/n to 1; accuracy (n,), 0-1, of so many of the surest.

    Source: selective prediction, Geifman and El-Yaniv 2017, arXiv 1705.08500.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    correct = (probabilities.argmax(axis=1) == labels)[order]
    given = np.arange(1, len(labels) + 1)
    return given / len(labels), np.cumsum(correct) / given


@dataclass(frozen=True)
class Selective:
    """What comes of answering only where the model is sure enough."""

    wanted: float  # accuracy, 0-1
    threshold: (
        float | None
    )  # least confidence, 0-1, chosen on other images; None: no threshold gave it there
    coverage: float  # share of the images that is answered, 0-1
    accuracy: float | None  # over those; None: none is answered


def evaluate_selective(
    wanted: float, chosen_on: tuple[Floats, Labels], probabilities: Floats, labels: Labels
) -> Selective:
    """Chooses on some images the least confidence at which the answers have the wanted accuracy; measures it on others.

    Args:
        chosen_on: probabilities and labels of the images to choose on.
    """
    _, accuracy = accuracy_coverage_curve(*chosen_on)
    confidences = np.sort(chosen_on[0].max(axis=1))[::-1]
    last_of_equals = np.append(confidences[1:] < confidences[:-1], True)
    enough = np.flatnonzero((accuracy >= wanted) & last_of_equals)
    if not len(enough):
        return Selective(wanted, None, 0.0, None)
    threshold = float(confidences[enough[-1]])
    given = probabilities.max(axis=1) >= threshold
    correct = (probabilities.argmax(axis=1) == labels)[given]
    return Selective(
        wanted, threshold, float(given.mean()), float(correct.mean()) if len(correct) else None
    )


def conformal_threshold(probabilities: Floats, labels: Labels, promise: float) -> float:
    """Returns the least probability with which a class enters a set that holds the truth as often as promised.

    Over new images like these, the truth is in the set with a probability of at least `promise`, 0-1, and at most
    1 / (n + 1) more, whatever the model.

    Source: least ambiguous sets, Sadinle et al. 2019, arXiv 1609.00451; split conformal, Angelopoulos and Bates 2021,
    arXiv 2107.07511.
    """
    n = len(labels)
    rank = int(np.ceil((n + 1) * promise))
    if rank > n:
        return 0.0
    return float(np.sort(probabilities[np.arange(n), labels])[::-1][rank - 1])


def prediction_sets(probabilities: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Returns which classes are in each image's set: (n, k)."""
    return probabilities >= threshold


def evaluate_conformal(
    promise: float, calibrated_on: tuple[Floats, Labels], probabilities: Floats, labels: Labels
) -> dict[str, Any]:
    """Calibrates sets on some images and measures them on others.

    Returns:
        promise and coverage, 0-1; threshold; size, the mean number of classes in a set; sizes, the share of sets of
        0, 1, … classes.
    """
    threshold = conformal_threshold(*calibrated_on, promise)
    sets = prediction_sets(probabilities, threshold)
    size = sets.sum(axis=1)
    return {
        "promise": promise,
        "threshold": threshold,
        "coverage": float(sets[np.arange(len(labels)), labels].mean()),
        "size": float(size.mean()),
        "sizes": (np.bincount(size, minlength=sets.shape[1] + 1) / len(size)).tolist(),
    }


def auroc(known: Floats, other: Floats) -> float:
    """Returns how often a score is higher for what is known than for what is not: area under the ROC curve, 0-1."""
    return float(
        roc_auc_score(
            np.arange(len(known) + len(other)) < len(known), np.concatenate([known, other])
        )
    )
