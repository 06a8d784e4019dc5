"""The Open Inference Protocol (V2), with the binary tensor extension of Triton and KServe.

Source: https://github.com/kserve/open-inference-protocol.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as shorten
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wardrobe.errors import RequestError
from wardrobe.photo import SIDE
from wardrobe.serving.protocols import arrays
from wardrobe.serving.protocols.arrays import INPUT, VERSION, Floats, Images

JSON_LENGTH = "Inference-Header-Content-Length"  # header: bytes of JSON before the binary tensors
OUTPUTS = {  # name → datatype, and shape after the number of images; k: number of classes
    "probabilities": ("FP32", ["k"]),
    "logits": ("FP32", ["k"]),
    "label": ("BYTES", []),
    "not_sure": ("BOOL", []),
    "familiarity": ("FP32", []),
}
PROBABILITIES, LOGITS, LABEL, NOT_SURE, FAMILIARITY = OUTPUTS
Values = Floats | npt.NDArray[np.bool_] | Sequence[str]
DTYPES = {  # V2's datatype → NumPy's dtype; binary tensors are little-endian
    **{"UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8"},
    **{"INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8"},
    **{"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BF16": "<f4"},  # BF16: see _parse_binary
}
IMAGE_SHAPES = [SIDE, SIDE], [SIDE, SIDE, 1]
EXTENSIONS = ["binary_tensor_data"]
# Parameters that would change the answer.
UNSUPPORTED = "classification", "class_count", "shared_memory_region"
PLATFORMS = {".onnx": "onnxruntime_onnx", ".tflite": "litert_tflite", ".xml": "openvino_ir"}


@dataclass(frozen=True)
class InferRequest:
    """A checked infer request."""

    images: Images
    scale: int = 1  # what the pixels were multiplied by
    id: str | None = None
    outputs: dict[str, bool] = field(default_factory=dict)  # name → whether as a binary tensor


def parse_infer_request(body: bytes, json_length: str | None) -> InferRequest:
    """Returns an infer request.

    Args:
        body: JSON, followed by the bytes of binary tensors.
        json_length: the header Inference-Header-Content-Length; None if the body is only JSON.

    Raises:
        RequestError: the request breaks the protocol, or names what this model does not have.
    """
    length = len(body) if json_length is None else _parse_length(json_length, len(body))
    json_part, binary_part = body[:length], body[length:]
    request = arrays.parse_json_object(json_part)
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError(f"id is {shorten(request_id)}; expected a string")
    inputs = request.get("inputs")
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise RequestError(f"inputs is not a list of one object; expected the input {INPUT!r}")
    images, scale = _parse_input(inputs[0], binary_part)
    return InferRequest(images, scale, request_id, _parse_outputs(request))


def _parse_length(text: str, limit: int) -> int:
    if not (text.isdecimal() and int(text) <= limit):
        raise RequestError(f"{JSON_LENGTH} is {text[:20]!r}; expected 0 to {limit} bytes")
    return int(text)


def _parse_input(tensor: Mapping[str, Any], binary_part: bytes) -> tuple[Images, int]:
    name, datatype, shape = (tensor.get(key) for key in ("name", "datatype", "shape"))
    if name != INPUT:
        raise RequestError(f"the input is named {shorten(name)}; expected {INPUT!r}")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise RequestError(
            f"the datatype is {shorten(datatype)}; expected one of {', '.join(DTYPES)}"
        )
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)  # no bool
    if not isinstance(shape, list) or not is_shape or shape[1:] not in IMAGE_SHAPES:
        raise RequestError(f"the input has the shape {shorten(shape)}; expected {arrays.SHAPES}")
    is_integer = np.dtype(DTYPES[datatype]).kind in "ui"
    binary_size = _get_parameters(tensor).get("binary_data_size")
    if binary_size is not None:
        values = _parse_binary(binary_size, binary_part, datatype)
    elif tensor.get("data") is not None:
        values = _parse_data(tensor["data"], is_integer)
    else:
        raise RequestError("the input has no values; give data or the parameter binary_data_size")
    if values.size != math.prod(shape):
        raise RequestError(
            f"{values.size} numbers were given; expected {math.prod(shape)} for the shape "
            f"{shorten(shape)}"
        )
    return arrays.to_images(values.reshape(shape), "the input", is_integer)


def _parse_binary(size: Any, binary_part: bytes, datatype: str) -> npt.NDArray[Any]:
    dtype = np.dtype("<u2" if datatype == "BF16" else DTYPES[datatype])
    if type(size) is not int or size != len(binary_part) or size % dtype.itemsize:
        raise RequestError(
            f"binary_data_size is {shorten(size)}; expected {len(binary_part)}, the bytes after "
            f"the JSON, in multiples of {dtype.itemsize}"
        )
    values = np.frombuffer(binary_part, dtype)  # no copy; read-only
    # bfloat16 is the upper half of a float32.
    return (values.astype("<u4") << 16).view("<f4") if datatype == "BF16" else values


def _parse_data(data: Any, is_integer: bool) -> npt.NDArray[Any]:
    """Returns nested or flat lists of numbers as a flat array."""
    if not isinstance(data, list):
        raise RequestError(f"data is a JSON {type(data).__name__}; expected a list of numbers")
    array = arrays.parse_numbers(data, "data")
    if is_integer and (array != np.rint(array)).any():
        raise RequestError("data has fractions; expected integers or a floating-point datatype")
    return array.ravel()  # the shape is a field of its own


def _get_parameters(tensor: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = tensor.get("parameters")
    if not isinstance(parameters, dict | None):
        raise RequestError(f"parameters is {shorten(parameters)}; expected an object")
    given = {key: value for key, value in (parameters or {}).items() if value is not None}
    for key in given.keys() & UNSUPPORTED:
        raise RequestError(f"the parameter {key} is not supported; see the extensions in /v2")
    return given


def _parse_outputs(request: Mapping[str, Any]) -> dict[str, bool]:
    """Returns the requested outputs; all of them if the request names none."""
    is_binary = _get_parameters(request).get("binary_data_output") is True
    outputs = [] if request.get("outputs") is None else request["outputs"]
    if not (isinstance(outputs, list) and all(isinstance(each, dict) for each in outputs)):
        raise RequestError(f"outputs is {shorten(outputs)}; expected a list of objects")
    for each in outputs:
        if each.get("name") not in OUTPUTS:
            raise RequestError(
                f"there is no output {shorten(each.get('name'))}; expected {', '.join(OUTPUTS)}"
            )
    if not outputs:
        return dict.fromkeys(OUTPUTS, is_binary)
    return {
        each["name"]: _get_parameters(each).get("binary_data", is_binary) is True
        for each in outputs
    }


def encode_infer_response(
    model: str, request: InferRequest, values: Mapping[str, Callable[[], Values]]
) -> tuple[bytes, int | None]:
    """Returns the body of a response, and the length of its JSON if binary tensors follow it.

    Args:
        values: output → function that computes it: an array (n, k) or (n,), or n labels. Only the
            functions of requested outputs are called.
    """
    tensors, outputs = [], []
    for name, is_binary in request.outputs.items():
        value, (datatype, _) = values[name](), OUTPUTS[name]
        dtype = "<f4" if datatype == "FP32" else "?"
        numbers = np.ascontiguousarray(value, dtype) if isinstance(value, np.ndarray) else None
        shape = [len(value)] if numbers is None else list(numbers.shape)
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if is_binary:
            tensor = _encode_strings(value) if numbers is None else numbers.tobytes()
            output["parameters"] = {"binary_data_size": len(tensor)}
            tensors.append(tensor)
        else:
            output["data"] = list(value) if numbers is None else numbers.ravel()
        outputs.append(output)
    optional: dict[str, Any] = {} if request.id is None else {"id": request.id}
    if request.scale != 1:
        optional["parameters"] = {"pixels_multiplied_by": request.scale}
    response = {"model_name": model, "model_version": VERSION, **optional, "outputs": outputs}
    json_part = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    return json_part + b"".join(tensors), len(json_part) if tensors else None


def _encode_strings(strings: Iterable[str]) -> bytes:
    """Returns each string as its length (4 bytes, little-endian) and its UTF-8 bytes."""
    encoded = [each.encode() for each in strings]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def describe_model(
    model: str, class_names: Sequence[str], threshold: float, file_extension: str
) -> dict[str, Any]:
    """Returns the model metadata.

    Args:
        threshold: familiarity below which an image is unlike the classes.
    """
    classes = {"k": len(class_names)}
    return {
        "name": model,
        "versions": [VERSION],
        "platform": PLATFORMS[file_extension],
        "parameters": {
            "pixels": arrays.RANGE,
            "class_names": [*class_names],
            "familiarity_threshold": threshold if math.isfinite(threshold) else None,
        },
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, SIDE, SIDE]}],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1, *(classes[size] for size in sizes)]}
            for name, (datatype, sizes) in OUTPUTS.items()
        ],
    }
