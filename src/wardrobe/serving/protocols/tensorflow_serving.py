"""The REST API of TensorFlow Serving. Source: https://www.tensorflow.org/tfx/serving/api_rest."""

import json
from collections.abc import Mapping
from reprlib import repr as shorten
from typing import Any

from wardrobe.errors import RequestError
from wardrobe.photo import SIDE
from wardrobe.serving.protocols import arrays
from wardrobe.serving.protocols.arrays import INPUT, VERSION, Floats, Images

SIGNATURE = "serving_default"
OUTPUT = "probabilities"
ROWS, COLUMNS = "instances", "inputs"  # the keys of the row format and the columnar format
RESPONSE_KEYS = {ROWS: "predictions", COLUMNS: "outputs"}


def parse_predict_request(body: bytes) -> tuple[Images, str]:
    """Returns the images of a predict request, and the key for the probabilities in its response.

    Raises:
        RequestError: it has neither or both of these keys, or they do not hold images.
    """
    request = arrays.parse_json_object(body)
    request = {key: value for key, value in request.items() if value is not None}
    if (ROWS in request) == (COLUMNS in request):
        raise RequestError(f"give exactly one of {ROWS} and {COLUMNS}")
    signature = request.get("signature_name", SIGNATURE)
    if signature not in ("", SIGNATURE):
        raise RequestError(f"signature_name is {shorten(signature)}; expected {SIGNATURE}")
    key = ROWS if ROWS in request else COLUMNS
    values = request[key]
    if key == COLUMNS and isinstance(values, dict):
        values = _get_input(values)
    elif key == ROWS and isinstance(values, list) and all(isinstance(row, dict) for row in values):
        values = [_get_input(row) for row in values]
    if not isinstance(values, list):
        raise RequestError(f"{key} is a JSON {type(values).__name__}; expected a list")
    images, _ = arrays.to_images(arrays.parse_numbers(values, key), key)
    return images, RESPONSE_KEYS[key]


def encode_predict_response(key: str, probabilities: Floats) -> str:
    """Returns the body of a response; `key` as `parse_predict_request` returns it."""
    # NaN is written as NaN, which JSON does not have: the API's section "JSON conformance".
    return json.dumps({key: probabilities.tolist()}, separators=(",", ":"))


def describe_model_status() -> dict[str, Any]:
    """Returns the status of the model's one version, as `GET /v1/models/NAME` sends it."""
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": status}]}


def describe_model(model: str, class_count: int) -> dict[str, Any]:
    """Returns the model metadata, as `GET /v1/models/NAME/metadata` sends it."""
    signature = {
        "inputs": {INPUT: _describe_tensor(INPUT, "DT_UINT8", -1, SIDE, SIDE)},
        "outputs": {OUTPUT: _describe_tensor(OUTPUT, "DT_FLOAT", -1, class_count)},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _describe_tensor(name: str, dtype: str, *sizes: int) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in sizes]  # text: protobuf's int64
    shape = {"dim": dimensions, "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": f"{name}:0"}


def _get_input(named: Mapping[str, Any]) -> Any:
    if list(named) != [INPUT]:
        names = ", ".join(named)[:80] or "nothing"
        raise RequestError(f"the inputs are named {names}; expected {INPUT}")
    return named[INPUT]
