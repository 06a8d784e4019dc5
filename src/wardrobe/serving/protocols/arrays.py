"""Numbers → images (n, 28, 28) uint8, with checks that both protocols share."""

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wardrobe.errors import BodyError, RequestError
from wardrobe.photo import SIDE

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

VERSION = "1"  # of the one model
INPUT = "pixels"  # name of the model's input in both protocols
MAX_JSON_BYTES = 8_000_000  # parsed it takes up to 30 times as much memory, and 0.1 s
# Nested images have 4 bytes for each list, as in "[0],". Further lists take more memory than that.
MIN_BYTES_PER_LIST, MIN_LISTS = 3.5, 1_000
MAX_DIMENSIONS = 4  # n, height, width, channel
SCALE = 255  # pixels of 0-1 are multiplied by it
# Fractions below this are taken for another range: a grey image of 0-255 is not that dark, but
# standardised and logarithmic ones are.
MIN_PEAK = 8
RANGE = "0 to 255, light on black; a floating-point batch of 0 to 1 is multiplied by 255"
SHAPES = f"[n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1]"


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Returns a JSON object.

    Raises:
        BodyError: the body is too large.
        RequestError: the body is not JSON, or not an object.
    """
    if len(body) > MAX_JSON_BYTES:
        raise BodyError(
            413,
            f"the JSON has {len(body):,} bytes; expected at most {MAX_JSON_BYTES:,}, send fewer "
            "images at once or a binary tensor",
        )
    lists = body.count(b"[")
    if lists > MIN_LISTS and lists * MIN_BYTES_PER_LIST > len(body):
        raise RequestError(
            f"the body is not JSON of images ({lists:,} lists in {len(body):,} bytes); expected "
            "an object"
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        has_nan = b"NaN" in body or b"Infinity" in body  # as Python's json writes them
        problem = "NaN or Infinity, which is not a pixel" if has_nan else error
        raise RequestError(f"the body is not JSON ({problem}); expected an object") from error
    if not isinstance(value, dict):
        raise RequestError(f"the body is a JSON {type(value).__name__}; expected an object")
    return value


def parse_numbers(values: Any, name: str) -> npt.NDArray[Any]:
    """Returns nested or flat lists as an array of float64; `name` is used in errors.

    Raises:
        RequestError: the rows differ in length, or an element is not a number.
    """
    # As objects first: NumPy would give every element the size of the longest string.
    array = np.array(values, object)
    if array.ndim > MAX_DIMENSIONS:
        raise RequestError(f"{name} is nested {array.ndim} deep; expected {SHAPES}")
    types = set(map(type, array.ravel().tolist()))
    if list in types:
        raise RequestError(
            f"{name} has rows of different lengths; expected images of {SIDE}x{SIDE} numbers"
        )
    if not types <= {int, float}:
        raise RequestError(f"{name} has elements that are not numbers; expected pixels, 0 to 255")
    return array.astype(np.float64)


def to_images(array: npt.NDArray[Any], name: str, is_integer: bool = False) -> tuple[Images, int]:
    """Returns numbers as images (n, 28, 28) uint8, and what they were multiplied by.

    A batch of 0-1 with fractions is multiplied by 255. What could be of another range is refused,
    because the model would give a confident, wrong answer.

    Args:
        array: (n, 28, 28) or (n, 28, 28, 1), 0-255 or 0-1.
        is_integer: whether the client declared integers; then 1 is a grey value, not white.

    Raises:
        RequestError: the shape, a value or the range is not one of these.
    """
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]  # (n, 28, 28)
    if array.ndim != 3 or array.shape[1:] != (SIDE, SIDE):
        raise RequestError(f"{name} has the shape {list(array.shape)}; expected {SHAPES}")
    if not array.size:
        return array.astype(np.uint8), 1
    # Written so that NaN fails as well.
    if not (array.min() >= 0 and array.max() <= 255):
        raise RequestError(
            f"{name} has pixels outside 0 to 255 ({array.min():g} to {array.max():g}); expected "
            "0 to 255, or 0 to 1, not standardised"
        )
    scale = 1 if is_integer else _find_scale(array, name)
    if scale != 1:
        array = array * np.float32(scale)  # float16 becomes float32
    return np.rint(array).astype(np.uint8), scale  # rounded: astype alone would cut off


def _find_scale(array: npt.NDArray[Any], name: str) -> int:
    """Returns what the pixels (n, 28, 28) of a batch must be multiplied by.

    The batch has one range. In a batch of 0-255, an image may be black, with rounding errors too.
    """
    peaks = array.max(axis=(1, 2))  # (n,)
    has_fractions = (array != np.rint(array)).any(axis=(1, 2))  # (n,)
    # More than the grey value 1: divided by 255 twice, an image would be black.
    is_scaled = has_fractions & (peaks <= 1) & (peaks * SCALE >= 1.5)
    peak = peaks.max()
    if is_scaled.any() and peak <= 1:
        return SCALE
    if 0 < peak <= 1 or (peak < MIN_PEAK and has_fractions.any()):
        raise RequestError(
            f"{name} has pixels of at most {peak:g}, whose range is not clear; expected 0 to 255, "
            "or 0 to 1 with fractions"
        )
    if is_scaled.any():
        raise RequestError(
            f"{name} mixes ranges: image {is_scaled.argmax()} has pixels of 0 to 1, image "
            f"{peaks.argmax()} has pixels of up to {peak:g}; expected one range"
        )
    return 1
