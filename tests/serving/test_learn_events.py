"""Followers of a training, in this process: one reader, bounded, ended."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_runs import append, make_run

from wardrobe import runs
from wardrobe.errors import BodyError, BusyError
from wardrobe.runs import Run
from wardrobe.serving.batching import BoundedThreadPool
from wardrobe.serving.http.middleware import _SendWrapper
from wardrobe.serving.learn.training import archive, events, progress
from wardrobe.serving.learn.training.events import EventStream, Feeds
from wardrobe.serving.learn.training.progress import Progress, ProgressReader
from wardrobe.serving.metrics import Metrics
from wardrobe.serving.settings import Limits

FOLLOWERS = 100


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run that this process holds as if it trained."""
    monkeypatch.chdir(tmp_path)
    run = make_run(Path(), "here")
    append(run, (1, 1, 0.5, 2.0, 0.1))
    with run.lock():
        yield run


@pytest.fixture
def pool() -> Iterator[BoundedThreadPool]:
    with closing(BoundedThreadPool(1, 10)) as opened:
        yield opened


async def no_frame(_: Run) -> None:
    return None


async def read_text(stream: EventStream) -> str:
    return b"".join([chunk async for chunk in stream.events]).decode()


def test_followers_share_one_reader(
    running: Run, pool: BoundedThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[ProgressReader] = []
    read = ProgressReader.read

    def count_and_read(reader: ProgressReader) -> Progress:
        reads.append(reader)
        return read(reader)

    monkeypatch.setattr(ProgressReader, "read", count_and_read)

    async def follow_all() -> list[str]:
        feeds = Feeds(no_frame)
        tasks = [
            asyncio.create_task(read_text(feeds.follow(running.path, pool)))
            for _ in range(FOLLOWERS)
        ]
        while not reads:
            await asyncio.sleep(0.01)
        running.update(status=runs.DONE)
        texts = await asyncio.gather(*tasks)
        assert feeds.count_followers() == 0
        return texts

    texts = asyncio.run(follow_all())
    assert len(reads) < FOLLOWERS
    assert {text.count("event: steps") for text in texts} == {1}
    assert all('"status": "done"' in text for text in texts)


def test_a_stream_ends_with_the_server_and_its_silence_is_filled(
    running: Run, pool: BoundedThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "COMMENT_SECONDS", 0.01)

    async def follow_until_stop() -> list[bytes]:
        feeds, received = Feeds(no_frame), []
        async for chunk in feeds.follow(running.path, pool).events:
            received.append(chunk)
            if received.count(b":\n\n") == 3:
                feeds.close()
        return received

    assert asyncio.run(follow_until_stop())[-1] == b":\n\n"


def test_a_run_that_has_ended_is_followed_until_its_images_are_there(
    running: Run, pool: BoundedThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "TICK_SECONDS", 0.001)
    running.update(status=runs.DONE)
    frames: list[dict[str, Any]] = [{"images": []}, {"images": []}, {"images": [1]}]

    async def next_frame(_: Run) -> dict[str, Any]:
        return frames.pop(0)

    async def follow() -> str:
        return await read_text(Feeds(next_frame).follow(running.path, pool))

    text = asyncio.run(follow())
    assert text.index('"status": "done"') < text.index('{"images": []}') < text.index("[1]")
    assert text.count("event: frame") == 2


def test_too_many_followers_are_refused(
    running: Run, pool: BoundedThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_FOLLOWERS", 1)

    async def follow_twice() -> None:
        feeds = Feeds(no_frame)
        first = feeds.follow(running.path, pool).events
        await anext(first)
        with pytest.raises(BusyError, match="1 pages follow a training"):
            feeds.follow(running.path, pool)
        await first.aclose()
        assert feeds.count_followers() == 0
        feeds.follow(running.path, pool)

    asyncio.run(follow_twice())


def test_many_rows_are_thinned(running: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_ROWS", 8)
    append(running, *((1, step, step / 2, 2.0, 0.1) for step in range(2, 40)))
    reader = ProgressReader(running.path)
    first = reader.read()
    assert [row[1] for row in first.rows] == [1, 9, 17, 25, 33]
    append(running, (1, 40, 20.0, 2.0, 0.1))
    second = reader.read()
    assert (second.generation, second.rows[:-1]) == (first.generation, first.rows)


def test_a_response_in_pieces_has_the_time_limit_for_each_and_is_no_longer_held() -> None:
    async def send_pieces() -> None:
        metrics, sent = Metrics(), []
        metrics.requests_held = 1

        async def send(message: Any) -> None:
            sent.append(message)

        wrapper = _SendWrapper(send, Limits(response_seconds=60), metrics, lambda: None)
        async with wrapper.timeout:
            await wrapper({"type": "http.response.start", "status": 200, "headers": []})
            assert metrics.requests_held == 1
            limits = [wrapper.timeout.when() or 0.0]
            for _ in range(2):
                await asyncio.sleep(0.001)
                await wrapper({"type": "http.response.body", "body": b"x", "more_body": True})
                limits.append(wrapper.timeout.when() or 0.0)
        assert limits == sorted({*limits})
        wrapper.end()
        assert metrics.requests_held == 0

    asyncio.run(send_pieces())


def test_a_folder_that_is_too_large_is_not_downloaded(
    running: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert archive.list_files(running)
    for name in ("MAX_BYTES", "MAX_FILES"):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, 1)
            with pytest.raises(BodyError, match="copy the folder instead") as caught:
                archive.list_files(running)
            assert caught.value.http_status == 413
