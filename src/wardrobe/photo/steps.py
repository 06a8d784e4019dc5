"""From a photo to the tile that a model sees, step by step."""

from dataclasses import dataclass

import numpy as np

from wardrobe.errors import PhotoError
from wardrobe.photo import colour_map, tile
from wardrobe.photo.decoding.decode import read_photo
from wardrobe.photo.garment import NOTHING, TILE, Garment, find_garment
from wardrobe.photo.tile import SIDE
from wardrobe.photo.types import Grey, Rectangle, Rgb, Source, Tones


@dataclass(frozen=True)
class Steps:
    """A photo after each step."""

    photo: Rgb  # upright, its longer side at most WORKING_SIDE pixels
    garment: Garment
    light: Tones  # normalised and negated, 0 outside the garment
    pixels: Grey  # (28, 28): what the model sees


def prepare(source: Source) -> Grey:
    """Returns the tile that a model sees for a photo: (28, 28) uint8, 0-255.

    Args:
        source: a file's path, its bytes, an open binary file, a Pillow image, or an array (h, w),
            (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA of uint8. Give `bgr[..., ::-1]` of an array
            from OpenCV, which reads BGR.

    Raises:
        PhotoError: not an image, corrupted, of an unknown format, too small, too large, or an array
            of another shape or dtype.
        OSError: the file cannot be read.
    """
    return prepare_steps(source).pixels


def prepare_steps(source: Source, rectangle: Rectangle | None = None) -> Steps:
    """Returns every step of `prepare`, of a photo or of a rectangle of it.

    An image in Fashion-MNIST's format, or its negative, is used whole, also one that matplotlib has
    drawn in its colours. A blank image becomes black.
    """
    rgb, opaque = read_photo(source, rectangle)
    drawn = colour_map.read_drawn_tile(rgb)
    if drawn is not None:
        rgb = np.repeat(drawn[..., None], 3, axis=2)
    grey = tile.to_grey(rgb)  # (height, width) uint8
    if tile.is_tile(rgb):  # first: a tile has no photo to search
        pixels = tile.light_on_dark(tile.fit_tile(grey))
        everything = Garment(np.ones((SIDE, SIDE), bool), TILE)
        return Steps(rgb, everything, (pixels / 255).astype(np.float32), pixels)
    is_cut_out = opaque.any() and not opaque.all()  # a white shirt cut out is not blank
    if tile.is_blank(grey) and not is_cut_out:
        black = np.zeros(grey.shape, np.float32)
        return Steps(rgb, Garment(black > 0, NOTHING), black, np.zeros((SIDE, SIDE), np.uint8))
    garment = find_garment(rgb, opaque)  # on the photo, not on `grey`: colours help
    light = tile.negate(tile.normalise_light(grey, garment.mask), garment.mask)
    return Steps(rgb, garment, light, tile.pad(tile.resize(tile.crop(light, garment.mask))))


def prepare_or_reason(source: Source) -> Grey | str:
    """Returns the tile as `prepare` does, or a one-line error message."""
    steps = prepare_steps_or_reason(source)
    return steps if isinstance(steps, str) else steps.pixels


def prepare_steps_or_reason(source: Source) -> Steps | str:
    """Returns the steps as `prepare_steps` does, or a one-line error message."""
    try:
        return prepare_steps(source)
    except PhotoError as error:
        return str(error)
    except MemoryError:
        return "not enough memory; make it smaller"
    except OSError as error:
        return str(error.strerror or error).lower()
