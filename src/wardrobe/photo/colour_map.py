"""Finds a tile that matplotlib has drawn: plt.imsave, or plt.imshow and plt.savefig with axes.

Such a picture looks like no photo, and the axes of a figure look like a garment to the finder.
Of a figure, the image in its largest axes is read. Colours of a map that is not known are read as
their luma. A dark garment on white without axes (gray_r, axis off) is read as a photo, which it
could be.
"""

import cv2
import numpy as np
from PIL import Image

from wardrobe.photo.types import Grey, Rgb

SIDE = 28  # pixels of the tile
# Red, green and blue of the values 0, 1, … 255: (maps, 256, 3). OpenCV has matplotlib's maps; jet
# differs a little.
MAPS = np.stack([
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], each)[0, :, ::-1].astype(np.int32)
    for each in (
        cv2.COLORMAP_VIRIDIS, cv2.COLORMAP_PLASMA, cv2.COLORMAP_INFERNO, cv2.COLORMAP_MAGMA,
        cv2.COLORMAP_CIVIDIS, cv2.COLORMAP_JET, cv2.COLORMAP_TURBO,
    )
])  # fmt: skip
MAX_DISTANCE = 5  # 0-255, of a pixel's channels from the map, on average; a JPEG is at up to 3
MIN_RANGE = 200  # 0-255; matplotlib stretches an image to all its colours
PAGE, INK = 250, 240  # 0-255: at least this is a figure's margin, less than this is drawn on it
MIN_SHARE = 0.05  # of the page that the axes cover
MIN_LINE = 0.5  # of a side of the axes that is drawn; ticks, outside, cover less
MAX_RATIO = 0.8  # see _is_enlarged
FRAME = 2  # pixels of a side of the axes that its frame may cover
OFF_SQUARE = 0.05  # of the axes' longer side


def read_drawn_tile(rgb: Rgb) -> Grey | None:
    """Returns the grey tile in an image drawn by matplotlib; None if it is not such an image.

    Args:
        rgb: (height, width, 3) uint8.

    Returns:
        (28, 28) uint8, perhaps negated.
    """
    corners = rgb[[0, 0, -1, -1], [0, -1, 0, -1]]  # (4, 3)
    is_figure = corners.min() >= PAGE
    area = _find_axes(rgb) if is_figure else rgb
    height, width, _ = area.shape
    if not area.size or abs(height - width) > OFF_SQUARE * max(height, width):
        return None
    if not is_figure and _to_values(corners) is None:  # for speed
        return None
    # The middle of each of the tile's pixels: where two of them meet, colours are mixed.
    small = Image.fromarray(area).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    colours = np.asarray(small)
    is_grey = not np.ptp(colours, axis=2).any()
    # A few pixels first, for speed.
    is_mapped = not is_grey and _to_values(colours[::4, ::4]) is not None
    tile = _to_values(colours) if is_mapped else None
    if tile is None and is_figure and _is_enlarged(area, small):  # grey, or another map
        tile = np.asarray(small.convert("L"))
    # A purple garment has few values of viridis.
    return tile if tile is not None and np.ptp(tile) >= MIN_RANGE else None


def _find_axes(rgb: Rgb) -> Rgb:
    """Returns the image in a figure's largest axes, without ticks and frame; it may be empty."""
    ink = (rgb.min(axis=2) < INK).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    areas = stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
    areas[0] = 0  # the page
    left, top, width, height, _ = stats[areas.argmax()]
    if areas.max() < MIN_SHARE * ink.size:
        return rgb[:0, :0]
    box = slice(top, top + height), slice(left, left + width)
    drawn = parts[box] == areas.argmax()
    rows, columns = (np.flatnonzero(drawn.mean(axis=axis) > MIN_LINE) for axis in (1, 0))
    if not (len(rows) and len(columns) and min(np.ptp(rows), np.ptp(columns)) >= SIDE):
        return rgb[:0, :0]
    axes = rgb[box][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = axes[FRAME:-FRAME, FRAME:-FRAME]
    return np.pad(inside, ((FRAME, FRAME), (FRAME, FRAME), (0, 0)), "edge")


def _is_enlarged(area: Rgb, small: Image.Image) -> bool:
    """Tells whether an image is nearer to the tile in squares than to the tile scaled smoothly.

    A figure with axes is at most at 0.75 of the distance, a photo at about 1.
    """
    size = area.shape[1], area.shape[0]
    squares = small.resize((SIDE * 16, SIDE * 16), Image.Resampling.NEAREST)
    squares = squares.resize(size, Image.Resampling.BOX)
    smooth = small.resize(size, Image.Resampling.BILINEAR)
    off = [np.abs(np.asarray(each, np.int32) - area).mean() for each in (squares, smooth)]
    return bool(off[0] < MAX_RATIO * off[1])


def _to_values(colours: Rgb) -> Grey | None:
    """Returns the values 0-255 of colours (..., 3) in the nearest map; None if none is near."""
    distances = np.abs(colours[..., None, None, :] - MAPS).sum(axis=-1)  # (..., maps, 256)
    near = distances.min(axis=-1)  # (..., maps)
    means = near.reshape(-1, len(MAPS)).mean(axis=0)  # of each map
    if means.min() > 3 * MAX_DISTANCE:
        return None
    return np.asarray(distances[..., means.argmin(), :].argmin(axis=-1), np.uint8)
