"""Metrics of predictions: arrays in, numbers out. scikit-learn has those that are not here.

Throughout: logits (n, k) float, any sign; probabilities (n, k), rows that sum to 1; labels (n,)
int, 0 to k-1.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, logsumexp
from scipy.stats import binomtest

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def accuracy(logits: Floats, labels: Labels) -> float:
    """Returns the fraction of correct predictions, 0-1."""
    return float((logits.argmax(axis=1) == labels).mean())


def accuracy_interval(correct: int, n: int) -> tuple[float, float]:
    """Returns the 95 % interval of an accuracy, 0-1 (Wilson 1927)."""
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def cross_entropies(logits: Floats, labels: Labels | Bools) -> Floats:
    """Returns -log p(label) of each image, in nats: (n,).

    From logits, as softmax rounds a small probability to 0 and its logarithm to infinity.

    Args:
        labels: (n,); or (n, k) bool, the classes of which any is correct.
    """
    log_p = log_softmax(logits.astype(np.float64), axis=1)  # (n, k)
    if labels.ndim == 2:
        return -logsumexp(np.where(labels, log_p, -np.inf), axis=1)
    return -log_p[np.arange(len(labels)), labels]


def negative_log_likelihood(logits: Floats, labels: Labels | Bools) -> float:
    """Returns the mean of -log p(label), in nats."""
    return float(cross_entropies(logits, labels).mean())


def brier_score(probabilities: Floats, labels: Labels) -> float:
    """Returns the mean squared distance to the one-hot labels, 0-2 (Brier 1950)."""
    one_hot = np.eye(probabilities.shape[1])[labels]  # (n, k)
    return float(np.square(probabilities - one_hot).sum(axis=1).mean())
