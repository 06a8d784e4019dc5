"""JSON of what run folders hold."""

import json
import math
from typing import Any

from starlette.responses import Response


def to_json(value: Any) -> bytes:
    """Returns JSON in ASCII, with null in place of NaN and infinity.

    A path in run.json may have bytes that are not UTF-8, which only escapes can express.
    """
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:  # NaN, which few values have: the others are not copied
        return json.dumps(_replace_nan(value)).encode()


def send_json(value: Any, status: int = 200) -> Response:
    """Returns the response with a value as JSON."""
    return Response(to_json(value), status, media_type="application/json")


def _replace_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _replace_nan(each) for key, each in value.items()}
    return [*map(_replace_nan, value)] if isinstance(value, (list, tuple)) else value
