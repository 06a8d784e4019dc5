"""Augmentation of training images, in NumPy, so that every backend trains on the same images.

A whole epoch is augmented before it is trained. warp.py has stronger changes, for photos.

Shapes: images (n, 28, 28) uint8, 0-255, on black.
"""

import numpy as np
import numpy.typing as npt

from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng

Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

ERASED_AREA = 0.02, 0.33  # of the image, smallest and largest
ERASED_ASPECT = 0.3, 1 / 0.3  # height to width, lowest and highest


def augment(recipe: Recipe, images: Images, chosen: Indices, seed: int, turn: int) -> Images:
    """Returns the images with indices `chosen` (m,), augmented as the recipe says: (m, 28, 28).

    Args:
        turn: number of rounds over the images before this one; each turn draws other changes.
    """
    rng = make_rng("changes", seed, turn)  # shifts draw from it before erasing: keep that order
    batch = images[chosen]
    if recipe.alternating_flip:
        batch = alternate_flip(batch, draw_first_mirrored(len(images), seed)[chosen], turn)
    if recipe.max_shift:
        batch = shift(rng, batch, recipe.max_shift)
    if recipe.erase_probability:
        batch = erase(rng, batch, recipe.erase_probability)
    return batch


def draw_first_mirrored(count: int, seed: int) -> npt.NDArray[np.bool_]:
    """Draws the half of the images that is mirrored at the first turn: (count,) bool."""
    return make_rng("mirrored", seed).random(count) < 0.5  # no turn: the half stays the same


def alternate_flip(images: Images, first: npt.NDArray[np.bool_], turn: int) -> Images:
    """Mirrors each image at every other turn, those in `first` (n,) bool at the first one.

    Source: alternating flip, arXiv 2404.00498, section 3.6.
    """
    mirrored = first if turn % 2 == 0 else ~first
    images = images.copy()
    images[mirrored] = images[mirrored, :, ::-1]  # left to right
    return images


def shift(rng: np.random.Generator, images: Images, reach: int) -> Images:
    """Shifts each image by up to `reach` pixels each way, padding with black."""
    n, side, _ = images.shape
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))
    top, left = (rng.integers(0, 2 * reach + 1, n) for _ in range(2))
    return windows[np.arange(n), top, left]  # a copy, (n, s, s)


def erase(rng: np.random.Generator, images: Images, probability: float) -> Images:
    """Fills a random rectangle of an image with uniform noise, with the given probability.

    Source: random erasing, arXiv 1708.04896, with its area and aspect ratio.
    """
    side = images.shape[1]
    chosen = np.flatnonzero(rng.random(len(images)) < probability)
    n = len(chosen)
    area = rng.uniform(*ERASED_AREA, n) * side**2  # pixels, (n,)
    aspect = ERASED_ASPECT[0] * (ERASED_ASPECT[1] / ERASED_ASPECT[0]) ** rng.random(n)
    rows, columns = (_span(rng, np.sqrt(area * ratio), side) for ratio in (aspect, 1 / aspect))
    noise = rng.integers(0, 256, (n, side, side), np.uint8)  # whole frames: the rectangle cuts them
    images = images.copy()
    images[chosen] = np.where(rows[:, :, None] & columns[:, None, :], noise, images[chosen])
    return images


def _span(
    rng: np.random.Generator, lengths: npt.NDArray[np.floating], side: int
) -> npt.NDArray[np.bool_]:
    """Places an interval of each length (n,) at random among `side` pixels: (n, side) bool."""
    lengths = np.clip(lengths.round(), 1, side - 1)  # pixels
    start = np.floor(rng.random(len(lengths)) * (side - lengths + 1))
    pixels = np.arange(side)
    return (pixels >= start[:, None]) & (pixels < (start + lengths)[:, None])
