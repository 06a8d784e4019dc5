"""The routes: what each path of the server answers.

Starlette routes and one OpenAPI file, written by hand: the protocols check their own requests, so a
framework that derives checks and a schema from annotations would only repeat them. Tests compare
openapi.json with the running server.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from wardrobe import __version__, photo
from wardrobe.errors import BodyError, WardrobeError
from wardrobe.inference.classifier import Classifier
from wardrobe.serving import docs_page, studio, uploads
from wardrobe.serving.batching import BoundedThreadPool, ServedModel
from wardrobe.serving.http.content_encoding import ACCEPT_ENCODING
from wardrobe.serving.http.middleware import CLIENT_CLOSED_REQUEST, CLOSE
from wardrobe.serving.learn.routes import Learn
from wardrobe.serving.metrics import Metrics
from wardrobe.serving.protocols import tensorflow_serving, v2
from wardrobe.serving.protocols.arrays import VERSION
from wardrobe.serving.settings import Settings

T = TypeVar("T")

NAME = "wardrobe"  # of the served model in both protocols
WEB = Path(__file__).parent / "web"
PAGE = {  # path → file
    "/": WEB / "index.html",
    "/learn": WEB / "learn" / "index.html",
    **{f"/{file.relative_to(WEB).as_posix()}": file for file in WEB.rglob("*") if file.is_file()},
}
OPENAPI = Path(__file__).parent / "openapi.json"
DOCS = "/docs"  # the same for people
MODEL_PATH = re.compile(  # model, version or label, method
    r"/v[12]/models/([^/:]+)(?:/(version|label)s/([^/:]+))?(?::(classify|regress)$)?"
)
MAX_WAITING_PHOTOS = 512  # in the queue of the threads; further photos are refused
LARGE_BODY = 64_000  # bytes; parsed in a thread, so that it does not block other requests
MAX_WAITING_BODIES = 64  # large ones; one is parsed at a time, because that takes memory


class Service:
    """The models and the handlers of all routes. The first model answers every protocol."""

    def __init__(self, classifiers: Sequence[Classifier], settings: Settings) -> None:
        self.metrics = Metrics()
        self._has_token = settings.token is not None
        self.models = [ServedModel(classifier, self.metrics) for classifier in classifiers]
        self.model = self.models[0]
        self.learn = Learn(settings.training_refusal, self.models)
        self.pool = BoundedThreadPool(settings.threads, MAX_WAITING_PHOTOS)
        self.parser = BoundedThreadPool(1, MAX_WAITING_BODIES, "requests")

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Opens the queues while the server runs, then closes the threads."""
        for model in self.models:
            model.start()
        yield
        for model in self.models:
            model.batcher.close()
        self.learn.close()
        self.pool.close()
        self.parser.close()

    def routes(self) -> list[Route]:
        """Returns every route, the most frequent requests first.

        Each file has its own route, so that no path from a request reaches the disk.
        """
        post, classifier = ["POST"], self.model.classifier
        names, threshold = classifier.class_names, classifier.metadata["familiarity_threshold"]
        openapi = json.loads(OPENAPI.read_text().replace('"VERSION"', f'"{__version__}"'))
        constants: dict[str, dict[str, Any]] = {
            "/v2": {"name": NAME, "version": __version__, "extensions": v2.EXTENSIONS},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": True},
        }
        inference: list[Route] = []
        for path in (NAME, f"{NAME}/versions/{VERSION}"):
            v1_model, v2_model = f"/v1/models/{path}", f"/v2/models/{path}"
            constants |= {
                v2_model: v2.describe_model(NAME, names, threshold, classifier.path.suffix),
                f"{v2_model}/ready": {"name": NAME, "ready": True},
                v1_model: tensorflow_serving.describe_model_status(),
                f"{v1_model}/metadata": tensorflow_serving.describe_model(NAME, len(names)),
            }
            inference += [
                Route(f"{v2_model}/infer", self.v2_infer, methods=post),
                Route(f"{v1_model}:predict", self.tensorflow_predict, methods=post),
            ]
        return [
            *inference,
            Route("/api/classify", self.classify, methods=post),
            Route("/api/look", self.look, methods=post),
            Route("/api/models", self.list_models),
            Route("/api/examples", self.list_examples),
            *self.learn.routes(),
            Route("/metrics", self.report_metrics),
            *(Route(path, partial(_send_json, each)) for path, each in constants.items()),
            *(Route(path, partial(_send_file, file)) for path, file in PAGE.items()),
            Route("/openapi.json", partial(_send_openapi, openapi)),
            Route(DOCS, partial(_send_docs, openapi, self._has_token)),
        ]

    async def classify(self, request: Request) -> Response:
        """Takes photos; answers in the form of `wardrobe predict --json`."""
        uploaded = await uploads.read_images(request)  # (name, bytes) of each
        decoding = [partial(photo.prepare_or_reason, content) for _, content in uploaded]
        names = [name for name, _ in uploaded]
        prepared = list(zip(names, await self.pool.run_all(decoding), strict=True))
        failed = [{"path": name, "error": each} for name, each in prepared if isinstance(each, str)]
        tiles = [(name, each) for name, each in prepared if not isinstance(each, str)]
        if not tiles:
            return JSONResponse({"error": failed[0]["error"], "failed": failed}, 422)
        predictions = await self.model.classify(np.stack([pixels for _, pixels in tiles]))
        rows = [{"path": name, **predictions[row].to_json()} for row, (name, _) in enumerate(tiles)]
        return JSONResponse(
            {
                "model": self.model.name,
                "familiarity_threshold": predictions.threshold,
                "predictions": rows,
                "failed": failed,
            }
        )

    async def list_models(self, _: Request) -> Response:
        return JSONResponse({"models": [studio.describe_model(each) for each in self.models]})

    async def list_examples(self, _: Request) -> Response:
        """Sends a synthetic garment of each class, for the studio."""
        return JSONResponse({"examples": await self.pool.run(studio.draw_examples)})

    async def look(self, request: Request) -> Response:
        """Takes a photo or 784 grey values; answers with what the studio shows of each model."""
        content, query = await request.body(), request.query_params
        steps = None
        if request.headers.get("content-type") == studio.PIXELS_TYPE:
            pixels = studio.parse_pixels(content)
        else:
            rectangle = studio.parse_rectangle(query.get("rectangle"))
            steps = await self.pool.run(photo.prepare_steps, content, rectangle)
            pixels = steps.pixels
        with_heat = query.get("heat", "true") == "true"
        logits = await asyncio.gather(*(model.logits(pixels[None]) for model in self.models))
        describing = [
            # The studio shows the heat map of the first model alone.
            partial(studio.describe_image, model, each, pixels, with_heat and row == 0)
            for row, (model, each) in enumerate(zip(self.models, logits, strict=True))
        ]
        response = {
            "steps": studio.describe_steps(steps) if steps else None,
            "pixels": studio.to_base64(pixels),
            "models": await self.pool.run_all(describing),
        }
        return JSONResponse(response)

    async def v2_infer(self, request: Request) -> Response:
        """Answers an infer request of the Open Inference Protocol, as KServe and Triton do."""
        body, json_length = await request.body(), request.headers.get(v2.JSON_LENGTH)
        infer_request = await self._parse(partial(v2.parse_infer_request, body, json_length), body)
        logits, classifier = await self.model.logits(infer_request.images), self.model.classifier
        predict = cache(partial(classifier.to_predictions, infer_request.images, logits))
        values: dict[str, Callable[[], v2.Values]] = {
            v2.PROBABILITIES: lambda: classifier.probabilities(logits),
            v2.LOGITS: lambda: logits,
            v2.LABEL: lambda: classifier.labels(logits),
            v2.NOT_SURE: lambda: predict().not_sure,
            v2.FAMILIARITY: lambda: predict().familiarity,
        }
        content, length = v2.encode_infer_response(NAME, infer_request, values)
        if length is None:
            return Response(content, media_type="application/json")
        return Response(content, 200, {v2.JSON_LENGTH: str(length)}, "application/octet-stream")

    async def tensorflow_predict(self, request: Request) -> Response:
        """Answers a predict request of TensorFlow Serving's REST API."""
        body = await request.body()
        parse = partial(tensorflow_serving.parse_predict_request, body)
        images, key = await self._parse(parse, body)
        probabilities = self.model.classifier.probabilities(await self.model.logits(images))
        content = tensorflow_serving.encode_predict_response(key, probabilities)
        return Response(content, media_type="application/json")

    async def _parse(self, parse: Callable[[], T], body: bytes) -> T:
        """Returns the parsed body; a large one is parsed in a thread."""
        return parse() if len(body) <= LARGE_BODY else await self.parser.run(parse)

    async def report_metrics(self, _: Request) -> Response:
        return Response(self.metrics.render(), media_type=CONTENT_TYPE_LATEST)


