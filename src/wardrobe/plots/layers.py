"""What the layers learnt → figures. Nothing is loaded, computed or shown here."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wardrobe.plots import layout
from wardrobe.plots.layout import BLUE, GREY, INK, WIDTH

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

ACROSS = 16  # pictures of filters in a row
LONGEST_UNDER = 9  # characters of a class name, in a line, under one of them
FRAME = "#ffb000"  # seen on black and on white
# Ten colours that are told apart on white (Tableau 10); of more classes they come again.
CLASS_COLOURS = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f"),
    *("#b6992d", "#b07aa1", "#d4639a", "#9c755f", "#79706e"),
)


@layout.apply_style
def maximised(rows: Mapping[str, Images], class_names: Sequence[str]) -> Figure:
    """Draws, a row a layer, images made to excite its filters; the last row is that of the classes.

    Args:
        rows: layer name → (filters, side, side), 0-255; of more than `ACROSS` the first are drawn.
    """
    cell, head, gap = (WIDTH - 1.2) / ACROSS, 0.75, 0.14
    height = head + len(rows) * (cell + gap) + 0.55
    figure = layout.sheet(
        height,
        "From edges to garments: images made to excite each filter",
        "a row a layer, first to last, each picture all that the filter sees;  last: what each class is to the network",
    )
    for row, (layer, images) in enumerate(rows.items()):
        bottom = height - head - (row + 1) * (cell + gap) + gap
        side = images.shape[1]
        layout.add_text(
            figure, 0.08, bottom + cell / 2 + 0.08, _last_part(layer), va="center", weight="bold"
        )
        layout.add_text(
            figure,
            0.08,
            bottom + cell / 2 - 0.1,
            f"sees {side}x{side}",
            va="center",
            fontsize=8,
            color=GREY,
        )
        is_last = row == len(rows) - 1
        for number, image in enumerate(images[:ACROSS]):
            left = 1.15 + number * cell
            layout.draw_thumbnail(figure, left, bottom, cell - 0.06, image)
            if is_last:
                name = layout.wrap_name(class_names[number], LONGEST_UNDER)
                layout.add_text(
                    figure,
                    left + cell / 2 - 0.03,
                    bottom - 0.05,
                    name,
                    ha="center",
                    va="top",
                    fontsize=7,
                )
    return figure


@layout.apply_style
def units(layer: str, images: Images, class_names: Sequence[str] | None) -> Figure:
    """Draws images made to excite each unit of a dense layer: (units, side, side), 0-255; logits by class."""
    cell, text = WIDTH / ACROSS, 0.26 if class_names else 0.16
    rows = -(-len(images) // ACROSS)
    height = 0.8 + rows * (cell + text) + 0.3
    figure = layout.sheet(
        height, f"What each unit of {_last_part(layer)} looks for", "an image made to excite it"
    )
    for number, image in enumerate(images):
        left = number % ACROSS * cell + 0.04
        bottom = height - 0.75 - (number // ACROSS + 1) * (cell + text) + text
        layout.draw_thumbnail(figure, left, bottom, cell - 0.08, image)
        name = layout.wrap_name(class_names[number], LONGEST_UNDER) if class_names else str(number)
        layout.add_text(
            figure,
            left + cell / 2 - 0.04,
            bottom - 0.03,
            name,
            ha="center",
            va="top",
            fontsize=7,
            color=GREY,
        )
    return figure


@layout.apply_style
def parts(
    wholes: Images,
    pieces: npt.NDArray[np.uint8],
    kernels: Floats,
    filters: Sequence[int],
    layer: str,
    before: str,
) -> Figure:
    """Draws what some filters of a layer are made of, in filters of the layer before.

    Args:
        wholes: (f, side, side) made to excite each filter.
        pieces: (f, parts, side, side) made to excite the filters of the layer before that it is made of.
        kernels: (f, parts, h, w) where it wants to find each, any sign.
        filters: (f,) their numbers.
    """
    columns, cell = 2, 0.62
    rows = -(-len(wholes) // columns)
    height = rows * (cell + 0.2) + 1.05
    figure = layout.sheet(
        height,
        f"Edges make parts: what filters of {_last_part(layer)} are made of, in filters of {_last_part(before)}",
        "left: made to excite it;  right: what it looks for, and where it wants that (red) and where not (blue)",
    )
    for number, (whole, each, kernel) in enumerate(zip(wholes, pieces, kernels, strict=True)):
        left = 0.1 + number % columns * WIDTH / columns
        bottom = height - 0.75 - (number // columns + 1) * (cell + 0.2) + 0.1
        middle = bottom + cell / 2
        layout.add_text(
            figure,
            left + 0.18,
            middle,
            f"{filters[number]}",
            va="center",
            ha="right",
            fontsize=8,
            color=GREY,
        )
        layout.draw_thumbnail(figure, left + 0.26, bottom, cell, whole)
        for part, (piece, wanted) in enumerate(zip(each, kernel, strict=True)):
            at = left + 1.1 + part * 1.02
            sign = "=" if part == 0 else "+"
            layout.add_text(
                figure, at - 0.11, middle, sign, va="center", ha="center", fontsize=11, color=GREY
            )
            layout.draw_thumbnail(figure, at, bottom + 0.11, 0.4, piece)
            layout.draw_thumbnail(figure, at + 0.42, bottom + 0.11, 0.4, wanted, signed=True)
    return figure


@layout.apply_style
def exciting(
    layers: Mapping[
        str, tuple[Sequence[int], Images, npt.NDArray[np.uint8], npt.NDArray[np.float64], int]
    ],
) -> Figure:
    """Draws the images that excite some filters of each layer most, all but the window that the filter sees dimmed.

    Args:
        layers: layer name → numbers of the filters (f,); images made to excite each (f, side, side); the images
            (f, count, 28, 28); the middles of the windows (f, count, 2), row and column; the windows' size in pixels.
    """
    total = sum(len(each[0]) for each in layers.values())
    count = next(iter(layers.values()))[2].shape[1]
    cell, left_of_images = 0.66, 2.15
    wide = min(cell, (WIDTH - left_of_images - 0.1) / count)
    height = 0.85 + total * cell + 0.3 * len(layers) + 0.3
    figure = layout.sheet(
        height,
        "What makes a filter answer: the training images that excite it most",
        "first: an image made to excite it;  framed in an image: the window that it looks through",
    )
    bottom = height - 0.8
    for layer, (filters, wholes, images, middles, size) in layers.items():
        bottom -= 0.3
        name = f"{_last_part(layer)}: sees {size}x{size} pixels"
        layout.add_text(figure, 0.1, bottom + 0.1, name, weight="bold", va="center")
        for number, whole, row, places in zip(filters, wholes, images, middles, strict=True):
            bottom -= cell
            middle = bottom + wide / 2
            layout.add_text(
                figure,
                0.85,
                middle,
                f"filter {number}",
                ha="right",
                va="center",
                fontsize=8.5,
                color=GREY,
            )
            layout.draw_thumbnail(figure, 1.1, bottom + 0.03, wide - 0.06, whole)
            for place, image in enumerate(row):
                axes = layout.draw_thumbnail(
                    figure, left_of_images + place * wide, bottom + 0.03, wide - 0.06, image
                )
                _frame(axes, places[place], size, len(image))
    return figure


@layout.apply_style
def probes(curves: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draws how well a linear classifier does on each layer, over the layers; a line a state of the network.

    Args:
        curves: state ("untrained", "epoch 1", …, "trained") → layer name → accuracy, 0-1; the first untrained, the last
            trained.
    """
    untrained, trained = next(iter(curves.values())), list(curves.values())[-1]
    last = list(trained)[-1]
    figure = layout.sheet(
        4.4,
        f"How far the classes come apart: {layout.format_tenths(trained['pixels'])} on pixels, "
        f"{layout.format_tenths(trained[last])} on {_last_part(last)}",
        "validation accuracy of a linear classifier on what each layer gives;  "
        f"untrained, it ends at {layout.format_tenths(untrained[last])}",
    )
    axes = figure.add_axes(layout.axes_at(figure, 0.75, 0.65, 7.9, 2.95))
    names = [_last_part(name) for name in trained]
    states = list(curves.items())
    for number, (_, curve) in enumerate(states):
        values = list(curve.values())
        share = number / max(len(states) - 1, 1)
        colour = GREY if curve is untrained else (0, 0.447, 0.698, 0.25 + 0.75 * share)
        axes.plot(
            names,
            values,
            "o--" if curve is untrained else "o-",
            color=colour,
            linewidth=2,
            markersize=5,
        )
    _label_ends(axes, len(names) - 1, {state: list(curve.values())[-1] for state, curve in states})
    layout.use_percent(axes.yaxis)
    axes.grid(axis="y")
    axes.set_xlim(-0.25, len(names) - 0.75)
    return figure


