"""How every figure of the project looks, the parts that they share, and `save`, which writes one as PNG.

Figures are 10.4 inches wide, the report's column at 100 pixels an inch, so that type is read at its own size.
Colours are Okabe and Ito's, told apart by the colour-blind; right and wrong carry a mark as well.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from wardrobe.runs.files import atomic_write

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
P = ParamSpec("P")

WIDTH = 10.4  # inches
DPI = 160
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#8a8f98", "#22262b"
PALE = "#b5d3e7"
RIGHT, WRONG = BLUE, ORANGE
LONGEST_IN_GRID = 11  # characters of a class name over a picture in a grid
LONGEST_NAME = 14  # characters of a class name where room is short
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, and has the marks
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#c9ccd1",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in a class name is a $
}


def save_figure(figure: Figure, path: Path, data: str, synthetic: bool) -> None:
    """Writes the figure as PNG in one step, its data named at the foot and in the file."""
    text = "SYNTHETIC WARDROBE, drawn by code: not Fashion-MNIST" if synthetic else f"data: {data}"
    foot = 0.06 / figure.get_size_inches()[1]
    colour, weight = (ORANGE, "bold") if synthetic else (GREY, "normal")
    with atomic_write(path) as temporary, matplotlib.rc_context(STYLE):
        figure.text(
            0.995, foot, text, ha="right", va="bottom", fontsize=8, color=colour, weight=weight
        )
        figure.savefig(temporary, dpi=DPI, metadata={"Description": text})


def save_figures(figures: Mapping[str, Figure], folder: Path, data: str, synthetic: bool) -> None:
    """Writes figures as NAME.png into a folder, which is made where there is none."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png", data, synthetic)


def apply_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Lets a function draw in the project's style."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def sheet(height: float, title: str, subtitle: str = "") -> Figure:
    """Returns an empty figure of `height` inches with its title, and a line under it, at the top left."""
    figure = Figure(figsize=(WIDTH, height))
    figure.text(0.007, 1 - 0.12 / height, title, fontsize=12, weight="bold", va="top", color=INK)
    figure.text(0.007, 1 - 0.38 / height, subtitle, va="top", color=GREY)
    return figure


def one_panel(height: float, title: str) -> tuple[Figure, Axes]:
    """Returns a sheet with one set of axes."""
    figure = sheet(height, title)
    return figure, figure.add_subplot()


def place_axes(
    axes: Axes, left: float, top: float, right: float = 0.08, bottom: float = 0.25
) -> None:
    """Puts the axes so many inches from the figure's edges."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    axes.set_position(axes_at(figure, left, bottom, width - left - right, height - top - bottom))


def axes_at(
    figure: Figure, left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """Returns a rectangle given in inches as the shares of the figure that matplotlib wants."""
    across, up = figure.get_size_inches()
    return left / across, bottom / up, width / across, height / up


def draw_image(axes: Axes, image: Images, title: str, colour: str) -> None:
    """Draws an image, (h, w) grey 0-255, in a frame, with a title over it."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set(color=colour, linewidth=2.2)
    axes.set_title(title, color=colour, fontsize=8, pad=4, loc="center")


def draw_thumbnail(
    figure: Figure,
    left: float,
    bottom: float,
    side: float,
    image: npt.NDArray[Any],
    signed: bool = False,
) -> Axes:
    """Draws an image without a frame, `side` inches wide, at so many inches from the left and the bottom.

    Args:
        image: (h, w) grey 0-255, (h, w, 3) 0-255; or, `signed`, (h, w) of any size about 0: red above, blue below.
    """
    axes = figure.add_axes(axes_at(figure, left, bottom, side, side))
    axes.set_axis_off()
    if signed:
        limit = max(float(np.abs(image).max()), 1e-12)
        axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    else:
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return axes


def add_text(figure: Figure, left: float, bottom: float, text: str, **style: Any) -> None:
    """Writes text at so many inches from the left and the bottom."""
    width, height = figure.get_size_inches()
    figure.text(left / width, bottom / height, text, **style)


def label_actual(axes: Axes, name: str) -> None:
    """Writes the true class under a picture."""
    axes.set_xlabel(
        f"actual: {shorten(name, LONGEST_IN_GRID)}", fontsize=8.5, color=INK, labelpad=3
    )


