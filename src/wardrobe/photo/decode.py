"""Opens and decodes an image file: upright, RGB, 8 bits, at most WORKING_SIDE pixels per side.

Only pure image formats are read. No code in a file is ever run, as a PostScript reader would do.
"""

import contextlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from wardrobe.errors import PhotoError
from wardrobe.photo.types import Mask, Rgb, Source

WORKING_SIDE = 160  # pixels of the longer side at which the garment is searched for
MIN_SIDE = 8  # pixels
MAX_PIXELS = 50_000_000  # of all formats but JPEG; decoded they take 200 MB
MAX_JPEG_PIXELS = 170_000_000  # a JPEG is decoded at a fraction of its size

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM")
# Tried next, because importing their readers takes Pillow some time.
FURTHER_FORMATS = ("WEBP", "AVIF", "TIFF", "JPEG2000", "TGA", "ICO")
FOREIGN_FORMATS = {  # first bytes → name in the error message
    b"%pdf": "a PDF",
    b"<svg": "an SVG drawing",
    b"<?xml": "an SVG drawing or other XML",
    b"%!ps": "PostScript",
}
HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc", b"ftypmsf1")  # bytes 4-12


def open_image(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Reads the header of an image. `decode` reads its pixels.

    Args:
        source: a path, bytes, or a seekable binary file at its start.

    Raises:
        PhotoError: see `prepare`.
        OSError: the file cannot be read.
    """
    head = _read_head(source)
    if not head:
        raise PhotoError("empty file; expected an image")
    try:
        image = _open_by_format(source, head[4:12] in HEIC)  # the header alone; pixels come later
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = f"{MAX_PIXELS:,} ({MAX_JPEG_PIXELS:,} for a JPEG)"
        raise PhotoError(f"too many pixels, expected at most {most}; make it smaller") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises almost any exception on a corrupted header
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = _describe_foreign(head)
        raise PhotoError(f"{what}; expected JPEG, PNG or another image format") from error
    try:
        _check_size(image)
    except PhotoError:
        image.close()
        raise
    return image


def _open_by_format(source: str | Path | bytes | BinaryIO, is_heic: bool) -> Image.Image:
    """Opens an image with the first group of formats that recognises it."""
    Image.preinit()  # the common formats alone; init() imports all, 70 ms
    if is_heic:
        _register_heic()
    for formats in ((("HEIF",),) if is_heic else ()) + (FORMATS, FURTHER_FORMATS):
        with contextlib.suppress(UnidentifiedImageError):
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            return Image.open(file, formats=formats)
    raise UnidentifiedImageError


def _describe_foreign(head: bytes) -> str:
    """Says what a file that is not an image is, by its first bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()  # a byte-order mark, white space
    names = (name for mark, name in FOREIGN_FORMATS.items() if start.startswith(mark))
    return next(names, "not an image, or corrupted")


def _read_head(source: str | Path | bytes | BinaryIO) -> bytes:
    """Returns the first bytes, which identify the format."""
    if isinstance(source, bytes):
        return source[:16]
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return file.read(16)
    head = source.read(16)
    source.seek(0)  # Pillow reads from the start
    return head


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    most = MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else MAX_PIXELS
    if width * height > most:
        raise PhotoError(
            f"{width}x{height} is too many pixels, expected at most {most:,}; make it smaller"
        )
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"{width}x{height} is too few pixels, expected at least {MIN_SIDE} per side"
        )


def _register_heic() -> None:
    """Adds the image format of iPhones to Pillow; imported only when needed, because it is slow."""
    from pillow_heif import register_heif_opener

    register_heif_opener()


def read_photo(source: Source) -> tuple[Rgb, Mask]:
    """Opens and decodes a photo; returns as `decode`, raises as `prepare`."""
    if isinstance(source, Image.Image):
        return decode(source)
    with open_image(source) as image:
        # Decodes a JPEG at a fraction of its size, both sides at least this: much faster.
        image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
        return decode(image)


def decode(image: Image.Image) -> tuple[Rgb, Mask]:
    """Reads the pixels: upright, RGB, at most `WORKING_SIDE` per side, transparency over white.

    The EXIF orientation is applied. Animations give their first frame. Pixels of 16 bits or
    floating point are scaled, not clipped. CMYK, palettes and grey become RGB.

    Returns:
        The pixels, and a mask that is True where they are opaque.

    Raises:
        PhotoError: the image is corrupted or incomplete.
    """
    image = decode_full_size(image)  # full size after `draft`: see read_photo
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    if image.mode == "RGB":
        return np.asarray(image), np.ones((image.height, image.width), bool)
    over_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(over_white.convert("RGB")), np.asarray(image)[..., 3] >= 128


def decode_full_size(image: Image.Image) -> Image.Image:
    """Reads the pixels as `decode` does, at full size: RGB, or RGBA if some are transparent.

    Raises:
        PhotoError: the image is corrupted or incomplete.
    """
    _check_size(image)
    try:
        image = _to_eight_bits(ImageOps.exif_transpose(image))
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises almost any exception on corrupted pixels
        reason = " ".join(str(error).split())
        raise PhotoError(f"corrupted or incomplete ({reason})") from error


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scales pixels of 16 or 32 bits or of floating point to 0-255; leaves others unchanged."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # 0-65535 → 0-255
    if image.mode not in ("I", "F"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0).clip(0)  # NaN and infinity: 0
    ranges = (top for top in (1.0, 255.0, 65535.0) if values.max() <= top)
    return Image.fromarray((values / next(ranges, values.max()) * 255).astype(np.uint8))
