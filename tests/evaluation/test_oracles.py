"""Each metric agrees with another library, on random and on degenerate predictions."""

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import mannwhitneyu
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, multilabel_confusion_matrix

from wardrobe.evaluation import (
    calibration,
    conformal,
    metrics,
    out_of_distribution,
    scoring,
    selective,
)

Answers = tuple[np.ndarray, np.ndarray]  # logits (n, k) and labels (n,)


def draw(n: int, k: int, seed: int = 0) -> Answers:
    """Returns logits, and labels for which they are too confident by a factor of 1.7."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((n, k))
    return logits, (logits / 1.7 + rng.gumbel(size=(n, k))).argmax(axis=1)


LOGITS, LABELS = draw(2000, 10)
CERTAIN = 1000 * np.eye(4)[[0, 1, 2, 2]]  # softmax: exactly 1 and 0
CASES: dict[str, Answers] = {
    "random": (LOGITS, LABELS),
    "two classes": draw(500, 2),
    "all labels of one class": (LOGITS[LABELS == 3], LABELS[LABELS == 3]),
    "all correct": (LOGITS, LOGITS.argmax(axis=1)),
    "all wrong": (LOGITS, LOGITS.argmin(axis=1)),
    "equal confidences": (np.zeros((30, 10)), np.arange(30) % 10),
    "certain": (CERTAIN, np.array([0, 1, 2, 2])),
    "certain and wrong": (CERTAIN, np.array([0, 1, 2, 3])),
    "one image, correct": (LOGITS[:1], LOGITS[:1].argmax(axis=1)),
    "one image, wrong": (LOGITS[:1], LOGITS[:1].argmin(axis=1)),
}
each_case = pytest.mark.parametrize(("logits", "labels"), CASES.values(), ids=CASES)


@each_case
def test_scores_are_those_of_scikit_learn(logits: np.ndarray, labels: np.ndarray) -> None:
    classes, predicted = np.arange(logits.shape[1]), logits.argmax(axis=1)
    found = scoring.compute_metrics(logits, logits / 1.7, labels, tuple(map(str, classes)))
    assert found["n"] == len(labels)
    assert found["accuracy"] == accuracy_score(labels, predicted)
    assert metrics.accuracy(logits, labels) == accuracy_score(labels, predicted)
    of_classes = multilabel_confusion_matrix(labels, predicted, labels=classes)
    confusion = np.array(found["confusion"])
    for label, ((_, fp), (fn, tp)) in enumerate(of_classes):
        row = found["per_class"][str(label)]
        assert row["precision"] == pytest.approx(tp / max(tp + fp, 1))
        assert row["recall"] == pytest.approx(tp / max(tp + fn, 1))
        assert row["f1"] == pytest.approx(2 * tp / max(2 * tp + fp + fn, 1))
        assert row["support"] == tp + fn == confusion[label].sum()
        assert (confusion[label, label], confusion[:, label].sum()) == (tp, tp + fp)
    for when, scaled in (("before", logits), ("after", logits / 1.7)):
        probabilities = softmax(scaled, axis=1)
        brier = brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)
        assert found["brier"][when] == pytest.approx(brier)
        if (
            probabilities[np.arange(len(labels)), labels].min() > 1e-15
        ):  # scikit-learn clips smaller ones
            expected = log_loss(labels, probabilities, labels=classes)
            assert found["nll"][when] == pytest.approx(expected)
    if (logits is CERTAIN) and (labels != predicted).any():
        assert found["nll"]["before"] == 1000 / 4, "the logit that is missing, not infinite"


@each_case
def test_reliability_and_calibration_error_are_those_of_scikit_learn(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    probabilities = softmax(logits, axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = calibration.reliability(probabilities, labels)
    used = bins["count"] > 0
    accuracies, confidences = calibration_curve(
        correct, confidence, n_bins=calibration.ECE_BINS, pos_label=True
    )
    np.testing.assert_allclose(bins["accuracy"][used], accuracies)
    np.testing.assert_allclose(bins["confidence"][used], confidences)
    assert bins["count"].sum() == len(labels)
    error = (bins["count"][used] * np.abs(accuracies - confidences)).sum() / len(labels)
    assert calibration.expected_calibration_error(confidence, correct) == pytest.approx(error)


def test_confidences_on_the_edges_of_bins_are_in_those_of_scikit_learn() -> None:
    confidence = np.linspace(0, 1, calibration.ECE_BINS + 1)  # the edges, exactly
    correct = np.arange(len(confidence)) % 3 == 0
    bins = calibration.bin_confidences(confidence, correct)
    accuracies, confidences = calibration_curve(correct, confidence, n_bins=calibration.ECE_BINS)
    np.testing.assert_array_equal(bins["count"], [2, *[1] * 14])
    np.testing.assert_allclose(bins["accuracy"], accuracies)
    np.testing.assert_allclose(bins["confidence"], confidences)


# netcal 1.4.0: ECE(15).measure(softmax(logits), labels). torchmetrics 1.9.0, in float32, agrees:
# multiclass_calibration_error(softmax(logits), labels, num_classes=k, n_bins=15, norm="l1").
@pytest.mark.parametrize(
    ("n", "k", "expected"), [(2000, 10, 0.16591310481807178), (50, 3, 0.1450012096900027)]
)
def test_calibration_error_is_that_of_netcal(n: int, k: int, expected: float) -> None:
    logits, labels = draw(n, k)
    probabilities = softmax(logits, axis=1)
    error = calibration.expected_calibration_error(
        probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    )
    assert error == pytest.approx(expected, rel=1e-12)


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its logits."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.classes_ = np.arange(k)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, logits: np.ndarray, labels: np.ndarray) -> "Given":
        return self

    def decision_function(self, logits: np.ndarray) -> np.ndarray:
        return logits

    def predict_proba(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits, axis=1)

    def predict(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=1)


def test_the_temperature_is_that_of_scikit_learn() -> None:
    fitted = CalibratedClassifierCV(FrozenEstimator(Given(10)), method="temperature")
    expected = fitted.fit(LOGITS, LABELS).predict_proba(LOGITS)
    temperature = calibration.fit_temperature(LOGITS, LABELS)
    assert temperature == pytest.approx(1.7, abs=0.1)
    # The prior moves it by less than a thousandth.
    np.testing.assert_allclose(softmax(LOGITS / temperature, axis=1), expected, atol=1e-3)


@each_case
def test_a_temperature_is_found_for_every_case(logits: np.ndarray, labels: np.ndarray) -> None:
    temperature = calibration.fit_temperature(logits, labels)
    assert np.exp(-3) <= temperature <= np.exp(3)

    def loss(t: float) -> float:
        return metrics.negative_log_likelihood(logits / t, labels)

    assert loss(temperature) <= loss(1) + 1e-9


@pytest.mark.parametrize(
    ("correct", "n"), [(9100, 10_000), (3, 7), (1, 1), (0, 1), (0, 50), (50, 50)]
)
def test_the_accuracy_interval_inverts_the_score_test(correct: int, n: int) -> None:
    """Wilson's limits are the accuracies that a score test just rejects at 5 %."""

    def distance(p: float) -> float:
        return (correct / n - p) ** 2 - 1.959963984540054**2 * p * (1 - p) / n

    low, high = metrics.accuracy_interval(correct, n)
    least, most = 1e-9, 1 - 1e-9
    measured = np.clip(correct / n, least, most)
    assert low == (0 if correct == 0 else pytest.approx(brentq(distance, least, measured)))
    assert high == (1 if correct == n else pytest.approx(brentq(distance, measured, most)))


