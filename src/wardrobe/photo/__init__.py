"""A photo → what the model sees: (28, 28) uint8, a light garment on black, as in Fashion-MNIST.

The steps, each a function that can be looked at alone: open, decode, find the garment, normalise the light, negate,
crop, resize, pad. Fashion-MNIST's authors trimmed, resized, sharpened, padded and negated professional pictures on
white (arXiv 1708.07747, section 2). Finding the garment stands in for their trim, normalising the light for their
studio; sharpening is left out: the network is trained on images as soft as these.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from wardrobe.errors import PhotoError

Grey = npt.NDArray[np.uint8]  # (height, width), 0-255
Colour = npt.NDArray[np.uint8]  # (height, width, 3), 0-255, RGB
Mask = npt.NDArray[np.bool_]  # (height, width), True on the garment
Light = npt.NDArray[np.float32]  # (height, width), 0-1
Source = str | Path | bytes | BinaryIO | Image.Image

SIDE = 28  # pixels of what the model sees
FITTED = 26  # pixels of the garment's longer side in it
WORKING = 160  # pixels of the longer side of the photo in which the garment is sought
FLOOR = 0.12  # light of the garment where its photo is lightest
TILE_EDGE, GREY_SPREAD = (
    64,
    12,
)  # 0-255: of an enlarged tile, its edge's mean and its channels' largest difference
LEAST_RANGE = 20  # 0-255, of a garment's tones that are stretched; less is noise
LARGE_HOLE = 0.06  # of the garment; larger holes in it stay open
SMALLEST = 8  # pixels of a side
MOST = 50_000_000  # pixels in all; decoded they take 200 MB
MOST_JPEG = 170_000_000  # which is decoded at a fraction of its size

# Formats of pictures alone: nothing here runs what a file holds, as PostScript would.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM")
FURTHER_FORMATS = (
    "WEBP",
    "AVIF",
    "TIFF",
    "JPEG2000",
    "TGA",
    "ICO",
)  # tried next: to learn them takes Pillow a while
FOREIGN = {
    b"%pdf": "a PDF",
    b"<svg": "an SVG drawing",
    b"<?xml": "an SVG drawing or other XML",
    b"%!ps": "PostScript",
}
HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc", b"ftypmsf1")

TILE, CUT_OUT, PLAIN, GRABCUT = "tile", "transparent background", "plain background", "GrabCut"
WHOLE, NOTHING = "whole picture", "nothing there"


@dataclass(frozen=True)
class Garment:
    """Where the garment is."""

    mask: Mask
    found_by: str  # one of TILE, CUT_OUT, PLAIN, GRABCUT, WHOLE, NOTHING


@dataclass(frozen=True)
class Steps:
    """A photo on its way, step by step."""

    photo: Colour  # upright, its longer side at most WORKING pixels
    garment: Garment
    light: Light  # normalised and negated, 0 outside the garment
    pixels: Grey  # (28, 28): what the model sees


def prepare(source: Source) -> Grey:
    """Returns what the model sees of a photo: (28, 28) uint8, 0-255.

    Args:
        source: a file's path, its bytes, an open binary file, or a Pillow image.

    Raises:
        PhotoError: it is no picture, broken, of an unknown format, or has too few or too many pixels.
        OSError: the file cannot be read.
    """
    return prepare_steps(source).pixels


def prepare_steps(source: Source) -> Steps:
    """Returns every step of `prepare`.

    A tile already in Fashion-MNIST's form, or its negative, goes through whole; a blank picture becomes a black one.
    """
    if isinstance(source, Image.Image):
        rgb, opaque = decode(source)
    else:
        with open_image(source) as image:
            image.draft(
                "RGB", (2 * WORKING, 2 * WORKING)
            )  # a JPEG is decoded at a fraction of its size, much faster
            rgb, opaque = decode(image)
    tones = to_grey(rgb)
    if is_tile(rgb):
        pixels = light_on_dark(
            np.asarray(Image.fromarray(tones).resize((SIDE, SIDE), Image.Resampling.BOX))
        )
        whole = Garment(np.ones((SIDE, SIDE), bool), TILE)
        return Steps(rgb, whole, (pixels / 255).astype(np.float32), pixels)
    is_cut_out = opaque.any() and not opaque.all()
    if is_blank(tones) and not is_cut_out:
        nothing = Garment(np.zeros(rgb.shape[:2], bool), NOTHING)
        return Steps(
            rgb, nothing, np.zeros(rgb.shape[:2], np.float32), np.zeros((SIDE, SIDE), np.uint8)
        )
    garment = find_garment(rgb, opaque)
    light = negate(normalise_light(tones, garment.mask), garment.mask)
    return Steps(rgb, garment, light, pad(resize(crop(light, garment.mask))))


def prepare_or_reason(source: Source) -> Grey | str:
    """Returns what the model sees of a photo, as `prepare` does, or in one line why it cannot."""
    try:
        return prepare(source)
    except PhotoError as error:
        return str(error)
    except MemoryError:
        return "it needs more memory than there is; make it smaller"
    except OSError as error:
        return str(error.strerror or error).lower()


def open_image(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Opens a picture by its header; its pixels are read by `decode`.

    Args:
        source: a path, bytes, or an open binary file at its start, which can be rewound.

    Raises:
        PhotoError: see `prepare`.
        OSError: the file cannot be read.
    """
    head = _head(source)
    if not head:
        raise PhotoError("the file is empty; expected a picture")
    try:
        image = _opened(source, head[4:12] in HEIC)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = f"{MOST:,} pixels, of a JPEG {MOST_JPEG:,}"
        raise PhotoError(
            f"it has too many pixels, expected at most {most}; make it smaller"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged header
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise PhotoError(f"it is {_foreign(head)}; expected JPEG, PNG or the like") from error
    try:
        _check_size(image)
    except PhotoError:
        image.close()
        raise
    return image


def _opened(source: str | Path | bytes | BinaryIO, is_heic: bool) -> Image.Image:
    """Opens a picture with the first group of formats that knows it."""
    Image.preinit()
    if is_heic:
        _learn_heic()
    for formats in ((("HEIF",),) if is_heic else ()) + (FORMATS, FURTHER_FORMATS):
        with contextlib.suppress(UnidentifiedImageError):
            return Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats
            )
    raise UnidentifiedImageError


