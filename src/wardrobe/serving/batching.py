"""Requests that arrive together are classified together; what is too much is refused, nothing waits for ever."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from wardrobe.errors import WardrobeError

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
T = TypeVar("T")

WINDOW = 0.002  # seconds that a batch waits for others on their way
LARGEST = 256  # images of a batch
WAITING = 4_096  # images that wait at most; more are refused


class BusyError(WardrobeError):
    """There is more to do than the queue holds; to be asked again later."""


@dataclass
class _Asked:
    images: Images
    answer: asyncio.Future[Floats]


class Batcher:
    """One model's queue: images of several requests become one batch.

    A batch waits up to `WINDOW` for others, and not at all where `on_their_way` tells that no other is to come.
    """

    def __init__(
        self,
        logits: Callable[[Images], Floats],
        on_their_way: Callable[[], int],
        seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Starts with the running event loop.

        Args:
            logits: (n, 28, 28) → (n, k); called in a thread of its own, a batch at a time.
            on_their_way: how many requests the server holds, those that wait here among them.
            seen: told the number of images of every batch.
        """
        self._logits, self._on_their_way, self._seen = logits, on_their_way, seen
        self._loop = asyncio.get_running_loop()
        self._thread, self._is_busy = ThreadPoolExecutor(1, "classify"), False
        self._queue: deque[_Asked] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0  # that wait or are being answered
        self.waiting = 0  # images that wait or are being classified

    async def logits(self, images: Images) -> Floats:
        """Returns the logits (n, k) of images (n, 28, 28) uint8.

        Raises:
            BusyError: the queue is full.
        """
        if self.waiting and self.waiting + len(images) > WAITING:
            raise BusyError(
                f"{self.waiting:,} images wait already, expected at most {WAITING:,}; ask again in a second"
            )
        asked = _Asked(images, self._loop.create_future())
        self.waiting += len(images)
        self._requests += 1
        try:
            self._queue.append(asked)
            self._begin_or_wait()
            return await asked.answer
        finally:
            self.waiting -= len(images)
            self._requests -= 1

    def close(self) -> None:
        """Ends the thread; what waits still is not answered."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin_or_wait(self) -> None:
        if self._is_busy or not self._queue:
            return
        if (
            self._on_their_way() <= self._requests
            or sum(len(each.images) for each in self._queue) >= LARGEST
        ):
            self._begin()
        elif self._timer is None:
            self._timer = self._loop.call_later(WINDOW, self._begin)

    def _begin(self) -> None:
        """Hands a batch to the thread, unless it has one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, size = [], 0
        while not self._is_busy and self._queue and size < LARGEST:
            asked = self._queue.popleft()
            if not asked.answer.done():  # else who asked has gone
                batch.append(asked)
                size += len(asked.images)
        if not batch:
            return
        self._is_busy = True
        self._seen(size)
        job = self._thread.submit(self._logits, np.concatenate([each.images for each in batch]))
        job.add_done_callback(lambda job: self._loop.call_soon_threadsafe(self._end, batch, job))

    def _end(self, batch: Sequence[_Asked], job: Future[Floats]) -> None:
        self._is_busy = False
        error, start = job.exception(), 0
        for asked in batch:
            stop = start + len(asked.images)
            if asked.answer.done():
                pass
            elif error is not None:
                asked.answer.set_exception(error)
            else:
                asked.answer.set_result(job.result()[start:stop])
            start = stop
        self._begin_or_wait()


class Workers:
    """Threads for what takes a while, such as decoding photos; with a queue that is bounded."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "prepare")
        self._most, self._held = threads + waiting, 0

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Returns what `call` does, done in a thread.

        Raises:
            BusyError: too many wait already.
        """
        if self._held >= self._most:
            raise BusyError(
                f"{self._held:,} pictures wait already, expected at most {self._most:,}; ask again in a second"
            )
        self._held += 1
        job = self._pool.submit(call, *arguments)
        loop = asyncio.get_running_loop()
        job.add_done_callback(
            lambda _: loop.call_soon_threadsafe(self._one_less)
        )  # also where who asked has gone
        return await asyncio.wrap_future(job)

    def _one_less(self) -> None:
        self._held -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