@pytest.mark.parametrize("decimals", [16, 1])  # 1: many ties
@pytest.mark.parametrize("sizes", [(300, 200), (1, 1)])
def test_auroc_is_that_of_the_mann_whitney_test(sizes: tuple[int, int], decimals: int) -> None:
    rng = np.random.default_rng(0)
    known, other = rng.normal(1, 1, sizes[0]).round(decimals), rng.normal(0, 1, sizes[1])
    wins = mannwhitneyu(known, other.round(decimals)).statistic / np.prod(sizes)
    assert out_of_distribution.auroc(known, other.round(decimals)) == pytest.approx(wins)
    assert out_of_distribution.auroc(known, known) == pytest.approx(0.5)


@each_case
def test_selective_accuracy_is_that_of_the_most_confident(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    probabilities = softmax(logits, axis=1)
    coverage, accuracy = selective.accuracy_coverage_curve(probabilities, labels)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    for count in {1, len(labels) // 2, len(labels)} - {0}:
        first = order[:count]
        assert coverage[count - 1] == count / len(labels)
        expected = accuracy_score(labels[first], logits[first].argmax(axis=1))
        assert accuracy[count - 1] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset has less labels")
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(
    "name", ["random", "two classes", "all labels of one class", "all correct", "all wrong"]
)
def test_prediction_sets_are_those_of_mapie(name: str, coverage: float) -> None:
    logits, labels = CASES[name]
    k = logits.shape[1]
    new_logits, new_labels = draw(300, k, seed=1)
    mapie = SplitConformalClassifier(Given(k), coverage, conformity_score="lac")
    mapie.conformalize(logits, labels)
    _, expected = mapie.predict_set(new_logits)  # (n, k, 1)
    probabilities = softmax(new_logits, axis=1)
    calibrated_on = softmax(logits, axis=1), labels
    threshold = conformal.conformal_threshold(*calibrated_on, coverage)
    np.testing.assert_array_equal(probabilities >= threshold, expected[..., 0])
    found = conformal.evaluate_conformal(coverage, calibrated_on, probabilities, new_labels)
    assert found["size"] == pytest.approx(expected.sum() / len(expected))
    covered = expected[np.arange(len(new_labels)), new_labels, 0]
    assert found["coverage"] == pytest.approx(covered.mean())


@each_case
def test_prediction_sets_are_measured_in_every_case(logits: np.ndarray, labels: np.ndarray) -> None:
    probabilities = softmax(logits, axis=1)
    found = conformal.evaluate_conformal(0.9, (probabilities, labels), probabilities, labels)
    assert found["coverage"] >= 0.9, "on the images of the calibration itself"
    assert sum(found["sizes"]) == pytest.approx(1)
    assert len(found["sizes"]) == logits.shape[1] + 1
