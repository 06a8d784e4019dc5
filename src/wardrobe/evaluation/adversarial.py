"""Small changes made to mislead: how far a network holds out against whoever knows its weights.

Throughout: images (n, 28, 28), 0-255; labels (n,) int; epsilon, the most by which a pixel is changed, as a share of
white: an attack in the maximum norm; slope, as from `slope_of`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import batches
from wardrobe.models import gradients
from wardrobe.rng import make_rng

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
Slope = Callable[[Floats, Labels], Floats]

STEPS = 20  # of PGD
STEP = 2.5 / STEPS  # of epsilon
BATCH = 250  # images
VERY_LARGE = 1e4  # above any logit


def make_loss_gradient(model: keras.Model) -> Slope:
    """Returns the function from images and labels to the gradient, (n, 28, 28), of how far each answer is from right.

    That is the log-sum-exp of the other logits less the true one, of which the cross-entropy is an increasing function:
    the same direction, also where the network is so sure that the cross-entropy's gradient is rounded to nothing.
    """

    def wrongness(batch: Any, truth: Any) -> Any:
        logits = model(batch)
        is_true = keras.ops.one_hot(truth, logits.shape[-1])
        return keras.ops.logsumexp(logits - VERY_LARGE * is_true, axis=1) - keras.ops.sum(
            logits * is_true, axis=1
        )

    gradient = gradients.compile_gradient(wrongness)

    def slope(images: Floats, labels: Labels) -> Floats:
        return np.concatenate(
            [
                gradient(images[some, ..., None], labels[some])[1][..., 0]
                for some in batches.slices(len(images), BATCH)
            ]
        )

    return slope


def fgsm(slope: Slope, images: npt.NDArray[np.uint8], labels: Labels, epsilon: float) -> Floats:
    """Returns the images with each pixel changed by epsilon in the direction of error: (n, 28, 28), 0-255.

    Source: Goodfellow et al. 2015, arXiv 1412.6572.
    """
    start = images.astype(np.float32)
    return _within(start + 255 * epsilon * np.sign(slope(start, labels)), start, epsilon)


def pgd(
    slope: Slope, images: npt.NDArray[np.uint8], labels: Labels, epsilon: float, seed: int = 0
) -> Floats:
    """Returns the images after `STEPS` shorter steps of that kind from a random start: (n, 28, 28), 0-255.

    Source: Madry et al. 2018, arXiv 1706.06083.
    """
    start = images.astype(np.float32)
    rng = make_rng("pgd", seed)
    changed = _within(
        start + 255 * epsilon * rng.uniform(-1, 1, start.shape).astype(np.float32), start, epsilon
    )
    for _ in range(STEPS):
        changed = _within(
            changed + 255 * epsilon * STEP * np.sign(slope(changed, labels)), start, epsilon
        )
    return changed


def _within(changed: Floats, start: Floats, epsilon: float) -> Floats:
    near = np.clip(changed, start - 255 * epsilon, start + 255 * epsilon)
    return np.clip(near, 0, 255).astype(np.float32)
