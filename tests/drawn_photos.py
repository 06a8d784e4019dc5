"""Synthetic photos: a garment on a plain or a wooden floor."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.data.clothing_photos import KINDS
from wardrobe.labels import CLASS_NAMES

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def garment(label: int = 0) -> Mask:
    """Returns the silhouette of a synthetic garment, (112, 112) bool."""
    pixels = synthetic.draw_one(label, np.random.default_rng(5))
    return np.asarray(Image.fromarray(pixels).resize((112, 112), Image.Resampling.BICUBIC)) > 40


def scene(
    floor: Pixels, label: int = 0, colour: tuple[int, int, int] = (40, 60, 150)
) -> tuple[Image.Image, Mask]:
    """Returns a photo of a garment with folds on a floor (h, w, 3), and the garment's mask."""
    shape = garment(label)
    where = np.zeros(floor.shape[:2], bool)
    top, left = (floor.shape[0] - 112) // 2, (floor.shape[1] - 112) // 2
    where[top : top + 112, left : left + 112] = shape
    folds = 1 + 0.15 * np.sin(np.arange(floor.shape[1]) / 4)[None, :, None]
    painted = np.where(where[..., None], np.array(colour) * folds, floor)
    return Image.fromarray(painted.clip(0, 255).astype(np.uint8)), where


def overlap(found: Mask, true: Mask) -> float:
    """Returns the intersection over union of two masks."""
    return float((found & true).sum() / (found | true).sum())


def white(height: int = 160, width: int = 160) -> Pixels:
    return np.full((height, width, 3), 245, np.uint8)


def wood(height: int = 160, width: int = 160) -> Pixels:
    rng = np.random.default_rng(1)
    boards = 150 + 25 * np.sin(np.arange(width) / 3)[None, :] + rng.normal(0, 12, (height, width))
    return np.stack([boards + 40, boards, boards - 50], axis=2).clip(0, 255).astype(np.uint8)


def tiles(height: int = 160, width: int = 160) -> Pixels:
    """Returns a floor of dark squares with light joints."""
    rows, columns = np.mgrid[0:height, 0:width]
    joint = (rows % 20 < 2) | (columns % 20 < 2)
    noise = np.random.default_rng(2).normal(0, 6, (height, width, 3))
    return (np.where(joint, 190, 110)[..., None] + noise).clip(0, 255).astype(np.uint8)


def draw_photo(path: Path, label: int, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scene(white(), label, (shade, 60, 150))[0].save(path)
    return path


def draw_splits(root: Path, shades: Mapping[str, Sequence[int]]) -> Path:
    """Draws a folder like that of the published photos, with a bag for kinds without a class.

    Args:
        shades: split → a number for each photo of a kind, 0-255.
    """
    for split, chosen in shades.items():
        for kind, accepted in KINDS.items():
            label = CLASS_NAMES.index((*accepted, "Bag")[0])
            for shade in chosen:
                draw_photo(root / split / kind / f"{shade}.jpg", label, shade)
    return root
