"""The figures of the benchmarks: photo preparation, accuracy by training time, latency."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from wardrobe.percent import format_percent
from wardrobe.plots import style
from wardrobe.plots.montage import draw_montage
from wardrobe.plots.style import BLUE, CORRECT, GREY, ORANGE, PALE, WRONG, Images, apply_style


@apply_style
def plot_photo_steps(
    strips: Sequence[Sequence[Images]], captions: Sequence[str], correct: Sequence[bool], title: str
) -> Figure:
    """Draws the steps from each photo to the model's input.

    Args:
        strips: four images each, (height, width) or (height, width, 3), 0-255: the photo, the
            garment that was found, its normalised light, the model's input.
        captions: one per strip.
        correct: whether each prediction is correct.
    """
    columns = 3
    figure = style.new_figure(
        1.13 * -(-len(strips) // columns),
        title,
        "each strip: the photo;  the garment found in it;  its light, normalised and inverted;  "
        "the model's input",
    )
    for number, axes in enumerate(style.new_grid(figure, len(strips), columns)):
        draw_montage(axes, [strips[number]])
        mark, colour = ("✓", CORRECT) if correct[number] else ("✗", WRONG)
        axes.set_xlabel(f"{mark} {captions[number]}", fontsize=8, color=colour, loc="left")
    return figure


@apply_style
def plot_accuracy_against_time(
    rows: Sequence[Mapping[str, Any]], published: Mapping[str, float]
) -> Figure:
    """Draws the accuracy of each recipe (mean and standard deviation over seeds) by fit time.

    Args:
        rows: "recipe", "accuracy_mean" and "accuracy_std" (0-1, the latter None for one seed),
            "fit_seconds".
        published: accuracies of other work, 0-1, drawn as lines.
    """
    figure = style.new_figure(3.7, "Accuracy by training time: each recipe on the test images")
    axes = figure.add_subplot()
    for name, accuracy in published.items():
        axes.axhline(accuracy, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        look = {"xycoords": ("axes fraction", "data"), "ha": "right", "color": GREY}
        text = f"{name}: {format_percent(accuracy, 2)}"
        style.annotate(axes, text, (1, accuracy), xytext=(-4, 3), **look)
    for row in rows:
        seconds, accuracy, spread = row["fit_seconds"], row["accuracy_mean"], row["accuracy_std"]
        colour = ORANGE if row["recipe"] == "baseline" else BLUE
        axes.errorbar(seconds, accuracy, spread, fmt="o", color=colour, markersize=7, capsize=4)
        text = f"{row['recipe']}  {format_percent(accuracy, 2)}"
        point = seconds, accuracy
        style.annotate(axes, text, point, xytext=(10, -3), color=colour, weight="bold")
    times = [row["fit_seconds"] for row in rows]
    highest = max(*published.values(), *(row["accuracy_mean"] for row in rows))
    lowest = min(row["accuracy_mean"] - (row["accuracy_std"] or 0) for row in rows)
    axes.set_xscale("log")
    # Room for the text to the right of the last point, and for error bars.
    axes.set(xlim=(min(times) / 1.6, max(times) * 2.2), ylim=(lowest - 0.006, highest + 0.006))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.xaxis.set_minor_locator(NullLocator())
    style.use_percent(axes, "y")
    axes.grid(axis="x")
    axes.set_xlabel("fit time, mean over the seeds;  error bars: one standard deviation")
    return figure


@apply_style
def plot_latency(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the latency of one image on each engine, one panel per model.

    Args:
        rows: "model", "engine", "precision", "bytes", "p50" (seconds); the same engines and
            precisions for each model.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    engines = list(dict.fromkeys((row["engine"], row["precision"]) for row in rows))
    figure = style.new_figure(
        0.3 * len(engines) + 0.35,
        "Latency of one image, and file size",
        "median;  logarithmic scale;  dark: int8",
    )
    times = [1000 * row["p50"] for row in rows]  # milliseconds
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for panel, (axes, model) in enumerate(zip(panels, models, strict=True)):
        for row in (row for row in rows if row["model"] == model):
            place = engines.index((row["engine"], row["precision"]))
            milliseconds = 1000 * row["p50"]
            colour = BLUE if row["precision"] == "int8" else PALE
            axes.barh(place, milliseconds, color=colour, height=0.74)
            digits = 2 if milliseconds < 1 else 1 if milliseconds < 10 else 0
            text = f"{milliseconds:.{digits}f} ms · {row['bytes'] / 1000:,.0f} kB"
            style.annotate(axes, text, (milliseconds, place), xytext=(5, 0), va="center")
        axes.set_title(model)
        axes.set_xscale("log")
        axes.set_xlim(min(times) / 2, max(times))
        axes.set_xticks([])
        axes.xaxis.set_minor_locator(NullLocator())
        names = [" ".join(engine) for engine in engines] if panel == 0 else []
        axes.set_yticks(range(len(engines)) if names else [], names)
        axes.invert_yaxis()
        axes.spines["bottom"].set_visible(False)
    return figure
