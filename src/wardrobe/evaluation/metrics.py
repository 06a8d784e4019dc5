"""How good and how honest predictions are: arrays in, numbers out.

Throughout: logits (n, k) float, labels (n,) int in 0..k-1, probabilities (n, k) with rows that sum to 1.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from wardrobe.inference.confidence import softmax

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]

ECE_BINS = 15  # of equal width, as in Guo et al. 2017 (arXiv 1706.04599)


def accuracy_interval(correct: int, n: int) -> tuple[float, float]:
    """Returns the 95 % interval of an accuracy (Wilson 1927), 0-1."""
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def negative_log_likelihood(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Returns the mean over images of -log p(true class), in nats."""
    return float(cross_entropies(logits.astype(np.float64) / temperature, labels).mean())


def cross_entropies(logits: Floats, labels: Labels) -> Floats:
    """Returns minus the logarithm of the probability of each label: logits (n, k) → (n,)."""
    return -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]


def brier_score(predicted: Floats, labels: Labels) -> float:
    """Returns the mean squared distance of the probabilities from the one-hot truth, 0-2 (Brier 1950)."""
    truth = np.eye(predicted.shape[1])[labels]
    return float(np.square(predicted - truth).sum(axis=1).mean())


def reliability(
    predicted: Floats, labels: Labels, bins: int = ECE_BINS
) -> dict[str, npt.NDArray[Any]]:
    """Groups predictions by their confidence (highest probability); see `binned`."""
    return bin_confidences(predicted.max(axis=1), predicted.argmax(axis=1) == labels, bins)


def bin_confidences(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = ECE_BINS
) -> dict[str, npt.NDArray[Any]]:
    """Groups answers, (n,) each, by their confidence in bins of equal width.

    Returns:
        edges (bins + 1,) 0-1; count (bins,); confidence and accuracy (bins,): means in each bin, 0 where it is empty.
    """
    edges = np.linspace(0, 1, bins + 1)
    bin_index = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, bins - 1)
    count = np.bincount(bin_index, minlength=bins)
    at_least_one = np.maximum(count, 1)
    return {
        "edges": edges,
        "count": count,
        "confidence": np.bincount(bin_index, confidence, bins) / at_least_one,
        "accuracy": np.bincount(bin_index, correct, bins) / at_least_one,
    }


def expected_calibration_error(predicted: Floats, labels: Labels) -> float:
    """Returns the calibration error of predictions: (n, k) probabilities, (n,) labels."""
    return confidence_calibration_error(predicted.max(axis=1), predicted.argmax(axis=1) == labels)


def confidence_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Returns the mean gap between confidence and accuracy over `ECE_BINS` bins, weighted by their counts, 0-1."""
    bins = bin_confidences(confidence, correct)
    return float(
        (bins["count"] * np.abs(bins["accuracy"] - bins["confidence"])).sum() / len(correct)
    )


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Returns the temperature that makes the labels most likely (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    A standard normal prior on its logarithm keeps it near 1 where there are too few images, or too few mistakes among
    them, to tell; over thousands of images it changes nothing that could be measured. Between 0.05 and 20.
    """

    def objective(log_t: float) -> float:
        return negative_log_likelihood(logits, labels, np.exp(log_t)) + log_t**2 / (2 * len(labels))

    return float(np.exp(minimize_scalar(objective, bounds=(-3, 3), method="bounded").x))


def score(
    logits: Floats, labels: Labels, class_names: tuple[str, ...], temperature: float
) -> dict[str, Any]:
    """Returns what metrics.json holds of a split, but for the split's name.

    Args:
        temperature: fitted on other data than this; "after" stands for the scores with it, "before" for those without.
    """
    classes = np.arange(len(class_names))
    predicted = logits.argmax(axis=1)
    correct, n = int((predicted == labels).sum()), len(labels)
    low, high = accuracy_interval(correct, n)
    per_class = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    before, after = softmax(logits), softmax(logits, temperature)
    return {
        "n": n,
        "accuracy": correct / n,
        "accuracy_interval_95": [low, high],
        "class_names": list(class_names),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for name, p, r, f, s in zip(class_names, *per_class, strict=True)
        },
        "confusion": confusion_matrix(
            labels, predicted, labels=classes
        ).tolist(),  # rows: actual; columns: predicted
        "temperature": temperature,
        "nll": {
            "before": negative_log_likelihood(logits, labels),
            "after": negative_log_likelihood(logits, labels, temperature),
        },
        "brier": {"before": brier_score(before, labels), "after": brier_score(after, labels)},
        "ece": {
            "before": expected_calibration_error(before, labels),
            "after": expected_calibration_error(after, labels),
        },
    }
