"""The loss of an image with several correct classes, or with none."""

import keras
import numpy as np
import pytest

from wardrobe.evaluation import metrics
from wardrobe.training import losses

SHOES = np.array([[0, 1.0, 1.0, 0], [0, 0, 0, 1.0], [1.0, 0, 0, 0]], np.float32)  # k = 3
LOGITS = np.array([[0.5, 2.0, -1.0], [-3.0, 1.0, 0.2], [1.5, 0.0, 4.0]], np.float32)


def test_any_of_several_correct_classes_counts() -> None:
    found = losses.CrossEntropyWithUnknown(reduction=None)(SHOES, LOGITS)
    with_unknown = np.concatenate([LOGITS, np.zeros((3, 1), np.float32)], axis=1)
    expected = metrics.cross_entropies(with_unknown, SHOES > 0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-5)


def test_a_step_down_the_gradient_does_not_push_all_logits_of_several_classes() -> None:
    """The gradient is p - q: q divides 1 among the correct classes by their probabilities."""
    step, loss = 1e-3, losses.CrossEntropyWithUnknown()
    slopes = []
    for i in range(3):
        moved = np.repeat(LOGITS[:1], 2, axis=0)
        moved[:, i] += (step, -step)
        up, down = (float(loss(SHOES[:1], each[None])) for each in moved)
        slopes.append((up - down) / (2 * step))
    powers = np.exp([*LOGITS[0], 0.0])
    probabilities, correct = powers / powers.sum(), powers * SHOES[0] / (powers * SHOES[0]).sum()
    assert slopes == pytest.approx((probabilities - correct)[:3].tolist(), abs=1e-3)


def test_every_correct_class_is_an_accurate_answer() -> None:
    one_hot = 9 * np.eye(3, dtype=np.float32)
    found = losses.accuracy_with_unknown(np.repeat(SHOES[:1], 3, axis=0), one_hot)
    assert keras.ops.convert_to_numpy(found).tolist() == [0, 1, 1]
    rejected = losses.accuracy_with_unknown(SHOES[1:2], np.full((1, 3), -5, np.float32))
    assert keras.ops.convert_to_numpy(rejected).tolist() == [1]
