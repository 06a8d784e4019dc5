"""Scores a model on a split. The only reader of the test split; nothing here chooses anything on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import TEST, Dataset, Split, batches, photo_augment
from wardrobe.data.test_split import open_test_split
from wardrobe.evaluation import metrics
from wardrobe.export import ReferenceOutputs
from wardrobe.inference import confidence
from wardrobe.models import tta
from wardrobe.models.recipes import Recipe

BATCH = 500  # images
ACCEPTED = 0.95  # share of known clothing that is answered; the rest is "not sure"


@dataclass(frozen=True)
class Evaluation:
    """A split with what the model said of it."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,)
    logits: npt.NDArray[np.float32]  # (n, k)
    probabilities: npt.NDArray[np.floating]  # (n, k), with the temperature
    uncalibrated: npt.NDArray[np.floating]  # (n, k), without it
    metrics: dict[str, Any]  # as in metrics.json

    @property
    def shown(self) -> ReferenceOutputs:
        """What an exported file is checked by."""
        return ReferenceOutputs(self.images, self.labels, self.logits)


def evaluate(model: keras.Model, dataset: Dataset, recipe: Recipe, split: str = TEST) -> Evaluation:
    """Scores `model` on "test" or "validation".

    Its temperature, and the familiarity below which it is not sure, come from the validation images; from those as
    photos would show them if the recipe is for photos.
    """
    seen = _as_trained(dataset, recipe)
    seen_logits = predict_logits(model, seen, recipe.tta_views)
    temperature = metrics.fit_temperature(seen_logits, dataset.validation.labels)
    threshold = float(np.quantile(confidence.familiarity(seen_logits), 1 - ACCEPTED))
    chosen = open_split(dataset, split)
    logits = predict_logits(model, chosen.images, recipe.tta_views)
    scores = metrics.score(logits, chosen.labels, dataset.class_names, temperature)
    sure = float((confidence.familiarity(logits) >= threshold).mean())
    return Evaluation(
        images=chosen.images,
        labels=chosen.labels,
        logits=logits,
        probabilities=confidence.softmax(logits, temperature),
        uncalibrated=confidence.softmax(logits),
        metrics={
            "data": dataset.name,
            "split": split,
            "tta_views": recipe.tta_views,
            **scores,
            "familiarity_threshold": threshold,
            "sure": sure,
        },
    )


def open_split(dataset: Dataset, split: str) -> Split:
    """Returns the images and labels of "test" or "validation", to measure on; choose nothing on them."""
    return open_test_split(dataset) if split == TEST else dataset.validation


def _as_trained(dataset: Dataset, recipe: Recipe) -> npt.NDArray[Any]:
    """Returns the validation images (n, 28, 28), 0-255, as the recipe shows images to its network."""
    images, labels = dataset.validation.images, dataset.validation.labels
    if recipe.augment == "none":
        return images
    rng, masks = np.random.default_rng(0), photo_augment.garment_masks(images)
    return photo_augment.simulate_photos(
        rng, images, masks, labels, dataset.class_names, unknown=0
    )[0][..., 0]


def predict_logits(
    model: keras.Model, images: npt.NDArray[Any], tta_views: int = 1
) -> npt.NDArray[np.float32]:
    """Returns the logits (n, k) of images (n, 28, 28), 0-255: means over `tta_views` of each, see `tta.with_tta`."""
    return make_logits_function(model, tta_views)(images)


def make_logits_function(
    model: keras.Model, tta_views: int = 1
) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
    """Returns the function that `predict_logits` is of one model: TensorFlow traces it once, not at each call."""
    averaged = tta.with_tta(model, tta_views)
    return lambda images: averaged.predict(
        **batches.from_images(images[..., None], BATCH), verbose=0
    )


def find_first_of_each_class(split: Split) -> npt.NDArray[np.int64]:
    """Returns, for each class in the split, the index of its first image: (classes,)."""
    return np.unique(split.labels, return_index=True)[1]
