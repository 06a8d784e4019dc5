"""Finds the garment in a photo: transparency, a plain background, otherwise a small network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo.finder import segment_with_network
from wardrobe.photo.types import Mask, Rgb

LARGE_HOLE = 0.06  # of the garment's area; larger holes stay open

TILE, CUT_OUT, PLAIN, NETWORK = "tile", "transparent background", "plain background", "network"
WHOLE, NOTHING = "whole image", "blank image"


@dataclass(frozen=True)
class Garment:
    """The mask of the garment."""

    mask: Mask
    found_by: str  # one of TILE, CUT_OUT, PLAIN, NETWORK, WHOLE, NOTHING


def find_garment(rgb: Rgb, opaque: Mask | None = None) -> Garment:
    """Finds the garment by transparency, a plain background or the network, in this order.

    The first mask with the shape of a garment is taken; otherwise the whole image.
    """
    whole = np.ones(rgb.shape[:2], bool)
    finders: tuple[tuple[str, Callable[[], Mask | None]], ...] = (
        (CUT_OUT, lambda: None if opaque is None or opaque.all() else opaque),
        (PLAIN, lambda: segment_plain_background(rgb)),
        (NETWORK, lambda: segment_with_network(rgb)),
    )
    for found_by, find in finders:
        component = select_component(find())  # lazy: the network, the slowest, is the last
        if component is not None:
            return Garment(component, found_by)
    return Garment(whole, WHOLE)


def select_component(mask: Mask | None) -> Mask | None:
    """Returns the largest component of a mask; None if it does not have the shape of a garment."""
    component = None if mask is None else largest_component(mask)
    return component if component is not None and is_garment_shaped(component) else None


def segment_plain_background(rgb: Rgb) -> Mask | None:
    """Segments a garment on a background of one colour by flood fill from the edge.

    Returns None if the edge has several colours. Colours are compared in YCrCb, where brightness
    weighs more than hue. CIELAB would do too, but OpenCV takes 0.12 s to build its tables.
    """
    tone = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2YCrCb)
    edge = edge_strip(rgb.shape[:2], 0.03)  # (height, width), True on the strip
    colour = [quantile(channel, 0.5) for channel in tone[edge].T]
    if _is_near(tone[edge], colour).mean() < 0.97:  # some noise, or a garment that touches the edge
        return None
    near = _is_near(tone, colour)
    flooded = np.pad(near.astype(np.uint8), 1, constant_values=1)  # one flood reaches all sides
    cv2.floodFill(flooded, None, (0, 0), 2)  # background: 2
    return flooded[1:-1, 1:-1] != 2


def _is_near(tones: npt.NDArray[Any], colour: list[int]) -> Mask:
    """Tells of each colour (..., 3) whether it is within 14 of 255 of one colour."""
    distances = tones.astype(np.float32) - np.array(colour, np.float32)
    return np.asarray((distances**2).sum(axis=-1) < 14**2)


def is_garment_shaped(component: Mask) -> bool:
    """Tells whether a mask covers 4 to 92 % of the image and at most half of its edge."""
    return bool(
        0.04 <= component.mean() <= 0.92
        and component[edge_strip(component.shape, 0.01)].mean() < 0.5
    )


def largest_component(mask: Mask) -> Mask:
    """Returns the largest component near the centre and others almost as large, small holes filled.

    A second shoe is such another component.
    """
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, components, stats, centres = cv2.connectedComponentsWithStats(opened)
    height, width = mask.shape
    off_middle = np.hypot(centres[1:, 0] / width - 0.5, centres[1:, 1] / height - 0.5)
    weight = stats[1:, cv2.CC_STAT_AREA] * np.exp(-((off_middle / 0.35) ** 2))
    if not len(weight):
        return np.zeros_like(mask)
    is_kept = np.zeros(len(stats), bool)  # a component's number → whether it is kept; 0: none
    is_kept[1:] = (weight >= 0.35 * weight.max()) & ((off_middle < 0.35) | (weight == weight.max()))
    return fill_small_holes(is_kept[components])


def fill_small_holes(component: Mask) -> Mask:
    """Fills small holes, such as a print in the floor's colour, but not a bag's handle."""
    _, gaps, stats, _ = cv2.connectedComponentsWithStats(
        np.pad(~component, 1, constant_values=True).astype(np.uint8)
    )
    areas = stats[:, cv2.CC_STAT_AREA]  # pixels
    is_small = areas < LARGE_HOLE * component.sum()
    is_small[0] = False  # the garment itself
    return component | is_small[gaps[1:-1, 1:-1]]


def edge_strip(shape: tuple[int, ...], fraction: float) -> Mask:
    """Returns the strip along the edge, `fraction` of the shorter side wide, at least a pixel."""
    width = max(1, round(fraction * min(shape[:2])))
    strip = np.ones(shape[:2], bool)
    strip[width:-width, width:-width] = False  # True on the edge alone
    return strip


def quantile(values: npt.NDArray[Any], fraction: float) -> int:
    """Returns a quantile of values (n,) uint8. It counts them, which is faster than to sort."""
    below = np.bincount(values, minlength=256).cumsum()  # (256,): number of values up to each
    return int(np.searchsorted(below, int(fraction * (len(values) - 1)), side="right"))
