"""Occlusion: an attribution map from a model's answers alone, so that it works for any model file.

Shapes: images (n, 28, 28) uint8, 0-255; classes (n,) int, to be explained; maps (n, 28, 28) float,
positive where the image supports its class.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.inference import confidence
from wardrobe.photo import SIDE

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.int64]
Logits = Callable[[npt.NDArray[Any]], Floats]  # images (n, 28, 28) → logits (n, k)

PATCH, STRIDE = 6, 2  # pixels: side of the occluded square, and its step
BLUR = 4.0  # pixels, standard deviation
BATCH = 40  # images; each is occluded in 225 places


def heat_maps(logits: Logits, images: Images, classes: Classes) -> Floats:
    """Returns how much log-probability of the class is lost where the image is occluded: maps.

    A blurred square of PATCH pixels moves over the image by STRIDE. A pixel's value is the
    mean loss over the squares that cover it.

    Source: Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2.
    """
    starts = np.arange(STRIDE - PATCH, SIDE, STRIDE)  # squares may lie partly outside the image
    squares = np.stack([_draw_square(int(top), int(left)) for top in starts for left in starts])
    batches = (slice(start, start + BATCH) for start in range(0, len(images), BATCH))
    return np.concatenate([_occlude(logits, images[b], classes[b], squares) for b in batches])


def _occlude(
    logits: Logits, images: Images, classes: Classes, squares: npt.NDArray[np.bool_]
) -> Floats:
    """Returns the maps of a batch; squares: (s, 28, 28)."""
    count = len(images)
    occluded = np.where(squares, blur(images)[:, None], images[:, None])  # (n, s, 28, 28)
    answers = logits(np.concatenate([images, occluded.reshape(-1, SIDE, SIDE)]))  # (n + n * s, k)
    log_probabilities = answers.astype(np.float64) - confidence.familiarity(answers)[:, None]
    before = log_probabilities[np.arange(count), classes]  # (n,)
    after = log_probabilities[count:].reshape(count, len(squares), -1)  # (n, s, k)
    loss = before[:, None] - after[np.arange(count), :, classes]  # (n, s)
    total = np.einsum("ns,shw->nhw", loss, squares.astype(np.float64))
    return total / squares.sum(axis=0)  # (28, 28): squares over each pixel


def blur(images: Images) -> Images:
    """Returns the images without detail, by a Gaussian blur.

    Black would not be neutral: it is the background, and its edges look like those of a garment.
    """
    return np.stack([cv2.GaussianBlur(image, (0, 0), BLUR) for image in images])


def overlay(image: Images, heat: Floats, colour: Callable[[Floats], npt.NDArray[Any]]) -> Images:
    """Returns an image (h, w) with a map (h, w) over it: (h, w, 3), RGB.

    Args:
        colour: strength (h, w), -1 to 1 → RGB (h, w, 3), 0-255.
    """
    relative = np.abs(heat) / max(float(np.abs(heat).max()), 1e-12)
    strength = np.sign(heat) * relative**0.7  # the exponent makes weak areas visible
    opacity = (0.15 + 0.75 * relative**0.7)[..., None]  # (h, w, 1); the garment stays visible
    grey = 60 + 0.72 * image[..., None].astype(np.float64)
    return np.round((1 - opacity) * grey + opacity * colour(strength)).astype(np.uint8)


def _draw_square(top: int, left: int) -> npt.NDArray[np.bool_]:
    square = np.zeros((SIDE, SIDE), bool)
    square[max(top, 0) : top + PATCH, max(left, 0) : left + PATCH] = True
    return square
