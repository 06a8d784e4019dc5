"""Progress of training, downloads and bulk prediction: bars in a terminal, else plain lines."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import IO, TextIO

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

from wardrobe.percent import format_percent
from wardrobe.terminal import console as terminal
from wardrobe.terminal import interrupts
from wardrobe.terminal.console import make_printable

BAR_WIDTH = 28  # characters
LINE_SECONDS = 10  # between two lines where there is no terminal
BLUE = "#4da3d8"  # safe for colour-blind readers, legible on dark and light backgrounds


def make_training_display(stream: TextIO) -> "TrainingDisplay":
    """Returns a display with live bars if `stream` is a terminal, else one with plain lines."""
    if stream.isatty():
        return LiveDisplay(Console(file=stream, highlight=False))
    return TrainingDisplay(stream)


class TrainingDisplay:
    """Prints one line per epoch."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.epochs = 0
        self.seconds: list[float] = []

    def start(self, title: str, epochs: int, done: int, steps: int) -> None:
        """Training starts; `done` of `epochs` are complete, and each has `steps` batches."""
        self.epochs = epochs
        rest = f": epochs {done + 1} to {epochs}, {steps} steps each" if done < epochs else ""
        self.stage(title + rest)

    def set_epochs(self, epochs: int) -> None:
        """Training has another number of epochs from here on."""
        self.epochs = epochs

    def step(self, step: int, loss: float, accuracy: float) -> None:
        """Batch `step` (1 to `steps`) is complete; loss and accuracy are the epoch's means."""
        interrupts.check()

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch and its validation are complete; `row` is that of history.csv."""
        self.seconds.append(row["seconds"])
        left = (self.epochs - row["epoch"]) * sum(self.seconds) / len(self.seconds)
        scores = f"loss {row['loss']:.4f}  accuracy {format_percent(row['accuracy'], 2)}  "
        scores += (
            f"val_loss {row['val_loss']:.4f}  val_accuracy {format_percent(row['val_accuracy'], 2)}"
        )
        epoch = f"epoch {row['epoch']:.0f}/{self.epochs}  {row['seconds']:.1f} s"
        self.stage(f"{epoch}  {scores}  left {left:.0f} s")

    def stage(self, text: str) -> None:
        """Another part of the job starts."""
        interrupts.check()
        print(make_printable(text), file=self.stream, flush=True)

    def close(self) -> None:
        """Training ended or failed."""


class LiveDisplay(TrainingDisplay):
    """A growing table of the epochs; below it bars for the current epoch and the whole training."""

    def __init__(self, console: Console) -> None:
        super().__init__(console.file)
        self.console = console
        self.steps = self.done = 0
        self.bars: Progress | None = None
        self.epoch_task = self.training_task = TaskID(0)

    def start(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.epochs, self.steps, self.done = epochs, steps, done
        self.console.print(f"\n[bold]{escape(title)}[/bold]\n")
        if done >= epochs:
            return
        scores = f"{'loss':>10}{'accuracy':>10}{'loss':>12}{'accuracy':>10}"
        self.console.print(f"[dim]{'training':>29}{'validation':>22}")
        self.console.print(f"[dim]{'epoch':>9}{scores}{'seconds':>9}")
        self.bars = _make_bars(self.console)
        self.epoch_task = self.bars.add_task(self._name_epoch(), total=steps, note="")
        total, completed = epochs * steps, done * steps
        self.training_task = self.bars.add_task(
            "training", total=total, completed=completed, note=""
        )
        self.bars.start()

    def set_epochs(self, epochs: int) -> None:
        super().set_epochs(epochs)
        if self.bars:
            self.bars.update(self.training_task, total=epochs * self.steps)

    def step(self, step: int, loss: float, accuracy: float) -> None:
        interrupts.check()
        if self.bars:
            note = f"loss [bold]{loss:.4f}[/bold]  accuracy [bold]{format_percent(accuracy)}[/bold]"
            self.bars.update(self.epoch_task, completed=step, note=note)
            self.bars.update(self.training_task, completed=self.done * self.steps + step)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.done += 1
        epoch = f"{row['epoch']:.0f}/{self.epochs}"
        training, validation = (format_percent(row[k], 2) for k in ("accuracy", "val_accuracy"))
        self.console.print(
            f"{epoch:>9}{row['loss']:>10.4f}{training:>10}"
            f"[{BLUE}]{row['val_loss']:>12.4f}{validation:>10}[/]{row['seconds']:>9.1f}"
        )
        if self.bars and self.done < self.epochs:
            self.bars.reset(self.epoch_task, description=self._name_epoch(), note="")

    def stage(self, text: str) -> None:
        interrupts.check()
        self.console.print(f"[{BLUE}]•[/] {escape(make_printable(text))}")

    def close(self) -> None:
        if self.bars:
            self.bars.stop()
            self.console.print()

    def _name_epoch(self) -> str:
        return f"epoch {self.done + 1}/{self.epochs}"


def _make_bars(console: Console) -> Progress:
    """Returns bars whose tasks have a description and a note."""
    return Progress(
        TextColumn("{task.description:<11}"),
        BarColumn(BAR_WIDTH, complete_style=BLUE, finished_style=BLUE),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]left[/dim]"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


class DownloadBar:
    """A progress bar for pooch: its docs, "Using custom progress bars", name the methods."""

    def __init__(self, name: str) -> None:
        columns = TextColumn(name), BarColumn(BAR_WIDTH), DownloadColumn(), TimeRemainingColumn()
        output = Console(stderr=True, quiet=terminal.quiet)
        self.progress = Progress(*columns, console=output)
        self.task = self.progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        """Size in bytes; None before the server's answer."""
        return self.progress.tasks[0].total

    @total.setter
    def total(self, total: float) -> None:
        self.progress.update(self.task, total=total or None)  # 0: the server does not say
        self.progress.start()  # only now, so that a failed request shows no bar

    def update(self, bytes_more: int) -> None:
        self.progress.update(self.task, advance=bytes_more)

    def reset(self) -> None:
        """Pooch resets the bar at the end, and then adds the whole size, to reach 100 %."""
        self.progress.reset(self.task, total=self.total)

    def close(self) -> None:
        if self.progress.live.is_started:  # otherwise it would print an empty line
            self.progress.stop()


