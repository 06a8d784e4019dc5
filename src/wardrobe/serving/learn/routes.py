"""The routes of Learn."""

from collections.abc import Sequence

from starlette.routing import Route

from wardrobe.serving.batching import BoundedThreadPool, ServedModel

THREADS = 2  # that read run folders, apart from those that prepare photos
MAX_WAITING = 64  # requests in their queue


class Learn:
    """The handlers of Learn. Its trainings are processes of their own."""

    def __init__(self, refusal: str | None, models: Sequence[ServedModel]) -> None:
        """Takes why a page may not train, None if it may, and the models that the studio shows."""
        self.refusal, self.models = refusal, models
        self.pool: BoundedThreadPool

    def start(self) -> None:
        """Opens the threads."""
        self.pool = BoundedThreadPool(THREADS, MAX_WAITING, "requests")

    def stop(self) -> None:
        """Ends what has no end of its own, because the server stops."""

    def close(self) -> None:
        """Closes the threads."""
        self.pool.close()

    def routes(self) -> list[Route]:
        """Returns all routes of Learn."""
        return []
