"""Conformal prediction: sets of classes that contain the label with a given probability.

Throughout: probabilities (n, k), rows that sum to 1; labels (n,) int, 0 to k-1; coverage, the
fraction of sets that contain the label, 0-1.

Source: least ambiguous sets, Sadinle et al. 2019, arXiv 1609.00451; split conformal prediction,
Angelopoulos and Bates 2021, arXiv 2107.07511.
"""

from typing import Any

import numpy as np

from wardrobe.evaluation.metrics import Floats, Labels


def conformal_threshold(probabilities: Floats, labels: Labels, coverage: float) -> float:
    """Returns the lowest probability at which a class enters the set, for a target coverage.

    For new images like these, and whatever the model, the set contains the label with a
    probability of at least `coverage`; if no two probabilities are equal, of at most `coverage` +
    1 / (n + 1). This probability is also over the draw of the n images given here. The model must
    not have been trained on them, nor its recipe chosen on them; fitting only a temperature on them
    has no measurable effect.
    """
    n = len(labels)
    rank = int(np.ceil((n + 1) * coverage))  # n + 1: the new image counts as one of them
    if rank > n:  # too few images for this coverage: every class enters
        return 0.0
    return float(np.sort(probabilities[np.arange(n), labels])[::-1][rank - 1])


def evaluate_conformal(
    coverage: float, calibrated_on: tuple[Floats, Labels], probabilities: Floats, labels: Labels
) -> dict[str, Any]:
    """Calibrates prediction sets on some images and measures them on others.

    Args:
        coverage: what to calibrate for, 0-1.
        calibrated_on: probabilities and labels of the images to calibrate on.

    Returns:
        target_coverage; threshold; coverage, the coverage measured; size, the mean
        number of classes in a set; sizes, the fraction of sets with 0, 1, … classes.
    """
    threshold = conformal_threshold(*calibrated_on, coverage)
    sets = probabilities >= threshold  # (n, k): which classes are in each set
    size = sets.sum(axis=1)  # (n,), 0 to k: a set may be empty
    return {
        "target_coverage": coverage,
        "threshold": threshold,
        "coverage": float(sets[np.arange(len(labels)), labels].mean()),
        "size": float(size.mean()),
        "sizes": (np.bincount(size, minlength=sets.shape[1] + 1) / len(size)).tolist(),
    }
