"""Scores against values worked out by hand or from their published formula."""

import math

import numpy as np
import pytest

from wardrobe.evaluation import metrics

LABELS = np.array([0, 0, 1, 1])
SURE = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])


def test_accuracy_interval_is_wilsons() -> None:
    k, n, z = 9_100, 10_000, 1.959963984540054
    share = k / n
    centre, half = (
        share + z * z / (2 * n),
        z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)),
    )
    low, high = metrics.accuracy_interval(k, n)
    assert low == pytest.approx((centre - half) / (1 + z * z / n))
    assert high == pytest.approx((centre + half) / (1 + z * z / n))


def test_brier_and_likelihood_by_hand() -> None:
    by_hand = np.mean([2 * 0.1**2, 2 * 0.6**2, 2 * 0.2**2, 2 * 0.3**2])
    assert metrics.brier_score(SURE, LABELS) == pytest.approx(by_hand)
    likelihood = -np.mean(np.log([0.9, 0.4, 0.8, 0.7]))
    assert metrics.negative_log_likelihood(np.log(SURE), LABELS) == pytest.approx(likelihood)


def test_calibration_error_by_hand() -> None:
    # Four confidences in four bins: 0.9 right, 0.6 wrong, 0.8 right, 0.7 right.
    assert metrics.expected_calibration_error(SURE, LABELS) == pytest.approx(
        (0.1 + 0.6 + 0.2 + 0.3) / 4
    )


def test_calibration_error_weighs_each_bin_by_its_answers() -> None:
    # Three answers 0.9 sure of which two are right, one 0.6 sure and right.
    predicted = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    error = metrics.expected_calibration_error(predicted, np.array([0, 0, 1, 0]))
    assert error == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.4)


def test_scores_after_are_those_with_the_temperature() -> None:
    logits, labels = np.array([[2.0, 0.0], [0.0, 4.0], [2.0, 0.0]]), np.array([0, 1, 1])
    scores = metrics.score(logits, labels, ("a", "b"), temperature=2.0)
    softened = [
        1 / (1 + np.exp(-1)),
        1 / (1 + np.exp(-2)),
        1 / (1 + np.exp(-1)),
    ]  # the highest probability of each
    truth = [softened[0], softened[1], 1 - softened[2]]
    assert scores["nll"]["after"] == pytest.approx(-np.mean(np.log(truth)))
    assert scores["brier"]["after"] == pytest.approx(np.mean([2 * (1 - p) ** 2 for p in truth]))
    both_wrong_and_right = abs(softened[0] - 0.5)  # 0.73 sure twice, right once
    assert scores["ece"]["after"] == pytest.approx(
        2 / 3 * both_wrong_and_right + 1 / 3 * (1 - softened[1])
    )
    assert scores["ece"]["before"] != pytest.approx(scores["ece"]["after"])


def test_a_few_images_without_a_mistake_do_not_make_it_certain() -> None:
    assert 0.3 < metrics.fit_temperature(np.tile([2.0, 0.0], (20, 1)), np.zeros(20, int)) < 1


def test_calibration_error_of_certain_and_right_is_nought() -> None:
    assert metrics.expected_calibration_error(np.eye(3), np.arange(3)) == 0


def test_reliability_counts_everything_once() -> None:
    bins = metrics.reliability(SURE, LABELS)
    assert bins["count"].sum() == 4
    assert len(bins["edges"]) == 16


def test_the_temperature_that_was_put_in_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 10))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(
        axis=1
    )  # drawn from softmax(logits): calibrated
    assert metrics.fit_temperature(logits, labels) == pytest.approx(1, abs=0.03)
    assert metrics.fit_temperature(3 * logits, labels) == pytest.approx(3, abs=0.09)


def test_score_per_class_and_confusion() -> None:
    scores = metrics.score(np.log(SURE), LABELS, ("left", "right"), temperature=1.0)
    assert scores["accuracy"] == 0.75
    assert scores["confusion"] == [[1, 1], [0, 2]]
    assert scores["per_class"]["left"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
    }
    assert scores["per_class"]["right"]["precision"] == pytest.approx(2 / 3)
    assert scores["nll"]["before"] == pytest.approx(scores["nll"]["after"])


def test_a_class_that_is_never_named_scores_nought() -> None:
    scores = metrics.score(np.log(SURE), LABELS, ("left", "right", "never"), temperature=2.0)
    assert scores["per_class"]["never"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }
