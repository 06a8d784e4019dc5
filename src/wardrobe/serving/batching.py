"""Bounded queues: one per model that batches the images of several requests, one for threads."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from wardrobe.errors import BodyError, BusyError
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.classifier import Classifier, Predictions
from wardrobe.serving.metrics import Metrics

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
T = TypeVar("T")

MAX_DELAY = 0.002  # seconds that a batch waits for more images
MAX_BATCH = 256  # images; a batch takes no further request once it has as many
MAX_WAITING = 16_384  # images in the queue; further requests are refused


@dataclass
class _PendingRequest:
    """The images of one request, and the future of their logits."""

    images: Images
    logits: asyncio.Future[Floats]


class Batcher:
    """The queue of one model.

    A batch waits up to MAX_DELAY for more images. It does not wait if every request that the server
    holds is in the queue already.

    Attributes:
        waiting: images in the queue or being classified.
    """

    def __init__(
        self,
        logits: Callable[[Images], Floats],
        count_requests: Callable[[], int],
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Uses the running event loop.

        Args:
            logits: (n, 28, 28) → (n, k); called in one thread, one batch at a time.
            count_requests: returns how many requests the server holds, the queue's included.
            on_batch: called with the number of images of each batch.
        """
        self._logits, self._count_requests, self._on_batch = logits, count_requests, on_batch
        self._loop = asyncio.get_running_loop()
        self._thread, self._is_busy = ThreadPoolExecutor(1, "classify"), False
        self._queue: deque[_PendingRequest] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0  # in the queue or being classified
        self.waiting = 0

    async def logits(self, images: Images) -> Floats:
        """Returns the logits (n, k) of images (n, 28, 28) uint8.

        Many images are queued a batch at a time, so that other requests are answered in between.

        Raises:
            BodyError: the request has more images than the queue.
            BusyError: the queue is full.
        """
        if len(images) > MAX_WAITING:
            problem = f"the request has {len(images):,} images; expected at most {MAX_WAITING:,}"
            raise BodyError(413, f"{problem}, send fewer at once")
        if self.waiting + len(images) > MAX_WAITING:
            raise _make_busy_error(self.waiting, MAX_WAITING, "images")
        self.waiting += len(images)
        self._requests += 1
        try:
            starts = range(0, max(len(images), 1), MAX_BATCH)
            return np.concatenate(
                [await self._queue_batch(images[i : i + MAX_BATCH]) for i in starts]
            )
        finally:
            self.waiting -= len(images)
            self._requests -= 1

    async def _queue_batch(self, images: Images) -> Floats:
        job = _PendingRequest(images, self._loop.create_future())
        self._queue.append(job)
        self._start_or_wait()
        return await job.logits

    def close(self) -> None:
        """Ends the thread. Jobs in the queue get no answer."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _start_or_wait(self) -> None:
        if self._is_busy or not self._queue:
            return
        is_full = sum(len(job.images) for job in self._queue) >= MAX_BATCH
        if is_full or self._count_requests() <= self._requests:
            self._start_batch()
        elif self._timer is None:
            self._timer = self._loop.call_later(MAX_DELAY, self._start_batch)

    def _start_batch(self) -> None:
        """Gives a batch to the thread, unless it is busy."""
        if self._timer is not None:
            self._timer.cancel()  # a full batch does not wait for it
            self._timer = None
        batch, size = [], 0
        while not self._is_busy and self._queue and size < MAX_BATCH:
            job = self._queue.popleft()
            if not job.logits.done():  # done: the client disconnected
                batch.append(job)
                size += len(job.images)
        if not batch:
            return
        self._is_busy = True
        self._on_batch(size)
        future = self._thread.submit(self._logits, np.concatenate([job.images for job in batch]))
        future.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._end_batch, batch, done)
        )

    def _end_batch(self, batch: Sequence[_PendingRequest], future: Future[Floats]) -> None:
        self._is_busy = False
        error, start = future.exception(), 0
        for job in batch:
            stop = start + len(job.images)  # rows of this request
            if job.logits.done():
                pass  # the client disconnected
            elif error is not None:
                job.logits.set_exception(error)
            else:
                job.logits.set_result(future.result()[start:stop])
            start = stop
        self._start_or_wait()


class ServedModel:
    """A classifier, its layers and its queue."""

    def __init__(self, classifier: Classifier, metrics: Metrics) -> None:
        self.classifier, self.name = classifier, classifier.name
        self.network = ActivationModel.find(classifier.path)  # None: layers are not available
        self._metrics = metrics
        self.batcher: Batcher

    def start(self) -> None:
        """Opens the queue in the running event loop."""
        images = self._metrics.images.labels(self.name)
        batches = self._metrics.batches.labels(self.name)

        def count_batch(size: int) -> None:
            images.inc(size)
            batches.observe(size)

        logits = self.classifier.logits
        self.batcher = Batcher(logits, lambda: self._metrics.requests_held, count_batch)

    async def logits(self, images: Images) -> Floats:
        """Returns the logits (n, k) of images (n, 28, 28), batched with other requests."""
        waiting = self._metrics.waiting.labels(self.name)
        waiting.inc(len(images))
        try:
            return await self.batcher.logits(images)
        finally:
            waiting.dec(len(images))

    async def classify(self, images: Images) -> Predictions:
        """Returns the predictions of images (n, 28, 28), batched with other requests."""
        return self.classifier.to_predictions(images, await self.logits(images))


class BoundedThreadPool:
    """Threads for slow work, such as decoding photos, with a bounded queue."""

    def __init__(self, threads: int, max_waiting: int, unit: str = "images") -> None:
        self._executor = ThreadPoolExecutor(threads, "prepare")
        self._max_jobs, self._jobs = threads + max_waiting, 0  # running or waiting
        self._unit = unit  # of jobs, in errors

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a function in a thread and returns its result; raises as `run_all`."""
        return (await self.run_all([partial(function, *arguments)]))[0]

    async def run_all(self, functions: Sequence[Callable[[], T]]) -> list[T]:
        """Runs functions in threads and returns their results.

        Those that have not started are not run if one fails, or if the client disconnects.

        Raises:
            BusyError: the queue has no room for all of them.
        """
        if self._jobs + len(functions) > self._max_jobs:
            raise _make_busy_error(self._jobs, self._max_jobs, self._unit)
        self._jobs += len(functions)
        loop = asyncio.get_running_loop()
        futures = [self._executor.submit(function) for function in functions]
        for future in futures:
            # A thread works to the end even if the client disconnects; the job counts until then.
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._end_job))
        try:
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            for future in futures:
                future.cancel()

    def _end_job(self) -> None:
        self._jobs -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _make_busy_error(waiting: int, limit: int, unit: str) -> BusyError:
    return BusyError(
        f"the server is busy: {waiting:,} {unit} are waiting, of at most {limit:,}; "
        "retry in a second"
    )