@layout.apply_style
def embedding(
    points: Mapping[str, Floats],
    labels: Labels,
    wrong: npt.NDArray[np.bool_],
    class_names: Sequence[str],
) -> Figure:
    """Draws images as points, a panel a way to flatten them, in the colour of their class; mistakes are ringed.

    Args:
        points: name → (n, 2); labels, wrong: (n,).
    """
    figure = layout.sheet(
        6.2,
        "The map that it made: images that the last layers see alike lie near each other",
        f"{len(labels):,} images that it did not learn from;  ringed: its {wrong.sum():,} mistakes",
    )
    for number, (name, places) in enumerate(points.items()):
        axes = figure.add_axes(
            layout.axes_at(figure, 0.1 + 5.15 * number, 0.75, 5.05, 4.55), title=name
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        for label, class_name in enumerate(class_names):
            here = labels == label
            colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
            shown = class_name if number == 0 else None
            axes.scatter(
                places[here, 0],
                places[here, 1],
                s=9,
                color=colour,
                linewidths=0,
                alpha=0.8,
                label=shown,
            )
        axes.scatter(
            places[wrong, 0],
            places[wrong, 1],
            s=26,
            facecolors="none",
            edgecolors=INK,
            linewidths=0.7,
        )
    figure.legend(
        loc="lower center", ncols=min(len(class_names), 10), fontsize=8.5, markerscale=2.4, handletextpad=0.1,
        columnspacing=0.9, bbox_to_anchor=(0.5, 0.03),
    )  # fmt: skip
    return figure


def _last_part(layer: str) -> str:
    """Returns a layer's name without its column's."""
    return layer.removeprefix("column1_")


def _frame(axes: Axes, middle: Floats, size: int, side: int) -> None:
    """Draws the window of `size` pixels about `middle`, row and column, as far as it lies in an image of `side`."""
    top, left = (max(-0.5, place - size / 2) for place in middle)
    bottom, right = (min(side - 0.5, place + size / 2) for place in middle)
    axes.add_patch(
        Rectangle(
            (left, top), right - left, bottom - top, fill=False, edgecolor=FRAME, linewidth=1.2
        )
    )


def _label_ends(axes: Axes, at: float, ends: Mapping[str, float]) -> None:
    """Writes each line's name at its end, moved up where two would lie on each other."""
    low, high = axes.get_ylim()
    least, at_least = 0.055 * (high - low), -np.inf
    for name, value in sorted(ends.items(), key=lambda item: item[1]):
        at_least = max(value, at_least + least)
        colour = GREY if name == "untrained" else BLUE
        axes.annotate(f"{name}  {layout.format_tenths(value)}", (at, at_least), (10, 0), textcoords="offset points",
                      va="center", fontsize=8.5, color=colour, annotation_clip=False)  # fmt: skip
