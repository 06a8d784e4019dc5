"""What is new in a run folder, as server-sent events. Source: the HTML standard, section 9.2.

All followers of a run share one reader, a `Feed`. A follower keeps only its position, so one that
reads slowly holds no memory, and skips what has been replaced in the meantime.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from wardrobe.errors import BusyError
from wardrobe.runs import Run
from wardrobe.serving.batching import BoundedThreadPool
from wardrobe.serving.learn.encoding import to_json
from wardrobe.serving.learn.training import folders
from wardrobe.serving.learn.training.progress import Progress, ProgressReader

TICK_SECONDS = 0.5  # between two looks into the run folder
FRAME_TICKS = 2  # between two frames, which cost a pass through the network
FOLLOWED_TICKS = 4  # between two signs to the training that somebody follows it
LAST_FRAME_TICKS = 120  # to wait for the images of a run that has ended: its data is being opened
COMMENT_SECONDS = 10.0  # of silence, until a comment shows that the connection lives
MAX_FOLLOWERS = 300  # of the 1,000 connections
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # the latter is nginx's

Frame = dict[str, Any]
LookLive = Callable[[Run], Awaitable[Frame | None]]


class EventStream(StreamingResponse):
    """A response of events. Their generator ends as soon as the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, headers=HEADERS)
        self.events = events

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.events):
            await super().stream_response(send)


class Feeds:
    """The feeds of all runs that are followed."""

    def __init__(self, look_live: LookLive) -> None:
        """Takes what makes the data of a frame."""
        self._look_live = look_live
        self._feeds: dict[Path, Feed] = {}

    def follow(self, path: Path, pool: BoundedThreadPool) -> EventStream:
        """Returns the events of a run: everything so far, then what is new, until training ends.

        Args:
            pool: threads that read files.

        Raises:
            BusyError: too many follow.
        """
        count = self.count_followers()
        if count >= MAX_FOLLOWERS:
            raise BusyError(f"{count} pages follow a training, which is the limit; close some")
        return EventStream(self._follow(path, pool))

    async def _follow(self, path: Path, pool: BoundedThreadPool) -> AsyncGenerator[bytes, None]:
        feed = self._feeds.get(path)
        if feed is None or feed.has_ended:  # ended: a new one, in case training is resumed
            feed = self._feeds[path] = Feed(path, pool, self._look_live)
        feed.followers += 1
        try:
            async for chunk in feed.follow():
                yield chunk
        finally:
            feed.followers -= 1
            if not feed.followers:
                feed.close()
                if self._feeds.get(path) is feed:
                    del self._feeds[path]

    def count_followers(self) -> int:
        return sum(feed.followers for feed in self._feeds.values())

    def close(self) -> None:
        for feed in self._feeds.values():
            feed.close()


class Feed:
    """Reads a run folder again and again, and keeps the newest event of each kind.

    Attributes:
        followers: how many there are.
        has_ended: whether training has ended, or the server stops.
    """

    def __init__(self, path: Path, pool: BoundedThreadPool, look_live: LookLive) -> None:
        self.followers, self.has_ended = 0, False
        self._reader, self._pool, self._look_live = ProgressReader(path), pool, look_live
        self._progress = Progress()
        self._newest: dict[str, bytes] = {}  # event → text; steps are in `_progress`
        self._encoded: dict[tuple[int, int], bytes] = {}  # the rows that followers wait for
        self._ticks_after_end = 0
        self._changed = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run_ticks())

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Yields events: all so far, then what is new."""
        generation, start = -1, 0  # of the rows that were sent
        sent: dict[str, bytes] = {}
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        while True:
            changed, progress, is_last = self._changed, self._progress, self.has_ended
            start = start if generation == progress.generation else 0
            rows = self._encode_rows(start)
            generation, start = progress.generation, len(progress.rows)
            new = [text for name, text in self._newest.items() if sent.get(name) is not text]
            sent = dict(self._newest)
            is_silent = loop.time() - silent_since >= COMMENT_SECONDS
            if chunk := rows + b"".join(new) or (b":\n\n" if is_silent else b""):
                yield chunk
                silent_since = loop.time()
            if is_last:
                return
            await asyncio.wait([changed], timeout=COMMENT_SECONDS)

    def close(self) -> None:
        """Ends the streams of all followers."""
        self._task.cancel()
        self.has_ended = True
        self._publish()

    def _encode_rows(self, start: int) -> bytes:
        """Returns the event with the rows from `start` on; the same bytes for all followers."""
        rows, steps = self._progress.rows, self._progress.steps_per_epoch
        if start == len(rows):
            return b""
        key = start, len(rows)
        if key not in self._encoded:
            event = {"rows": rows[start:], "steps_per_epoch": steps}
            self._encoded[key] = _encode("steps", event)
        return self._encoded[key]

    async def _run_ticks(self) -> None:
        """Publishes what is new at each tick, until training has ended."""
        try:
            number = 0
            while await self._run_tick(number):
                number += 1
                await asyncio.sleep(TICK_SECONDS)
        except folders.DAMAGES as error:
            message = folders.describe_damage(error)
            status = {"status": folders.FAILED, "learning_rate": None, "seconds_left": None}
            self._set("status", {**status, "message": message, "stage": None})
        finally:
            self.has_ended = True
            self._publish()

    async def _run_tick(self, number: int) -> bool:
        """Publishes what is new; returns whether there will be more."""
        is_active = True
        with contextlib.suppress(BusyError):  # the next tick reads it
            progress = self._progress = await self._pool.run(self._reader.read)
            is_active = progress.is_active
            self._set("history", {"rows": progress.history})
            self._set("status", progress.status)
            self._publish()
            if is_active and number % FOLLOWED_TICKS == 0:
                await self._pool.run(self._reader.show_followed)
        frame = None
        if number % FRAME_TICKS == 0 or not is_active:
            with contextlib.suppress(*folders.DAMAGES):
                frame = await self._look_live(self._reader.run)
        if frame is not None:
            self._set("frame", frame)
            self._publish()
        self._ticks_after_end += not is_active
        is_opening = frame is not None and not frame["images"]  # the data of the images
        return is_active or (is_opening and self._ticks_after_end < LAST_FRAME_TICKS)

    def _set(self, name: str, data: Any) -> None:
        text = _encode(name, data)
        if self._newest.get(name) != text:
            self._newest[name] = text

    def _publish(self) -> None:
        """Wakes the followers."""
        self._encoded.clear()
        if not self._changed.done():
            self._changed.set_result(None)
        if not self.has_ended:
            self._changed = asyncio.get_running_loop().create_future()


def _encode(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(data))
