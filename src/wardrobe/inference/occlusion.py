"""Occlusion: where an answer comes from, by what is lost with a part of the image blurred. Asks for answers alone.

Throughout: images (n, 28, 28), 0-255; classes (n,) int, of which the answer is to be explained; maps (n, 28, 28) float,
higher where the image speaks for its class.
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
Logits = Callable[[npt.NDArray[Any]], Floats]  # (n, 28, 28) → (n, k)

PATCH, PATCH_STEP = 6, 2  # pixels a side of what is covered, and from one place to the next
BLUR = 4.0  # pixels; standard deviation
BATCH = 40  # images at once, of which hundreds are made each


def heat_maps(logits: Logits, images: Images, classes: Classes) -> Floats:
    """Returns how much less sure of the class the model is with a pixel's surroundings blurred: maps, any sign.

    A square of `PATCH` pixels, in which all detail is gone, goes over the image in steps of `PATCH_STEP`. A pixel's
    value is the mean, over the squares that cover it, of what the logarithm of the class's probability loses. Asks for
    answers alone, so that it serves any model.

    Source: Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2.
    """
    starts = np.arange(PATCH_STEP - PATCH, SIDE, PATCH_STEP)  # squares at the edge lie half outside
    covers = np.stack(
        [_square(int(top), int(left)) for top in starts for left in starts]
    )  # (squares, 28, 28), 1 where the square is
    maps = [
        _occluded(logits, images[some], classes[some], covers)
        for some in (slice(start, start + BATCH) for start in range(0, len(images), BATCH))
    ]
    return np.concatenate(maps)


def _occluded(
    logits: Logits, images: Images, classes: Classes, covers: npt.NDArray[np.bool_]
) -> Floats:
    covered = np.where(covers, blur(images)[:, None], images[:, None])  # (n, squares, 28, 28)
    answers = logits(np.concatenate([images, covered.reshape(-1, SIDE, SIDE)]))
    sure = (
        answers.astype(np.float64) - confidence.familiarity(answers)[:, None]
    )  # the probabilities' logarithms
    count = len(images)
    whole = sure[np.arange(count), classes]
    without = sure[count:].reshape(count, len(covers), -1)[np.arange(count), :, classes]
    lost = whole[:, None] - without  # (n, squares)
    return np.einsum("ns,shw->nhw", lost, covers.astype(np.float64)) / covers.sum(axis=0)


def blur(images: Images) -> Images:
    """Returns the images without detail, by a Gaussian of `BLUR` pixels: what "taken away" means here.

    Black in its place would be no absence: it is what these images' background is, and its edges look like a garment's.
    """
    return np.stack([cv2.GaussianBlur(image, (0, 0), BLUR) for image in images])


def _square(top: int, left: int) -> npt.NDArray[np.bool_]:
    square = np.zeros((SIDE, SIDE), bool)
    square[max(top, 0) : top + PATCH, max(left, 0) : left + PATCH] = True
    return square
