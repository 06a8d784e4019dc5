"""How well a model classifies photos of clothing, and rejects those of other things.

A kind is a folder of the photos, such as "shoes". Several classes can be correct for it, or none.

Throughout: kinds (n,) str; correct (n,) bool, False for a photo without a correct class.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.data.clothing_photos import KINDS
from wardrobe.evaluation import calibration, metrics, out_of_distribution
from wardrobe.inference.classifier import Predictions

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.str_]

KNOWN = [kind for kind, classes in KINDS.items() if classes]  # kinds with a correct class


def score(predictions: Predictions, kinds: Kinds) -> dict[str, Any]:
    """Returns accuracy, coverage, calibration and rejection, each 0-1, and the photos counted."""
    known, sure = np.isin(kinds, KNOWN), ~predictions.not_sure
    correct = is_correct(predictions.labels, kinds)
    answered, familiarity = known & sure, predictions.familiarity
    return {
        "photos": int(known.sum()),
        "accuracy": float(correct[known].mean()),
        "balanced_accuracy": balanced_accuracy(correct, kinds),
        "balanced_accuracy_interval_95": list(balanced_accuracy_interval(correct, kinds)),
        "coverage": float(sure[known].mean()),
        "accuracy_of_answered": float(correct[answered].mean()) if answered.any() else None,
        "other_photos": int((~known).sum()),
        "not_sure_of_others": float((~sure)[~known].mean()) if (~known).any() else None,
        "auroc": (
            out_of_distribution.auroc(familiarity[known], familiarity[~known])
            if (~known).any()
            else None
        ),
        "ece": calibration.expected_calibration_error(
            sum_over_kind(predictions)[known], correct[known]
        ),
    }


def is_correct(labels: list[str], kinds: Kinds) -> Bools:
    """Returns whether each label is one of the classes that are correct for the kind: (n,)."""
    return np.array(
        [label in KINDS.get(kind, ()) for label, kind in zip(labels, kinds, strict=True)]
    )


def balanced_accuracy(correct: Bools, kinds: Kinds) -> float:
    """Returns the mean of the accuracies of the kinds that have a correct class, 0-1."""
    return float(np.mean([correct[kinds == kind].mean() for kind in _present(kinds)]))


def balanced_accuracy_interval(correct: Bools, kinds: Kinds) -> tuple[float, float]:
    """Returns the 95 % interval of the balanced accuracy, 0-1.

    It combines the Wilson intervals of the kinds: the distance from each estimate to its bound is
    an error, and the errors of independent samples add in quadrature. Unlike in a bootstrap, a kind
    whose photos are all correct still adds to the width.

    Source: MOVER, Zou, Huang, Zhang 2009, doi 10.1016/j.csda.2008.09.033.
    """
    groups = [correct[kinds == kind] for kind in _present(kinds)]
    accuracies = np.array([group.mean() for group in groups])  # (7,)
    bounds = np.array(
        [metrics.accuracy_interval(int(group.sum()), len(group)) for group in groups]
    )  # (7, 2)
    errors = np.linalg.norm(bounds - accuracies[:, None], axis=0) / len(groups)  # (2,)
    low, high = accuracies.mean() + errors * (-1, 1)
    return float(low), float(high)


def sum_over_kind(predictions: Predictions) -> Floats:
    """Returns, for each answer, the probability that the photo is of that kind: (n,), 0-1.

    A kind can have several correct classes, such as three of shoes. The probability of any of them
    is their sum. A class that is correct for no kind is a kind of its own.
    """
    kind = {name: kind for kind, names in KINDS.items() for name in names}
    kinds = np.array([kind.get(name, name) for name in predictions.class_names])
    is_same_kind = kinds[:, None] == kinds  # (k, k)
    answers = predictions.probabilities.argmax(axis=1)
    return np.where(is_same_kind[answers], predictions.probabilities, 0).sum(axis=1)


def _present(kinds: Kinds) -> list[str]:
    return [kind for kind in KNOWN if (kinds == kind).any()]
