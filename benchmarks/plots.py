"""The figures of the benchmarks: photos on their way to the model, accuracy over training time, latency."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from wardrobe.plots import layout
from wardrobe.plots.layout import BLUE, GREY, ORANGE, PALE, RIGHT, WIDTH, WRONG

Images = npt.NDArray[np.uint8]


@layout.apply_style
def plot_photo_steps(
    strips: Sequence[Sequence[Images]], captions: Sequence[str], right: Sequence[bool]
) -> Figure:
    """Draws photos on their way to the model, a strip each: photo, garment found, light normalised, 28x28.

    Args:
        strips: four pictures each, (height, width) or (height, width, 3), 0-255.
        captions: a line for each strip, in blue where `right` is true and in orange where it is not.
    """
    columns, cell, gap = 3, 0.82, 0.28
    height = -(-len(strips) // columns) * (cell + gap) + 0.95
    figure = layout.sheet(
        height,
        f"From photo to 28×28: {sum(right)} of {len(strips)} answered right (blue ✓), the others wrong (orange ✗)",
        "in each strip: the photo; the garment that was found; its light normalised and negated; what the model sees",
    )
    for number, (strip, caption, is_right) in enumerate(zip(strips, captions, right, strict=True)):
        left = 0.08 + number % columns * (WIDTH / columns)
        bottom = height - 0.75 - (number // columns + 1) * (cell + gap) + 0.12
        for step, picture in enumerate(strip):
            axes = figure.add_axes(
                layout.axes_at(
                    figure, left + step * (cell + 0.01), bottom, cell - 0.03, cell - 0.03
                )
            )
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.axis("off")
        mark, colour = ("✓", RIGHT) if is_right else ("✗", WRONG)
        figure.text(
            (left + 0.02) / WIDTH,
            (bottom - 0.04) / height,
            f"{mark} {caption}",
            va="top",
            fontsize=8,
            color=colour,
        )
    return figure


@layout.apply_style
def plot_accuracy_against_time(
    rows: Sequence[Mapping[str, Any]], published: Mapping[str, float]
) -> Figure:
    """Draws each recipe's accuracy (mean and standard deviation over its seeds) over its fit time.

    Args:
        rows: recipe, accuracy_mean and accuracy_std (0-1, the latter None for one seed), fit_seconds.
        published: what else has been reached, 0-1, drawn as lines.
    """
    figure, axes = layout.one_panel(
        4.4, "How accurate after how long: each recipe on the test images"
    )
    for name, accuracy in published.items():
        axes.axhline(accuracy, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(f"{name}: {100 * accuracy:.2f} %", (1, accuracy), (-4, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=8.5, color=GREY)  # fmt: skip
    for row in rows:
        seconds, accuracy, spread = row["fit_seconds"], row["accuracy_mean"], row["accuracy_std"]
        colour = ORANGE if row["recipe"] == "baseline" else BLUE
        axes.errorbar(
            seconds, accuracy, yerr=spread, fmt="o", color=colour, markersize=7, capsize=4
        )
        axes.annotate(f"{row['recipe']}  {100 * accuracy:.2f} %", (seconds, accuracy), (10, -3),
                      textcoords="offset points", color=colour, weight="bold")  # fmt: skip
    times = [row["fit_seconds"] for row in rows]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.6, max(times) * 2.2)
    lowest = min(row["accuracy_mean"] - (row["accuracy_std"] or 0) for row in rows)
    axes.set_ylim(
        lowest - 0.006, max(*published.values(), *(row["accuracy_mean"] for row in rows)) + 0.006
    )
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.xaxis.set_minor_locator(NullLocator())
    layout.use_percent(axes.yaxis)
    axes.grid(True)
    axes.set_xlabel("fit time, the mean over the seeds; bars: one standard deviation")
    layout.place_axes(axes, left=0.75, top=0.55, bottom=0.62)
    return figure


@layout.apply_style
def plot_latency(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws how long one image takes on each engine, on a logarithmic scale: a panel a model.

    Args:
        rows: model, engine, precision, bytes, p50 (seconds); the same engines and precisions for each model.
    """
    names = list(dict.fromkeys(row["model"] for row in rows))
    kinds = list(dict.fromkeys((row["engine"], row["precision"]) for row in rows))
    height, left = 0.3 * len(kinds) + 1.35, 1.75
    figure = layout.sheet(
        height,
        "How long one image takes, and how large the file is",
        "median, on a logarithmic scale; dark: int8",
    )
    width = (layout.WIDTH - left - 0.1) / len(names)
    times = [1000 * row["p50"] for row in rows]
    for panel, name in enumerate(names):
        axes = figure.add_axes(
            layout.axes_at(figure, left + panel * width, 0.3, width - 1.2, height - 1.2)
        )
        for place, kind in enumerate(kinds):
            row = next(
                row
                for row in rows
                if (row["model"], row["engine"], row["precision"]) == (name, *kind)
            )
            milliseconds = 1000 * row["p50"]
            axes.barh(place, milliseconds, color=BLUE if kind[1] == "int8" else PALE, height=0.74)
            digits = 2 if milliseconds < 1 else 1 if milliseconds < 10 else 0
            text = f"{milliseconds:.{digits}f} ms · {row['bytes'] / 1000:,.0f} kB"
            axes.annotate(
                text,
                (milliseconds, place),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_title(name)
        axes.set_xscale("log")
        axes.set_xlim(min(times) / 2, max(times))
        axes.set_xticks([])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yticks(range(len(kinds)), [" ".join(kind) for kind in kinds] if panel == 0 else [])
        axes.invert_yaxis()
        axes.spines["bottom"].set_visible(False)
    return figure
