"""Makes the (28, 28) tile that a model sees: a light garment on black, as in Fashion-MNIST.

Fashion-MNIST's authors trimmed, resized, sharpened, padded and negated professional photos on white
(arXiv 1708.07747, section 2). `crop` is their trimming. `normalise_light` replaces their studio
lighting. Nothing is sharpened, because the network is trained on images as soft as these.
"""

import cv2
import numpy as np
from PIL import Image

from wardrobe.photo.garment import edge_strip, quantile
from wardrobe.photo.types import Grey, Mask, Rgb, Tones

SIDE = 28  # pixels of the tile
GARMENT_SIDE = 26  # pixels of the garment's longer side in it
FLOOR = 0.12  # tone of the garment where the photo is brightest, above the black background
MAX_EDGE, MAX_SATURATION = 64, 12  # 0-255, of an enlarged tile: mean of its edge, channel range
OFF_SQUARE = 2  # pixels of a tile that a side may lack or have too many
MIN_RANGE = 20  # 0-255; a smaller range of tones is noise


def to_grey(rgb: Rgb) -> Grey:
    """Returns the luma of an image (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def is_tile(rgb: Rgb) -> bool:
    """Tells whether an image is 28x28, or a grey, nearly square one that a tile became.

    No photo is as small as a tile: up to OFF_SQUARE pixels from 28x28, a grey image is one, padded
    or cropped. A larger one is an enlarged tile if it is on black. Both may be as far off square as
    OFF_SQUARE pixels of the tile make it.
    """
    height, width, _ = rgb.shape
    if height == width == SIDE:
        return True
    is_small = max(abs(height - SIDE), abs(width - SIDE)) <= OFF_SQUARE
    is_square = abs(height - width) * SIDE <= OFF_SQUARE * max(height, width)
    if not (is_small or is_square) or np.ptp(rgb.astype(int), axis=2).max() > MAX_SATURATION:
        return False
    return is_small or bool(rgb[edge_strip(rgb.shape, 0.01)].mean() < MAX_EDGE)


def fit_tile(grey: Grey) -> Grey:
    """Returns a tile of another size as 28x28: cropped or padded by few pixels, otherwise resized.

    To crop and pad keeps the pixels as they are. The sides lose in turn their darker edge.
    """
    height, width = grey.shape
    if max(abs(height - SIDE), abs(width - SIDE)) > OFF_SQUARE:
        small = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small)
    for _ in range(2):  # once for the height, once for the width
        while len(grey) > SIDE:
            grey = grey[1:] if grey[0].sum() < grey[-1].sum() else grey[:-1]
        missing = SIDE - len(grey)
        grey = np.pad(grey, ((missing // 2, missing - missing // 2), (0, 0)), "edge").T
    return grey


def light_on_dark(tile: Grey) -> Grey:
    """Returns the 28x28 tile light on dark: a tile with a bright edge is negated.

    No edge of the 55,000 training images has a mean above half; all of their negatives have.
    """
    edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
    return 255 - tile if edge.mean() > 127.5 else tile


def is_blank(tones: Grey) -> bool:
    """Tells whether an image has one tone apart from noise: a wall, a lens cap."""
    smoothed = cv2.GaussianBlur(tones, (5, 5), 0).ravel()  # without the camera's noise
    return quantile(smoothed, 0.99) - quantile(smoothed, 0.01) < MIN_RANGE


def normalise_light(tones: Grey, mask: Mask) -> Tones:
    """Stretches the garment's tones to 0-1, clipping 3 % at each end.

    A range below MIN_RANGE is not stretched fully, so that noise is not amplified.
    """
    low, high = (np.float32(quantile(tones[mask], q)) for q in (0.03, 0.97))
    return ((tones - low) / max(high - low, np.float32(MIN_RANGE))).clip(0, 1)


def negate(light: Tones, mask: Mask) -> Tones:
    """Negates the tones, as the authors did, and lifts them by FLOOR above the black background."""
    return np.where(mask, 1 - light * np.float32(1 - FLOOR), 0).astype(np.float32)  # FLOOR to 1


def crop(light: Tones, mask: Mask) -> Tones:
    """Crops to the garment's bounding box, as the authors trimmed."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resize(light: Tones) -> Tones:
    """Scales to a longer side of GARMENT_SIDE pixels by averaging; the authors subsampled."""
    scale = GARMENT_SIDE / max(light.shape)  # keeps the ratio of the sides
    height, width = (max(1, round(side * scale)) for side in light.shape)
    return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def square_window(garment: Mask) -> tuple[float, float, float, float]:
    """Returns the square of the photo that becomes the tile: left, top, width, height.

    They are fractions of the photo's sides, below 0 or above 1 where the square leaves the photo.
    Without a garment, it is the square for one that fills the photo.
    """
    if not garment.any():
        garment = np.ones_like(garment)
    rows, columns = np.flatnonzero(garment.any(1)), np.flatnonzero(garment.any(0))
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1  # pixels
    side = max(high, wide) * SIDE / GARMENT_SIDE  # pixels of the photo
    height, width = garment.shape
    left, top = (columns[0] + wide / 2 - side / 2) / width, (rows[0] + high / 2 - side / 2) / height
    return float(left), float(top), float(side / width), float(side / height)


def pad(light: Tones) -> Grey:
    """Centres the garment on black: (28, 28) uint8, 0-255."""
    height, width = light.shape
    top, left = (SIDE - height) // 2, (SIDE - width) // 2  # at least 1 pixel of margin
    square = np.zeros((SIDE, SIDE), np.uint8)
    square[top : top + height, left : left + width] = np.round(light * 255)
    return square
