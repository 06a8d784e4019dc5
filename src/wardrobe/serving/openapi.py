"""What OpenAPI says of each route: its answers, their schemas, real examples."""

from typing import Any

from wardrobe.serving.protocols import JSON_LENGTH

DESCRIPTION = (
    "Classifies clothing. `POST /api/classify` takes people's photos; the Open Inference Protocol (V2) and TensorFlow "
    "Serving's REST take 28x28 grey images, 0-255, light on black, as `wardrobe.photo.prepare` makes them."
)
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
PICTURE: Schema = {"type": "string", "format": "binary"}


def an(properties: dict[str, Schema], optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """Returns the schema of an object."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def of(items: Schema, **more: Any) -> Schema:
    """Returns the schema of a list."""
    return {"type": "array", "items": items, **more}


ERROR = an({"error": TEXT})
FAILED = of(an({"path": TEXT, "error": TEXT}))
ANSWER = {
    "label": TEXT,
    "confidence": SHARE,
    "probabilities": {"type": "object", "additionalProperties": SHARE},
    "not_sure": {"type": "boolean"},
    "reason": {"type": ["string", "null"]},
}
PREDICTIONS = an({"model": TEXT, "predictions": of(an({"path": TEXT, **ANSWER})), "failed": FAILED})
SNEAKER = {
    "model": "photo",
    "predictions": [
        {
            "path": "shoe.jpg",
            "label": "Sneaker",
            "confidence": 0.94,
            "probabilities": {"Sneaker": 0.94, "Ankle boot": 0.05, "Sandal": 0.01},
            "not_sure": False,
            "reason": None,
        }
    ],
    "failed": [],
}
STATUS = {
    400: "The request cannot be understood.",
    401: "The token is missing or wrong.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    421: "The server is not called so.",
    422: "No picture could be read.",
    503: "Too much to do: ask again after the seconds of Retry-After.",
}
ANY = (401, 421)
BODY = (400, *ANY, 408, 413, 503)


def route(
    summary: str,
    answer: Schema,
    example: Any,
    errors: tuple[int, ...] = ANY,
    body: Schema | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Returns what FastAPI is told of a route.

    Args:
        answer: the schema of what it answers with.
        body: content type → schema and examples of what it takes.
    """
    responses: dict[int | str, Any] = {
        200: {
            "description": "Done.",
            "content": {"application/json": {"schema": answer, "example": example}},
        }
    }
    for status in errors:
        given = {"schema": ERROR, "example": {"error": STATUS[status]}}
        responses[status] = {"description": STATUS[status], "content": {"application/json": given}}
    extra: dict[str, Any] = {"parameters": more.pop("parameters", [])}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": body}
    return {"summary": summary, "responses": responses, "openapi_extra": extra, **more}


IMAGE = [[0] * 28 for _ in range(28)]
IMAGES: Schema = {"type": "array", "description": "n images of 28 rows of 28 pixels, 0-255"}

CLASSIFY = route(
    "Classify photos of clothing",
    PREDICTIONS,
    SNEAKER,
    (*BODY, 422),
    {
        "multipart/form-data": {"schema": an({"image": of(PICTURE, minItems=1, maxItems=64)})},
        "application/octet-stream": {"schema": PICTURE},
    },
)
WINDOW = an({"first": NUMBER, "step": WHOLE, "size": WHOLE})
LAYER = an(
    {"name": TEXT, "side": WHOLE, "filters": WHOLE, "height": WHOLE, "width": WHOLE, "window": WINDOW,
     "filter": {"type": ["object", "null"]}}
)  # fmt: skip
MODELS = route(
    "The models that are served, the first in every protocol",
    an(
        {
            "models": of(
                an(
                    {
                        "name": TEXT,
                        "class_names": of(TEXT),
                        "about": {"type": "object"},
                        "layers": of(LAYER),
                    }
                )
            )
        }
    ),
    {
        "models": [
            {
                "name": "photo",
                "class_names": ["T-shirt/top"],
                "about": {"recipe": "photo"},
                "layers": [],
            }
        ]
    },
)
EXAMPLES = route(
    "A drawn garment of each class",
    an({"examples": of(an({"name": TEXT, "png": TEXT}))}),
    {"examples": [{"name": "Dress", "png": "data:image/png;base64,…"}]},
)
LOOK = route(
    "What the studio shows of a picture, or of 784 grey values",
    an({"steps": {"type": ["object", "null"]}, "pixels": TEXT, "models": of(an(ANSWER))}),
    {"steps": None, "pixels": "AAAA…", "models": []},
    (*BODY, 422),
    {"application/octet-stream": {"schema": PICTURE}, "application/vnd.wardrobe.pixels": {"schema": PICTURE}},
    parameters=[
        {"name": "rectangle", "in": "query", "description": "left,top,right,bottom of the garment, in shares, 0-1",
         "schema": {"type": "string", "pattern": r"^[01](\.\d+)?(,[01](\.\d+)?){3}$"}, "example": "0.1,0.2,0.9,0.8"},
        {"name": "heat", "in": "query", "description": "whether to tell where the answer comes from",
         "schema": {"type": "boolean", "default": True}},
    ],
)  # fmt: skip

V2_SERVER = route(
    "V2: the server",
    an({"name": TEXT, "version": TEXT, "extensions": of(TEXT)}),
    {"name": "wardrobe", "version": "0.5.0", "extensions": ["binary_tensor_data"]},
)
V2_LIVE = route(
    "V2: whether the server lives", an({"live": {"type": "boolean"}}), {"live": True}, (421,)
)
V2_READY = route(
    "V2: whether the server is ready",
    an({"ready": {"type": "boolean"}}),
    {"ready": True},
    (421, 503),
)
V2_MODEL_READY = route(
    "V2: whether the model is ready",
    an({"name": TEXT, "ready": {"type": "boolean"}}),
    {"name": "wardrobe", "ready": True},
)
TENSOR = an({"name": TEXT, "datatype": TEXT, "shape": of(WHOLE)})
V2_MODEL = route(
    "V2: the model's inputs and outputs",
    an(
        {
            "name": TEXT,
            "versions": of(TEXT),
            "platform": TEXT,
            "inputs": of(TENSOR),
            "outputs": of(TENSOR),
        }
    ),
    {
        "name": "wardrobe",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [],
        "outputs": [],
    },
)
V2_ASKED = an(
    {
        "id": TEXT,
        "inputs": of(
            an(
                {
                    "name": {"const": "pixels"},
                    "datatype": {"enum": ["UINT8", "INT32", "INT64", "FP32", "FP64"]},
                    "shape": of({"type": "integer", "minimum": 0}, minItems=3, maxItems=4),
                    "data": {
                        "type": "array",
                        "description": "pixels 0-255, flat or nested as the shape says",
                    },
                }
            ),
            minItems=1,
            maxItems=1,
        ),
        "outputs": of(an({"name": {"enum": ["probabilities", "logits", "label"]}})),
    },
    optional=("id", "outputs"),
)
V2_OUTPUT = an(
    {"name": TEXT, "datatype": TEXT, "shape": of(WHOLE), "data": of({})},
    optional=("data",),
    additionalProperties=True,
)
V2_INFER = route(
    "V2: infer, with JSON or binary tensors",
    an({"id": TEXT, "model_name": TEXT, "model_version": TEXT, "outputs": of(V2_OUTPUT)}, optional=("id",)),
    {
        "model_name": "wardrobe",
        "model_version": "1",
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["Bag"]}],
    },
    BODY,
    {
        "application/json": {
            "schema": V2_ASKED,
            "example": {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 28, 28], "data": [IMAGE]}]},
        },
        "application/octet-stream": {"schema": PICTURE},
    },
    parameters=[
        {"name": JSON_LENGTH, "in": "header",
         "description": "length of the JSON, where the bytes of tensors follow it",
         "schema": {"type": "integer", "minimum": 0}}
    ],
)  # fmt: skip
TF_MODEL = route(
    "TensorFlow Serving: the model's state",
    an(
        {
            "model_version_status": of(
                an({"version": TEXT, "state": TEXT, "status": {"type": "object"}})
            )
        }
    ),
    {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    },
)
TF_PREDICT = route(
    "TensorFlow Serving: predict; rows of probabilities",
    an(
        {"predictions": of(of(SHARE)), "outputs": of(of(SHARE))},
        optional=("predictions", "outputs"),
    ),
    {"predictions": [[0.02, 0.01, 0.02, 0.01, 0.02, 0.01, 0.02, 0.01, 0.87, 0.01]]},
    BODY,
    {
        "application/json": {
            "schema": {"oneOf": [an({"instances": IMAGES}), an({"inputs": IMAGES})]},
            "example": {"instances": [IMAGE]},
        }
    },
)
METRICS: dict[str, Any] = {
    "summary": "Prometheus metrics",
    "responses": {
        200: {
            "description": "Done.",
            "content": {"text/plain": {"schema": TEXT, "example": "wardrobe_requests_total 7"}},
        },
        **{status: V2_SERVER["responses"][status] for status in ANY},
    },
}
