"""How predictions and class names are written in figures."""

from collections.abc import Sequence

from wardrobe.percent import format_percent
from wardrobe.plots.style import CORRECT, WRONG, Floats

NAME, CAPTION = 14, 11  # longest class name, in characters: beside axes; above or below images


def format_prediction(probabilities: Floats, label: int, names: Sequence[str]) -> tuple[str, str]:
    """Returns a prediction such as "✓ Sneaker 98 %", and its colour."""
    predicted = int(probabilities.argmax())
    mark, colour = ("✓", CORRECT) if predicted == label else ("✗", WRONG)
    name = shorten(names[predicted], CAPTION)
    return f"{mark} {name} {format_percent(probabilities[predicted], 0)}", colour


def shorten(name: str, longest: int = NAME) -> str:
    """Cuts a long name in its middle: similar names often differ at their end."""
    return name if len(name) <= longest else f"{name[: longest - 5]}…{name[-4:]}"


def wrap_name(name: str, longest: int) -> str:
    """Breaks a name longer than `longest` after the space, slash or dash nearest its middle."""
    breaks = [place + 1 for place, letter in enumerate(name[:-1]) if letter in " /-_"]
    if len(name) <= longest or not breaks:
        return shorten(name, longest)
    middle = min(breaks, key=lambda place: abs(place - len(name) / 2))
    return "\n".join(shorten(part.strip(), longest) for part in (name[:middle], name[middle:]))
