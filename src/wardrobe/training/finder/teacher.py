"""The masks that the finder learns: those of a plain background, or of GrabCut.

GrabCut takes 40 ms a photo on one core, and the finder that learns from it 1 ms.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.errors import DataError, PhotoError
from wardrobe.photo.garment import edge_strip, segment_plain_background, select_component
from wardrobe.photo.types import Mask, Rgb
from wardrobe.terminal.progress import count_images

SIDE = 128  # pixels, of the squares that photos are squashed to; the network's are cut from them


@dataclass(frozen=True)
class Examples:
    """Photos with the teacher's masks, squashed to squares."""

    photos: npt.NDArray[np.uint8]  # (n, SIDE, SIDE, 3), RGB
    masks: npt.NDArray[np.uint8]  # (n, SIDE, SIDE), 0-255: 255 on the garment

    def __len__(self) -> int:
        return len(self.photos)

    def select(self, chosen: npt.NDArray[np.bool_]) -> "Examples":
        """Returns the chosen photos (n,)."""
        return Examples(self.photos[chosen], self.masks[chosen])


def make_examples(paths: Sequence[Path]) -> Examples:
    """Returns the photos in which the teacher finds a garment, with its masks, on every core.

    Raises:
        DataError: a file is not an image, or no photo has a mask.
    """
    found = []
    # Threads suffice, because decoders and GrabCut release Python's lock.
    with count_images(len(paths), 0) as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
        for example in pool.map(_make_example, paths):
            advance(1)
            if example is not None:
                found.append(example)
    if not found:
        raise DataError(f"no garment was found in {len(paths)} photos; expected photos of clothing")
    photos, masks = (np.stack(arrays) for arrays in zip(*found, strict=True))
    return Examples(photos, masks)


def _make_example(path: Path) -> tuple[Rgb, npt.NDArray[np.uint8]] | None:
    try:
        rgb, _ = photo.read_photo(path)
    except PhotoError as error:
        raise DataError(f"{path}: {error}") from error
    mask = segment(rgb)
    if mask is None:
        return None
    size = (SIDE, SIDE)
    grey = mask.astype(np.uint8) * 255
    return (
        np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8),
    )


def segment(rgb: Rgb) -> Mask | None:
    """Returns the teacher's mask of the garment in a photo; None if it finds none."""
    for find in (segment_plain_background, segment_with_grabcut):
        component = select_component(find(rgb))
        if component is not None:
            return component
    return None


def segment_with_grabcut(rgb: Rgb, rounds: int = 4) -> Mask:
    """Segments with GrabCut (Rother, Kolmogorov and Blake 2004); the edge is set to background."""
    labels = np.full(rgb.shape[:2], cv2.GC_PR_FGD, np.uint8)  # all else: probably garment
    labels[edge_strip(rgb.shape[:2], 0.02)] = cv2.GC_BGD  # 6 % and 12 % were worse: docs/log.md
    cv2.setRNGSeed(0)  # GrabCut's k-means is random: the same photo must give the same mask
    model = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(rgb, labels, (0, 0, 0, 0), *model, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few colours for two clusters
        return np.zeros(rgb.shape[:2], bool)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
