"""How predictions and class names are written in figures."""

import unicodedata
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from wardrobe.percent import format_percent
from wardrobe.plots.fonts import make_drawable, measure
from wardrobe.plots.style import CORRECT, WRONG, Floats

# Longest class name, in columns of `measure`: beside axes; above or below images.
NAME, CAPTION = 14, 11
RIGHT_TO_LEFT = "R", "AL"  # bidirectional classes: Hebrew, Arabic


def format_prediction(probabilities: Floats, label: int, names: Sequence[str]) -> tuple[str, str]:
    """Returns a prediction such as "✓ Sneaker 98 %", and its colour."""
    predicted = int(probabilities.argmax())
    mark, colour = ("✓", CORRECT) if predicted == label else ("✗", WRONG)
    name = shorten(names[predicted], CAPTION)
    return f"{mark} {name} {format_percent(probabilities[predicted], 0)}", colour


def shorten(name: str, longest: int = NAME) -> str:
    """Cuts a long name in its middle: similar names often differ at their end.

    Characters that no font has are replaced. A name that is written from right to left is isolated,
    so that the text around it keeps its order.
    """
    name = make_drawable(name)
    if not _fits(name, longest):
        tail = name[-4:][::-1]
        tail = tail[: _count_fitting(tail, 4)][::-1]
        while tail and not measure(tail[0]):
            tail = tail[1:]  # an accent whose letter is cut off
        name = f"{name[: _count_fitting(name, longest - 5)]}…{tail}"
    is_right_to_left = any(unicodedata.bidirectional(each) in RIGHT_TO_LEFT for each in name)
    return f"\u2068{name}\u2069" if is_right_to_left else name


def _fits(text: str, columns: int) -> bool:
    return _count_fitting(text, columns) == len(text)


def _count_fitting(text: str, columns: int) -> int:
    """Returns how many characters from the start of a text are together at most `columns` wide."""
    return bisect([*accumulate(map(measure, text))], columns)


def wrap_name(name: str, longest: int) -> str:
    """Breaks a name longer than `longest` after the space, slash or dash nearest its middle."""
    name = make_drawable(name)
    breaks = [place + 1 for place, letter in enumerate(name[:-1]) if letter in " /-_"]
    if _fits(name, longest) or not breaks:
        return shorten(name, longest)
    middle = min(breaks, key=lambda place: abs(place - len(name) / 2))
    return "\n".join(shorten(part.strip(), longest) for part in (name[:middle], name[middle:]))
