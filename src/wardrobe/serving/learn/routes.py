"""The routes of Learn."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from wardrobe.errors import NotFoundError, RequestError, RunError, WardrobeError
from wardrobe.models import settings as recipe_settings
from wardrobe.runs import Run
from wardrobe.serving.batching import BoundedThreadPool, ServedModel
from wardrobe.serving.learn.encoding import send_json
from wardrobe.serving.learn.epochs import Epochs
from wardrobe.serving.learn.runs import find_named_run
from wardrobe.serving.learn.training import archive, folders, requests
from wardrobe.serving.learn.training.events import Feeds
from wardrobe.serving.learn.training.jobs import ACTIONS, Jobs
from wardrobe.serving.protocols.arrays import parse_json_object

T = TypeVar("T")

THREADS = 2  # that read run folders, apart from those that prepare photos
MAX_WAITING = 64  # requests in their queue


class Learn:
    """The handlers of Learn. Its trainings are processes of their own."""

    def __init__(self, refusal: str | None, models: Sequence[ServedModel]) -> None:
        """Takes why a page may not train, None if it may, and the models that the studio shows."""
        self.jobs = Jobs(refusal)
        self.epochs = Epochs(models)
        self.feeds = Feeds(self.epochs.look_live)
        self.pool = BoundedThreadPool(THREADS, MAX_WAITING, "requests")

    def stop(self) -> None:
        """Ends the event streams, and the training that a page started. The server stops."""
        self.feeds.close()
        self.jobs.stop_all()

    def close(self) -> None:
        self.pool.close()
        self.epochs.close()

    def routes(self) -> list[Route]:
        run, post = "/api/runs/{run}", ["POST"]
        return [
            Route("/api/runs", self.runs, methods=["GET", "POST"]),
            Route("/api/recipes", self.list_recipes),
            Route(run, self.describe_run),
            Route(f"{run}/control", self.control, methods=post),
            Route(f"{run}/events", self.follow),
            Route(f"{run}/run.zip", self.download),
            *self.epochs.routes(),
        ]

    async def runs(self, request: Request) -> Response:
        if request.method == "POST":
            return await self.start_training(request)
        return await self.list_runs(request)

    async def list_runs(self, _: Request) -> Response:
        """Lists the runs, the newest first."""
        found, skipped = await self.pool.run(folders.summarize_all)
        active = (each["name"] for each in found if each["status"] in folders.ACTIVE)
        refusal = self.jobs.refusal
        permission = {"allowed": refusal is None, "reason": refusal}
        return send_json(
            {"runs": found, "training": next(active, None), **permission, "skipped": skipped}
        )

    async def list_recipes(self, _: Request) -> Response:
        return send_json(recipe_settings.describe())

    async def start_training(self, request: Request) -> Response:
        body = await request.body()
        asked = await self.pool.run(requests.parse_training, body)
        return send_json(await self.pool.run(self.jobs.start, *asked), 202)

    async def describe_run(self, request: Request) -> Response:
        run = await self._find(request)
        return send_json(await self._read(folders.describe, run.path))

    async def control(self, request: Request) -> Response:
        """Pauses, continues, stops or resumes a training, or changes its learning rate."""
        asked = parse_json_object(await request.body())
        run = await self._find(request)
        action = asked.get("action")
        if asked.keys() == {"learning_rate"}:
            rate = asked["learning_rate"]
            await self._read(self.jobs.change_learning_rate, run.path, rate)
        elif asked.keys() == {"action"} and action in ACTIONS:
            await self._read(self.jobs.control, run.path, action)
        else:
            raise RequestError(
                f"give an object with action ({', '.join(ACTIONS)}) or with learning_rate"
            )
        status, _ = await self._read(folders.find_status, run.path)
        return send_json({"status": status})

    async def follow(self, request: Request) -> Response:
        """Sends what is new in a run, as server-sent events."""
        await request.body()  # then the middleware ends the request once the client leaves
        run = await self._find(request)
        return self.feeds.follow(run.path, self.pool)

    async def download(self, request: Request) -> Response:
        """Sends a run folder as a zip file."""
        run = await self._find(request)
        paths = await self.pool.run(archive.list_files, run)
        name = f"attachment; filename*=utf-8''{quote(run.path.name)}.zip"
        return StreamingResponse(
            archive.write_zip(run, paths), 200, {"content-disposition": name}, "application/zip"
        )

    async def _read(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a function on a run folder in a thread.

        Raises:
            RunError: the folder is damaged.
        """
        try:
            return await self.pool.run(function, *arguments)
        except WardrobeError:
            raise
        except folders.DAMAGES as error:
            raise RunError(folders.describe_damage(error)) from error

    async def _find(self, request: Request) -> Run:
        """Returns the run that the path names.

        Raises:
            NotFoundError: it does not exist.
        """
        return await self.pool.run(_find_run, request.path_params["run"])


def _find_run(name: str) -> Run:
    run = find_named_run(name)
    if not folders.has_run(run.path):
        raise NotFoundError(f"runs/{run.path.name} is not a run folder: it has no run.json")
    return run
