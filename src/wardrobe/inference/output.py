"""The forms in which predictions leave, one by one: lines in the terminal, one JSON object, a CSV file."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from wardrobe.errors import UsageError
from wardrobe.inference.classifier import SHIPPED, Classifier, resolve_model
from wardrobe.inference.predict import (
    Failure,
    Prediction,
    find_pictures,
    predict_paths,
    to_json,
    unique_file_name,
)
from wardrobe.runs import LATEST
from wardrobe.runs.files import atomic_write
from wardrobe.terminal import console

Write = Callable[[Prediction], None]

MANY = 40  # pictures, from which a progress bar is shown
CARDS = 3  # pictures at most that are shown large
TOP, TOP_LARGE = 2, 5  # classes in a line, and beside a picture
CARD = 31  # characters of a picture and the gap beside it
BAR = 16  # characters of a confidence bar
LABEL = 12  # characters of a class name in a line
REST = 34  # characters of the runners-up, room permitting
PATH_NARROWEST, PATH_WIDEST = 16, 48  # characters
BLUE, AMBER, BOLD, FAINT = "38;2;77;163;216", "38;2;224;160;57", "1", "2"


def predict(
    paths: Sequence[str],
    model: str | None = None,
    *,
    top: int | None = None,
    csv_path: Path | None = None,
    save_input: Path | None = None,
    as_json: bool = False,
) -> tuple[int, int]:
    """Classifies all pictures that `paths` name and writes each answer as it comes; failures go to stderr.

    Args:
        paths, model: as in `predict.predict_paths` and `Classifier.load`.
        top: classes listed for each picture; None: two in a line, all in JSON.
        csv_path: writes a CSV file in place of lines.
        save_input: a new or empty folder for PNGs of what the model saw.
        as_json: prints one JSON object in place of lines.

    Returns:
        How many pictures were classified, and how many could not be.

    Raises:
        UsageError: `csv_path` or `save_input` cannot be written. ModelError, RunError: see `Classifier.load`.
    """
    file = resolve_model(model)  # told before a picture is read, if there is none
    if csv_path is not None:
        _check_csv(csv_path)
    if save_input is not None:
        _make_empty(save_input, paths)
    total = sum(1 for _ in find_pictures(paths)) if sys.stderr.isatty() else 0
    failed: list[Failure] = []
    done, failures, names = 0, 0, dict[str, int]()
    with ExitStack() as stack:
        if as_json:
            name = SHIPPED if model is None else str(file.parent) if model == LATEST else model
            write = stack.enter_context(json_object(name, top, failed))
        elif csv_path is not None:
            write = stack.enter_context(csv_file(csv_path))
        else:
            lines = Lines(top)
            write = lines.write_card if lines.in_colour and 0 < total <= CARDS else lines.write
        shown = csv_path is not None or sys.stdout.isatty() != as_json  # not across what is printed
        results = predict_paths(paths, lambda: Classifier.load(file))
        for result in stack.enter_context(_progress(results, total if shown else 0)):
            if isinstance(result, Failure):
                console.warn(f"{result.path}: {result.error}")
                failures += 1
                failed += [result] if as_json else []
                continue
            done += 1
            write(result)
            if save_input is not None:
                Image.fromarray(result.pixels).save(
                    save_input / unique_file_name(result.path, names)
                )
    return done, failures


def _check_csv(path: Path) -> None:
    """Refuses a place where no CSV file can be written, or where something else would be lost."""
    if path.is_dir():
        raise UsageError(f"--csv {path} is a folder; give a file")
    is_device = path.exists() and not path.is_file()
    if path.suffix.lower() != ".csv" and not is_device:
        raise UsageError(
            f"--csv {path} does not end in .csv; give the file to write, then the pictures"
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"--csv {path}: there is no folder {path.parent}; make it, or write elsewhere"
        )


def _make_empty(folder: Path, paths: Sequence[str]) -> None:
    """Makes the folder of --save-input; nothing that lies there may be lost, nor become an input itself."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--save-input {folder} is not empty; give a new or an empty folder")
    around = (folder.resolve(), *folder.resolve().parents)
    inside = [given for given in paths if Path(given).resolve() in around]
    if inside:
        raise UsageError(
            f"--save-input {folder} lies in {inside[0]}, which is read; give a folder elsewhere"
        )
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _progress(
    results: Iterable[Prediction | Failure], total: int
) -> Iterator[Iterable[Prediction | Failure]]:
    """Shows a bar on stderr where there are many to come; lines printed meanwhile go above it."""
    if total < MANY:
        yield results
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
    ) as progress:
        yield progress.track(results, total=total, description="pictures")


@contextmanager
def json_object(model: str, top: int | None, failures: Sequence[Failure]) -> Iterator[Write]:
    """Prints one JSON object on stdout, piece by piece; `failures` are read when the block ends."""
    before = f'{{"model": {_json(model)}, "predictions": ['

    def write(prediction: Prediction) -> None:
        nonlocal before
        item = {
            "path": prediction.path,
            **to_json(prediction.probabilities, prediction.reason, top),
        }
        print(f"{before}{_json(item)}", end="")
        before = ", "

    yield write
    failed = [{"path": failure.path, "error": failure.error} for failure in failures]
    print(f'{"" if before == ", " else before}], "failed": {_json(failed)}}}')