async def _send_json(content: dict[str, Any], _: Request) -> Response:
    return JSONResponse(content)


async def _send_openapi(content: dict[str, Any], request: Request) -> Response:
    return JSONResponse({**content, "servers": [{"url": request.scope["root_path"] or "/"}]})


async def _send_docs(openapi: dict[str, Any], has_token: bool, request: Request) -> Response:
    url = str(request.base_url).rstrip("/")
    return HTMLResponse(docs_page.render(openapi, url, has_token))


async def _send_file(file: Path, _: Request) -> Response:
    # "no-cache": a browser asks with the ETag each time, so that a new version is shown at once.
    return FileResponse(file, headers={"cache-control": "no-cache"})


async def _handle_error(_: Request, error: Exception) -> Response:
    """Answers with an error's one line."""
    assert isinstance(error, WardrobeError)
    status = error.http_status
    headers = CLOSE if isinstance(error, BodyError) else {}  # the rest of the body is not read
    retry = {503: {"retry-after": "1"}, 415: ACCEPT_ENCODING}.get(status, {})  # 1: second
    return JSONResponse({"error": str(error)}, status, headers | retry)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, status, message = request.url.path, error.status_code, error.detail
    headers, openapi = dict(error.headers or {}), f"{request.scope['root_path']}/openapi.json"
    if status == 404:
        status, message = _describe_missing(path, openapi)
    elif status == 405:
        methods = headers["Allow"].split(", ")
        methods += ["OPTIONS"] if "GET" in methods else []
        headers["Allow"] = ", ".join(sorted(methods))
        if request.method in methods:  # OPTIONS, with which load balancers check
            return Response(headers=headers)
        message = f"{path} does not accept {request.method}; see {openapi}"
    return JSONResponse({"error": message}, status, headers)


def _describe_missing(path: str, openapi: str) -> tuple[int, str]:
    """Returns the status and the error for a path that does not exist."""
    match = MODEL_PATH.search(path)
    name, kind, value, method = match.groups() if match else (None,) * 4
    if name not in (None, NAME):
        return 404, f"there is no model {name!r}; expected {NAME!r}"
    if kind and (kind, value) != ("version", VERSION):
        return 404, f"the model {NAME!r} has no {kind} {value!r}; expected the version {VERSION!r}"
    if method:
        return 400, f"the model {NAME!r} cannot {method}; expected predict"
    return 404, f"there is no path {path}; see {openapi}"


async def _handle_disconnect(_: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


ERROR_HANDLERS = {
    WardrobeError: _handle_error,
    HTTPException: _handle_http_error,
    ClientDisconnect: _handle_disconnect,
}
