"""The REST API of TensorFlow Serving. Source: https://www.tensorflow.org/tfx/serving/api_rest."""

from collections.abc import Mapping
from reprlib import repr as shorten
from typing import Any

from wardrobe.errors import RequestError
from wardrobe.serving.protocols import arrays
from wardrobe.serving.protocols.arrays import INPUT, Images

SIGNATURE = "serving_default"
ROWS, COLUMNS = "instances", "inputs"  # the keys of the row format and the columnar format
RESPONSE_KEYS = {ROWS: "predictions", COLUMNS: "outputs"}


def parse_predict_request(body: bytes) -> tuple[Images, str]:
    """Returns the images of a predict request, and the key for the probabilities in its response.

    Raises:
        RequestError: it has neither or both of these keys, or they do not hold images.
    """
    request = arrays.parse_json_object(body)
    if (ROWS in request) == (COLUMNS in request):
        raise RequestError(f"give exactly one of {ROWS} and {COLUMNS}")
    signature = request.get("signature_name", SIGNATURE)
    if signature != SIGNATURE:
        raise RequestError(f"signature_name is {shorten(signature)}; expected {SIGNATURE}")
    key = ROWS if ROWS in request else COLUMNS
    values = request[key]
    if key == COLUMNS and isinstance(values, dict):
        values = _get_input(values)
    elif key == ROWS and isinstance(values, list) and all(isinstance(row, dict) for row in values):
        values = [_get_input(row) for row in values]
    if not isinstance(values, list):
        raise RequestError(f"{key} is a JSON {type(values).__name__}; expected a list")
    return arrays.to_images(arrays.parse_numbers(values, key), key), RESPONSE_KEYS[key]


def describe_model_status() -> dict[str, Any]:
    """Returns the status of the model's one version, as `GET /v1/models/NAME` sends it."""
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": status}]}


def _get_input(named: Mapping[str, Any]) -> Any:
    if list(named) != [INPUT]:
        names = ", ".join(named)[:80] or "nothing"
        raise RequestError(f"the inputs are named {names}; expected {INPUT}")
    return named[INPUT]
