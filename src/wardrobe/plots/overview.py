"""A run's arrays → drawing. Nothing is loaded, computed or shown here."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wardrobe.plots import layout
from wardrobe.plots.layout import BLUE, GREY, INK, ORANGE, PALE, WIDTH

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

FEW_ANSWERS = 25  # in a bin of the reliability diagram
NAMES_UP_TO = (
    30  # names along one side of the confusion matrix; of more classes every second, third, …
)
MAPS_UP_TO = 128  # maps that are all shown; of more, as many as have room
SMALLEST_MAP = 0.28  # inches
MAPPED_CLASSES = 12  # in the picture of feature maps
NUMBERS_UP_TO = 20  # classes; beyond, a confusion matrix's cells are too small for figures


@layout.apply_style
def samples(
    images: Images, labels: Labels, class_names: Sequence[str], columns: int = 16
) -> Figure:
    """Draws the first images of each class, a row a class."""
    rows = [images[labels == label][:columns] for label in range(len(class_names))]
    figure, axes = layout.one_panel(
        0.575 * len(rows) + 0.8, "What the network learns from: samples of each class"
    )
    axes.imshow(
        layout.tile_images([layout.pad_rows(row, columns) for row in rows], gap=2),
        cmap="gray",
        vmin=0,
        vmax=255,
    )
    layout.label_rows(axes, class_names, cell=30)
    layout.place_axes(axes, left=1.15, top=0.55)
    return figure


@layout.apply_style
def curves(history: Sequence[Mapping[str, float]], all_first: int | None = None) -> Figure:
    """Draws accuracy and loss over the epochs, training and validation.

    Args:
        all_first: how many epochs were over all images, where those after are over the hardest ones alone.
    """
    last, best = history[-1], max(history, key=lambda row: row["val_accuracy"])
    hint = "where training goes on and validation does not, images are learnt by heart"
    if all_first is not None and len(history) > all_first:
        hint = f"from epoch {all_first + 1} on, training is on the images that are hardest for it, so that it scores lower"
    figure = layout.sheet(
        4.1,
        f"Learning: validation accuracy ends at {layout.format_tenths(last['val_accuracy'])}",
        f"best {layout.format_tenths(best['val_accuracy'])} in epoch {best['epoch']:.0f};  {hint}",
    )
    epochs = [row["epoch"] for row in history]
    panels = (
        ("accuracy", "Accuracy (higher is better)", layout.format_tenths),
        ("loss", "Loss (lower is better)", "{:.3f}".format),
    )
    for number, (name, title, written) in enumerate(panels):
        axes = figure.add_axes(
            layout.axes_at(figure, 0.7 + 5.2 * number, 0.75, 3.95, 2.35),
            title=title,
            xlabel="epoch",
        )
        ends = {"training": last[name], "validation": last[f"val_{name}"]}
        for label, key, colour, style in (
            ("training", name, GREY, "--"),
            ("validation", f"val_{name}", BLUE, "-"),
        ):
            values = [row[key] for row in history]
            axes.plot(
                epochs,
                values,
                style,
                color=colour,
                marker="o",
                markersize=4,
                linewidth=2,
                label=label,
            )
            raised = (
                5 if ends[label] == max(ends.values()) else -5
            )  # points; keeps two near labels apart
            axes.annotate(
                written(values[-1]), (epochs[-1], values[-1]), xytext=(7, raised), textcoords="offset points",
                va="center", color=colour, weight="bold", fontsize=8.5,
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == "accuracy":
            layout.use_percent(axes.yaxis)
        axes.grid(axis="y")
        axes.legend(loc="best")
    return figure


@layout.apply_style
def predictions(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], what: str
) -> Figure:
    """Draws images with what was predicted, how surely, and what is true; `what` begins the title."""
    right = int((probabilities.argmax(axis=1) == labels).sum())
    title = f"{what}: {right} right (blue ✓), {len(labels) - right} wrong (orange ✗)"
    return layout.draw_grid(images, labels, probabilities, class_names, title)


@layout.apply_style
def mistakes(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], total: int
) -> Figure:
    """Draws mistakes, the most confident first; `total` is how many there are in the split."""
    title = (
        f"The most confident of {total:,} mistakes: which would you have got right?"
        if total
        else "No mistakes"
    )
    return layout.draw_grid(images, labels, probabilities, class_names, title)


@layout.apply_style
def confidence(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], what: str
) -> Figure:
    """Draws each image beside the bars of its class probabilities."""
    columns, shown = 3, min(len(class_names), 10)
    rows = -(-len(labels) // columns)
    tall = max(0.155 * shown, 1.3)  # inches of a cell's bars
    cell = tall + 0.3
    height = rows * cell + 0.95
    figure = layout.sheet(
        height,
        f"{what}: how sure, and of what else",
        "blue: the true class;  orange: a wrong answer",
    )
    for i, label in enumerate(labels):
        left = (i % columns) / columns * WIDTH
        bottom = height - 0.72 - (i // columns) * cell - tall
        picture = figure.add_axes(
            layout.axes_at(figure, left + 0.15, bottom + (tall - 1.3) / 2, 1.05, 1.05)
        )
        bars = figure.add_axes(layout.axes_at(figure, left + 2.13, bottom, 0.93, tall))
        layout.draw_bars(bars, probabilities[i], int(label), class_names, shown)
        layout.draw_image(
            picture, images[i], *layout.describe_verdict(probabilities[i], int(label), class_names)
        )
        layout.label_actual(picture, class_names[label])
    return figure


@layout.apply_style
def confusion(matrix: npt.NDArray[np.int64], class_names: Sequence[str]) -> Figure:
    """Draws the confusion matrix, each row as shares of its class; the title names the commonest confusion."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    off = matrix - np.diag(np.diag(matrix))
    actual, predicted = (int(index) for index in np.unravel_index(off.argmax(), off.shape))
    title = "No mistakes" if not off.any() else (
        f"Where it errs: {off[actual, predicted]:,} of {matrix[actual].sum():,} {layout.shorten(class_names[actual])}"
        f" are taken for {layout.shorten(class_names[predicted])}"
    )  # fmt: skip
    figure, axes = layout.one_panel(8.6, title)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    step = -(-len(class_names) // NAMES_UP_TO)
    ticks, names = (
        range(0, len(class_names), step),
        [layout.shorten(name) for name in class_names[::step]],
    )
    axes.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(class_names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(class_names) + 1) - 0.5, minor=True)
    axes.grid(
        which="minor", color="white", linewidth=2 if len(class_names) <= NUMBERS_UP_TO else 0.5
    )
    axes.tick_params(which="minor", length=0)
    if len(class_names) <= NUMBERS_UP_TO:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.55 else INK
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    figure.subplots_adjust(left=0.14, right=0.97, top=0.925, bottom=0.155)
    return figure


