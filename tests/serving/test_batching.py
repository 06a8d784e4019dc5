"""Requests become batches; a full queue refuses; who has gone is not waited for; an error reaches all who asked."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from wardrobe.serving import batching
from wardrobe.serving.batching import Batcher, BusyError, Workers

Images = npt.NDArray[np.uint8]


def images(*tones: int) -> Images:
    return np.stack([np.full((28, 28), tone, np.uint8) for tone in tones])


def mean_tone(given: Images) -> npt.NDArray[np.floating]:
    return given.mean(axis=(1, 2))[:, None]


class Held:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.let, self.sizes = threading.Event(), list[int]()

    def __call__(self, given: Images) -> npt.NDArray[np.floating]:
        self.let.wait(10)
        self.sizes.append(len(given))
        return mean_tone(given)


def test_everyone_gets_the_answers_to_their_own_images() -> None:
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
    assert sizes == [80], "all were on their way, so they went together"


def test_one_alone_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "WINDOW", 1000.0)

    async def ask() -> Any:
        return await asyncio.wait_for(Batcher(mean_tone, lambda: 1).logits(images(7)), 10)

    assert asyncio.run(ask()).tolist() == [[7.0]]


def test_a_full_queue_refuses_and_takes_again_when_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "WAITING", 5)
    model = Held()

    async def ask() -> None:
        batcher = Batcher(model, lambda: 0)
        first = [asyncio.create_task(batcher.logits(images(1, 2))) for _ in range(2)]
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        with pytest.raises(
            BusyError, match="4 images wait already, expected at most 5; ask again in a second"
        ):
            await batcher.logits(images(1, 2))
        model.let.set()
        await asyncio.gather(*first)
        assert batcher.waiting == 0
        assert (await batcher.logits(images(9))).tolist() == [[9.0]]

    asyncio.run(ask())


def test_who_has_gone_is_not_answered() -> None:
    model = Held()

    async def ask() -> None:
        batcher = Batcher(model, lambda: 0)
        first = asyncio.create_task(batcher.logits(images(1)))
        gone = asyncio.create_task(batcher.logits(images(2, 3)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert batcher.waiting == 1
        model.let.set()
        await first
        await batcher.logits(images(4))

    asyncio.run(ask())
    assert model.sizes == [1, 1]


def test_an_error_reaches_all_who_asked() -> None:
    def broken(_: Images) -> npt.NDArray[np.floating]:
        raise RuntimeError("no memory")

    async def ask() -> list[Any]:
        batcher = Batcher(broken, lambda: 2)
        return await asyncio.gather(
            *(batcher.logits(images(1)) for _ in range(2)), return_exceptions=True
        )

    assert [str(each) for each in asyncio.run(ask())] == ["no memory"] * 2


@pytest.mark.parametrize("leave", [False, True], ids=["waiting", "gone"])
def test_threads_hold_so_many_and_no_more(leave: bool) -> None:
    let = threading.Event()

    async def ask(call: Callable[..., Any]) -> None:
        workers = Workers(1, waiting=1)
        held = [asyncio.create_task(workers.run(call, 10)) for _ in range(2)]
        await asyncio.sleep(0.05)
        if leave:
            for task in held:
                task.cancel()
            await asyncio.sleep(0)
        if not leave:
            with pytest.raises(BusyError, match="2 pictures wait already, expected at most 2"):
                await workers.run(call, 10)
        let.set()
        await asyncio.gather(*held, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert await workers.run(lambda: "free again") == "free again"
        workers.close()

    asyncio.run(ask(let.wait))
