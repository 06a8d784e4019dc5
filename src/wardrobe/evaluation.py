"""Scores a model on a split. The only reader of the test split; nothing here chooses anything on it."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import metrics
from wardrobe.data import TEST, Dataset, Split

BATCH = 500  # images


@dataclass(frozen=True)
class Evaluation:
    """A split with what the model said of it."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,)
    logits: npt.NDArray[np.float32]  # (n, k)
    probabilities: npt.NDArray[np.floating]  # (n, k), with the temperature
    uncalibrated: npt.NDArray[np.floating]  # (n, k), without it
    metrics: dict[str, Any]  # as in metrics.json


def evaluate(model: keras.Model, dataset: Dataset, split: str = TEST) -> Evaluation:
    """Scores `model` on "test" or "validation", with the temperature fitted on validation."""
    validation_logits = predict_logits(model, dataset.validation.images)
    temperature = metrics.fit_temperature(validation_logits, dataset.validation.labels)
    if split == TEST:
        chosen = dataset.open_test()
        logits = predict_logits(model, chosen.images)
    else:
        chosen, logits = dataset.validation, validation_logits
    scores = metrics.score(logits, chosen.labels, dataset.class_names, temperature)
    return Evaluation(
        images=chosen.images,
        labels=chosen.labels,
        logits=logits,
        probabilities=metrics.probabilities(logits, temperature),
        uncalibrated=metrics.probabilities(logits),
        metrics={"data": dataset.name, "split": split, **scores},
    )


def predict_logits(model: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns the logits (n, k) of images (n, 28, 28) uint8, 0-255."""
    return model.predict(images[..., None], batch_size=BATCH, verbose=0)


def first_of_each_class(split: Split) -> npt.NDArray[np.int64]:
    """Returns, for each class in the split, the index of its first image: (classes,)."""
    return np.unique(split.labels, return_index=True)[1]