@layout.apply_style
def per_class(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draws precision, recall and F1 of each class, the hardest on top."""
    ordered = sorted(scores.items(), key=lambda item: item[1]["f1"], reverse=True)
    hardest, easiest = ordered[-1][0], ordered[0][0]
    told_apart = ordered[-1][1]["f1"] < ordered[0][1]["f1"]
    title = (
        f"Class by class: {layout.shorten(hardest)} is hardest, {layout.shorten(easiest)} easiest"
        if told_apart
        else "Class by class: all alike"
    )
    figure, axes = layout.one_panel(0.33 * len(ordered) + 1.5, title)
    y = np.arange(len(ordered))
    values = {
        key: np.array([score[key] for _, score in ordered]) for key in ("precision", "recall", "f1")
    }
    axes.hlines(y, values["precision"], values["recall"], color="#c9ccd1", linewidth=3, zorder=1)
    axes.scatter(
        values["precision"],
        y,
        s=62,
        marker="s",
        color=ORANGE,
        label="precision: of those called so, how many are",
    )
    axes.scatter(
        values["recall"],
        y,
        s=70,
        color=BLUE,
        label="recall: of those that are, how many are called so",
    )
    axes.scatter(values["f1"], y, s=70, marker="|", color=INK, label="F1", zorder=3)
    axes.set_yticks(
        y,
        [f"{layout.shorten(name)}  {layout.format_tenths(score['f1'])}" for name, score in ordered],
    )
    layout.use_percent(axes.xaxis)
    axes.grid(axis="x")
    axes.set_xlim(right=1.01)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, 0.0),
        ncols=3,
        borderaxespad=2.6,
        handletextpad=0.2,
    )
    layout.place_axes(axes, left=1.75, top=0.55, right=0.25, bottom=0.9)
    return figure


@layout.apply_style
def reliability(
    before: Mapping[str, Floats],
    after: Mapping[str, Floats],
    ece: Mapping[str, float],
    temperature: float,
) -> Figure:
    """Draws accuracy against confidence, without and with temperature scaling, and the answers in each bin."""
    figure = layout.sheet(
        5.3,
        "Is it as sure as it is right? On the orange line, 80 % sure means right 80 times in 100",
        f"blue: measured;  pale: fewer than {FEW_ANSWERS} answers, so mostly chance",
    )
    titles = (
        f"As trained: off by {layout.format_tenths(ece['before'])} on average (ECE)",
        f"With temperature {temperature:.2f}: off by {layout.format_tenths(ece['after'])}",
    )
    for number, (bins, title) in enumerate(zip((before, after), titles, strict=True)):
        left = 0.75 + 5.1 * number
        axes = figure.add_axes(layout.axes_at(figure, left, 1.85, 4.2, 2.4), title=title)
        counts = figure.add_axes(layout.axes_at(figure, left, 0.7, 4.2, 0.85), xlabel="confidence")
        width = bins["edges"][1] * 0.92
        centres = (bins["edges"][:-1] + bins["edges"][1:]) / 2
        colours = [BLUE if count >= FEW_ANSWERS else PALE for count in bins["count"]]
        axes.bar(centres, bins["accuracy"], width, color=colours)
        axes.plot([0, 1], [0, 1], color=ORANGE, linewidth=2)
        counts.bar(centres, bins["count"] / max(bins["count"].sum(), 1), width, color=GREY)
        for each in (axes, counts):
            each.set_xlim(0, 1)
            layout.use_percent(each.xaxis, each.yaxis)
            each.grid(axis="y")
        axes.set_ylim(0, 1)
        axes.set_xticklabels([])
        if number == 0:
            axes.set_ylabel("right")
            counts.set_ylabel("answers")
    return figure


@layout.apply_style
def filters(kernels: Floats, layer: str) -> Figure:
    """Draws the kernels of the first convolution: (filters, height, width), any sign."""
    columns = 16 if len(kernels) > 16 else 8
    rows = -(-len(kernels) // columns)
    figure = layout.sheet(
        rows * WIDTH / columns * 0.93 + 1.25,
        f"The first thing it looks for: the {len(kernels)} filters of {layer}",
        "red: wants light there;  blue: wants dark;  white: does not care",
    )
    limit = float(
        np.quantile(np.abs(kernels), 0.98)
    )  # few weights are far larger, and would leave the others pale
    axes = figure.subplots(rows, columns, squeeze=False)
    for number, each in enumerate(axes.flat):
        each.set_axis_off()
        if number < len(kernels):
            shown = each.imshow(kernels[number], cmap="RdBu_r", vmin=-limit, vmax=limit)
            each.set_title(
                str(number), fontsize=8.5, weight="normal", color=GREY, pad=2, loc="center"
            )
    height = figure.get_size_inches()[1]
    figure.subplots_adjust(
        left=0.01, right=0.99, top=1 - 0.85 / height, bottom=0.5 / height, wspace=0.14, hspace=0.32
    )
    bar = figure.colorbar(
        shown,
        cax=figure.add_axes((0.01, 0.28 / height, 0.3, 0.10 / height)),
        orientation="horizontal",
        extend="both",
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, pad=1)
    return figure


@layout.apply_style
def feature_maps(images: Images, maps: Mapping[str, Floats], names: Sequence[str]) -> Figure:
    """Draws, for each of the first `MAPPED_CLASSES` images, the maps of each convolution, scaled to their brightest.

    All of them up to `MAPS_UP_TO` in all; beyond, the first of each layer, as many as have room.

    Args:
        images: (n, 28, 28) uint8.
        maps: layer name → (n, height, width, filters).
        names: what to write beside each image, (n,).
    """
    images, names = images[:MAPPED_CLASSES], names[:MAPPED_CLASSES]
    rows_of_maps, picture, gap = 4, 1.1, 0.14  # rows in each mosaic; inches
    total = sum(each.shape[-1] for each in maps.values())
    room = WIDTH - picture - 0.35 - gap * len(maps)
    most = total if total <= MAPS_UP_TO else rows_of_maps * int(room / len(maps) / SMALLEST_MAP)
    shown = [min(each.shape[-1], most) for each in maps.values()]
    columns = [-(-count // rows_of_maps) for count in shown]
    cell = min(0.42, room / sum(columns))
    strip = max(rows_of_maps * cell, picture + 0.22) + 0.1
    head = 1.2 + 0.2 * max(
        layer.count("_") for layer in maps
    )  # inches, with a line for each part of a layer's name
    height = strip * len(images) + head + 0.3
    figure = layout.sheet(
        height, "From edges to parts: what every filter answers to one image of a class"
    )
    for row, name in enumerate(names):
        bottom = height - head - (row + 1) * strip + 0.1
        layout.draw_image(
            figure.add_axes(layout.axes_at(figure, 0.1, bottom + 0.02, picture, picture)),
            images[row],
            layout.shorten(name),
            INK,
        )
        left = picture + 0.28
        for (layer, each), count, across in zip(maps.items(), shown, columns, strict=True):
            axes = figure.add_axes(
                layout.axes_at(figure, left, bottom, across * cell, rows_of_maps * cell)
            )
            axes.set_axis_off()
            axes.imshow(_map_mosaic(each[row][..., :count], across), cmap="magma", vmin=0, vmax=1)
            if row == 0:
                _, side, _, filters = each.shape
                of = f"{count} maps" if count == filters else f"{count} of {filters}"
                axes.set_title("\n".join([*layer.split("_"), of, f"{side}x{side}"]), pad=6)
            left += across * cell + gap
    return figure


def _map_mosaic(maps: Floats, columns: int) -> Floats:
    """Puts one image's maps (h, w, filters) together, each divided by its maximum; empty cells and gaps are white."""
    height, width, count = maps.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + 1), columns * (width + 1)), np.nan)
    for number in range(count):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        canvas[top : top + height, left : left + width] = maps[:, :, number] / max(
            maps[:, :, number].max(), 1e-9
        )
    return canvas[:-1, :-1]