def _foreign(head: bytes) -> str:
    """Returns what a file that is no picture is, by its first bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next(
        (name for mark, name in FOREIGN.items() if start.startswith(mark)),
        "no picture, or a damaged one",
    )


def _head(source: str | Path | bytes | BinaryIO) -> bytes:
    """Returns the first bytes, by which formats tell themselves."""
    if isinstance(source, bytes):
        return source[:16]
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return file.read(16)
    head = source.read(16)
    source.seek(0)
    return head


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    most = MOST_JPEG if image.format in ("JPEG", "MPO") else MOST
    if width * height > most:
        raise PhotoError(
            f"{width}x{height} pixels are too many, expected at most {most:,}; make it smaller"
        )
    if min(width, height) < SMALLEST:
        raise PhotoError(
            f"{width}x{height} pixels are too few, expected at least {SMALLEST} a side"
        )


def _learn_heic() -> None:
    """Lets Pillow read the format of iPhones; loaded only when one comes."""
    from pillow_heif import register_heif_opener

    register_heif_opener()


def decode(image: Image.Image) -> tuple[Colour, Mask]:
    """Reads a picture's pixels: upright, RGB, its longer side at most `WORKING` pixels, over white.

    Of an animation the first frame is taken; EXIF's orientation is followed; 16-bit and floating-point pixels are
    scaled down, not clipped; CMYK, palettes and grey become RGB.

    Returns:
        The picture, and where it is not transparent.

    Raises:
        PhotoError: the picture breaks off, or is damaged.
    """
    image = upright(image)
    image.thumbnail((WORKING, WORKING), Image.Resampling.BOX, reducing_gap=2.0)
    if image.mode == "RGB":
        return np.asarray(image), np.ones((image.height, image.width), bool)
    over_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(over_white.convert("RGB")), np.asarray(image)[..., 3] >= 128


def upright(image: Image.Image) -> Image.Image:
    """Reads a picture's pixels as `decode` does, in their own number: RGB, or RGBA where some are transparent.

    Raises:
        PhotoError: the picture breaks off, or is damaged.
    """
    _check_size(image)
    try:
        image = _eight_bits(ImageOps.exif_transpose(image))
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged pixels
        raise PhotoError(
            f"its pixels are damaged or break off ({' '.join(str(error).split())})"
        ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scales pixels of 16 or 32 bits, or of floating point, to 0-255; others come back as they are."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0).clip(0)
    largest = next(
        (whole for whole in (1.0, 255.0, 65535.0) if values.max() <= whole), values.max()
    )
    return Image.fromarray((values / largest * 255).astype(np.uint8))


def to_grey(rgb: Colour) -> Grey:
    """Returns a picture's luma (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def is_tile(rgb: Colour) -> bool:
    """Tells whether a picture is already in Fashion-MNIST's form: 28x28, or enlarged, square, grey, on black."""
    height, width, _ = rgb.shape
    if (height, width) == (SIDE, SIDE):
        return True
    on_black = rgb[edge_strip(rgb.shape, 0.01)].mean() < TILE_EDGE
    return bool(
        height == width and on_black and np.ptp(rgb.astype(int), axis=2).max() <= GREY_SPREAD
    )


