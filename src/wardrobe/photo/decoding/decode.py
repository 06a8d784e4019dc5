"""Opens and decodes an image file: upright, RGB, 8 bits, at most WORKING_SIDE pixels per side.

Only pure image formats are read. No code in a file is ever run, as a PostScript reader would do.
"""

import contextlib
import io
import math
import struct
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, IcoImagePlugin, Image, UnidentifiedImageError
from PIL.Image import Transpose

from wardrobe.errors import PhotoError
from wardrobe.photo.decoding import depth, limits, repair
from wardrobe.photo.types import Mask, Rectangle, Rgb, Source

WORKING_SIDE = 160  # pixels of the longer side at which the garment is searched for
UPRIGHT = {  # EXIF orientation → what turns the image upright
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

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
        image = _open_by_format(source, head)  # the header alone; pixels come later
    except (MemoryError, PhotoError):
        raise
    except Exception as error:  # Pillow raises almost any exception on a corrupted header
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = _describe_foreign(head)
        raise PhotoError(f"{what}; expected JPEG, PNG or another image format") from error
    try:
        limits.check_size(image)
    except PhotoError:
        image.close()
        raise
    return image


def _open_by_format(source: str | Path | bytes | BinaryIO, head: bytes) -> Image.Image:
    """Opens an image with the first format that recognises it.

    Image.open would warn of 89 million pixels, and refuse 179 million, which `limits` decides here.
    """
    Image.preinit()  # the common formats alone; init() imports all, 70 ms
    is_heic = head[4:12] in HEIC
    if is_heic:
        _register_heic()
    for name in (("HEIF",) if is_heic else ()) + FORMATS + FURTHER_FORMATS:
        if name not in Image.OPEN:
            Image.init()
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(head) is not True:
            continue
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
            return _open_with(factory, name, file)
        if not isinstance(file, str | Path):
            file.seek(0)
    raise UnidentifiedImageError


def _open_with(factory: Callable[..., Any], name: str, file: str | Path | BinaryIO) -> Image.Image:
    """Opens an image with a format's reader."""
    if name == "PNG":
        file = repair.read_png(file)
    if name == "TIFF":
        with Path(file).open("rb") if isinstance(file, str | Path) else nullcontext(file) as header:
            limits.check_strips(header)
            header.seek(0)
    if name == "ICO":  # its reader decodes at once the PNG in it, which can have any size
        if isinstance(file, str | Path):
            file = io.BytesIO(Path(file).read_bytes())
        icon = IcoImagePlugin.IcoFile(file)
        return icon.getimage(icon.entry[0].dim)
    image: Image.Image = factory(file, "")
    return image


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
    head = source.read(16) if hasattr(source, "read") else None
    if not isinstance(head, bytes):
        raise PhotoError(
            f"{type(source).__name__} is not an image; give a path, bytes, a binary file, a Pillow "
            "image or an array"
        )
    source.seek(0)  # Pillow reads from the start
    return head


def _register_heic() -> None:
    """Adds the image format of iPhones to Pillow; imported only when needed, because it is slow."""
    from pillow_heif import register_heif_opener

    register_heif_opener()


def read_photo(source: Source, rectangle: Rectangle | None = None) -> tuple[Rgb, Mask]:
    """Opens and decodes a photo, or a rectangle of it; returns as `decode`, raises as `prepare`."""
    if isinstance(source, np.ndarray):
        source = _to_image(source)
    if isinstance(source, Image.Image):
        limits.check_size(source)
        return decode(source, rectangle)
    with open_image(source) as image:
        size = image.size
        left, top, right, bottom = rectangle or (0, 0, 1, 1)
        # Decodes a JPEG at a fraction of its size, both sides at least this: much faster.
        side = WORKING_SIDE / min(right - left, bottom - top)
        # A small rectangle needs the whole size, of which the memory may be too much.
        shrink = math.ceil(math.sqrt(math.prod(size) / limits.MAX_PIXELS))
        side = int(min(side, min(size) / shrink))
        image.draft("RGB", (side, side))
        limits.check_cost(image, size)
        return decode(image, rectangle)


def _to_image(pixels: npt.NDArray[Any]) -> Image.Image:
    """Returns an array (h, w), or (h, w, 1), (h, w, 3) or (h, w, 4) of uint8, as an image."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    is_image = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if not is_image or pixels.dtype != np.uint8 or not pixels.size:
        raise PhotoError(
            f"an array of shape {pixels.shape} and dtype {pixels.dtype} is not an image; give "
            "(height, width), or (height, width, 3) in the order RGB, of uint8 from 0 to 255"
        )
    return Image.fromarray(pixels)


def decode(image: Image.Image, rectangle: Rectangle | None = None) -> tuple[Rgb, Mask]:
    """Reads the pixels: upright, RGB, at most `WORKING_SIDE` per side, transparency over white.

    The EXIF orientation is applied. Animations give their first frame. Pixels of 16 bits or
    floating point are scaled, not clipped. CMYK, palettes and grey become RGB.

    Returns:
        The pixels, and a mask that is True where they are opaque.

    Raises:
        PhotoError: the image is corrupted or incomplete.
    """
    try:
        small = _read_upright(image, rectangle)
        small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    except (MemoryError, PhotoError):
        raise
    except Exception as error:  # Pillow raises almost any exception on corrupted pixels
        reason = " ".join(str(error).split())
        raise PhotoError(f"corrupted or incomplete ({reason})") from error
    if small.mode != "RGBA":
        return np.asarray(small.convert("RGB")), np.ones((small.height, small.width), bool)
    over_white = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    return np.asarray(over_white.convert("RGB")), np.asarray(small)[..., 3] >= 128


def _read_upright(image: Image.Image, rectangle: Rectangle | None) -> Image.Image:
    """Reads an image, or a rectangle of it, upright: L, RGB or RGBA."""
    content = depth.read_16_bit_colours(image)
    repair.load(image)
    orientation = _read_orientation(image)
    pixels = depth.to_eight_bits(image) if content is None else depth.scale_colours(image, content)
    if orientation in UPRIGHT:
        pixels = pixels.transpose(UPRIGHT[orientation])
    if rectangle is not None:
        left, top, right, bottom = rectangle
        width, height = pixels.size
        pixels = pixels.crop(
            (round(left * width), round(top * height), round(right * width), round(bottom * height))
        )
        limits.check_size(pixels)
    mode = "RGBA" if pixels.has_transparency_data else "L" if pixels.mode == "L" else "RGB"
    # A new image in any case, because it will be resized in place; it may share the pixels.
    return pixels.convert(mode) if pixels.mode != mode else pixels._new(pixels.im)


def _read_orientation(image: Image.Image) -> Any:
    """Returns the EXIF orientation, whatever the other tags are; 1 if it cannot be read.

    ImageOps.exif_transpose writes all tags again, and fails on one that is not valid.
    """
    with contextlib.suppress(Exception):  # Pillow raises almost any exception on corrupted EXIF
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    return 1
