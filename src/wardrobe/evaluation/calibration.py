"""Calibration: whether 80 % confidence means 80 % accuracy.

Throughout: logits (n, k) float, any sign; probabilities (n, k), rows that sum to 1; labels (n,)
int, 0 to k-1; confidence (n,) 0-1, the highest probability; correct (n,) bool.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from wardrobe.evaluation.metrics import Bools, Floats, Labels, negative_log_likelihood

ECE_BINS = 15  # of equal width, as in Guo et al. 2017, arXiv 1706.04599


def fit_temperature(logits: Floats, labels: Labels | Bools) -> float:
    """Returns the temperature that maximises the likelihood of the labels, from e⁻³ to e³.

    A standard normal prior on its logarithm keeps it near 1 when there are too few images, or too
    few mistakes, to estimate it. With thousands of images the prior has no measurable effect.

    Args:
        labels: (n,); or (n, k) bool, the classes of which any is correct.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """

    def objective(log_t: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_t)
        return negative_log_likelihood(scaled, labels) + log_t**2 / (2 * len(labels))

    return float(np.exp(minimize_scalar(objective, bounds=(-3, 3), method="bounded").x))


def reliability(probabilities: Floats, labels: Labels) -> dict[str, npt.NDArray[Any]]:
    """Groups predictions by confidence; see `bin_confidences`."""
    return bin_confidences(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def bin_confidences(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = ECE_BINS
) -> dict[str, npt.NDArray[Any]]:
    """Groups predictions by confidence into bins of equal width.

    Returns:
        edges (bins + 1,), 0-1; count (bins,); confidence and accuracy (bins,), the mean of each
        bin, 0 if it is empty.
    """
    edges = np.linspace(0, 1, bins + 1)
    bin_index = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, bins - 1)  # (n,)
    count = np.bincount(bin_index, minlength=bins)  # (bins,)
    divisor = np.maximum(count, 1)  # an empty bin has the mean 0
    return {
        "edges": edges,
        "count": count,
        "confidence": np.bincount(bin_index, confidence, bins) / divisor,
        "accuracy": np.bincount(bin_index, correct, bins) / divisor,
    }


def expected_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Returns the mean gap between confidence and accuracy over `ECE_BINS` bins, 0-1.

    Each bin is weighted by its number of predictions.
    """
    bins = bin_confidences(confidence, correct)
    gaps = np.abs(bins["accuracy"] - bins["confidence"])  # (bins,), 0-1
    return float((bins["count"] * gaps).sum() / len(correct))
