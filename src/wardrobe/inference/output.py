"""The outputs of `wardrobe predict`: lines in the terminal, one JSON object, a CSV file."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from textwrap import wrap
from typing import Any

from PIL import Image

from wardrobe.errors import UsageError
from wardrobe.inference.classifier import Classifier, name_model, resolve_model
from wardrobe.inference.predict import Prediction, find_images, predict_paths, unique_file_name
from wardrobe.percent import format_percent
from wardrobe.photo.listing import Failure
from wardrobe.runs import atomic_write, check_writable
from wardrobe.terminal import console

Write = Callable[[Prediction], None]

MIN_PROGRESS = 40  # images from which a progress bar is shown
MAX_CARDS = 3  # images up to which each is shown as a card
TOP, TOP_CARD = 2, 5  # classes on a line, on a card
CARD_WIDTH = 31  # characters of the image on a card and the gap next to it
BAR_WIDTH, LABEL_WIDTH = 16, 12  # characters of a confidence bar, of a class name
REST_WIDTH = 34  # characters of the other classes, if there is room
MIN_PATH, MAX_PATH = 16, 48  # characters
BLUE, AMBER, BOLD, FAINT = "38;2;77;163;216", "38;2;224;160;57", "1", "2"  # ANSI styles


def predict(
    paths: Sequence[str],
    model: str | None = None,
    *,
    top: int | None = None,
    csv_path: Path | None = None,
    save_input: Path | None = None,
    as_json: bool = False,
) -> tuple[int, int]:
    """Classifies all images in `paths` and writes each answer at once. Failures go to stderr.

    Args:
        paths, model: as in `predict.predict_paths` and `Classifier.load`.
        top: number of classes of each image; None: 2 on a line, all in JSON.
        csv_path: CSV file to write in place of lines.
        save_input: new or empty folder for PNGs of the model's inputs.
        as_json: prints one JSON object in place of lines.

    Returns:
        The number of images classified, and of failures.

    Raises:
        UsageError: `csv_path` or `save_input` cannot be written.
        ModelError, RunError: see `Classifier.load`.
    """
    file = resolve_model(model)  # before any image is read
    if csv_path is not None:
        _check_csv_path(csv_path)
    if save_input is not None:
        _create_empty_folder(save_input, paths)
    total = sum(1 for _ in find_images(paths)) if sys.stderr.isatty() else 0
    failures: list[Failure] = []  # kept for JSON alone
    done, failed, names = 0, 0, dict[str, int]()
    load = cache(lambda: Classifier.load(file))
    with ExitStack() as stack:
        if as_json:
            name = name_model(model, file)
            write = stack.enter_context(write_json_object(name, load, top, failures))
        elif csv_path is not None:
            write = stack.enter_context(write_csv(csv_path))
        else:
            lines = Lines(top)
            write = lines.write_card if lines.in_colour and 0 < total <= MAX_CARDS else lines.write
        # With JSON on the same terminal, a bar would run into the output.
        has_bar = csv_path is not None or sys.stdout.isatty() != as_json
        results = predict_paths(paths, load)
        for result in stack.enter_context(_show_progress(results, total if has_bar else 0)):
            if isinstance(result, Failure):
                console.warn(f"{result.path}: {result.error}")
                failed += 1
                failures += [result] if as_json else []
                continue
            done += 1
            write(result)
            if save_input is not None:
                png = save_input / unique_file_name(result.path, names)
                Image.fromarray(result.pixels).save(png)
    return done, failed


def _check_csv_path(path: Path) -> None:
    """Refuses a path that cannot be written, or that is likely an input given by mistake."""
    if path.is_dir():
        raise UsageError(f"--csv {path} is a folder; give a file")
    is_device = path.exists() and not path.is_file()
    if path.suffix.lower() != ".csv" and not is_device:
        raise UsageError(f"--csv {path} does not end in .csv; give the file to write, then images")
    if not path.parent.is_dir():
        raise UsageError(f"--csv {path}: there is no folder {path.parent}; create it first")
    if not is_device:
        check_writable(path.parent, "give --csv a file on a writable disk")


def _create_empty_folder(folder: Path, paths: Sequence[str]) -> None:
    """Creates the folder of --save-input, which must be empty and outside the inputs."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--save-input {folder} is not empty; give a new or an empty folder")
    parents = (folder.resolve(), *folder.resolve().parents)
    inside = [given for given in paths if Path(given).resolve() in parents]
    if inside:
        raise UsageError(f"--save-input {folder} is inside the input {inside[0]}; give another")
    check_writable(folder, "give --save-input a folder on a writable disk")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _show_progress(
    results: Iterable[Prediction | Failure], total: int
) -> Iterator[Iterable[Prediction | Failure]]:
    """Shows a progress bar on stderr for many images; printed lines appear above it."""
    if total < MIN_PROGRESS:
        yield results
        return
    from rich.console import Console
    from rich.progress import Progress

    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        yield progress.track(results, total=total, description="images")


@contextmanager
def write_json_object(
    model: str, load: Callable[[], Classifier], top: int | None, failures: Sequence[Failure]
) -> Iterator[Write]:
    """Prints one JSON object piece by piece.

    Args:
        load: returns the model; called before the first prediction is printed, or at the end if
            there is none.
        failures: read at the end.
    """
    is_empty = True

    def format_start() -> str:
        threshold = _to_ascii(load().metadata["familiarity_threshold"])
        start = f'"model": {_to_ascii(model)}, "familiarity_threshold": {threshold}'
        return f'{{{start}, "predictions": ['

    def write(prediction: Prediction) -> None:
        nonlocal is_empty
        answer = {"path": prediction.path, **prediction.to_json(top)}
        print((format_start() if is_empty else ", ") + _to_ascii(answer), end="")
        is_empty = False

    yield write
    failed = [{"path": failure.path, "error": failure.error} for failure in failures]
    print(f'{format_start() if is_empty else ""}], "failed": {_to_ascii(failed)}}}')


