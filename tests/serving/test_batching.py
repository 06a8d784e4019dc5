"""Batches, full queues, clients that disconnect, and errors in the model."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from wardrobe.errors import BodyError, BusyError
from wardrobe.serving import batching
from wardrobe.serving.batching import Batcher, BoundedThreadPool

Images = npt.NDArray[np.uint8]


def images(*tones: int) -> Images:
    return np.stack([np.full((28, 28), tone, np.uint8) for tone in tones])


def mean_tone(given: Images) -> npt.NDArray[np.floating]:
    return given.mean(axis=(1, 2))[:, None]


class BlockedModel:
    """A model that answers once it is released."""

    def __init__(self) -> None:
        self.release, self.sizes = threading.Event(), list[int]()

    def __call__(self, given: Images) -> npt.NDArray[np.floating]:
        self.release.wait(10)
        self.sizes.append(len(given))
        return mean_tone(given)


def test_each_request_gets_the_answers_to_its_own_images() -> None:
    sizes: list[int] = []

    async def ask() -> list[Any]:
        batcher = Batcher(mean_tone, lambda: 40, sizes.append)
        answers = await asyncio.gather(
            *(batcher.logits(images(tone, tone + 100)) for tone in range(40))
        )
        batcher.close()
        return answers

    assert [answer[:, 0].tolist() for answer in asyncio.run(ask())] == [
        [tone, tone + 100] for tone in range(40)
    ]
    assert sizes == [80], "all requests arrive together and form one batch"


def test_a_single_request_is_not_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_DELAY", 1000.0)

    async def ask() -> Any:
        return await asyncio.wait_for(Batcher(mean_tone, lambda: 1).logits(images(7)), 10)

    assert asyncio.run(ask()).tolist() == [[7.0]]


def test_a_full_queue_refuses_requests_until_it_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_WAITING", 5)
    model = BlockedModel()

    async def ask() -> None:
        batcher = Batcher(model, lambda: 0)
        first = [asyncio.create_task(batcher.logits(images(1, 2))) for _ in range(2)]
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        with pytest.raises(
            BusyError, match="busy: 4 images are waiting, of at most 5; retry in a second"
        ):
            await batcher.logits(images(1, 2))
        model.release.set()
        await asyncio.gather(*first)
        assert batcher.waiting == 0
        assert (await batcher.logits(images(9))).tolist() == [[9.0]]

    asyncio.run(ask())


def test_a_large_request_lets_others_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_BATCH", 2)
    monkeypatch.setattr(batching, "MAX_WAITING", 9)
    model = BlockedModel()

    async def ask() -> None:
        batcher = Batcher(model, lambda: 0)
        large = asyncio.create_task(batcher.logits(images(*range(8))))
        await asyncio.sleep(0)
        small = asyncio.create_task(batcher.logits(images(9)))
        model.release.set()
        assert (await small).tolist() == [[9.0]]
        assert not large.done()
        assert (await large)[:, 0].tolist() == list(range(8))
        with pytest.raises(BodyError, match="has 10 images; expected at most 9, send fewer") as e:
            await batcher.logits(images(*range(10)))
        assert e.value.http_status == 413

    asyncio.run(ask())


def test_a_disconnected_client_is_skipped() -> None:
    model = BlockedModel()

    async def ask() -> None:
        batcher = Batcher(model, lambda: 0)
        first = asyncio.create_task(batcher.logits(images(1)))
        cancelled = asyncio.create_task(batcher.logits(images(2, 3)))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        assert batcher.waiting == 1
        model.release.set()
        await first
        await batcher.logits(images(4))

    asyncio.run(ask())
    assert model.sizes == [1, 1]


def test_an_error_reaches_every_request_of_the_batch() -> None:
    def broken(_: Images) -> npt.NDArray[np.floating]:
        raise RuntimeError("no memory")

    async def ask() -> list[Any]:
        batcher = Batcher(broken, lambda: 2)
        return await asyncio.gather(
            *(batcher.logits(images(1)) for _ in range(2)), return_exceptions=True
        )

    assert [str(each) for each in asyncio.run(ask())] == ["no memory"] * 2


def test_refused_and_failed_jobs_are_not_run() -> None:
    calls, release = list[int](), threading.Event()

    async def ask() -> None:
        pool = BoundedThreadPool(1, max_waiting=2, unit="requests")
        with pytest.raises(BusyError, match="busy: 0 requests are waiting, of at most 3"):
            await pool.run_all([lambda: calls.append(1)] * 4)
        with pytest.raises(ZeroDivisionError):
            await pool.run_all([lambda: 1 / 0, release.wait, lambda: calls.append(2)])
        release.set()
        await pool.run(lambda: None)
        pool.close()

    asyncio.run(ask())
    assert calls == []


@pytest.mark.parametrize("leave", [False, True], ids=["waiting", "disconnected"])
def test_the_thread_pool_is_bounded(leave: bool) -> None:
    release = threading.Event()

    async def ask(call: Callable[..., Any]) -> None:
        pool = BoundedThreadPool(1, max_waiting=1)
        held = [asyncio.create_task(pool.run(call, 10)) for _ in range(2)]
        await asyncio.sleep(0.05)
        if leave:
            for task in held:
                task.cancel()
            await asyncio.sleep(0)
        if not leave:
            with pytest.raises(BusyError, match="busy: 2 images are waiting, of at most 2"):
                await pool.run(call, 10)
        release.set()
        await asyncio.gather(*held, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert await pool.run(lambda: "free again") == "free again"
        pool.close()

    asyncio.run(ask(release.wait))
