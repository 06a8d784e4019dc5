"""The chapter on uncertainty: what is chosen is measured on other images."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from scipy.special import softmax

from wardrobe.data import Split
from wardrobe.evaluation import calibration, out_of_distribution, scoring
from wardrobe.explain.chapters import uncertainty

RNG = np.random.default_rng(0)
LOGITS = 4 * RNG.normal(size=(4000, 4))
LABELS = (LOGITS + RNG.gumbel(size=LOGITS.shape)).argmax(axis=1)


HALF = np.arange(len(LABELS)) % 2


def make_subject(labels: np.ndarray) -> Any:
    """Returns a subject scored on its validation split, as `scoring.evaluate` scores it."""
    split = Split(np.zeros((len(labels), 28, 28), np.uint8), labels)
    fitted = [calibration.fit_temperature(LOGITS[i != HALF], labels[i != HALF]) for i in (0, 1)]
    temperatures = np.array(fitted)[HALF]
    metrics = {"split": "validation", "sure": 0.876, "familiarity_threshold": 0.0}
    return SimpleNamespace(
        metrics=metrics,
        dataset=SimpleNamespace(validation=split, class_names=("a", "b", "c", "d")),
        scored=split,
        scored_logits=LOGITS,
        tta_logits=lambda images: LOGITS[: len(images)],
        temperatures=temperatures,
        probabilities=softmax(LOGITS / temperatures[:, None], axis=1),
    )


def test_thresholds_and_sets_do_not_depend_on_the_images_they_are_measured_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = {"noise": lambda: np.zeros((100, 28, 28), np.uint8)}
    monkeypatch.setattr(out_of_distribution, "OOD_INPUTS", noise)
    monkeypatch.setattr(scoring, "assign_halves", lambda labels: HALF)
    mislabelled = np.where(HALF == 1, 3 - LABELS, LABELS)
    (figures, honest, *_), (_, fooled, *_) = (
        uncertainty.CHAPTER.compute(make_subject(each)) for each in (LABELS, mislabelled)
    )
    for kind in ("selective", "conformal"):
        thresholds = [[row["threshold"] for row in found[kind]] for found in (honest, fooled)]
        assert thresholds[0] == thresholds[1]
        assert thresholds[0][0] is not None
    assert [row["coverage"] for row in honest["conformal"]] == pytest.approx(
        uncertainty.COVERAGES, abs=0.02
    )
    assert all(row["coverage"] < 0.7 for row in fooled["conformal"])
    shown = [text.get_text() for text in figures["out_of_distribution"].findobj(Text)]
    assert "clothing\n12.4 % unlike the classes" in shown  # as in metrics.json: 1 - 0.876