def _json(value: Any) -> str:
    return json.dumps(value)  # ASCII: right in whatever encoding stdout has


@contextmanager
def csv_file(path: Path) -> Iterator[Write]:
    """Writes path, label, confidence, not_sure, reason, and the probability of each class, in the model's order."""
    head = ["path", "label", "confidence", "not_sure", "reason"]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        class_names: list[str] = []

        def write(prediction: Prediction) -> None:
            if not class_names:
                class_names.extend(prediction.class_names)
                writer.writerow([*head, *class_names])
            first = [
                prediction.path,
                prediction.label,
                f"{prediction.confidence:.6f}",
                str(prediction.not_sure).lower(),
            ]
            chances = [f"{prediction.probabilities[name]:.6f}" for name in class_names]
            writer.writerow([*first, prediction.reason or "", *chances])

        yield write
        if not class_names:
            writer.writerow(head)


class Lines:
    """A line a picture: path, class, confidence bar, runners-up; in colour where stdout is a terminal."""

    def __init__(self, top: int | None) -> None:
        self.top, self.shown_large = top or TOP, top or TOP_LARGE
        self.full, self.empty = ("█", "░") if _can_encode("█░") else ("#", ".")
        terminal = sys.stdout.isatty()
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not _can_encode("▀")
        self.in_colour = terminal and not plain
        self.columns = shutil.get_terminal_size().columns if terminal else None

    def write(self, prediction: Prediction) -> None:
        """Prints one line; in a terminal it is cut to the width."""
        path = console.printable(prediction.path)
        chances = [
            f"{name} {_percent(chance)}"
            for name, chance in islice(prediction.probabilities.items(), self.top)
        ]
        if prediction.not_sure:
            verdict, style, shown = "not sure", AMBER, ""
            rest = f"{str(prediction.reason).partition(' (')[0]}; perhaps {chances[0]}"
        else:
            verdict, style, shown = prediction.label, BLUE, self._bar(prediction.confidence, BLUE)
            rest = ", ".join(chances[1:])
        if self.columns:
            left = self.columns - LABEL - BAR - 13  # for path and rest
            width = min(max(left - REST, PATH_NARROWEST), PATH_WIDEST)
            path, rest = (
                f"{_shortened(path, width):<{width}}",
                _cut(rest, left - width + (0 if shown else BAR + 9)),
            )
        parts = [path, self._styled(f"{verdict:<{LABEL}}", style), shown, self._styled(rest, FAINT)]
        print("  ".join(part for part in parts if part))

    def write_card(self, prediction: Prediction) -> None:
        """Prints what the model saw, and beside it the bars of the likeliest classes."""
        room = (self.columns or 200) - CARD - 1
        beside = ["", self._styled(_shortened(console.printable(prediction.path), room), BOLD)]
        if prediction.not_sure:
            beside += [self._styled(_cut(f"not sure: {prediction.reason}", room), AMBER)]
        beside.append("")
        for name, chance in islice(prediction.probabilities.items(), self.shown_large):
            style = BLUE if name == prediction.label and not prediction.not_sure else FAINT
            beside.append(f"{name:<{LABEL}} {self._bar(chance, style)}")
        picture = half_blocks(prediction.pixels)
        picture += [" " * (CARD - 3)] * (len(beside) - len(picture))
        beside += [""] * (len(picture) - len(beside))
        print(
            "\n".join(f"{left}   {right}" for left, right in zip(picture, beside, strict=True)),
            end="\n\n",
        )

    def _bar(self, share: float, style: str) -> str:
        full = round(share * BAR)
        drawn = self._styled(self.full * full, style) + self._styled(
            self.empty * (BAR - full), FAINT
        )
        return f"{drawn} {_percent(share):>6}"

    def _styled(self, text: str, style: str) -> str:
        return f"\033[{style}m{text}\033[0m" if self.in_colour and text else text


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def half_blocks(pixels: Any) -> list[str]:
    """Returns an image (height, width) uint8 as lines of half-block characters in 24-bit colour, two rows a line."""
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\033[38;2;{u};{u};{u};48;2;{v};{v};{v}m▀" for u, v in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\033[0m")
    return lines


def _cut(text: str, room: int) -> str:
    """Cuts what does not fit, at a word's end, with "…"."""
    if len(text) <= room:
        return text
    return f"{text[: room - 1].rpartition(' ')[0].rstrip(',;')}…" if room > 1 else ""


def _percent(share: float) -> str:
    """Returns tenths of a per cent, never 100 for less than certain."""
    return f"{share if share == 1 else min(share, 0.999):.1%}"


def _shortened(path: str, width: int) -> str:
    return path if len(path) <= width else "…" + path[1 - width :]
