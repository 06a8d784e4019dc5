"""How far to trust the answers → figures. Nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from wardrobe.plots import layout
from wardrobe.plots.layout import BLUE, GREY, INK, ORANGE

Floats = npt.NDArray[np.floating]


@layout.apply_style
def selective(coverage: Floats, accuracy: Floats, chosen: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the accuracy over the surest answers for every share that is given.

    Args:
        coverage, accuracy: (n,) 0-1, as from `selective.accuracy_coverage_curve`.
        chosen: wanted, threshold, coverage, accuracy of each threshold that was chosen on validation.
    """
    best = next((each for each in chosen if each["accuracy"] is not None), None)
    title = (
        f"Saying nothing when unsure: the surest {layout.format_tenths(best['coverage'])} of the answers are "
        f"{layout.format_tenths(best['accuracy'])} right"
        if best
        else "Saying nothing when unsure: no threshold is sure enough"
    )
    figure = layout.sheet(
        4.3, title, "marked: thresholds chosen on validation images, for the accuracy beside them"
    )
    axes = figure.add_axes(layout.axes_at(figure, 0.9, 0.65, 9.1, 2.9))
    few = max(1, len(coverage) // 100)  # below 1 % of the images chance rules
    axes.plot(coverage[few:], accuracy[few:], color=BLUE, linewidth=2)
    for each in chosen:
        if each["accuracy"] is not None:
            axes.plot(each["coverage"], each["accuracy"], "o", color=ORANGE, markersize=8)
            axes.annotate(
                f"{each['wanted']:.0%} wanted: answers {layout.format_tenths(each['coverage'])}, "
                f"{layout.format_tenths(each['accuracy'])} right".replace("%", " %", 1),
                (each["coverage"], each["accuracy"]), (-9, -4), textcoords="offset points", ha="right", va="top",
                fontsize=8.5, color=ORANGE,
            )  # fmt: skip
    axes.set_xlim(0, 1.01)
    axes.set_xlabel("share of the images that is answered, the surest first")
    axes.set_ylabel("of these right")
    layout.use_percent(axes.xaxis, axes.yaxis)
    axes.grid(axis="y")
    return figure


@layout.apply_style
def conformal(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws how many classes the sets of each promise have, and how often they hold the truth.

    Args:
        rows: promise, coverage, size, sizes, as from `selective.evaluate_conformal`.
    """
    figure = layout.sheet(
        3.9,
        "Sets that keep a promise: all classes that it might be",
        "calibrated on validation images;  a bar: the share of images whose set has so many classes",
    )
    largest = max(int(np.flatnonzero(np.array(row["sizes"]) > 0.0005).max()) for row in rows)
    width = 3.05
    for number, row in enumerate(rows):
        title = f"{row['promise']:.0%} promised: true in {layout.format_tenths(row['coverage'])}".replace(
            "%", " %", 1
        )
        axes = figure.add_axes(
            layout.axes_at(figure, 0.65 + 3.35 * number, 0.7, width - 0.3, 2.15), title=title
        )
        shares = row["sizes"][: largest + 1]
        axes.bar(
            range(largest + 1),
            shares,
            color=[GREY if size == 0 else BLUE for size in range(largest + 1)],
        )
        for size, share in enumerate(shares):
            if share >= 0.005:
                axes.text(
                    size, share, layout.format_percent(share), ha="center", va="bottom", fontsize=8
                )
        axes.set_ylim(0, 1.05)
        axes.set_xticks(range(largest + 1))
        axes.set_xlabel(f"classes in the set; {row['size']:.2f} on average")
        layout.use_percent(axes.yaxis)
        axes.grid(axis="y")
    return figure


@layout.apply_style
def unknown(
    known: Floats, others: Mapping[str, Floats], auroc: Mapping[str, float], threshold: float
) -> Figure:
    """Draws how familiar known clothing is to the model, and pictures that are none.

    Args:
        known: (n,) familiarity of clothing; others: name → (m,); auroc: name → 0-1.
        threshold: below it the answer is "not sure".
    """
    figure = layout.sheet(
        1.15 + 1.0 * (len(others) + 1),
        "Does it know what it does not know? Familiarity of clothing, and of what is none",
        "left of the orange line it is not sure;  AUROC: how often clothing is the more familiar of two pictures",
    )
    height = figure.get_size_inches()[1]
    low = min(float(np.quantile(each, 0.002)) for each in (known, *others.values()))
    high = max(float(np.quantile(each, 0.998)) for each in (known, *others.values()))
    edges = np.linspace(low, high, 70)
    for row, (name, scores) in enumerate({"clothing": known, **others}.items()):
        axes = figure.add_axes(
            layout.axes_at(figure, 2.5, height - 0.75 - (row + 1) * 1.0 + 0.2, 7.6, 0.72)
        )
        axes.hist(np.clip(scores, low, high), edges.tolist(), color=BLUE if row == 0 else GREY)
        axes.axvline(threshold, color=ORANGE, linewidth=2)
        axes.set_xlim(low, high)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        unsure = f"{layout.format_tenths(float((scores < threshold).mean()))} not sure"
        text = name if row == 0 else f"{name}: AUROC {auroc[name]:.3f}"
        axes.text(-0.32, 0.62, text, transform=axes.transAxes, weight="bold", va="center")
        axes.text(
            -0.32, 0.32, unsure, transform=axes.transAxes, fontsize=8.5, color=GREY, va="center"
        )
        if row < len(others):
            axes.set_xticklabels([])
    axes.set_xlabel("familiarity")
    return figure


@layout.apply_style
def corruptions(rows: Mapping[str, Sequence[float]], clean: float, images: int) -> Figure:
    """Draws accuracy under each corruption, by severity: curves, and a table of the same.

    Args:
        rows: corruption → accuracy at severities 1 to 5, 0-1; clean: accuracy without; images: asked about.
    """
    worst = min(rows, key=lambda name: rows[name][-1])
    height = 4.75 + 0.28 * len(rows)
    figure = layout.sheet(
        height,
        f"In bad light and badly aimed: {worst} hurts most, to {layout.format_tenths(rows[worst][-1])}",
        f"accuracy of {layout.format_tenths(clean)} without, under ten corruptions of five severities;  {images:,} images",
    )
    columns = 5
    for number, (name, values) in enumerate(rows.items()):
        left = 0.6 + number % columns * 1.97
        bottom = height - 2.05 - number // columns * 1.55
        axes = figure.add_axes(layout.axes_at(figure, left, bottom, 1.72, 1.05))
        axes.set_title(name, fontsize=9)
        axes.plot(range(6), [clean, *values], "o-", color=BLUE, markersize=4, linewidth=2)
        axes.set_ylim(0, 1)
        axes.set_xticks(range(6))
        axes.tick_params(labelsize=8)
        layout.use_percent(axes.yaxis)
        axes.grid(axis="y")
        if number % columns:
            axes.set_yticklabels([])
    table = np.array([[clean, *values] for values in rows.values()])
    axes = figure.add_axes(layout.axes_at(figure, 1.6, 0.6, 8.4, 0.28 * len(rows)))
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        colour = "white" if value > 0.6 else INK
        axes.text(
            column,
            row,
            layout.format_tenths(value),
            ha="center",
            va="center",
            fontsize=8.5,
            color=colour,
        )
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_xticks(range(6), ["without", *(f"severity {number}" for number in range(1, 6))])
    axes.spines[:].set_visible(False)
    return figure


@layout.apply_style
def attacks(rows: Mapping[str, Mapping[float, float]], clean: float, images: int) -> Figure:
    """Draws accuracy under attacks of growing strength.

    Args:
        rows: attack → epsilon, as a share of white → accuracy, 0-1.
        clean: accuracy without; images: how many were asked about.
    """
    figure = layout.sheet(
        4.2,
        f"Changes made to mislead: {layout.format_tenths(clean)} fall to {layout.format_tenths(min(rows['PGD'].values()))}",
        f"each pixel is changed by at most so much, by someone who knows the weights;  {images:,} images",
    )
    axes = figure.add_axes(layout.axes_at(figure, 0.75, 0.65, 9.4, 2.8))
    for (name, values), colour in zip(rows.items(), (BLUE, ORANGE), strict=True):
        axes.plot(
            [0, *values],
            [clean, *values.values()],
            "o-",
            color=colour,
            linewidth=2,
            label=name,
            clip_on=False,
        )
    axes.set_ylim(0, 1)
    axes.set_xlabel("largest change of a pixel, as a share of white")
    axes.set_ylabel("right")
    layout.use_percent(axes.xaxis, axes.yaxis)
    axes.grid(axis="y")
    axes.legend()
    return figure


@layout.apply_style
def attacked(
    rows: Mapping[float, tuple[npt.NDArray[Any], Floats]],
    labels: npt.NDArray[np.int64],
    class_names: Sequence[str],
) -> Figure:
    """Draws images after attacks of growing strength, a row each, with what the network says of them.

    Args:
        rows: epsilon, as a share of white, 0 for none → the images (n, 28, 28), 0-255, and the probabilities (n, k).
        labels: (n,) what they are.
    """
    cell, text, left = 1.1, 0.3, 1.25
    height = 0.8 + len(rows) * (cell + text) + 0.25
    figure = layout.sheet(
        height, "The same images, changed to mislead, step by step", "images after PGD"
    )
    for row, (epsilon, (images, probabilities)) in enumerate(rows.items()):
        bottom = height - 0.75 - (row + 1) * (cell + text)
        name = f"{epsilon:.0%} of white".replace("%", " %") if epsilon else "as they are"
        layout.add_text(figure, 0.1, bottom + cell / 2, name, va="center", weight="bold")
        for place, image in enumerate(images):
            at = left + place * (cell + 0.19)
            layout.draw_thumbnail(figure, at, bottom, cell, image)
            verdict, colour = layout.describe_verdict(
                probabilities[place], int(labels[place]), class_names
            )
            style = {"ha": "center", "fontsize": 8, "color": colour, "weight": "bold"}
            layout.add_text(figure, at + cell / 2, bottom + cell + 0.05, verdict, **style)
    return figure
