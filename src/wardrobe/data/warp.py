"""Random changes of shape, tone and content, for a network that must also read photos.

A photo shows a garment turned, creased and in uneven light, and its tile may lack a part that was
not found. The same changes are made to Fashion-MNIST's images and to the tiles of photos.

Shapes: images (n, 28, 28) uint8, 0-255, light on black.
"""

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.data.augment import erase

Images = npt.NDArray[np.uint8]

# One standard deviation each, clipped at two.
TURN = 8.0  # degrees
SCALE = 0.07  # of the size, as a logarithm; the same for width and height
ASPECT = 0.08  # of the width to the height, as a logarithm
SHEAR = 0.08  # pixels to the right for each pixel down
SHIFT = 1.0  # pixels, each way
GAMMA = 0.3  # exponent of the tones, as a logarithm
ERASE_PROBABILITY = 0.3
CLOSE_UP = 5, 14  # pixels per side of the part that is enlarged, smallest and largest


def warp(rng: np.random.Generator, images: Images) -> Images:
    """Mirrors, turns, scales, shears, shifts and re-tones images, and erases parts of some."""
    n, side, _ = images.shape
    deviations = np.array([np.deg2rad(TURN), SCALE, ASPECT, SHEAR, GAMMA, SHIFT, SHIFT])[:, None]
    drawn = rng.standard_normal((len(deviations), n)).clip(-2, 2) * deviations
    turn, scale, aspect, shear, gamma, *shift = drawn  # (n,) each
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    width, height = mirror * np.exp(scale + aspect / 2), np.exp(scale - aspect / 2)
    cos, sin = np.cos(turn), np.sin(turn)
    matrices = np.empty((n, 2, 3))  # output = A @ input + b, about the centre
    matrices[:, 0, 0], matrices[:, 0, 1] = cos * width, (shear - sin) * height
    matrices[:, 1, 0], matrices[:, 1, 1] = sin * width, cos * height
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
        top, left = rng.integers(side // 4, 3 * side // 4 - size // 2, 2)  # near the centre
        part = images[number, top : top + size, left : left + size]
        unknowns[number] = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
    return unknowns


def _swap_quarters(rng: np.random.Generator, image: npt.NDArray[np.uint8]) -> Images:
    """Moves each quarter of an image (s, s) clockwise by one to three places."""
    (a, b), (d, c) = (np.hsplit(half, 2) for half in np.vsplit(image, 2))
    a, b, c, d = np.roll(np.stack([a, b, c, d]), rng.integers(1, 4), axis=0)
    return np.block([[a, b], [d, c]])
