"""The routes: what each of the server's addresses does, and what they share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wardrobe import __version__, photo
from wardrobe.errors import PhotoError, WardrobeError
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.classifier import Classifier, Predictions
from wardrobe.serving import openapi, protocols, studio, uploads
from wardrobe.serving.batching import Batcher, BusyError, Workers
from wardrobe.serving.middleware import CLIENT_CLOSED_REQUEST, BodyError, Metrics

NAME = "wardrobe"  # of the model that is served, in V2 and in TensorFlow Serving's form
WEB = Path(__file__).parent / "web"
PAGE = {
    "/": WEB / "index.html",
    **{f"/{file.name}": file for file in sorted(WEB.iterdir())},
}  # address → file
PICTURES_WAITING = 512
RETRY = {"retry-after": "1"}  # seconds


class Route(APIRoute):
    """A route that is handed its request as it is: there are no parameters to find out and nothing to validate here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


class Served:
    """A model at work: its classifier, its layers, and the queue before it."""

    def __init__(self, classifier: Classifier, metrics: Metrics) -> None:
        self.classifier, self.name = classifier, classifier.name
        self.network = ActivationModel.beside(
            classifier.path
        )  # what its layers do, where it can be had
        self._metrics = metrics
        self.batcher: Batcher

    def start(self) -> None:
        """Opens the queue, in the running event loop."""
        images, sizes = (
            self._metrics.images.labels(self.name),
            self._metrics.batches.labels(self.name),
        )

        def seen(count: int) -> None:
            images.inc(count)
            sizes.observe(count)

        self.batcher = Batcher(self.classifier.logits, lambda: self._metrics.held, seen)

    async def logits(self, images: studio.Pixels) -> studio.Floats:
        """Returns the logits (n, k) of images (n, 28, 28), computed together with what others ask meanwhile."""
        waiting = self._metrics.waiting.labels(self.name)
        waiting.inc(len(images))
        try:
            return await self.batcher.logits(images)
        finally:
            waiting.dec(len(images))

    async def answer(self, images: studio.Pixels) -> Predictions:
        """Returns what the model says of images (n, 28, 28)."""
        return self.classifier.judged(images, await self.logits(images))


class Service:
    """What the routes share: the models, the first of which is served in every protocol, and threads for pictures."""

    def __init__(self, classifiers: Sequence[Classifier], threads: int) -> None:
        self.metrics, self._threads = Metrics(), threads
        self.models = [Served(each, self.metrics) for each in classifiers]
        self.workers: Workers

    @property
    def main(self) -> Served:
        return self.models[0]

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Holds queues and threads open while the server runs."""
        self.workers = Workers(self._threads, PICTURES_WAITING)
        for each in self.models:
            each.start()
        yield
        for each in self.models:
            each.batcher.close()
        self.workers.close()


def add_routes(app: FastAPI, service: Service) -> None:
    """Adds every route, those that are asked most first, and how errors are answered."""
    app.router.route_class = Route
    for error, answer in (
        (WardrobeError, _refused),
        (HTTPException, _not_there),
        (ClientDisconnect, _gone),
    ):
        app.add_exception_handler(error, answer)
    for add in (_add_v2, _add_tensorflow, _add_classify, _add_studio, _add_metrics, _add_page):
        add(app, service)


async def _refused(_: Request, error: Exception) -> Response:
    """Answers with what went wrong, in one line."""
    if isinstance(error, BusyError):
        return JSONResponse({"error": str(error)}, 503, RETRY)
    status = (
        error.status
        if isinstance(error, BodyError)
        else 422
        if isinstance(error, PhotoError)
        else 400
    )
    headers = (
        {"connection": "close"} if isinstance(error, BodyError) else {}
    )  # what is left of the body is not read
    return JSONResponse({"error": str(error)}, status, headers | (RETRY if status == 503 else {}))


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: f"there is no {request.url.path}",
        405: f"{request.url.path} does not take {request.method}",
    }
    return JSONResponse(
        {"error": words.get(error.status_code, error.detail)}, error.status_code, error.headers
    )


def _add_classify(app: FastAPI, service: Service) -> None:
    """People's photos in, the JSON of `wardrobe predict --json` out."""

    @app.post("/api/classify", **openapi.CLASSIFY)
    async def classify(request: Request) -> Response:
        found = await uploads.read_images(request)
        reading = (service.workers.run(photo.prepare_or_reason, content) for _, content in found)
        prepared = [
            (name, each)
            for (name, _), each in zip(found, await asyncio.gather(*reading), strict=True)
        ]
        failed = [{"path": name, "error": each} for name, each in prepared if isinstance(each, str)]
        good = [(name, each) for name, each in prepared if not isinstance(each, str)]
        if not good:
            return JSONResponse({"error": failed[0]["error"], "failed": failed}, 422)
        answer = await service.main.answer(np.stack([pixels for _, pixels in good]))
        rows = [
            {"path": name, **studio.describe_answer(answer, row)}
            for row, (name, _) in enumerate(good)
        ]
        return JSONResponse({"model": service.main.name, "predictions": rows, "failed": failed})


