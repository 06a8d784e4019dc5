"""Pictures that are no clothing, in the form that models see: what a model should know that it does not know.

Each function returns (n, 28, 28) uint8, 0-255.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits

from wardrobe.photo import SIDE
from wardrobe.rng import make_rng

Images = npt.NDArray[np.uint8]

COUNT = 1000  # of noise, and of patterns


def draw_digits() -> Images:
    """Returns scikit-learn's 1,797 handwritten digits, enlarged, light on dark."""
    small = (load_digits().images / 16 * 255).astype(np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            for one in small
        ]
    )


def draw_noise() -> Images:
    """Returns images of uniform noise, and as many of normal noise about mid-grey."""
    rng = np.random.default_rng(0)
    shape = (COUNT // 2, SIDE, SIDE)
    return np.concatenate(
        [rng.integers(0, 256, shape), rng.normal(128, 50, shape).clip(0, 255)]
    ).astype(np.uint8)


def draw_patterns() -> Images:
    """Returns stripes and checks of every angle and width, and as many smooth slopes from dark to light."""
    rng = make_rng("patterns", 0)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    angle, period, phase = (
        rng.uniform(low, high, (COUNT, 1, 1)) for low, high in ((0, np.pi), (3, 14), (0, 1))
    )
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / period + phase
    across = (np.cos(angle) * rows - np.sin(angle) * columns) / period + phase
    stripes = (along % 1 > 0.5).astype(float)
    checks = (stripes + (across % 1 > 0.5)) % 2
    slopes = (along - along.min(axis=(1, 2), keepdims=True)) / np.ptp(
        along, axis=(1, 2), keepdims=True
    )
    kind = np.arange(COUNT)[:, None, None] % 3
    return np.round(255 * np.where(kind == 0, stripes, np.where(kind == 1, checks, slopes))).astype(
        np.uint8
    )


OOD_INPUTS = {"digits": draw_digits, "noise": draw_noise, "patterns": draw_patterns}