def light_on_dark(tile: Grey) -> Grey:
    """Returns a 28x28 tile as Fashion-MNIST has it; one that is dark on light is negated.

    The edge tells: in none of the 55,000 training images is its mean above half, and in all of their negatives it is.
    """
    edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
    return 255 - tile if edge.mean() > 127.5 else tile


def is_blank(tones: Grey) -> bool:
    """Tells whether a picture is of one tone, but for noise: a wall, a lens cap."""
    smoothed = cv2.GaussianBlur(tones, (5, 5), 0).ravel()
    return bool(int(quantile(smoothed, 0.99)) - int(quantile(smoothed, 0.01)) < LEAST_RANGE)


def find_garment(rgb: Colour, opaque: Mask | None = None) -> Garment:
    """Finds the garment, by the first of these whose answer looks like one: transparency, a plain background, GrabCut.

    Where none does, the whole picture is taken.
    """
    everything = np.ones(rgb.shape[:2], bool)
    finders: tuple[tuple[str, Callable[[], Mask]], ...] = (
        (CUT_OUT, lambda: everything if opaque is None else opaque),
        (PLAIN, lambda: segment_plain_background(rgb)),
        (GRABCUT, lambda: segment_with_grabcut(rgb)),
    )
    for found_by, find in finders:
        piece = largest_component(find())
        if is_garment_shaped(piece):
            return Garment(piece, found_by)
    return Garment(everything, WHOLE)


