"""Scores on photos agree with other libraries, and treat every kind alike."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from wardrobe.data.clothing_photos import KINDS, KNOWN_KINDS
from wardrobe.errors import DataError
from wardrobe.evaluation import out_of_distribution, photos
from wardrobe.inference.classifier import Predictions
from wardrobe.labels import CLASS_NAMES


def predict(probabilities: np.ndarray, familiarity: np.ndarray, threshold: float) -> Predictions:
    return Predictions(
        CLASS_NAMES, probabilities, familiarity, threshold, np.zeros(len(familiarity), bool)
    )


def draw_predictions(n: int = 400) -> tuple[Predictions, np.ndarray]:
    """Returns predictions, a third of them correct by design, and kinds; some have no class."""
    rng = np.random.default_rng(0)
    kinds = rng.choice([*KINDS], n)
    logits = rng.normal(size=(n, 10))
    for row in np.flatnonzero(rng.random(n) < 0.3):
        accepted = KINDS[kinds[row]]
        logits[row, [CLASS_NAMES.index(name) for name in accepted[:1]]] = 5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return predict(probabilities, rng.normal(size=n) + photos.is_known(kinds), 0.5), kinds


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    predictions, kinds = draw_predictions()
    known = photos.is_known(kinds)
    # Each class is replaced by its kind. Bag is correct for no kind, so it becomes a wrong kind.
    kind_of = {name: kind for kind, names in KINDS.items() for name in names}
    predicted = np.array([kind_of.get(name, "unknown") for name in predictions.labels])
    predicted[predicted == "unknown"] = np.where(kinds == "dress", "shirt", "dress")[
        predicted == "unknown"
    ]
    expected = balanced_accuracy_score(kinds[known], predicted[known])
    scores = photos.score(predictions, kinds)
    assert scores["balanced_accuracy"] == pytest.approx(expected)
    assert 0.2 < expected < 0.8
    assert scores["accuracy"] == np.mean(predicted[known] == kinds[known])


def test_scores_of_not_sure_are_fractions_of_known_and_of_other_photos() -> None:
    predictions, kinds = draw_predictions()
    known, sure = photos.is_known(kinds), predictions.familiarity >= 0.5
    correct = photos.is_correct(predictions.labels, kinds)
    scores = photos.score(predictions, kinds)
    assert (scores["n"], scores["n_others"]) == (known.sum(), (~known).sum())
    assert scores["coverage"] == sure[known].mean()
    assert scores["accuracy_of_answered"] == correct[known & sure].mean()
    assert scores["not_sure_of_others"] == 1 - sure[~known].mean()
    right = (known & sure & correct).sum() + (~known & ~sure).sum()
    assert scores["accuracy_of_all"] == right / len(kinds)
    familiarity = predictions.familiarity
    assert scores["auroc"] == out_of_distribution.auroc(familiarity[known], familiarity[~known])


def test_what_cannot_be_computed_is_none() -> None:
    predictions = predict(np.eye(10)[:2], np.zeros(2), 1)
    scores = photos.score(predictions, np.array(["t-shirt", "pants"]))
    assert scores["accuracy"] == 1
    assert all(scores[name] is None for name in ("accuracy_of_answered", "not_sure_of_others"))
    assert scores["auroc"] is None
    with pytest.raises(DataError, match="no photo has a kind with a class; add some of dress, lon"):
        photos.score(predictions, np.array(["hat", "skirt"]))


def test_class_names_are_kinds_of_ones_own_photos() -> None:
    kinds = np.array(["Bag", "Ankle boot", "other"])
    assert photos.is_known(kinds).tolist() == [True, True, False]
    assert photos.is_correct(["Bag", "Sandal", "Bag"], kinds).tolist() == [True, False, False]


def test_balanced_accuracy_weighs_every_kind_equally() -> None:
    kinds = np.array(["dress"] * 8 + [kind for kind in KNOWN_KINDS if kind != "dress"])
    correct = np.array([True] * 8 + [False] * 6)
    assert photos.balanced_accuracy(correct, kinds) == pytest.approx(1 / 7)


def test_interval_of_balanced_accuracy_is_near_that_of_a_stratified_bootstrap() -> None:
    hits = {"dress": 11, "longsleeve": 19, "outwear": 29, "pants": 41, "shirt": 13, "shoes": 69}
    hits |= {"t-shirt": 32}
    sizes = (15, 72, 38, 42, 26, 73, 52)
    groups = [np.arange(n) < k for k, n in zip(hits.values(), sizes, strict=True)]
    resampled = stats.bootstrap(
        groups,
        lambda *samples, axis: np.mean([sample.mean(axis=axis) for sample in samples], axis=0),
        vectorized=True,
        n_resamples=2000,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    interval = photos.balanced_accuracy_interval(np.concatenate(groups), np.repeat([*hits], sizes))
    assert interval == pytest.approx((resampled.low, resampled.high), abs=0.01)


def test_interval_of_balanced_accuracy_has_a_width_if_every_photo_is_correct() -> None:
    low, high = photos.balanced_accuracy_interval(np.full(7, True), np.array(KNOWN_KINDS))
    # One photo of each: 1 - (1 - Wilson's bound) * sqrt(7) / 7.
    assert low == pytest.approx(1 - 0.7935 / np.sqrt(7), abs=1e-4)
    assert high == 1


def test_calibration_error_sums_the_probabilities_of_the_accepted_classes() -> None:
    columns = [CLASS_NAMES.index(name) for name in ("Sandal", "Sneaker", "Ankle boot", "Bag")]
    probabilities = np.zeros((20, 10))
    # Shoes: any of three is correct, with 0.35 + 0.3 + 0.25 = 0.9.
    probabilities[:10, columns] = 0.35, 0.3, 0.25, 0.1
    # The answer is Bag, with 0.4, though all shoes together are more probable.
    probabilities[10:, columns] = 0.3, 0.2, 0.1, 0.4
    predictions = predict(probabilities, np.ones(20), 0)
    assert photos.sum_over_kind(predictions) == pytest.approx([0.9] * 10 + [0.4] * 10)
    kinds = np.array(["shoes"] * 9 + ["dress"] + ["shoes"] * 4 + ["pants"] * 6)
    # Gaps: 0.9 with 9 of 10 correct, 0.4 with none of 10 correct.
    assert photos.score(predictions, kinds)["ece"] == pytest.approx(0.4 * 10 / 20)


def test_interval_of_auroc_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    known, other = rng.normal(1.5, 1, 300).round(1), rng.normal(0, 1, 60).round(1)
    resampled = stats.bootstrap(
        (known, other), out_of_distribution.auroc, n_resamples=500, method="percentile", rng=rng,
        vectorized=False,
    ).confidence_interval  # fmt: skip
    interval = out_of_distribution.auroc_interval(known, other)
    assert interval == pytest.approx((resampled.low, resampled.high), abs=0.015)
    assert out_of_distribution.auroc_interval(known, other[:1]) is None
