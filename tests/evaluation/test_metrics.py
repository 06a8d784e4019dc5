"""Metrics against values computed by hand or from their published formula."""

import numpy as np
import pytest

from wardrobe.evaluation import calibration, metrics, scoring
from wardrobe.inference import confidence

LABELS = np.array([0, 0, 1, 1])
SURE = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    correct = probabilities.argmax(axis=1) == labels
    return calibration.expected_calibration_error(probabilities.max(axis=1), correct)


def test_brier_score_and_log_likelihood_match_values_by_hand() -> None:
    by_hand = np.mean([2 * 0.1**2, 2 * 0.6**2, 2 * 0.2**2, 2 * 0.3**2])
    assert metrics.brier_score(SURE, LABELS) == pytest.approx(by_hand)
    likelihood = -np.mean(np.log([0.9, 0.4, 0.8, 0.7]))
    assert metrics.negative_log_likelihood(np.log(SURE), LABELS) == pytest.approx(likelihood)


def test_calibration_error_matches_a_value_by_hand() -> None:
    # Four confidences in four bins: 0.9, 0.8 and 0.7 correct, 0.6 wrong.
    assert expected_calibration_error(SURE, LABELS) == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)


def test_calibration_error_weights_each_bin_by_its_predictions() -> None:
    # Three predictions with confidence 0.9, two of them correct; one with 0.6, correct.
    predicted = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    error = expected_calibration_error(predicted, np.array([0, 0, 1, 0]))
    assert error == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.4)


def test_scores_named_after_use_the_temperature() -> None:
    logits, labels = np.array([[2.0, 0.0], [0.0, 4.0], [2.0, 0.0]]), np.array([0, 1, 1])
    scores = scoring.compute_metrics(logits, logits / 2, labels, ("a", "b"))
    softened = [
        1 / (1 + np.exp(-1)),
        1 / (1 + np.exp(-2)),
        1 / (1 + np.exp(-1)),
    ]  # confidence of each prediction
    of_label = [softened[0], softened[1], 1 - softened[2]]
    assert scores["nll"]["after"] == pytest.approx(-np.mean(np.log(of_label)))
    assert scores["brier"]["after"] == pytest.approx(np.mean([2 * (1 - p) ** 2 for p in of_label]))
    gap = abs(softened[0] - 0.5)  # confidence 0.73 twice, correct once
    assert scores["ece"]["after"] == pytest.approx(2 / 3 * gap + 1 / 3 * (1 - softened[1]))
    assert scores["ece"]["before"] != pytest.approx(scores["ece"]["after"])


def test_few_images_without_mistakes_do_not_drive_the_temperature_to_0() -> None:
    assert 0.3 < calibration.fit_temperature(np.tile([2.0, 0.0], (20, 1)), np.zeros(20, int)) < 1


def test_calibration_error_is_0_if_confident_predictions_are_correct() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0


def test_reliability_counts_each_prediction_once() -> None:
    bins = calibration.reliability(SURE, LABELS)
    assert bins["count"].sum() == 4
    assert len(bins["edges"]) == 16


def test_fit_temperature_recovers_the_temperature_of_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 10))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(
        axis=1
    )  # sampled from softmax(logits), so calibrated
    assert calibration.fit_temperature(logits, labels) == pytest.approx(1, abs=0.03)
    assert calibration.fit_temperature(3 * logits, labels) == pytest.approx(3, abs=0.09)


def test_scores_per_class_and_confusion_matrix() -> None:
    scores = scoring.compute_metrics(np.log(SURE), np.log(SURE), LABELS, ("left", "right"))
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


def test_a_class_that_is_never_predicted_scores_0() -> None:
    logits = np.log(SURE)
    scores = scoring.compute_metrics(logits, logits / 2, LABELS, ("left", "right", "never"))
    assert scores["per_class"]["never"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }


def test_any_of_several_correct_classes_counts_as_one() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (50, 4))
    accepted = np.zeros((50, 4), bool)
    accepted[:, [1, 3]] = True
    expected = -np.log(confidence.softmax(logits)[:, [1, 3]].sum(axis=1))
    np.testing.assert_allclose(metrics.cross_entropies(logits, accepted), expected)
    labels = logits.argmax(axis=1)
    one_hot = np.eye(4, dtype=bool)[labels]
    assert calibration.fit_temperature(logits, one_hot) == pytest.approx(
        calibration.fit_temperature(logits, labels)
    )
