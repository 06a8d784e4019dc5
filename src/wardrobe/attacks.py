"""Small changes made to mislead: how far a network holds out against whoever knows its weights.

Throughout: images (n, 28, 28), 0-255; labels (n,) int; epsilon, the most by which a pixel is changed, as a share of
white: an attack in the maximum norm.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import feed, gradients, seeds

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]

STEPS = 20  # of PGD
STEP = 2.5 / STEPS  # of epsilon
BATCH = 250  # images


def fgsm(model: keras.Model, images: npt.NDArray[np.uint8], labels: Labels, epsilon: float) -> Floats:
    """Returns the images with each pixel changed by epsilon in the direction that raises the loss: (n, 28, 28), 0-255.

    Source: Goodfellow et al. 2015, arXiv 1412.6572.
    """
    start = images.astype(np.float32)
    return _within(start + 255 * epsilon * np.sign(_slope(model)(start, labels)), start, epsilon)


def pgd(model: keras.Model, images: npt.NDArray[np.uint8], labels: Labels, epsilon: float, seed: int = 0) -> Floats:
    """Returns the images after `STEPS` shorter steps of that kind from a random start: (n, 28, 28), 0-255.

    Source: Madry et al. 2018, arXiv 1706.06083.
    """
    start, slope = images.astype(np.float32), _slope(model)
    rng = seeds.generator("pgd", seed)
    changed = _within(start + 255 * epsilon * rng.uniform(-1, 1, start.shape).astype(np.float32), start, epsilon)
    for _ in range(STEPS):
        changed = _within(changed + 255 * epsilon * STEP * np.sign(slope(changed, labels)), start, epsilon)
    return changed


def _within(changed: Floats, start: Floats, epsilon: float) -> Floats:
    near = np.clip(changed, start - 255 * epsilon, start + 255 * epsilon)
    return np.clip(near, 0, 255).astype(np.float32)


def _slope(model: keras.Model) -> Callable[[Floats, Labels], Floats]:
    """Returns the function that gives the gradient of each image's cross-entropy with respect to its pixels."""

    def loss(batch: Any, truth: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(truth, model(batch), from_logits=True)

    slope = gradients.of_sum(loss)

    def of(images: Floats, labels: Labels) -> Floats:
        batches = feed.batches(len(images), BATCH)
        return np.concatenate([slope(images[some, ..., None], labels[some])[1][..., 0] for some in batches])

    return of
