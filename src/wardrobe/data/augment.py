"""Changes to training images that leave the class what it was: NumPy arrays in, arrays out, the same for every backend.

An epoch is changed at once, before it is trained. data/photo_augment.py has what the recipe `photo` does instead.

Throughout: images (n, 28, 28) uint8, 0-255, on black; `rng` a NumPy Generator.
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
    """Returns the images `chosen` (m,), changed as the recipe says, otherwise at each `turn` (0, 1, …): (m, 28, 28)."""
    rng = make_rng("changes", seed, turn)
    shown = images[chosen]
    if recipe.alternating_flip:
        shown = alternate_flip(shown, draw_first_mirrored(len(images), seed)[chosen], turn)
    if recipe.max_shift:
        shown = shift(rng, shown, recipe.max_shift)
    if recipe.erase_probability:
        shown = erase(rng, shown, recipe.erase_probability)
    return shown


def draw_first_mirrored(count: int, seed: int) -> npt.NDArray[np.bool_]:
    """Returns which of `count` images are mirrored at the first turn: half of them, (count,)."""
    return make_rng("mirrored", seed).random(count) < 0.5


def alternate_flip(images: Images, first: npt.NDArray[np.bool_], turn: int) -> Images:
    """Mirrors each image at every other turn, those in `first` at the first one: both sides are seen alike often.

    Source: alternating flip, arXiv 2404.00498, section 3.6.
    """
    mirrored = first if turn % 2 == 0 else ~first
    images = images.copy()
    images[mirrored] = images[mirrored, :, ::-1]
    return images


def shift(rng: np.random.Generator, images: Images, reach: int) -> Images:
    """Moves each image by up to `reach` whole pixels each way; what comes in is black."""
    n, side, _ = images.shape
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))
    return windows[
        np.arange(n), rng.integers(0, 2 * reach + 1, n), rng.integers(0, 2 * reach + 1, n)
    ]


def erase(rng: np.random.Generator, images: Images, share: float) -> Images:
    """Fills a rectangle of `share` of the images with noise, uniform in 0-255.

    Source: random erasing, arXiv 1708.04896: area and aspect as there, wherever the rectangle fits.
    """
    side = images.shape[1]
    chosen = np.flatnonzero(rng.random(len(images)) < share)
    n = len(chosen)
    area = rng.uniform(*ERASED_AREA, n) * side**2
    aspect = ERASED_ASPECT[0] * (ERASED_ASPECT[1] / ERASED_ASPECT[0]) ** rng.random(n)
    rows, columns = (_span(rng, np.sqrt(area * ratio), side) for ratio in (aspect, 1 / aspect))
    noise = rng.integers(0, 256, (n, side, side), np.uint8)
    images = images.copy()
    images[chosen] = np.where(rows[:, :, None] & columns[:, None, :], noise, images[chosen])
    return images


def _span(
    rng: np.random.Generator, lengths: npt.NDArray[np.floating], side: int
) -> npt.NDArray[np.bool_]:
    """Returns which of `side` pixels lie in a stretch of each length, put anywhere: (n, side)."""
    lengths = np.clip(lengths.round(), 1, side - 1)
    start = np.floor(rng.random(len(lengths)) * (side - lengths + 1))
    pixels = np.arange(side)
    return (pixels >= start[:, None]) & (pixels < (start + lengths)[:, None])