def _to_ascii(value: Any) -> str:
    return json.dumps(value)  # escapes non-ASCII, so that stdout's encoding does not matter


@contextmanager
def write_csv(path: Path) -> Iterator[Write]:
    """Writes a row an image: path, label, confidence, not_sure, reason, familiarity, each class."""
    header = ["path", "label", "confidence", "not_sure", "reason", "familiarity"]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        class_names: list[str] = []

        def write(prediction: Prediction) -> None:
            if not class_names:
                class_names.extend(prediction.class_names)
                writer.writerow([*header, *class_names])
            is_not_sure = str(prediction.not_sure).lower()
            answer = prediction.label, f"{prediction.confidence:.6f}", is_not_sure
            values = [prediction.probabilities[name] for name in class_names]
            numbers = [f"{each:.6f}" for each in (prediction.familiarity, *values)]
            writer.writerow([prediction.path, *answer, prediction.reason or "", *numbers])

        yield write
        if not class_names:
            writer.writerow(header)


class Lines:
    """Prints a line or a card an image, in colour if stdout is a terminal."""

    def __init__(self, top: int | None) -> None:
        self.top, self.top_card = top or TOP, top or TOP_CARD
        self.full, self.empty = ("█", "░") if _can_encode("█░") else ("#", ".")
        is_terminal = sys.stdout.isatty()
        is_plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self.in_colour = is_terminal and not is_plain and _can_encode("▀")
        self.width = shutil.get_terminal_size().columns if is_terminal else None

    def write(self, prediction: Prediction) -> None:
        """Prints path, class, confidence bar and further classes, cut to the terminal's width."""
        path = console.make_printable(prediction.path)
        first = islice(prediction.probabilities.items(), max(self.top, 2))
        classes = [
            f"{console.make_printable(name)} {format_percent(value)}" for name, value in first
        ]
        bar, style = "", AMBER
        if prediction.not_sure:
            verdict, _, score = str(prediction.reason).partition(" (")
            rest = score.rstrip(")")
        elif prediction.is_uncertain:
            verdict, rest = "uncertain", f"between {classes[0]} and {classes[1]}"
            rest = "; ".join([rest, *classes[2:]])
        else:
            verdict, style = console.make_printable(prediction.label), BLUE
            bar = self._draw_bar(prediction.confidence, BLUE)
            rest = ", ".join(classes[1 : self.top])
        verdict = f"{verdict:<{LABEL_WIDTH}}"
        if self.width:
            wanted = self.width - LABEL_WIDTH - BAR_WIDTH - REST_WIDTH - 14
            room = self.width - len(verdict) - 2  # a narrow terminal cuts the path, not the verdict
            path_width = min(max(wanted, MIN_PATH), MAX_PATH, max(room, 1))
            path = f"{_cut_start(path, path_width):<{path_width}}"
            rest = _cut_end(rest, room - path_width - 2 - (BAR_WIDTH + 10 if bar else 0))
        verdict = self._style(verdict, style)
        print("  ".join(part for part in (path, verdict, bar, self._style(rest, FAINT)) if part))

    def write_card(self, prediction: Prediction) -> None:
        """Prints the model's input, and next to it the bars of the most probable classes."""
        room = (self.width or 200) - CARD_WIDTH - 1
        right = ["", self._style(_cut_start(console.make_printable(prediction.path), room), BOLD)]
        verdict = prediction.reason or ""
        if prediction.is_uncertain:
            verdict = f"uncertain between {' and '.join(islice(prediction.probabilities, 2))}"
        lines = wrap(console.make_printable(verdict), max(room, 1))
        right += [*(self._style(line, AMBER) for line in lines), ""]
        for name, value in islice(prediction.probabilities.items(), self.top_card):
            style = BLUE if name == prediction.label and not verdict else FAINT
            label = f"{console.make_printable(name):<{LABEL_WIDTH}}"
            bar = self._draw_bar(value, style)
            # Percentages of an image that is unlike the classes would contradict that.
            right.append(f"{label} {bar[:-8] if prediction.not_sure else bar}")
        left = draw_half_blocks(prediction.pixels)
        left += [" " * (CARD_WIDTH - 3)] * (len(right) - len(left))
        right += [""] * (len(left) - len(right))
        rows = (f"{image}   {text}" for image, text in zip(left, right, strict=True))
        print("\n".join(rows), end="\n\n")

    def _draw_bar(self, value: float, style: str) -> str:
        full = round(value * BAR_WIDTH)
        rest = self._style(self.empty * (BAR_WIDTH - full), FAINT)
        return f"{self._style(self.full * full, style)}{rest} {format_percent(value):>7}"

    def _style(self, text: str, style: str) -> str:
        return f"\033[{style}m{text}\033[0m" if self.in_colour and text else text


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def draw_half_blocks(pixels: Any) -> list[str]:
    """Returns an image (height, width) uint8 as half-block characters, two rows of it a line."""
    return [
        "".join(f"\033[38;2;{u};{u};{u};48;2;{v};{v};{v}m▀" for u, v in zip(*pair, strict=True))
        + "\033[0m"
        for pair in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _cut_end(text: str, room: int) -> str:
    """Shortens text at the end of a word."""
    if len(text) <= room:
        return text
    return f"{text[: room - 1].rpartition(' ')[0].rstrip(',;')}…" if room > 1 else ""


def _cut_start(text: str, room: int) -> str:
    return text if len(text) <= room else "…" + text[1 - room :]
