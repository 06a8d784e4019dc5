"""How well a model classifies photos of clothing, and rejects those of other things.

A kind is what a photo shows, such as "shoes". Several classes can be correct for it, or none.

Throughout: kinds (n,) str; correct (n,) bool, False for a photo without a correct class; scores
0-1, None where there is no photo to compute them from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.data import TEST, clothing_photos
from wardrobe.data.clothing_photos import KINDS, Photos, accepted_classes
from wardrobe.data.test_split import open_test_photos
from wardrobe.errors import DataError
from wardrobe.evaluation import calibration, metrics, out_of_distribution
from wardrobe.evaluation.metrics import Bools, Floats
from wardrobe.inference.classifier import Predictions

Kinds = npt.NDArray[np.str_]


def open_photos(split: str, photos_dir: Path | None = None) -> Photos:
    """Returns the photos of "test" or "validation" to measure on; nothing may be chosen on "test".

    Args:
        photos_dir: as in `clothing_photos.find`.
    """
    if split == TEST:
        return open_test_photos(photos_dir)
    return clothing_photos.read_split(clothing_photos.locate(photos_dir), split)


def score(predictions: Predictions, kinds: Kinds) -> dict[str, Any]:
    """Returns what `score_answers` returns, and scores of calibration and of rejection."""
    known, sure = is_known(kinds), ~predictions.not_sure
    correct = is_correct(predictions.labels, kinds)
    return {
        **score_answers(predictions.labels, predictions.familiarity, kinds),
        # To give no class is correct for photos that show none, and wrong for the others.
        "accuracy_of_all": float(np.where(known, correct & sure, ~sure).mean()),
        "coverage": _mean(sure[known]),
        "accuracy_of_answered": _mean(correct[known & sure]),
        "not_sure_of_others": _mean(~sure[~known]),
        "ece": calibration.expected_calibration_error(
            sum_over_kind(predictions)[known], correct[known]
        ),
    }


def score_answers(labels: Sequence[str], familiarity: Floats, kinds: Kinds) -> dict[str, Any]:
    """Returns the scores that depend on neither temperature nor threshold.

    Args:
        labels: n class names, the most probable ones.
        familiarity: (n,); see `confidence.familiarity`.

    Raises:
        DataError: no photo has a correct class.
    """
    known, correct = is_known(kinds), is_correct(labels, kinds)
    if not known.any():
        kinds_with_class = ", ".join(clothing_photos.KNOWN_KINDS)
        raise DataError(f"no photo has a kind with a class; add some of {kinds_with_class}")
    ranks = familiarity[known], familiarity[~known]
    return {
        "n": int(known.sum()),
        "n_others": int((~known).sum()),
        "accuracy": _mean(correct[known]),
        "balanced_accuracy": balanced_accuracy(correct, kinds),
        "balanced_accuracy_interval_95": list(balanced_accuracy_interval(correct, kinds)),
        "auroc": None if known.all() else out_of_distribution.auroc(*ranks),
    }


def is_known(kinds: Kinds) -> Bools:
    """Returns whether each kind has a correct class: (n,)."""
    return np.array([bool(accepted_classes(kind)) for kind in kinds])


def is_correct(labels: Sequence[str], kinds: Kinds) -> Bools:
    """Returns whether each label is one of the classes that are correct for the kind: (n,)."""
    pairs = zip(labels, kinds, strict=True)
    return np.array([label in accepted_classes(kind) for label, kind in pairs])


def balanced_accuracy(correct: Bools, kinds: Kinds) -> float:
    """Returns the mean of the accuracies of the kinds that have a correct class, 0-1."""
    return float(np.mean([group.mean() for group in _group(correct, kinds)]))


def balanced_accuracy_interval(correct: Bools, kinds: Kinds) -> tuple[float, float]:
    """Returns the 95 % interval of the balanced accuracy, 0-1.

    It combines the Wilson intervals of the kinds: the distance from each estimate to its bound is
    an error, and the errors of independent samples add in quadrature. Unlike in a bootstrap, a kind
    whose photos are all correct still adds to the width.

    Source: MOVER, Zou, Huang, Zhang 2009, doi 10.1016/j.csda.2008.09.033.
    """
    groups = _group(correct, kinds)
    accuracies = np.array([group.mean() for group in groups])  # (k,)
    bounds = np.array(
        [metrics.accuracy_interval(int(group.sum()), len(group)) for group in groups]
    )  # (k, 2)
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


def _group(correct: Bools, kinds: Kinds) -> list[Bools]:
    """Returns `correct` of each kind that has a correct class."""
    return [correct[kinds == kind] for kind in np.unique(kinds[is_known(kinds)])]


def _mean(values: Bools) -> float | None:
    return float(values.mean()) if len(values) else None
