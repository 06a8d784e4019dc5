"""What each path answers. The networks are snapshots, so no training library is loaded.

Networks have one thread, so that a training beside them keeps its cores. Data sets have another,
because they can take a minute to open.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wardrobe.data import Split, tile_images
from wardrobe.errors import ConflictError, DataError, ModelError, NotFoundError, RunError
from wardrobe.runs import Run, find_run_of
from wardrobe.serving import studio
from wardrobe.serving.batching import BoundedThreadPool, ServedModel
from wardrobe.serving.learn.encoding import send_json
from wardrobe.serving.learn.epochs import units, validation
from wardrobe.serving.learn.epochs.networks import Networks
from wardrobe.serving.learn.runs import find_named_run

T = TypeVar("T")

MAX_WAITING = 64  # requests in each queue


class Epochs:
    """The handlers of these routes, with their threads."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        """Takes the served models, whose units are explained too."""
        self._models, self._networks = models, Networks()
        self._opening: dict[Path, asyncio.Task[Split]] = {}  # run → its validation images
        self._pool = BoundedThreadPool(1, MAX_WAITING, "requests")
        self._loader = BoundedThreadPool(1, MAX_WAITING, "requests")

    def close(self) -> None:
        self._pool.close()
        self._loader.close()

    def routes(self) -> list[Route]:
        run, post = "/api/runs/{run}", ["POST"]
        epoch = run + "/epochs/{epoch}"
        return [
            Route("/api/examples/validation", self.list_examples),
            Route("/api/unit", self.explain_served_unit, methods=post),
            Route(f"{epoch}/unit", self.explain_unit, methods=post),
            Route(f"{epoch}/look", self.look, methods=post),
            Route(f"{epoch}/predictions", self.predict),
            Route(epoch, self.describe),
            Route(f"{run}/images.png", self.send_images),
            Route(f"{run}/filters.webp", partial(self.send_film, "webp")),
            Route(f"{run}/filters.gif", partial(self.send_film, "gif")),
        ]

    async def look_live(self, run: Run) -> dict[str, Any] | None:
        """Returns what followers see of the network in training, or of the last epoch.

        None if there is no network yet, or one that cannot be read. The images' predictions are
        missing until the data is open, and if it cannot be opened.
        """
        opening = self._opening.get(run.path)
        if opening is None:
            while len(self._opening) >= validation.DATA_SETS:
                self._opening.pop(next(iter(self._opening)))
            opening = asyncio.create_task(self._load_images(run))
            opening.add_done_callback(partial(self._forget_failed, run.path))
            self._opening[run.path] = opening
        is_open = opening.done() and not opening.cancelled() and opening.exception() is None
        split = opening.result() if is_open else None
        try:
            return await _run(self._pool, self._networks.look_at_dozen, run, split)
        except (NotFoundError, ConflictError):
            return None

    def _forget_failed(self, path: Path, opening: asyncio.Task[Split]) -> None:
        """Lets the next frame open the data again, such as of a run that had no run.json yet."""
        if (opening.cancelled() or opening.exception()) and self._opening.get(path) is opening:
            del self._opening[path]

    async def describe(self, request: Request) -> Response:
        """Describes the network: its layers, its first filters, its scores."""
        place = await self._find_place(request)
        return send_json(await _run(self._pool, self._networks.describe, *place))

    async def look(self, request: Request) -> Response:
        """Takes 784 grey values; answers with the prediction and the activations of the layers."""
        place, pixels = await self._find_place(request), await _read_pixels(request)
        return send_json(await _run(self._pool, self._networks.look, *place, pixels))

    async def explain_unit(self, request: Request) -> Response:
        """Takes 784 grey values; answers with the arithmetic of a unit."""
        place, pixels = await self._find_place(request), await _read_pixels(request)
        explain = self._networks.explain_unit
        return send_json(await _run(self._pool, explain, *place, pixels, request.query_params))

    async def explain_served_unit(self, request: Request) -> Response:
        """Takes 784 grey values; answers with the arithmetic of a unit of a served model."""
        query, pixels = request.query_params, await _read_pixels(request)
        model = self._find_model(query.get("model", "0"))
        classifier = model.classifier
        if units.is_logits(query):
            logits = await model.logits(pixels[None])
            unit = units.describe_logits(logits, classifier.metadata["temperature"])
            return send_json({"file": classifier.path.name, **unit})
        if model.network is None:
            raise ConflictError(f"the layers of {model.name} are not available; serve a .onnx file")
        unit = await self._pool.run(units.describe_unit, model.network, pixels, query)
        return send_json({"file": model.network.file, **unit})

    async def list_examples(self, _: Request) -> Response:
        """Sends a validation image of each class of the first model that is of a run."""
        owners = (find_run_of(model.classifier.path) for model in self._models)
        run = next(filter(None, owners), None)
        if run is None:
            return send_json({"run": None, "examples": []})
        split, names = await self._load_images(run), validation.read_class_names(run)
        examples = studio.describe_examples(split.images, split.labels, names)
        return send_json({"run": run.path.name, "examples": examples})

    def _find_model(self, wanted: str) -> ServedModel:
        """Returns the served model of a name, or of a place in the list of models.

        Raises:
            NotFoundError: it does not exist.
        """
        for number, model in enumerate(self._models):
            if wanted in (str(number), model.name):
                return model
        names = ", ".join(f"{number} {each.name}" for number, each in enumerate(self._models))
        raise NotFoundError(f"there is no model {wanted!r:.60}; expected one of: {names}")

    async def predict(self, request: Request) -> Response:
        run, epoch = await self._find_place(request)
        split = await self._load_images(run)
        content = await _run(self._pool, self._networks.predict, run, epoch, split)
        return Response(content, media_type="application/json")

    async def send_images(self, request: Request) -> Response:
        split = await self._load_images(await self._find_run(request))
        content = studio.encode_png(tile_images(split.images, validation.TILE_COLUMNS))
        return Response(content, media_type="image/png")

    async def send_film(self, file_format: str, request: Request) -> Response:
        run = await self._find_run(request)
        content = await _run(self._pool, self._networks.draw_film, run, file_format)
        return Response(content, media_type=f"image/{file_format}")

    async def _find_place(self, request: Request) -> tuple[Run, str]:
        return await self._find_run(request), request.path_params["epoch"]

    async def _find_run(self, request: Request) -> Run:
        return await self._pool.run(find_named_run, request.path_params["run"])

    async def _load_images(self, run: Run) -> Split:
        return await _run(self._loader, validation.load_images, run)


async def _read_pixels(request: Request) -> studio.Pixels:
    return studio.parse_pixels(await request.body())


async def _run(pool: BoundedThreadPool, function: Callable[..., T], *arguments: Any) -> T:
    """Runs a function in a thread; what is wrong with the run's files becomes a ConflictError.

    A file may be gone before it is read: live.npz at the end of a training.
    """
    try:
        return await pool.run(function, *arguments)
    except (RunError, DataError, ModelError) as error:
        raise ConflictError(str(error)) from error
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename} is gone; ask again") from error
