"""JSON → images (n, 28, 28) uint8, with checks that both protocols share."""

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wardrobe.errors import RequestError
from wardrobe.photo import SIDE

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

INPUT = "pixels"  # name of the model's input in both protocols
SHAPES = f"[n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1]"


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Returns a JSON object.

    Raises:
        RequestError: the body is not JSON, or not an object.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON ({error}); expected an object") from error
    if not isinstance(value, dict):
        raise RequestError(f"the body is a JSON {type(value).__name__}; expected an object")
    return value


def parse_numbers(values: Any, name: str) -> npt.NDArray[Any]:
    """Returns nested or flat lists as an array of numbers; `name` is used in errors.

    Raises:
        RequestError: the rows differ in length, or an element is not a number.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise RequestError(
            f"{name} has rows of different lengths; expected images of {SIDE}x{SIDE} numbers"
        ) from error
    if array.size and array.dtype.kind not in "uif":  # unsigned, signed, floating point
        raise RequestError(f"{name} has elements that are not numbers; expected pixels, 0 to 255")
    return array


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