def segment_plain_background(rgb: Colour) -> Mask:
    """Returns what is not background where that is of one colour: flood fill from the edge.

    An edge of many colours gives an empty mask. Colours are compared in YCrCb, where light weighs more than hue;
    OpenCV's CIELAB takes an eighth of a second to build its tables, longer than all else here.
    """
    tone = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2YCrCb).astype(np.float32)
    edge = edge_strip(rgb.shape[:2], 0.03)
    distance = np.linalg.norm(tone - quantile(tone[edge], 0.5), axis=2)
    near = distance < 14
    if near[edge].mean() < 0.97:
        return np.zeros(rgb.shape[:2], bool)
    flooded = np.pad(near.astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(flooded, None, (0, 0), 2)
    return flooded[1:-1, 1:-1] != 2


def segment_with_grabcut(rgb: Colour, rounds: int = 4) -> Mask:
    """Returns what GrabCut (Rother, Kolmogorov, Blake 2004) takes for foreground, off an edge that it may not be."""
    labels = np.full(rgb.shape[:2], cv2.GC_PR_FGD, np.uint8)
    labels[edge_strip(rgb.shape[:2], 0.02)] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # GrabCut's k-means draws; the same photo must always give the same answer
    try:
        cv2.grabCut(
            rgb,
            labels,
            (0, 0, 0, 0),
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            rounds,
            cv2.GC_INIT_WITH_MASK,
        )
    except cv2.error:  # too few tones to tell two kinds apart
        return np.zeros(rgb.shape[:2], bool)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def is_garment_shaped(piece: Mask) -> bool:
    """Judges what was found: it covers 4 to 92 % of the picture, and at most half of its edge."""
    return bool(0.04 <= piece.mean() <= 0.92 and piece[edge_strip(piece.shape, 0.01)].mean() < 0.5)


def largest_component(mask: Mask) -> Mask:
    """Returns the largest piece near the middle and others nearly as large (the second shoe), small holes filled."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, pieces, stats, centres = cv2.connectedComponentsWithStats(opened)
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
    return fill_small_holes(np.isin(pieces, kept))


def fill_small_holes(piece: Mask) -> Mask:
    """Fills holes, such as a print in the floor's tone, but for those as large as the opening of a bag's handle."""
    _, gaps, stats, _ = cv2.connectedComponentsWithStats(
        np.pad(~piece, 1, constant_values=True).astype(np.uint8)
    )
    areas = stats[:, cv2.CC_STAT_AREA]
    small = np.flatnonzero(areas < LARGE_HOLE * piece.sum())
    return piece | np.isin(gaps, small[small > 0])[1:-1, 1:-1]


def edge_strip(shape: tuple[int, ...], share: float) -> Mask:
    """Returns the strip along a picture's edge that is `share` of its shorter side wide, at least a pixel."""
    width = max(1, round(share * min(shape[:2])))
    strip = np.ones(shape[:2], bool)
    strip[width:-width, width:-width] = False
    return strip


def quantile(values: npt.NDArray[Any], share: float) -> Any:
    """Returns the value below which `share` of them lie, along the first axis; quicker to start than NumPy's own."""
    return np.sort(values, axis=0)[int(share * (len(values) - 1))]


def normalise_light(tones: Grey, mask: Mask) -> Light:
    """Stretches the garment's tones to 0-1, but for its darkest and lightest 3 %; weak noise is not blown up."""
    low, high = (np.float32(quantile(tones[mask], share)) for share in (0.03, 0.97))
    return ((tones - low) / max(high - low, np.float32(LEAST_RANGE))).clip(0, 1)


def negate(light: Light, mask: Mask) -> Light:
    """Makes dark light, as the authors did, above a floor that keeps the garment off the black around it."""
    return np.where(mask, 1 - light * np.float32(1 - FLOOR), 0).astype(np.float32)


def crop(light: Light, mask: Mask) -> Light:
    """Cuts off what lies around the garment (the authors' trim)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resize(light: Light) -> Light:
    """Scales to a longer side of `FITTED` pixels by averaging; the authors took every n-th pixel."""
    scale = FITTED / max(light.shape)
    height, width = (max(1, round(side * scale)) for side in light.shape)
    return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def square_window(garment: Mask) -> tuple[float, float, float, float]:
    """Returns the square of a photo that the model sees: left, top, width, height, in shares of the photo's sides.

    It goes beyond the photo where the garment lies at its edge.
    """
    rows, columns = np.flatnonzero(garment.any(1)), np.flatnonzero(garment.any(0))
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = max(high, wide) * SIDE / FITTED
    height, width = garment.shape
    left, top = (columns[0] + wide / 2 - side / 2) / width, (rows[0] + high / 2 - side / 2) / height
    return float(left), float(top), float(side / width), float(side / height)


def pad(light: Light) -> Grey:
    """Centres the garment on a black square: (28, 28) uint8, 0-255."""
    height, width = light.shape
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square = np.zeros((SIDE, SIDE), np.uint8)
    square[top : top + height, left : left + width] = np.round(light * 255)
    return square
