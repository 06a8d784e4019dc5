"""The routes: what each address of the server does, and what the routes share.

Starlette routes and a written OpenAPI file: the protocols check their own requests, so a framework
that derives checks and a schema from annotations would only repeat them. Tests hold openapi.json
against the running server.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from wardrobe import __version__, photo
from wardrobe.errors import PhotoError, WardrobeError
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.classifier import Classifier, Predictions
from wardrobe.serving import protocols, studio, uploads
from wardrobe.serving.batching import Batcher, BusyError, Workers
from wardrobe.serving.middleware import CLIENT_CLOSED_REQUEST, BodyError, Metrics

NAME = "wardrobe"  # of the model that is served, in V2 and in TensorFlow Serving's form
WEB = Path(__file__).parent / "web"
PAGE = {"/": WEB / "index.html", **{f"/{file.name}": file for file in sorted(WEB.iterdir())}}
OPENAPI = Path(__file__).parent / "openapi.json"
PICTURES_WAITING = 512
RETRY = {"retry-after": "1"}  # seconds


class Served:
    """A model at work: its classifier, its layers, and the queue before it."""

    def __init__(self, classifier: Classifier, metrics: Metrics) -> None:
        self.classifier, self.name = classifier, classifier.name
        self.network = ActivationModel.find(classifier.path)  # None: layers cannot be shown
        self._metrics = metrics
        self.batcher: Batcher

    def start(self) -> None:
        """Opens the queue, in the running event loop."""
        images = self._metrics.images.labels(self.name)
        sizes = self._metrics.batches.labels(self.name)

        def seen(count: int) -> None:
            images.inc(count)
            sizes.observe(count)

        self.batcher = Batcher(self.classifier.logits, lambda: self._metrics.held, seen)

    async def logits(self, images: studio.Pixels) -> studio.Floats:
        """Returns the logits (n, k) of images (n, 28, 28), batched with those of other requests."""
        waiting = self._metrics.waiting.labels(self.name)
        waiting.inc(len(images))
        try:
            return await self.batcher.logits(images)
        finally:
            waiting.dec(len(images))

    async def answer(self, images: studio.Pixels) -> Predictions:
        """Returns what the model says of images (n, 28, 28)."""
        return self.classifier.to_predictions(images, await self.logits(images))


class Service:
    """The models, the first of which is served in every protocol, and what each address answers."""

    def __init__(self, classifiers: Sequence[Classifier], threads: int) -> None:
        self.metrics, self._threads = Metrics(), threads
        self.models = [Served(each, self.metrics) for each in classifiers]
        self.workers: Workers

    @property
    def main(self) -> Served:
        return self.models[0]

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Holds queues and threads open while the server runs."""
        self.workers = Workers(self._threads, PICTURES_WAITING)
        for each in self.models:
            each.start()
        yield
        for each in self.models:
            each.batcher.close()
        self.workers.close()

    def routes(self) -> list[Route]:
        """Returns every route, the most frequent requests first.

        Each file has a route of its own, so that no path from a request reaches the disk.
        """
        v1, v2, post = f"/v1/models/{NAME}", f"/v2/models/{NAME}", ["POST"]
        files = PAGE | {"/openapi.json": OPENAPI}
        return [
            Route(f"{v2}/infer", self.v2_infer, methods=post),
            Route(f"{v1}:predict", self.tensorflow_predict, methods=post),
            Route("/api/classify", self.classify, methods=post),
            Route("/api/look", self.look, methods=post),
            Route("/api/models", self.list_models),
            Route("/api/examples", self.list_examples),
            Route("/metrics", self.prometheus_metrics),
            Route("/v2", self.v2_server),
            Route("/v2/health/live", self.v2_live),
            Route("/v2/health/ready", self.v2_ready),
            Route(v2, self.v2_model),
            Route(f"{v2}/ready", self.v2_model_ready),
            Route(v1, self.tensorflow_model),
            *(Route(address, partial(_send_file, file)) for address, file in files.items()),
        ]

    async def classify(self, request: Request) -> Response:
        """People's photos in, the JSON of `wardrobe predict --json` out."""
        found = await uploads.read_images(request)
        reading = (self.workers.run(photo.prepare_or_reason, content) for _, content in found)
        names = [name for name, _ in found]
        prepared = list(zip(names, await asyncio.gather(*reading), strict=True))
        failed = [{"path": name, "error": each} for name, each in prepared if isinstance(each, str)]
        good = [(name, each) for name, each in prepared if not isinstance(each, str)]
        if not good:
            return JSONResponse({"error": failed[0]["error"], "failed": failed}, 422)
        answer = await self.main.answer(np.stack([pixels for _, pixels in good]))
        rows = [
            {"path": name, **studio.describe_answer(answer, row)}
            for row, (name, _) in enumerate(good)
        ]
        return JSONResponse({"model": self.main.name, "predictions": rows, "failed": failed})

    async def list_models(self, _: Request) -> Response:
        """The models that the studio's page shows."""
        shown = [
            studio.describe_model(each.name, each.classifier, each.network) for each in self.models
        ]
        return JSONResponse({"models": shown})

    async def list_examples(self, _: Request) -> Response:
        """A drawn garment of each class, for the studio's page."""
        return JSONResponse({"examples": await self.workers.run(studio.draw_examples)})

    async def look(self, request: Request) -> Response:
        """A photo or 784 grey values in; every model's answer, layers and heat map out."""
        content, query = await request.body(), request.query_params
        if request.headers.get("content-type") == studio.PIXELS:
            steps, pixels = None, studio.parse_pixels(content)
        else:
            rectangle = studio.parse_rectangle(query.get("rectangle"))
            steps = await self.workers.run(studio.prepare, content, rectangle)
            pixels = steps.pixels
        heat = query.get("heat", "true") == "true"
        answers = await asyncio.gather(*(each.answer(pixels[None]) for each in self.models))
        inside = (
            self.workers.run(
                studio.describe_layers, each.classifier, each.network, answer, pixels, heat
            )
            for each, answer in zip(self.models, answers, strict=True)
        )
        shown = {
            "steps": studio.describe_steps(steps) if steps else None,
            "pixels": studio.to_base64(pixels),
        }
        return JSONResponse({**shown, "models": await asyncio.gather(*inside)})

    async def v2_server(self, _: Request) -> Response:
        """The Open Inference Protocol, as KServe and Triton speak it, from here on: the server."""
        extensions = ["binary_tensor_data"]
        return JSONResponse({"name": NAME, "version": __version__, "extensions": extensions})

    async def v2_live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def v2_ready(self, _: Request) -> Response:
        return JSONResponse({"ready": True})

    async def v2_model(self, _: Request) -> Response:
        return JSONResponse(protocols.v2_metadata(NAME, len(self.main.classifier.class_names)))

    async def v2_model_ready(self, _: Request) -> Response:
        return JSONResponse({"name": NAME, "ready": True})

    async def v2_infer(self, request: Request) -> Response:
        asked = protocols.read_v2(await request.body(), request.headers.get(protocols.JSON_LENGTH))
        logits, classifier = await self.main.logits(asked.images), self.main.classifier
        values: dict[str, Callable[[], protocols.Floats | Sequence[str]]] = {
            protocols.PROBABILITIES: lambda: classifier.probabilities(logits),
            protocols.LOGITS: lambda: logits,
            protocols.LABEL: lambda: classifier.labels(logits),
        }
        body, json_length = protocols.write_v2(NAME, asked, values)
        if json_length is None:
            return Response(body, media_type="application/json")
        headers = {protocols.JSON_LENGTH: str(json_length)}
        return Response(body, 200, headers, "application/octet-stream")

    async def tensorflow_model(self, _: Request) -> Response:
        """TensorFlow Serving's REST: the model's status."""
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": "1", "state": "AVAILABLE", "status": status}
        return JSONResponse({"model_version_status": [version]})

    async def tensorflow_predict(self, request: Request) -> Response:
        images, by_row = protocols.read_tensorflow(await request.body())
        probabilities = self.main.classifier.probabilities(await self.main.logits(images))
        return JSONResponse({"predictions" if by_row else "outputs": probabilities.tolist()})

    async def prometheus_metrics(self, _: Request) -> Response:
        return Response(generate_latest(self.metrics.told()), media_type=CONTENT_TYPE_LATEST)


async def _send_file(file: Path, _: Request) -> Response:
    return FileResponse(file, headers={"cache-control": "no-cache"})  # revalidated by its ETag


async def _answer_error(_: Request, error: Exception) -> Response:
    """Answers with what went wrong, in one line."""
    status, headers = 422 if isinstance(error, PhotoError) else 400, {}
    if isinstance(error, BusyError):
        status = 503
    elif isinstance(error, BodyError):
        status, headers = error.status, {"connection": "close"}  # the rest of the body is not read
    return JSONResponse({"error": str(error)}, status, headers | (RETRY if status == 503 else {}))


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: f"there is no {request.url.path}",
        405: f"{request.url.path} does not take {request.method}",
    }
    text = words.get(error.status_code, error.detail)
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _answer_nobody(_: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


ERROR_HANDLERS = {
    WardrobeError: _answer_error,
    HTTPException: _answer_http_error,
    ClientDisconnect: _answer_nobody,
}
