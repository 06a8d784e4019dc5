"""Reads damaged files whose pixels are all there, and tells them from those that lack some."""

import contextlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from wardrobe.errors import PhotoError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 1 << 20  # bytes of a text in a PNG; Pillow refuses the image if one has more

END_OF_IMAGE = b"\xff\xd9"  # of a JPEG
MAX_MISSING = 1 / 28**2  # share of the pixels: less than one pixel of the tile


def read_png(source: str | Path | IO[bytes]) -> io.BytesIO:
    """Returns a PNG with the chunks alone that pixels and orientation need.

    Pillow refuses an image for a wrong checksum in any chunk before the pixels, for an ICC profile
    or a text of more than 1 MB, and for the texts of more than 64 MB. It does not check the pixels.

    Raises:
        PhotoError: a chunk that the pixels need has a wrong checksum.
    """
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return read_png(file)
    kept = [source.read(len(PNG_SIGNATURE))]
    while len(start := source.read(8)) == 8:
        length, name = int.from_bytes(start[:4]), start[4:]
        is_critical = not name[0] & 0x20  # upper case
        if not is_critical and name not in (b"tRNS", b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            source.seek(length + 4, io.SEEK_CUR)
            continue
        data, checksum = source.read(length), source.read(4)
        is_correct = checksum == zlib.crc32(name + data).to_bytes(4) or len(checksum) < 4
        if is_critical and not is_correct and name != b"IEND":
            raise PhotoError(
                f"corrupted or incomplete (wrong checksum in {name.decode('latin-1')!r})"
            )
        if is_critical or (is_correct and (name[1:] != b"TXt" or _has_orientation(name, data))):
            kept += [start, data, checksum]
        if name == b"IEND":
            break
    return io.BytesIO(b"".join(kept))


def _has_orientation(name: bytes, data: bytes) -> bool:
    """Tells whether a text is EXIF or XMP that Pillow reads: of at most MAX_TEXT bytes."""
    keyword, _, text = data.partition(b"\0")
    if keyword not in (b"Raw profile type exif", b"XML:com.adobe.xmp") or len(data) > MAX_TEXT:
        return False
    if name == b"zTXt":
        inflater = zlib.decompressobj()
        with contextlib.suppress(zlib.error):
            inflater.decompress(text[1:], MAX_TEXT)
        return not inflater.unconsumed_tail
    return name == b"tEXt" or text[:1] == b"\0"  # iTXt that is not compressed


def load(image: Image.Image) -> None:
    """Reads the pixels. A JPEG may lack its last bytes if no pixel of the tile needs them.

    Raises:
        Exception: almost any, as Pillow does on corrupted pixels.
    """
    is_jpeg = image.format in ("JPEG", "MPO")
    if not (is_jpeg and isinstance(image, ImageFile.ImageFile) and image.fp is not None):
        image.load()
        return
    image.fp.seek(0)
    content = image.fp.read()  # Pillow closes the file
    try:
        image.load()
    except OSError:
        if not _is_complete(io.BytesIO(content)):
            raise
        image.load_read = _read_with_tail(image.fp, END_OF_IMAGE)  # type: ignore[attr-defined]
        image.load()
    # libjpeg fills with mid-grey what is missing before an end of image, as of a cut upload.
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    if last_row.getextrema() in ((128, 128), ((128, 128),) * 3):
        end = content.rfind(END_OF_IMAGE)
        if end >= 0 and not _is_complete(io.BytesIO(content[:end])):
            raise OSError("image file is truncated")


def _is_complete(file: IO[bytes]) -> bool:
    """Tells whether a JPEG without its end has all of its pixels, but for MAX_MISSING of them.

    libjpeg ignores what follows the last pixel, and takes it for pixels where some are missing. So
    two different tails give the same image only if none is missing.
    """
    noise = np.random.default_rng(0).bytes(1 << 20).replace(b"\xff", b"")
    # With restart intervals, libjpeg skips to the next restart marker.
    restarts = b"".join(noise[i : i + 1000] + bytes([0xFF, 0xD0 + i % 8]) for i in range(2000))
    # After a last byte of 0xFF, the 0 makes it data and not a marker.
    tails = (END_OF_IMAGE, b"\0" + noise + restarts + END_OF_IMAGE)
    try:
        first, second = (_decode_luma(file, tail) for tail in tails)
    except OSError:
        return False
    return bool((first != second).mean() < MAX_MISSING)


def _decode_luma(file: IO[bytes], tail: bytes) -> npt.NDArray[np.uint8]:
    file.seek(0)
    with Image.open(file, formats=("JPEG",)) as image:
        image.draft("L", (4000, 4000))  # bounds the memory of the largest
        image.load_read = _read_with_tail(file, tail)  # type: ignore[attr-defined]
        return np.asarray(image)


def _read_with_tail(file: IO[bytes], tail: bytes) -> Callable[[int], bytes]:
    """Returns a function that reads a file, then a tail."""
    rest: Iterator[bytes] = iter([tail])
    return lambda size: file.read(size) or next(rest, b"")
