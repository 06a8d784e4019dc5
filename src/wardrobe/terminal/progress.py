"""How training, downloads and jobs in bulk go on: live in a terminal, plain lines elsewhere. Knows no Keras."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

BAR_WIDTH = 28  # characters
LINE_EVERY = 10  # seconds
BLUE = "#4da3d8"  # told apart by the colour-blind, readable on dark and on light


class TrainingDisplay(Protocol):
    """What training tells the person who watches it. Rows are those of history.csv."""

    def start(self, title: str, epochs: int, done: int, steps: int) -> None:
        """Training begins: `done` of `epochs` are behind it, each has `steps` batches."""

    def step(self, step: int, loss: float, accuracy: float) -> None:
        """Batch `step` (1 to steps) of the running epoch is done; the means since the epoch's start, accuracy 0-1."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch and its validation are done."""

    def stage(self, text: str) -> None:
        """Another part of the job begins."""

    def close(self) -> None:
        """Training ended, or broke off."""


def make_training_display(stream: TextIO) -> TrainingDisplay:
    """Returns live bars where `stream` is a terminal, plain lines elsewhere."""
    if stream.isatty():
        return LiveDisplay(Console(file=stream, highlight=False))
    return PlainDisplay(stream)


class PlainDisplay:
    """One line an epoch."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.epochs = 0
        self.seconds: list[float] = []

    def start(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.epochs = epochs
        self._print(
            f"{title}: epochs {done + 1} to {epochs}, {steps} steps each"
            if done < epochs
            else title
        )

    def step(self, step: int, loss: float, accuracy: float) -> None:
        pass

    def epoch(self, row: Mapping[str, float]) -> None:
        self.seconds.append(row["seconds"])
        left = (self.epochs - row["epoch"]) * sum(self.seconds) / len(self.seconds)
        self._print(
            f"epoch {row['epoch']:.0f}/{self.epochs}  {row['seconds']:.1f} s  "
            f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
            f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.2%}  left {left:.0f} s"
        )

    def stage(self, text: str) -> None:
        self._print(text)

    def close(self) -> None:
        pass

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class LiveDisplay:
    """A table of the finished epochs that grows, and under it two bars: this epoch's steps, and the whole training."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.epochs = self.steps = self.done = 0
        self.progress: Progress | None = None
        self.epoch_task = self.whole_task = TaskID(0)

    def start(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.epochs, self.steps, self.done = epochs, steps, done
        self.console.print(f"\n[bold]{escape(title)}[/bold]\n")
        if done >= epochs:
            return
        self.console.print(
            f"[dim]{'':>9}{'training':>20}{'validation':>22}\n"
            f"{'epoch':>9}{'loss':>10}{'accuracy':>10}{'loss':>12}{'accuracy':>10}{'seconds':>9}[/dim]"
        )
        self.progress = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(BAR_WIDTH, complete_style=BLUE, finished_style=BLUE),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left[/dim]"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
        )
        self.epoch_task = self.progress.add_task(self._epoch_name(), total=steps, note="")
        self.whole_task = self.progress.add_task(
            "training", total=epochs * steps, completed=done * steps, note=""
        )
        self.progress.start()

    def step(self, step: int, loss: float, accuracy: float) -> None:
        if self.progress:
            note = f"loss [bold]{loss:.4f}[/bold]  accuracy [bold]{accuracy:.1%}[/bold]"
            self.progress.update(self.epoch_task, completed=step, note=note)
            self.progress.update(self.whole_task, completed=self.done * self.steps + step)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.done += 1
        epoch = f"{row['epoch']:.0f}/{self.epochs}"
        self.console.print(
            f"{epoch:>9}{row['loss']:>10.4f}{row['accuracy']:>10.2%}"
            f"[{BLUE}]{row['val_loss']:>12.4f}{row['val_accuracy']:>10.2%}[/]{row['seconds']:>9.1f}"
        )
        if self.progress and self.done < self.epochs:
            self.progress.reset(self.epoch_task, description=self._epoch_name(), note="")

    def stage(self, text: str) -> None:
        self.console.print(f"[{BLUE}]•[/] {escape(text)}")

    def close(self) -> None:
        if self.progress:
            self.progress.stop()
            self.console.print()

    def _epoch_name(self) -> str:
        return f"epoch {self.done + 1}/{self.epochs}"


class DownloadBar:
    """pooch's idea of a progress bar (pooch docs, "Using custom progress bars"), drawn by rich on stderr."""

    def __init__(self, name: str) -> None:
        self.progress = Progress(
            TextColumn(name),
            BarColumn(BAR_WIDTH),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        """Bytes to fetch; None before the server said how many."""
        return self.progress.tasks[0].total

    @total.setter
    def total(self, total: float) -> None:
        self.progress.update(self.task, total=total)
        self.progress.start()  # not before the server has answered: a failed try shows no bar

    def update(self, bytes_more: int) -> None:
        self.progress.update(self.task, advance=bytes_more)

    def reset(self) -> None:
        """Pooch resets the bar and then adds the whole size once more, to end at 100 %."""
        self.progress.reset(self.task, total=self.total)

    def close(self) -> None:
        if self.progress.live.is_started:  # else it would print an empty line
            self.progress.stop()


@contextmanager
def download_bar(name: str) -> Iterator[Any]:
    """Shows a download's progress on stderr while the block runs."""
    bar = DownloadBar(name)
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def count_images(total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Shows on stderr how many of `total` images are done, how quickly it goes, and how long it will take.

    Gives a function to call with the number of images that were done since; `done` of them are behind it.
    """
    counter = ImagesBar(total, done) if sys.stderr.isatty() else ImagesLines(total, done)
    try:
        yield counter.advance
    finally:
        counter.close()


class ImagesBar:
    """A bar in the terminal."""

    def __init__(self, total: int, done: int) -> None:
        self.progress = Progress(
            TextColumn("images"),
            BarColumn(BAR_WIDTH, complete_style=BLUE, finished_style=BLUE),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left[/dim]"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self.rate = Rate(total, done)
        self.task = self.progress.add_task("", total=total, completed=done, rate="")
        self.progress.start()

    def advance(self, images: int) -> None:
        self.rate.advance(images)
        self.progress.update(self.task, advance=images, rate=f"{self.rate.a_second():,.0f}/s")

    def close(self) -> None:
        self.progress.stop()


class ImagesLines:
    """A line every ten seconds."""

    def __init__(self, total: int, done: int) -> None:
        self.rate = Rate(total, done)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._print, daemon=True)
        self.thread.start()

    def advance(self, images: int) -> None:
        self.rate.advance(images)

    def close(self) -> None:
        self.ended.set()
        self.thread.join()

    def _print(self) -> None:
        while not self.ended.wait(LINE_EVERY):
            print(self.rate.line(), file=sys.stderr, flush=True)


class Rate:
    """How many images are done, and how quickly."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.before, self.done = total, done, done
        self.began = time.perf_counter()

    def advance(self, images: int) -> None:
        self.done += images

    def a_second(self) -> float:
        return (self.done - self.before) / (time.perf_counter() - self.began)

    def line(self) -> str:
        rate = self.a_second()
        if not rate:
            return f"{self.done:,} of {self.total:,} images"
        left = timedelta(seconds=round((self.total - self.done) / rate))
        return f"{self.done:,} of {self.total:,} images, {rate:,.0f} a second, {left} left"