def draw_grid(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], title: str
) -> Figure:
    """Draws images in a grid, each with what was predicted, how surely, and what is true."""
    columns = 8
    rows = max(1, -(-len(labels) // columns))
    cell = 1.62
    height = rows * cell + 0.62
    figure = sheet(height, title)
    for i, label in enumerate(labels):
        text, colour = describe_verdict(probabilities[i], int(label), class_names)
        bottom = 1 - (0.68 + (i // columns) * cell + 1.13) / height
        axes = figure.add_axes(
            ((i % columns + 0.06) / columns, bottom, 0.88 / columns, 1.13 / height)
        )
        draw_image(axes, images[i], text, colour)
        label_actual(axes, class_names[label])
    return figure


def describe_verdict(
    probabilities: Floats, label: int, class_names: Sequence[str]
) -> tuple[str, str]:
    """Returns "✓ Sneaker 99 %" and its colour."""
    predicted = int(probabilities.argmax())
    mark, colour = ("✓", RIGHT) if predicted == label else ("✗", WRONG)
    return (
        f"{mark} {shorten(class_names[predicted], LONGEST_IN_GRID)} {format_percent(probabilities[predicted])}",
        colour,
    )


def draw_bars(
    axes: Axes, probabilities: Floats, label: int, class_names: Sequence[str], shown: int
) -> None:
    """Draws one image's probabilities; in the classes' order, the true one and the likeliest others."""
    likeliest = probabilities.argsort()[::-1]
    others = likeliest[likeliest != label][: shown - 1]
    classes = np.sort(np.append(others, label))
    colours = ["#c3c8cf"] * len(classes)
    for place, each in enumerate(classes):
        if each == label:
            colours[place] = RIGHT
        elif each == probabilities.argmax():
            colours[place] = WRONG
    values = probabilities[classes]
    axes.barh(np.arange(len(classes)), values, color=colours, height=0.78)
    axes.set_yticks(
        np.arange(len(classes)), [shorten(class_names[each]) for each in classes], fontsize=8
    )
    for place, value in enumerate(values):
        if value >= 0.005:
            axes.text(min(value, 1) + 0.03, place, format_percent(value), va="center", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)


def label_rows(axes: Axes, names: Sequence[str], cell: int) -> None:
    """Writes names beside the rows of a mosaic, each row `cell` pixels high."""
    axes.set_yticks(
        [cell * row + cell / 2 for row in range(len(names))], [shorten(name) for name in names]
    )
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Cuts a long name in its middle: what tells names apart often stands at their end."""
    return name if len(name) <= longest else f"{name[: longest - 5]}…{name[-4:]}"


def wrap_name(name: str, longest: int) -> str:
    """Breaks a name of more than `longest` characters behind the space or stroke nearest its middle."""
    breaks = [place + 1 for place, letter in enumerate(name[:-1]) if letter in " /-_"]
    if len(name) <= longest or not breaks:
        return shorten(name, longest)
    middle = min(breaks, key=lambda place: abs(place - len(name) / 2))
    return "\n".join(shorten(part.strip(), longest) for part in (name[:middle], name[middle:]))


def format_percent(share: float) -> str:
    """Returns whole per cent, never 100 for less than certain."""
    return f"{min(99, round(100 * share)) if share < 0.9995 else 100} %"


def format_tenths(share: float) -> str:
    """Returns a share as per cent with one decimal."""
    return f"{100 * share:.1f} %"


def use_percent(*axes: Axis) -> None:
    """Writes the shares of 1 along each axis in per cent."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def pad_rows(images: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Returns `count` images, white ones at the end where there are too few."""
    missing = np.full((count - len(images), *images.shape[1:]), 255, images.dtype)
    return np.concatenate([images, missing])


def tile_images(rows: Sequence[npt.NDArray[Any]], gap: int) -> npt.NDArray[Any]:
    """Puts rows of images, each (columns, h, w), together in one, white between them."""
    lines = [
        np.hstack([np.pad(image, ((0, gap), (0, gap)), constant_values=255) for image in row])
        for row in rows
    ]
    return np.vstack(lines)
