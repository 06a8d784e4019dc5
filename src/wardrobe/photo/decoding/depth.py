"""Scales pixels of more than 8 bits, or of floating point, to 0-255.

White is the smallest of FULL_SCALES that no pixel exceeds: cameras write 10, 12 and 14 bits into
files of 16, and few files say so.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from wardrobe.photo.decoding import limits

FULL_SCALES = (1, 2**8 - 1, 2**10 - 1, 2**12 - 1, 2**14 - 1, 2**16 - 1)
STRIP = 256  # rows scaled at once


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Scales one channel of 16 or 32 bits or of floating point; leaves other images unchanged."""
    is_16_bits = image.mode.startswith("I;16")
    if not is_16_bits and image.mode not in ("I", "F"):
        return image

    def read_rows(top: int) -> npt.NDArray[Any]:
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        return np.nan_to_num(np.asarray(strip), posinf=0).clip(0)  # NaN and infinity: 0

    tops = range(0, image.height, STRIP)
    highest = max(read_rows(top).max() for top in tops)
    if is_16_bits:
        return Image.fromarray(np.vstack([_shift(read_rows(top), highest) for top in tops]))
    white = next((white for white in FULL_SCALES if highest <= white), highest)
    rows = [(read_rows(top).astype(np.float32) / white * 255).astype(np.uint8) for top in tops]
    return Image.fromarray(np.vstack(rows))


def _shift(values: npt.NDArray[np.uint16], highest: int) -> npt.NDArray[np.uint8]:
    """Returns the upper 8 bits of values, of as many bits as the highest value has."""
    white = next(white for white in FULL_SCALES[1:] if highest <= white)
    return (values >> (int(white).bit_length() - 8)).astype(np.uint8)


def read_16_bit_colours(image: Image.Image) -> bytes | None:
    """Returns the file of an image of 16 bits per colour, which Pillow reads as 8; None of others.

    To be called before its pixels are read, because Pillow then closes the file.
    """
    codec, _, _, options = (*getattr(image, "tile", ()), ("", None, 0, ""))[0]
    is_wide = ";16" in str(options) or (codec == "ppm" and options[1] > 255)
    file = getattr(image, "fp", None)
    if image.mode not in ("RGB", "RGBA") or not is_wide or file is None:
        return None
    file.seek(0)
    return bytes(file.read())


def scale_colours(image: Image.Image, content: bytes) -> Image.Image:
    """Reads an image again if its colours have fewer than 16 bits in a file of 16.

    Args:
        image: as Pillow reads it: the upper 8 bits of 16.
        content: its file.
    """
    highest = max(int(high) for _, high in image.getextrema()[:3])  # type: ignore[misc]
    is_small = image.width * image.height * 16 < limits.MAX_BYTES  # for OpenCV and the copies
    if highest >= 64 or not is_small:
        return image
    pixels: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[:2] != image.size[::-1]:
        return image
    colours = pixels[..., 2::-1]  # BGR → RGB
    scaled = _shift(colours, int(colours.max()))
    alpha = (pixels[..., 3:] >> 8).astype(np.uint8)  # (height, width, 0 or 1)
    return Image.fromarray(np.concatenate([scaled, alpha], axis=2))