def _add_studio(app: FastAPI, service: Service) -> None:
    """What the studio's page asks for."""

    @app.get("/api/models", **openapi.MODELS)
    async def models(_: Request) -> Response:
        shown = [
            studio.describe_model(each.name, each.classifier, each.network)
            for each in service.models
        ]
        return JSONResponse({"models": shown})

    @app.get("/api/examples", **openapi.EXAMPLES)
    async def examples(_: Request) -> Response:
        return JSONResponse({"examples": await service.workers.run(studio.draw_examples)})

    @app.post("/api/look", **openapi.LOOK)
    async def look(request: Request) -> Response:
        content, query = await request.body(), request.query_params
        if request.headers.get("content-type") == studio.PIXELS:
            steps, pixels = None, studio.parse_pixels(content)
        else:
            rectangle = studio.parse_rectangle(query.get("rectangle"))
            steps = await service.workers.run(studio.prepare, content, rectangle)
            pixels = steps.pixels
        heat = query.get("heat", "true") == "true"
        answers = await asyncio.gather(*(each.answer(pixels[None]) for each in service.models))
        inside = (
            service.workers.run(
                studio.describe_layers, each.classifier, each.network, answer, pixels, heat
            )
            for each, answer in zip(service.models, answers, strict=True)
        )
        shown = {
            "steps": studio.describe_steps(steps) if steps else None,
            "pixels": studio.to_base64(pixels),
        }
        return JSONResponse({**shown, "models": await asyncio.gather(*inside)})


def _add_v2(app: FastAPI, service: Service) -> None:
    """The Open Inference Protocol, as KServe and Triton speak it."""
    model = f"/v2/models/{NAME}"

    @app.get("/v2", **openapi.V2_SERVER)
    async def server(_: Request) -> Response:
        return JSONResponse(
            {"name": NAME, "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    @app.get("/v2/health/live", **openapi.V2_LIVE)
    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    @app.get("/v2/health/ready", **openapi.V2_READY)
    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": True})

    @app.get(model, **openapi.V2_MODEL)
    async def metadata(_: Request) -> Response:
        return JSONResponse(protocols.v2_metadata(NAME, len(service.main.classifier.class_names)))

    @app.get(f"{model}/ready", **openapi.V2_MODEL_READY)
    async def model_ready(_: Request) -> Response:
        return JSONResponse({"name": NAME, "ready": True})

    @app.post(f"{model}/infer", **openapi.V2_INFER)
    async def infer(request: Request) -> Response:
        asked = protocols.read_v2(await request.body(), request.headers.get(protocols.JSON_LENGTH))
        logits, classifier = await service.main.logits(asked.images), service.main.classifier
        values: dict[str, Callable[[], protocols.Floats | Sequence[str]]] = {
            protocols.PROBABILITIES: lambda: classifier.probabilities(logits),
            protocols.LOGITS: lambda: logits,
            protocols.LABEL: lambda: classifier.labels(logits),
        }
        body, json_length = protocols.write_v2(NAME, asked, values)
        if json_length is None:
            return Response(body, media_type="application/json")
        return Response(
            body, 200, {protocols.JSON_LENGTH: str(json_length)}, "application/octet-stream"
        )


def _add_tensorflow(app: FastAPI, service: Service) -> None:
    """TensorFlow Serving's REST."""
    model = f"/v1/models/{NAME}"

    @app.get(model, **openapi.TF_MODEL)
    async def state(_: Request) -> Response:
        status = {"error_code": "OK", "error_message": ""}
        return JSONResponse(
            {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": status}]}
        )

    @app.post(f"{model}:predict", **openapi.TF_PREDICT)
    async def predict(request: Request) -> Response:
        images, by_row = protocols.read_tensorflow(await request.body())
        chances = service.main.classifier.probabilities(await service.main.logits(images))
        return JSONResponse({"predictions" if by_row else "outputs": chances.tolist()})


def _add_metrics(app: FastAPI, service: Service) -> None:
    """What Prometheus asks for."""

    @app.get("/metrics", **openapi.METRICS)
    async def metrics(_: Request) -> Response:
        return Response(generate_latest(service.metrics.told()), media_type=CONTENT_TYPE_LATEST)


def _add_page(app: FastAPI, _: Service) -> None:
    """The page's files, by a route each, so that no path from a request reaches the disk."""

    def add(address: str, file: Path) -> None:
        async def given(_: Request) -> Response:
            return FileResponse(
                file, headers={"cache-control": "no-cache"}
            )  # asked again, and sent where it changed

        app.add_api_route(address, given, methods=["GET", "HEAD"], include_in_schema=False)

    for address, file in PAGE.items():
        add(address, file)
