"""Finds a tile that matplotlib has drawn in viridis, its default colours: plt.imsave, plt.savefig.

Such a picture looks like no photo, and the axes of a figure look like a garment to the finder.
"""

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo.types import Rgb

# Red, green and blue of the values 0, 17, … 255. Green grows with the value, so it gives the value.
VIRIDIS = (
    (68, 72, 71, 65, 57, 49, 42, 35, 31, 34, 53, 84, 122, 165, 210, 253),
    (1, 26, 47, 68, 86, 104, 120, 136, 152, 168, 183, 197, 209, 219, 226, 231),
    (84, 108, 125, 135, 140, 142, 142, 142, 139, 132, 121, 104, 81, 54, 27, 37),
)
MAX_DISTANCE = 16  # of red and blue from those of the value, 0-255; a JPEG changes them
MIN_SHARE, MIN_FILLED = 0.05, 0.8  # of all pixels, of the rectangle around those in viridis
MIN_RANGE = 200  # 0-255; matplotlib stretches an image to all its colours
WHITE = 250  # 0-255, of a figure's margin


def undo_viridis(rgb: Rgb) -> Rgb | None:
    """Returns the part of an image that is in viridis, as the grey it was; None if there is none.

    Args:
        rgb: (height, width, 3) uint8.
    """
    corners = rgb[[0, 0, -1, -1], [0, -1, 0, -1]]  # (4, 3): white in a figure; first, for speed
    if not (corners.min() >= WHITE or _is_viridis(corners).all()):
        return None
    if _is_viridis(rgb[::4, ::4]).mean() < MIN_SHARE:  # for speed too
        return None
    found = cv2.morphologyEx(_is_viridis(rgb).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    # Columns: left, top, width, height, area. The first is the background.
    parts = cv2.connectedComponentsWithStats(found, connectivity=4)[2][1:]
    left, top, width, height, area = max(parts, key=lambda part: part[4], default=[0] * 5)
    if area <= max(MIN_SHARE * found.size, MIN_FILLED * width * height):
        return None
    green = rgb[top : top + height, left : left + width, 1]
    grey = np.interp(green, VIRIDIS[1], np.linspace(0, 255, 16)).round().astype(np.uint8)
    if np.ptp(grey) < MIN_RANGE:  # a purple garment
        return None
    return np.repeat(grey[..., None], 3, axis=2)


def _is_viridis(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    red, green, blue = np.moveaxis(rgb, -1, 0)
    expected = (np.interp(green, VIRIDIS[1], each) for each in (VIRIDIS[0], VIRIDIS[2]))
    distances = [np.abs(a - b) for a, b in zip((red, blue), expected, strict=True)]
    return np.maximum(*distances) <= MAX_DISTANCE
