"""JSON → images (n, 28, 28) uint8, with checks that both protocols share."""

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wardrobe.errors import BodyError, RequestError
from wardrobe.photo import SIDE

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

INPUT = "pixels"  # name of the model's input in both protocols
MAX_JSON_BYTES = 8_000_000  # parsed it takes up to 30 times as much memory, and 0.1 s
# Nested images have 4 bytes for each list, as in "[0],". Further lists take more memory than that.
MIN_BYTES_PER_LIST, MIN_LISTS = 3.5, 1_000
MAX_DIMENSIONS = 4  # n, height, width, channel
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
        raise RequestError(f"the body is not JSON ({error}); expected an object") from error
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


def to_images(array: npt.NDArray[Any], name: str) -> Images:
    """Returns numbers (n, 28, 28) or (n, 28, 28, 1), 0-255, as images (n, 28, 28) uint8.

    Raises:
        RequestError: the shape or a value is outside of that.
    """
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]  # (n, 28, 28)
    if array.ndim != 3 or array.shape[1:] != (SIDE, SIDE):
        raise RequestError(f"{name} has the shape {list(array.shape)}; expected {SHAPES}")
    # Written so that NaN fails as well.
    if array.size and not (array.min() >= 0 and array.max() <= 255):
        raise RequestError(
            f"{name} has pixels outside 0 to 255; expected grey values that are not scaled"
        )
    return np.rint(array).astype(np.uint8)  # rounded: astype alone would cut off
