"""Selective prediction, prediction sets, corruptions, out-of-distribution inputs."""

import numpy as np
import pytest
from scipy.stats import binomtest

from wardrobe.data import synthetic
from wardrobe.evaluation import conformal, corruptions, out_of_distribution, selective

RNG = np.random.default_rng(0)


def answers(n: int, honest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities (n, 4) and labels sampled from them, or from others if not honest."""
    logits = RNG.normal(0, 2, (n, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = logits if honest else logits[:, ::-1]
    return probabilities, (scores + RNG.gumbel(size=(n, 4))).argmax(axis=1)  # Gumbel-max sampling


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_prediction_sets_reach_their_coverage_whatever_the_model(
    coverage: float, honest: bool
) -> None:
    measured = conformal.evaluate_conformal(coverage, answers(4000, honest), *answers(4000, honest))
    assert measured["coverage"] == pytest.approx(coverage, abs=0.02)
    assert sum(measured["sizes"]) == pytest.approx(1)
    assert measured["size"] == pytest.approx(np.arange(5) @ measured["sizes"])


def test_too_few_images_for_a_coverage_give_sets_of_all_classes() -> None:
    probabilities, labels = answers(10)
    assert conformal.conformal_threshold(probabilities, labels, 0.99) == 0
    assert (
        conformal.evaluate_conformal(0.99, (probabilities, labels), probabilities, labels)["size"]
        == 4
    )


def test_the_threshold_reaches_the_wanted_accuracy() -> None:
    chosen_on, measured_on = answers(20_000), answers(20_000)
    found = selective.evaluate_selective(0.9, chosen_on, *measured_on)
    assert found.accuracy == pytest.approx(0.9, abs=0.02)
    assert 0.1 < found.coverage < 0.9
    assert found.delta == selective.DELTA
    never = selective.evaluate_selective(1.1, chosen_on, *measured_on)
    assert (never.threshold, never.coverage, never.accuracy) == (None, 0, None)


@pytest.mark.parametrize("decimals", [16, 2])  # 2: many equal confidences
@pytest.mark.parametrize("target", [0.8, 0.9])
def test_a_threshold_misses_its_target_in_few_of_many_draws(target: float, decimals: int) -> None:
    """The true accuracy is known: a prediction with confidence c is correct with probability c."""
    rng, draws, n = np.random.default_rng(0), 200, 2000
    thresholds = []
    for confidence in rng.uniform(0.5, 1, (draws, n)).round(decimals):
        labels = (rng.random(n) > confidence).astype(np.int64)
        probabilities = np.stack([confidence, 1 - confidence], axis=1)
        thresholds.append(selective.choose_threshold(probabilities, labels, target))
    found = np.array([each for each in thresholds if each is not None])
    true_accuracy = (found + 1) / 2  # of confidences from the threshold to 1
    assert (true_accuracy < target).sum() <= selective.DELTA * draws
    # If the accuracy were known, coverage could be 4 (1 - target). The bound costs a part of it.
    assert len(found) >= 0.9 * draws
    assert 2 * (1 - found).mean() > 0.6 * 4 * (1 - target)


def test_a_threshold_allows_as_many_errors_as_clopper_and_pearson() -> None:
    """Alone, a test of 99 % at 5 % needs 299 correct predictions; here 9 tests share the 5 %."""
    for n, is_enough in ((511, False), (1023, True)):
        probabilities = np.tile([0.9, 0.1], (n, 1))
        upper = binomtest(0, n).proportion_ci(1 - 2 * 0.05 / n.bit_length(), "exact").high
        assert (upper <= 0.01) == is_enough
        chosen = selective.choose_threshold(probabilities, np.zeros(n, np.int64), 0.99)
        assert chosen == (0.9 if is_enough else None)


def test_a_threshold_does_not_separate_equal_confidences() -> None:
    confidence = np.repeat([0.9, 0.6], (400, 100))
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.repeat([0, 1, 0], (300, 100, 100))  # the last 100 of the most confident are wrong
    chosen = [selective.choose_threshold(probabilities, labels, goal) for goal in (0.6, 0.95)]
    assert chosen == [0.6, None]


@pytest.mark.parametrize("n", [1, 2, 500])
def test_predictions_that_are_all_wrong_or_too_few_are_never_answered(n: int) -> None:
    probabilities = np.tile([0.9, 0.1], (n, 1))
    assert selective.choose_threshold(probabilities, np.ones(n, np.int64), 0.01) is None
    few = selective.choose_threshold(probabilities, np.zeros(n, np.int64), 0.9)
    assert few == (0.9 if n == 500 else None)


def test_the_accuracy_coverage_curve_starts_with_the_most_confident() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    coverage, accuracy = selective.accuracy_coverage_curve(probabilities, np.array([0, 1, 1, 1]))
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert accuracy.tolist() == [1, 1, 1, 0.75]


@pytest.mark.parametrize("kind", corruptions.CORRUPTIONS)
def test_a_corruption_grows_with_its_severity(kind: str) -> None:
    images, _ = synthetic.draw(60, seed=1)
    changed = [corruptions.corrupt(images, kind, severity) for severity in corruptions.SEVERITIES]
    distances = [np.abs(each.astype(float) - images).mean() for each in changed]
    assert distances[0] > 0
    assert distances == sorted(distances)
    assert all(each.shape == images.shape and each.dtype == np.uint8 for each in changed)
    np.testing.assert_array_equal(changed[2], corruptions.corrupt(images, kind, 3))


def test_translation_moves_and_scale_shrinks() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10:18, 10:18] = 200
    moved = corruptions.corrupt(image, "translation", 3)
    centre = (moved[0][..., None] * np.moveaxis(np.mgrid[:28, :28], 0, -1)).sum(
        axis=(0, 1)
    ) / moved.sum()
    assert np.linalg.norm(centre - 13.5) == pytest.approx(3, abs=0.1)
    small = corruptions.corrupt(image, "scale", 5)
    assert small.sum() == pytest.approx(image.sum() / 4, rel=0.15)


@pytest.mark.parametrize(
    "draw", out_of_distribution.OOD_INPUTS.values(), ids=out_of_distribution.OOD_INPUTS
)
def test_out_of_distribution_inputs_have_the_shape_of_the_data(draw: object) -> None:
    images = draw()  # type: ignore[operator]
    assert images.shape[1:] == (28, 28)
    assert images.dtype == np.uint8
    assert len(images) >= 1000
    assert images.max() > 200


def test_auroc() -> None:
    assert out_of_distribution.auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert out_of_distribution.auroc(np.array([1.0, 3.0]), np.array([2.0, 2.0])) == 0.5
