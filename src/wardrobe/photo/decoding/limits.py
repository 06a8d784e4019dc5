"""What an image may cost to decode, checked from its header before memory is allocated."""

import re
import struct
from typing import BinaryIO

from PIL import Image

from wardrobe.errors import PhotoError

MIN_SIDE = 8  # pixels
MAX_PIXELS = 50_000_000  # of all formats but JPEG
MAX_JPEG_PIXELS = 170_000_000  # a JPEG is decoded at a fraction of its size
MAX_BYTES = 600_000_000  # of memory for one image
MAX_SCANS = 100  # of a JPEG; encoders write about 10, and each is a pass over the whole image
MAX_STRIPS = 200_000  # of a TIFF, or tiles; Pillow makes a list of them, 5 us and 300 bytes each

# Bytes per pixel of Pillow's modes; the others take 4.
MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
# Bytes per pixel that a decoder takes besides, measured on 50-megapixel RGB images of 8 bits.
DECODER_BYTES = {"WEBP": 12, "AVIF": 6, "HEIF": 4, "JPEG2000": 16, "TIFF": 4}

# A marker that ends entropy-coded data: no escaped 0xFF, padding, restart, or marker without data.
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
STRIP_TAGS = 273, 324  # of a TIFF: the offsets of its strips, of its tiles


def check_size(image: Image.Image) -> None:
    """Raises a PhotoError if an image has too few or too many pixels."""
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


def check_cost(image: Image.Image, size: tuple[int, int]) -> None:
    """Raises a PhotoError if decoding takes more than MAX_BYTES, or a JPEG has too many scans.

    Args:
        size: of the image in the file; `image.size` is smaller after `draft`.
    """
    needed = image.width * image.height * bytes_per_pixel(image)
    if image.format in ("JPEG", "MPO"):
        scans = count_scans(image.fp, image.layers)  # type: ignore[attr-defined]
        if scans > MAX_SCANS:
            raise PhotoError(
                f"a JPEG of more than {MAX_SCANS} scans, expected about 10; save it again"
            )
        if scans > 1:  # the coefficients of the whole image are kept, 2 bytes each
            areas = [wide * high for _, wide, high, _ in image.layer]  # type: ignore[attr-defined]
            needed += 2 * size[0] * size[1] * sum(areas) // max(areas)
    if needed > MAX_BYTES:
        raise PhotoError(
            f"{size[0]}x{size[1]} pixels ({image.format}, {image.mode}) take "
            f"{needed / 1e6:,.0f} MB to decode, expected at most {MAX_BYTES / 1e6:,.0f} MB; "
            "make it smaller"
        )


def bytes_per_pixel(image: Image.Image) -> int:
    """Returns the memory that an image takes: as decoded, turned upright, and converted."""
    stored = MODE_BYTES.get(image.mode, 4)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        copies = 2  # of 8 bits
    else:
        copies = stored if image.mode in ("L", "RGB") else stored + 4
    return stored + max(copies, DECODER_BYTES.get(str(image.format), 0))


def count_scans(file: BinaryIO, components: int) -> int:
    """Returns the number of scans of a JPEG; counts up to MAX_SCANS + 1.

    Markers cannot occur in entropy-coded data, and segments are skipped by their length.
    """
    file.seek(0)
    data, position, scans = file.read(), 2, 0
    while scans <= MAX_SCANS and (found := MARKER.search(data, position)):
        marker, start = found[1][0], found.end()
        if marker == END_OF_IMAGE:
            break
        scans += marker == START_OF_SCAN
        position = start + int.from_bytes(data[start : start + 2])
        # A scan of every component and all 64 coefficients is the only one: it is not progressive.
        whole = bytes([components]), b"\x00\x3f"
        if (
            marker == START_OF_SCAN
            and (data[start + 2 : start + 3], data[position - 3 : position - 1]) == whole
        ):
            break
    return scans


def check_strips(file: BinaryIO) -> None:
    """Raises a PhotoError if the first image of a TIFF has too many strips or tiles.

    Raises:
        struct.error: the header is incomplete.
    """

    def read(offset: int, form: str) -> tuple[int, ...]:
        file.seek(offset)
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    order = "<" if file.read(1) == b"I" else ">"
    is_big = read(2, "H") == (43,)  # BigTIFF has addresses and counts of 8 bytes
    (entry,) = read(8, "Q") if is_big else read(4, "L")
    (entries,) = read(entry, "Q" if is_big else "H")
    entry += 8 if is_big else 2
    for number in range(entries):
        tag, _, count = read(entry + number * (20 if is_big else 12), "HHQ" if is_big else "HHL")
        if tag in STRIP_TAGS and count > MAX_STRIPS:
            raise PhotoError(
                f"a TIFF of {count:,} strips or tiles, expected at most {MAX_STRIPS:,}; save it "
                "again"
            )
