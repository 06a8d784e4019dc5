"""The forms in which other tools ask: the Open Inference Protocol (V2) and TensorFlow Serving's REST.

Bytes and JSON in, arrays out, and back; nothing is classified here. One model, its input "pixels", any number of 28x28
images, 0-255; its outputs "probabilities", "logits" and "label".

Source: the Open Inference Protocol, https://github.com/kserve/open-inference-protocol; its extension for binary
tensors, as Triton and KServe speak it; https://www.tensorflow.org/tfx/serving/api_rest.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wardrobe.errors import WardrobeError
from wardrobe.photo import SIDE

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

INPUT = "pixels"
JSON_LENGTH = (
    "Inference-Header-Content-Length"  # the header that says where the JSON ends and bytes begin
)
PROBABILITIES, LOGITS, LABEL = "probabilities", "logits", "label"
NUMBERS = {
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}  # fmt: skip  (V2's names of types → NumPy's)


class RequestError(WardrobeError):
    """A request that cannot be understood; the message says what was given and what is expected."""


@dataclass(frozen=True)
class Asked:
    """What a V2 request asks for."""

    images: Images
    id: str | None = None
    outputs: dict[str, bool] = field(default_factory=dict)  # name → whether as bytes


def as_images(values: Any, what: str) -> Images:
    """Returns images (n, 28, 28) uint8 of nested lists or an array of (n, 28, 28) or (n, 28, 28, 1) numbers, 0-255.

    Raises:
        RequestError: another shape, or what is no number from 0 to 255.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise RequestError(
            f"{what} has rows of unlike lengths; expected images of {SIDE}x{SIDE} numbers"
        ) from error
    if array.dtype.kind not in "uif" and array.size:
        raise RequestError(f"{what} has what is no number; expected pixels from 0 to 255")
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3 or array.shape[1:] != (SIDE, SIDE):
        raise RequestError(
            f"{what} has the shape {list(array.shape)}; expected [n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1]"
        )
    if array.size and not (
        array.min() >= 0 and array.max() <= 255
    ):  # so that what is no number fails
        raise RequestError(
            f"{what} has pixels outside 0 to 255; expected raw grey values, not scaled ones below 0"
        )
    return np.rint(array).astype(np.uint8)


def parse_json(body: bytes) -> dict[str, Any]:
    """Returns a JSON object.

    Raises:
        RequestError: it is none.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is no JSON ({error}); expected an object") from error
    if not isinstance(found, dict):
        raise RequestError(f"the body is a JSON {type(found).__name__}; expected an object")
    return found


def read_v2(body: bytes, json_length: str | None) -> Asked:
    """Returns what a V2 infer request asks for.

    Args:
        body: JSON, after which the bytes of binary inputs follow.
        json_length: the header Inference-Header-Content-Length, where the JSON does not fill the body.

    Raises:
        RequestError: it breaks the protocol, or asks for what this model has not.
    """
    head, rest = _head_and_rest(body, json_length)
    request = parse_json(head)
    name = request.get("id")
    if name is not None and not isinstance(name, str):
        raise RequestError(f"id is {name!r}; expected a text")
    inputs = request.get("inputs")
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise RequestError(f"inputs has to be a list of one object, of the input {INPUT!r}")
    images = _input(inputs[0], rest)
    return Asked(images, name, _outputs(request))


def _head_and_rest(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    if json_length is None:
        return body, b""
    if not (json_length.isdecimal() and int(json_length) <= len(body)):
        raise RequestError(
            f"{JSON_LENGTH} is {json_length[:20]!r}; expected 0 to {len(body)}, the length of the JSON"
        )
    return body[: int(json_length)], body[int(json_length) :]


def _input(given: Mapping[str, Any], rest: bytes) -> Images:
    name, datatype, shape = (given.get(key) for key in ("name", "datatype", "shape"))
    if name != INPUT:
        raise RequestError(f"the input is named {name!r}; expected {INPUT!r}")
    if not isinstance(datatype, str) or datatype not in NUMBERS:
        raise RequestError(
            f"the datatype is {datatype!r}; expected UINT8, FP32 or another of V2's numbers"
        )
    if not (
        isinstance(shape, list)
        and all(type(each) is int and each >= 0 for each in shape)
        and len(shape) <= 4
    ):
        raise RequestError(
            f"the shape is {shape!r}; expected [n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1]"
        )
    size = _parameters(given).get("binary_data_size")
    dtype = np.dtype(NUMBERS[datatype])
    if size is None:
        if "data" not in given:
            raise RequestError("the input has neither data nor the parameter binary_data_size")
        values = _flat(given["data"], dtype)
    else:
        if type(size) is not int or size != len(rest) or size % dtype.itemsize:
            raise RequestError(
                f"binary_data_size is {size!r}, and {len(rest)} bytes follow the JSON; expected the same"
            )
        values = np.frombuffer(rest, dtype)
    if values.size != math.prod(shape):
        raise RequestError(
            f"{values.size} numbers were given; the shape {shape} asks for {math.prod(shape)}"
        )
    return as_images(values.reshape(shape), "the input")


def _flat(data: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Returns nested or flat lists of numbers as one row of the type."""
    if not isinstance(data, list):
        raise RequestError(f"data is a JSON {type(data).__name__}; expected a list of numbers")
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise RequestError("data has rows of unlike lengths") from error
    if array.size and array.dtype.kind not in "uif":
        raise RequestError("data has what is no number")
    if dtype.kind != "f" and array.dtype.kind == "f" and (array != np.rint(array)).any():
        raise RequestError(
            "data has fractions; expected whole numbers, or a floating-point datatype"
        )
    return array.ravel()


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError(f"parameters is {parameters!r}; expected an object")
    return parameters


