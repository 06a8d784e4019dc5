"""Augmentation of training images, in NumPy, so that every backend trains on the same images.

A whole epoch is augmented before it is trained. `augment` makes the changes that a recipe names;
`warp` and `make_unknowns` are for a network that must also read photos.

Shapes: images (n, 28, 28) uint8, 0-255, light on black.
"""

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng

Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

ERASED_AREA = 0.02, 0.33  # of the image, smallest and largest
ERASED_ASPECT = 0.3, 1 / 0.3  # height to width, lowest and highest

# Of `warp`, one standard deviation each, clipped at two.
TURN = 8.0  # degrees
SCALE = 0.07  # of the size, as a logarithm; the same for width and height
ASPECT = 0.08  # of the width to the height, as a logarithm
SHEAR = 0.08  # pixels to the right for each pixel down
SHIFT = 1.0  # pixels, each way
GAMMA = 0.3  # exponent of the tones, as a logarithm
ERASE_PROBABILITY = 0.3

CLOSE_UP = 5, 14  # pixels per side of the part that `make_unknowns` enlarges, smallest and largest


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


def warp(rng: np.random.Generator, images: Images) -> Images:
    """Mirrors, turns, scales, shears, shifts and re-tones images, and erases parts of some.

    A photo shows a garment turned, creased and in uneven light, and its tile may lack a part that
    was not found. Fashion-MNIST's images and the tiles of photos are changed in the same way.
    """
    n, side, _ = images.shape
    deviations = np.array([np.deg2rad(TURN), SCALE, ASPECT, SHEAR, GAMMA, SHIFT, SHIFT])[:, None]
    drawn = rng.standard_normal((len(deviations), n)).clip(-2, 2) * deviations
    turn, scale, aspect, shear, gamma, *shift = drawn  # (n,) each
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    width, height = mirror * np.exp(scale + aspect / 2), np.exp(scale - aspect / 2)
    cos, sin = np.cos(turn), np.sin(turn)
    matrices = np.empty((n, 2, 3))  # output = A @ input + b, about the centre
    # Scaled, then sheared, then turned.
    matrices[:, 0, 0], matrices[:, 0, 1] = cos * width, (cos * shear - sin) * height
    matrices[:, 1, 0], matrices[:, 1, 1] = sin * width, (sin * shear + cos) * height
    centre = np.full(2, (side - 1) / 2)
    matrices[:, :, 2] = centre + np.transpose(shift) - matrices[:, :, :2] @ centre
    tones = np.rint(np.linspace(0, 1, 256) ** np.exp(gamma)[:, None] * 255)  # (n, 256)
    warped = [
        table[cv2.warpAffine(image, matrix, (side, side))]  # 0 outside, and 0 stays 0
        for image, matrix, table in zip(images, matrices, tones, strict=True)
    ]
    return erase(rng, np.array(warped, np.uint8).reshape(images.shape), ERASE_PROBABILITY)


def make_unknowns(rng: np.random.Generator, images: Images) -> Images:
    """Returns images of no class: garments with their quarters swapped, or parts enlarged.

    The first have the outline of nothing that is worn, the second are texture from edge to edge, as
    in photos of other things (outlier exposure, arXiv 1812.04606).
    """
    n, side, _ = images.shape
    unknowns = images.copy()
    swapped = rng.random(n) < 0.5
    for number in np.flatnonzero(swapped):
        unknowns[number] = _swap_quarters(rng, images[number])
    for number in np.flatnonzero(~swapped):
        size = rng.integers(*CLOSE_UP, endpoint=True)
        near = (side - size) // 2  # of a part in the middle; the garment is near it
        top, left = rng.integers(max(near - side // 4, 0), min(near + side // 4, side - size), 2)
        part = images[number, top : top + size, left : left + size]
        unknowns[number] = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
    return unknowns


def _swap_quarters(rng: np.random.Generator, image: npt.NDArray[np.uint8]) -> Images:
    """Moves each quarter of an image (s, s) clockwise by one to three places."""
    (a, b), (d, c) = (np.hsplit(half, 2) for half in np.vsplit(image, 2))
    a, b, c, d = np.roll(np.stack([a, b, c, d]), rng.integers(1, 4), axis=0)
    return np.block([[a, b], [d, c]])


def _span(
    rng: np.random.Generator, lengths: npt.NDArray[np.floating], side: int
) -> npt.NDArray[np.bool_]:
    """Places an interval of each length (n,) at random among `side` pixels: (n, side) bool."""
    lengths = np.clip(lengths.round(), 1, side - 1)  # pixels
    start = np.floor(rng.random(len(lengths)) * (side - lengths + 1))
    pixels = np.arange(side)
    return (pixels >= start[:, None]) & (pixels < (start + lengths)[:, None])