def download_bar(name: str) -> closing[DownloadBar]:
    """Returns the context that shows a download's progress on stderr."""
    return closing(DownloadBar(name))


@contextmanager
def count_images(total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Shows on stderr how many images are done, the rate, and the time left.

    Yields a function to call with the number of images done since the last call.

    Args:
        total: number of images.
        done: of those, the number that was done before.
    """
    counter = _ImageCounter(total, done)
    if terminal.quiet:
        return (yield counter.advance)
    show = _show_image_bar if sys.stderr.isatty() else _print_image_lines
    with show(counter) as advance:
        yield advance


class _ImageCounter:
    """The number of images done, and the rate."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.before, self.done = total, done, done
        self.started = time.perf_counter()

    def advance(self, images: int) -> None:
        self.done += images

    def compute_rate(self) -> float:
        """Returns the images per second since the start."""
        return (self.done - self.before) / (time.perf_counter() - self.started)

    def format_line(self) -> str:
        line, rate = f"{self.done:,} of {self.total:,} images", self.compute_rate()
        if not rate:
            return line
        left = timedelta(seconds=round((self.total - self.done) / rate))
        return f"{line}, {rate:,.0f} per second, {left} left"


@contextmanager
def _show_image_bar(counter: _ImageCounter) -> Iterator[Callable[[int], None]]:
    with _make_bars(Console(stderr=True)) as bars:
        task = bars.add_task("images", total=counter.total, completed=counter.done, note="")

        def advance(images: int) -> None:
            counter.advance(images)
            bars.update(task, advance=images, note=f"{counter.compute_rate():,.0f}/s")

        yield advance


@contextmanager
def _print_image_lines(counter: _ImageCounter) -> Iterator[Callable[[int], None]]:
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(LINE_SECONDS):
            print(counter.format_line(), file=sys.stderr, flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield counter.advance
    finally:
        ended.set()
        thread.join()
