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
    finders: tuple[tuple[str, Callable[[], Mask]], ...] = (
        (CUT_OUT, lambda: whole if opaque is None else opaque),
        (PLAIN, lambda: segment_plain_background(rgb)),
        (NETWORK, lambda: segment_with_network(rgb)),
    )
    for found_by, find in finders:
        component = largest_component(find())  # lazy: the network, the slowest, is the last
        if is_garment_shaped(component):
            return Garment(component, found_by)
    return Garment(whole, WHOLE)


def segment_plain_background(rgb: Rgb) -> Mask:
    """Segments a garment on a background of one colour by flood fill from the edge.

    An edge of several colours gives an empty mask. Colours are compared in YCrCb, where brightness
    weighs more than hue. CIELAB would do too, but OpenCV takes 0.12 s to build its tables.
    """
    tone = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2YCrCb).astype(np.float32)
    edge = edge_strip(rgb.shape[:2], 0.03)  # (height, width), True on the strip
    distance = np.linalg.norm(tone - quantile(tone[edge], 0.5), axis=2)
    near = distance < 14  # of 255 in each channel
    if near[edge].mean() < 0.97:  # some noise, or a garment that touches the edge
        return np.zeros(rgb.shape[:2], bool)
    flooded = np.pad(near.astype(np.uint8), 1, constant_values=1)  # one flood reaches all sides
    cv2.floodFill(flooded, None, (0, 0), 2)  # background: 2
    return flooded[1:-1, 1:-1] != 2


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
    kept = (
        np.flatnonzero(
            (weight >= 0.35 * weight.max()) & ((off_middle < 0.35) | (weight == weight.max()))
        )
        + 1
    )
    return fill_small_holes(np.isin(components, kept))


def fill_small_holes(component: Mask) -> Mask:
    """Fills small holes, such as a print in the floor's colour, but not a bag's handle."""
    _, gaps, stats, _ = cv2.connectedComponentsWithStats(
        np.pad(~component, 1, constant_values=True).astype(np.uint8)
    )
    areas = stats[:, cv2.CC_STAT_AREA]  # pixels
    small = np.flatnonzero(areas < LARGE_HOLE * component.sum())  # holes, by their index
    return component | np.isin(gaps, small[small > 0])[1:-1, 1:-1]  # 0 is the garment itself


def edge_strip(shape: tuple[int, ...], fraction: float) -> Mask:
    """Returns the strip along the edge, `fraction` of the shorter side wide, at least a pixel."""
    width = max(1, round(fraction * min(shape[:2])))
    strip = np.ones(shape[:2], bool)
    strip[width:-width, width:-width] = False  # True on the edge alone
    return strip


def quantile(values: npt.NDArray[Any], fraction: float) -> Any:
    """Returns a quantile along the first axis. np.quantile is slower to import and to call."""
    return np.sort(values, axis=0)[int(fraction * (len(values) - 1))]