def _outputs(request: Mapping[str, Any]) -> dict[str, bool]:
    """Returns the outputs that are asked for, all of them where none is named."""
    all_as_bytes = _parameters(request).get("binary_data_output") is True
    wanted = request.get("outputs", [])
    if not (isinstance(wanted, list) and all(isinstance(each, dict) for each in wanted)):
        raise RequestError("outputs has to be a list of objects")
    known = (PROBABILITIES, LOGITS, LABEL)
    for each in wanted:
        if each.get("name") not in known:
            raise RequestError(
                f"there is no output {each.get('name')!r}; the outputs are {', '.join(known)}"
            )
    if not wanted:
        return dict.fromkeys(known, all_as_bytes)
    return {
        each["name"]: _parameters(each).get("binary_data", all_as_bytes) is True for each in wanted
    }


def write_v2(
    model: str, asked: Asked, values: Mapping[str, Callable[[], Floats | Sequence[str]]]
) -> tuple[bytes, int | None]:
    """Returns the body of a V2 answer and, where bytes follow the JSON, the JSON's length.

    Args:
        values: output → what gives it: (n, k) numbers, or n texts; called if it was asked for.
    """
    tail, described = [], []
    for name, as_bytes in asked.outputs.items():
        value = values[name]()
        numbers = np.ascontiguousarray(value, "<f4") if isinstance(value, np.ndarray) else None
        shape = [len(value)] if numbers is None else list(numbers.shape)
        one: dict[str, Any] = {
            "name": name,
            "datatype": "BYTES" if numbers is None else "FP32",
            "shape": shape,
        }
        if as_bytes:
            raw = _text_bytes(value) if numbers is None else numbers.tobytes()
            one["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            one["data"] = list(value) if numbers is None else numbers.ravel()
        described.append(one)
    answer = {"model_name": model, "model_version": "1", "outputs": described}
    head = orjson.dumps(
        answer if asked.id is None else {"id": asked.id, **answer},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return head + b"".join(tail), len(head) if tail else None


def _text_bytes(texts: Iterable[str]) -> bytes:
    return b"".join(struct.pack("<I", len(each.encode())) + each.encode() for each in texts)


def v2_metadata(model: str, classes: int) -> dict[str, Any]:
    """Returns what V2 says of the model."""
    return {
        "name": model,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, SIDE, SIDE]}],
        "outputs": [
            {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, classes]},
            {"name": LOGITS, "datatype": "FP32", "shape": [-1, classes]},
            {"name": LABEL, "datatype": "BYTES", "shape": [-1]},
        ],
    }


def read_tensorflow(body: bytes) -> tuple[Images, bool]:
    """Returns the images of a TensorFlow Serving request, and whether they came as "instances", a row each.

    Raises:
        RequestError: it has neither or both of "instances" and "inputs", or they are no images.
    """
    request = parse_json(body)
    if ("instances" in request) == ("inputs" in request):
        raise RequestError("give either instances or inputs, not both and not neither")
    name = request.get("signature_name", "serving_default")
    if name != "serving_default":
        raise RequestError(f"there is no signature {name!r}; expected serving_default")
    by_row = "instances" in request
    given = request["instances"] if by_row else request["inputs"]
    if (
        by_row
        and isinstance(given, list)
        and given
        and all(isinstance(each, dict) for each in given)
    ):
        given = [_only_input(each) for each in given]
    elif not by_row and isinstance(given, dict):
        given = _only_input(given)
    if not isinstance(given, list):
        raise RequestError(
            f"{'instances' if by_row else 'inputs'} is a JSON {type(given).__name__}; expected a list"
        )
    return as_images(given, "instances" if by_row else "inputs"), by_row


def _only_input(named: Mapping[str, Any]) -> Any:
    if list(named) != [INPUT]:
        raise RequestError(
            f"the inputs are named {', '.join(named) or 'nothing'}; expected {INPUT}"
        )
    return named[INPUT]
