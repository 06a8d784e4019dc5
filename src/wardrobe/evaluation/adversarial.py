"""Adversarial attacks: small changes of the pixels that raise the loss of a known model.

Throughout: images (n, 28, 28), 0-255; labels (n,) int; epsilon, the largest change of a pixel,
0-1, where 1 is black to white (an attack in the maximum norm); `gradient`, as from
`make_loss_gradient`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import batches
from wardrobe.evaluation.metrics import Floats, Labels
from wardrobe.models import gradients
from wardrobe.rng import make_rng

LossGradient = Callable[[Floats, Labels], Floats]

PGD_STEPS = 20
PGD_STEP_SIZE = 2.5 / PGD_STEPS  # of epsilon: together 2.5 times the radius, as in Madry et al.
BATCH = 250  # images
MASK = 1e4  # larger than any logit


def make_loss_gradient(model: keras.Model) -> LossGradient:
    """Returns the function from images and labels to the gradient of the loss: (n, 28, 28).

    The loss is the log-sum-exp of the other logits minus the logit of the label. Cross-entropy is
    an increasing function of it, so the direction is the same, but its gradient does not round to
    zero when the model is very confident.
    """

    def compute_loss(batch: Any, labels: Any) -> Any:
        logits = model(batch)  # (n, k)
        is_label = keras.ops.one_hot(labels, logits.shape[-1])  # (n, k)
        others = keras.ops.logsumexp(logits - MASK * is_label, axis=1)
        return others - keras.ops.sum(logits * is_label, axis=1)

    differentiate = gradients.compile_gradient(compute_loss)

    def gradient(images: Floats, labels: Labels) -> Floats:
        parts = [
            differentiate(images[some, ..., None], labels[some])[1][..., 0]
            for some in batches.slices(len(images), BATCH)
        ]
        return np.concatenate(parts)

    return gradient


def fgsm(
    gradient: LossGradient, images: npt.NDArray[np.uint8], labels: Labels, epsilon: float
) -> Floats:
    """Changes each pixel by epsilon in the direction that raises the loss: (n, 28, 28), 0-255.

    Source: Goodfellow et al. 2015, arXiv 1412.6572.
    """
    start = images.astype(np.float32)
    return _project(start + 255 * epsilon * np.sign(gradient(start, labels)), start, epsilon)


def pgd(
    gradient: LossGradient,
    images: npt.NDArray[np.uint8],
    labels: Labels,
    epsilon: float,
    seed: int = 0,
) -> Floats:
    """Takes `PGD_STEPS` smaller steps of that kind from a random start: (n, 28, 28), 0-255.

    Source: Madry et al. 2018, arXiv 1706.06083.
    """
    start = images.astype(np.float32)
    offset = make_rng("pgd", seed).uniform(-1, 1, start.shape).astype(np.float32)
    changed = _project(start + 255 * epsilon * offset, start, epsilon)  # a start inside the ball
    for _ in range(PGD_STEPS):
        step = 255 * epsilon * PGD_STEP_SIZE * np.sign(gradient(changed, labels))
        changed = _project(changed + step, start, epsilon)
    return changed


def _project(changed: Floats, start: Floats, epsilon: float) -> Floats:
    """Clips to images whose pixels are within epsilon of `start` and within 0-255."""
    near = np.clip(changed, start - 255 * epsilon, start + 255 * epsilon)  # within the ball
    return np.clip(near, 0, 255).astype(np.float32)
