"""Random geometry for augmentation: warps, smooth noise, bilinear sampling.

Shapes: images (n, 28, 28) float32, 0-1; masks (n, 28, 28) bool, True on the garment; one parameter
an image (n, 1, 1) float32.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Masks = npt.NDArray[np.bool_]
Rng = np.random.Generator
Matrix = tuple[tuple[Floats, Floats], tuple[Floats, Floats]]  # 2x2, each entry (n, 1, 1)

SIDE = 28  # pixels
CENTRE = (SIDE - 1) / 2
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)  # (28, 28)
WIDER = 0.12  # largest widening, as the logarithm of the ratio
TILT = 0.16  # radians, one standard deviation


def warp(
    rng: Rng,
    images: Floats,
    masks: Masks,
    tilt: Floats | float = TILT,
    wider: Floats | float = WIDER,
) -> tuple[Floats, Floats]:
    """Tilts, shears, stretches and bends, then fits the garment into 28x28 as photo/tile.py does.

    Args:
        images, masks: (n, s, s), of any side s.
        tilt: radians, one standard deviation.
        wider: largest widening, as the logarithm of the ratio.

    Returns:
        Images (n, 28, 28), and soft masks as float32, 0-1.
    """
    n, side = len(images), images.shape[1]
    angle = normal(rng, n, 1).clip(-2.5, 2.5) * tilt  # radians, (n, 1, 1)
    aspect = np.exp(-0.12 + rng.random((n, 1, 1), np.float32) * (0.12 + wider))  # width to height
    matrix = _make_matrix(angle, uniform(rng, n, -0.15, 0.15), aspect)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2
    left, right, top, bottom = _find_extent(matrix, columns, rows, masks)  # after the matrix
    x, y = (COLUMNS - CENTRE) / SIDE, (ROWS - CENTRE) / SIDE  # -0.5 to 0.5
    span = (np.maximum(right - left, bottom - top).clip(3) + 1) * np.exp(
        0.06 + normal(rng, n, 0.07)
    )
    to_x, to_y = x + normal(rng, n, 0.025), y + normal(rng, n, 0.025)
    to_x = to_x * (1 + uniform(rng, n, -0.4, 0.4) * to_y)  # perspective: narrower at one end
    to_x, to_y = to_x * span + (left + right) / 2, to_y * span + (top + bottom) / 2
    (a, b), (c, d) = matrix
    scale = 1 / (a * d - b * c)  # of the inverse: output pixel → input pixel
    bend_x, bend_y = (smooth(rng, n, 5) * uniform(rng, n, 0, 0.03) * span for _ in range(2))
    from_x = (d * to_x - b * to_y) * scale + (side - 1) / 2 + bend_x
    from_y = (a * to_y - c * to_x) * scale + (side - 1) / 2 + bend_y
    return sample(images, from_x, from_y), sample(masks.astype(np.float32), from_x, from_y)


def _make_matrix(
    angle: Floats, shear: Floats, aspect: Floats
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Returns the 2x2 matrix of a stretch, a shear and a rotation."""
    cos, sin = np.cos(angle), np.sin(angle)
    return (cos * aspect, cos * shear - sin), (sin * aspect, sin * shear + cos)


def _find_extent(
    matrix: tuple[tuple[Floats, Floats], tuple[Floats, Floats]], x: Floats, y: Floats, masks: Masks
) -> list[Floats]:
    """Returns left, right, top and bottom of the mapped masks, each (n, 1, 1)."""
    (a, b), (c, d) = matrix
    masks = masks | ~masks.max((1, 2), keepdims=True)  # an empty mask counts as full
    edges = []
    for mapped in (a * x + b * y, c * x + d * y):
        edges += [
            np.where(masks, mapped, 999).min((1, 2), keepdims=True),
            np.where(masks, mapped, -999).max((1, 2), keepdims=True),
        ]
    return edges


def smooth(rng: Rng, n: int, knots: int) -> Floats:
    """Returns smooth noise, about standard normal at its knots x knots points: (n, 28, 28)."""
    t = np.linspace(0, knots - 1, SIDE)  # position between knots
    first = np.minimum(t.astype(int), knots - 2)  # knot to the left, (28,)
    weight = (t - first) ** 2 * (3 - 2 * (t - first))  # smoothstep: no kinks at the knots
    spline = np.zeros((SIDE, knots), np.float32)
    spline[np.arange(SIDE), first], spline[np.arange(SIDE), first + 1] = 1 - weight, weight
    return spline @ rng.standard_normal((n, knots, knots), np.float32) @ spline.T


def sample(images: Floats, x: Floats, y: Floats) -> Floats:
    """Samples images (n, s, s) at columns `x` and rows `y` (n, h, w), bilinear, 0 outside."""
    side = images.shape[1] + 2
    padded = pad(images, 1)  # a border of zeros, so that the edge fades out
    x, y = (x + 1).clip(0, side - 1.001), (y + 1).clip(0, side - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)  # rounded down: x and y are not negative
    right, down = x - column.astype(np.float32), y - row.astype(np.float32)  # weights, 0-1
    first = (np.arange(len(images), dtype=np.int32) * side**2)[:, None, None] + row * side + column
    flat = padded.ravel()  # so that one index a pixel is enough
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + side] * (1 - right) + flat[first + side + 1] * right
    return upper * (1 - down) + lower * down


def pad(images: npt.NDArray[Any], margin: int) -> npt.NDArray[Any]:
    """Adds `margin` pixels of zeros on each side of images (n, s, s)."""
    n, side, _ = images.shape
    padded = np.zeros((n, side + 2 * margin, side + 2 * margin), images.dtype)
    padded[:, margin : margin + side, margin : margin + side] = images
    return padded


def mirror_half(rng: Rng, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Mirrors each image with probability 0.5."""
    chosen = rng.random((len(images), 1, 1)) < 0.5
    return np.where(chosen, images[:, :, ::-1], images), np.where(chosen, masks[:, :, ::-1], masks)


def shift_pixels(rng: Rng, images: Floats) -> Floats:
    """Shifts each image by up to two pixels each way."""
    n = len(images)
    x, y = (rng.integers(-2, 3, (n, 1, 1)).astype(np.float32) for _ in range(2))
    return sample(images, COLUMNS + x, ROWS + y)


def place(images: Floats, x: Floats, y: Floats, size: Floats) -> Floats:
    """Shrinks each image by `size` and moves its centre by `x`, `y`, fractions of the side."""
    column = (COLUMNS - CENTRE - x * SIDE) / size + CENTRE
    return sample(images, column, (ROWS - CENTRE - y * SIDE) / size + CENTRE)


def uniform(rng: Rng, n: int, low: float, high: float) -> Floats:
    """Draws one number an image: (n, 1, 1)."""
    return low + (high - low) * rng.random((n, 1, 1), np.float32)


def normal(rng: Rng, n: int, deviation: float) -> Floats:
    """Draws one number an image, of mean 0: (n, 1, 1)."""
    return rng.standard_normal((n, 1, 1), np.float32) * np.float32(deviation)


def to_column(values: npt.NDArray[np.floating]) -> Floats:
    """Returns (n,) as (n, 1, 1) float32."""
    return values.astype(np.float32)[:, None, None]
