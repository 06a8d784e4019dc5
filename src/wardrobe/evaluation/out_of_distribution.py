"""Inputs that are not clothing, to see whether a model treats them as unfamiliar.

No recipe is trained on such images. But the images of no class that the recipe `photo` makes from
garments (`augment.make_unknowns`) were chosen by how well a network then rejects the images here.

Each `draw_` function returns (n, 28, 28) uint8, 0-255.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from wardrobe.evaluation.metrics import Floats
from wardrobe.photo import SIDE
from wardrobe.rng import make_rng

Images = npt.NDArray[np.uint8]

COUNT = 1000  # images of noise, and of patterns


def auroc(known: Floats, other: Floats) -> float:
    """Returns how well a score separates known inputs from others: area under the ROC curve, 0-1.

    It is the probability that a known input has a higher score than another one.
    """
    scores = np.concatenate([known, other])
    return float(roc_auc_score(np.arange(len(scores)) < len(known), scores))


def auroc_interval(known: Floats, other: Floats) -> tuple[float, float] | None:
    """Returns the 95 % interval of the AUROC, 0-1; None if a kind has fewer than 2 inputs.

    Source: DeLong, DeLong, Clarke-Pearson 1988, doi 10.2307/2531595.
    """
    if min(len(known), len(other)) < 2:
        return None
    wins = (known[:, None] > other) + 0.5 * (known[:, None] == other)  # (m, n): 0, 0.5 or 1
    # The mean wins of each known input vary, and so do those against each other input.
    variance = sum(wins.mean(axis=1 - i).var(ddof=1) / wins.shape[i] for i in (0, 1))
    low, high = np.clip(wins.mean() + 1.96 * np.sqrt(variance) * np.array([-1, 1]), 0, 1)
    return float(low), float(high)


def draw_digits() -> Images:
    """Returns scikit-learn's 1,797 handwritten digits, enlarged, light on dark."""
    small = (load_digits().images / 16 * 255).astype(np.uint8)  # (1797, 8, 8)
    bicubic = Image.Resampling.BICUBIC
    large = [Image.fromarray(each).resize((SIDE, SIDE), bicubic) for each in small]
    return np.stack([np.asarray(each) for each in large])  # (1797, 28, 28)


def draw_noise() -> Images:
    """Returns images of uniform noise, and as many of normal noise around mid-grey."""
    rng = np.random.default_rng(0)  # fixed: scores of different runs are comparable
    shape = (COUNT // 2, SIDE, SIDE)
    uniform, normal = rng.integers(0, 256, shape), rng.normal(128, 50, shape)
    return np.concatenate([uniform, normal.clip(0, 255)]).astype(np.uint8)


def draw_patterns() -> Images:
    """Returns stripes, checks and smooth gradients of random angle and width, a third each."""
    rng = make_rng("patterns", 0)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    # (COUNT, 1, 1) each: in radians; in pixels; in periods.
    ranges = (0, np.pi), (3, 14), (0, 1)
    angle, period, phase = (rng.uniform(low, high, (COUNT, 1, 1)) for low, high in ranges)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / period + phase
    across = (np.cos(angle) * rows - np.sin(angle) * columns) / period + phase
    stripes = (along % 1 > 0.5).astype(float)  # (COUNT, 28, 28), 0 or 1
    checks = (stripes + (across % 1 > 0.5)) % 2  # exclusive or
    rising = along - along.min(axis=(1, 2), keepdims=True)
    gradients = rising / np.ptp(along, axis=(1, 2), keepdims=True)  # 0-1 over each image
    third = np.arange(COUNT)[:, None, None] % 3
    patterns = np.where(third == 0, stripes, np.where(third == 1, checks, gradients))
    return np.round(255 * patterns).astype(np.uint8)


OOD_INPUTS = {"digits": draw_digits, "noise": draw_noise, "patterns": draw_patterns}
