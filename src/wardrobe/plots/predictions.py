"""What a model predicts: images, probabilities, confusions, per-class scores, calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wardrobe.percent import format_percent
from wardrobe.plots import style
from wardrobe.plots.montage import draw_image, draw_montage
from wardrobe.plots.style import (
    BLUE,
    CORRECT,
    GREY,
    INK,
    LIGHT_GREY,
    ORANGE,
    PALE,
    WRONG,
    Floats,
    Images,
    Labels,
    apply_style,
)
from wardrobe.plots.text import CAPTION, format_prediction, shorten

FEW_PREDICTIONS = 25  # in a bin of the reliability diagram; its accuracy is then uncertain
MOST_NAMES = 30  # along one side of the confusion matrix; of more classes every second, third, …
MOST_COUNTED = 20  # classes; with more, the cells of the confusion matrix are too small for text
PAIR_IMAGES = 12  # images of each pair of confused classes


@apply_style
def plot_predictions(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], what: str
) -> Figure:
    """Draws images with prediction, confidence and actual class; the title starts with `what`."""
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    title = f"{what}: {correct} correct (blue ✓), {len(labels) - correct} wrong (orange ✗)"
    return _draw_grid(images, labels, probabilities, class_names, title)


@apply_style
def plot_mistakes(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], total: int
) -> Figure:
    """Draws mistakes, the most confident first; `total` is their number in the split."""
    title = f"The most confident of {total:,} mistakes" if total else "No mistakes"
    return _draw_grid(images, labels, probabilities, class_names, title)


def _draw_grid(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], title: str
) -> Figure:
    columns = 8
    figure = style.new_figure(max(0.3, 1.6 * -(-len(labels) // columns)), title)
    for i, axes in enumerate(style.new_grid(figure, len(labels), columns)):
        _draw_prediction(axes, images[i], int(labels[i]), probabilities[i], class_names)
    return figure


@apply_style
def plot_confidence(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], what: str
) -> Figure:
    """Draws each image with bars of its class probabilities; the title starts with `what`."""
    columns, shown = 3, min(len(class_names), 10)
    rows = -(-len(labels) // columns)
    title = f"{what}: class probabilities"
    subtitle = "blue: actual class;  orange: wrong prediction"
    figure = style.new_figure(rows * 1.85, title, subtitle)
    pairs = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=(1.25, 0.8) * columns)
    for i, (picture, bars) in enumerate(pairs.reshape(-1, 2)):
        if i < len(labels):
            label = int(labels[i])
            _draw_prediction(picture, images[i], label, probabilities[i], class_names)
            draw_bars(bars, probabilities[i], label, class_names, shown)
        else:
            picture.remove()
            bars.remove()
    return figure


def _draw_prediction(
    axes: Axes, image: Images, label: int, probabilities: Floats, class_names: Sequence[str]
) -> None:
    actual = f"actual: {shorten(class_names[label], CAPTION)}"
    draw_image(axes, image, *format_prediction(probabilities, label, class_names), actual)


def draw_bars(
    axes: Axes, probabilities: Floats, label: int, class_names: Sequence[str], shown: int
) -> None:
    """Draws the probability of the actual class and of the most probable others, in class order."""
    ranked = probabilities.argsort()[::-1]  # most probable first
    others = ranked[ranked != label][: shown - 1]
    classes = np.sort(np.append(others, label))
    colours = {**dict.fromkeys(classes, LIGHT_GREY), probabilities.argmax(): WRONG, label: CORRECT}
    names = [shorten(class_names[each], CAPTION) for each in classes]
    values, places = probabilities[classes], np.arange(len(classes))
    axes.barh(places, values, color=[colours[each] for each in classes], height=0.78)
    axes.set_yticks(places, names, fontsize=8)
    for place, value in enumerate(values):
        if value >= 0.005:  # less is not drawn either
            text = format_percent(value, 0)
            axes.text(min(value, 1) + 0.03, place, text, va="center", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)


@apply_style
def plot_confusion(matrix: npt.NDArray[np.int64], class_names: Sequence[str]) -> Figure:
    """Draws the confusion matrix, coloured by the fraction of each row.

    Args:
        matrix: (k, k), rows are actual classes, columns predicted ones.
    """
    count = len(class_names)
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)  # (k, k), of each class
    figure = style.new_figure(8.0, f"Confusion matrix: {_describe_confusion(matrix, class_names)}")
    axes = figure.add_subplot(xlabel="predicted", ylabel="actual")
    lines = 2 if count <= MOST_COUNTED else 0  # points, between the cells
    axes.pcolormesh(fractions, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=lines)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    step = -(-count // MOST_NAMES)  # 1 up to 30 classes
    ticks, names = np.arange(0, count, step) + 0.5, [shorten(name) for name in class_names[::step]]
    axes.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.spines[:].set_visible(False)
    if count <= MOST_COUNTED:
        for (row, column), number in np.ndenumerate(matrix):
            if number:
                colour = "white" if fractions[row, column] > 0.55 else INK
                place = column + 0.5, row + 0.5
                axes.text(*place, f"{number:,}", ha="center", va="center", color=colour)
    return figure


def _describe_confusion(matrix: npt.NDArray[np.int64], class_names: Sequence[str]) -> str:
    """Names the most frequent confusion."""
    mistakes = matrix - np.diag(np.diag(matrix))  # (k, k), 0 on the diagonal
    if not mistakes.any():
        return "no mistakes"
    actual, predicted = divmod(int(mistakes.argmax()), len(matrix))
    number, total = mistakes[actual, predicted], matrix[actual].sum()
    names = shorten(class_names[actual]), shorten(class_names[predicted])
    return f"{number:,} of {total:,} {names[0]} images are predicted as {names[1]}"


@apply_style
def plot_confusions(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the most frequent confusions, each with its most confident mistakes.

    Args:
        pairs: "actual", "predicted": names; "count": mistakes; "of": images of the class;
            "images": (n, 28, 28), of which the first are drawn.
    """
    title = "The most frequent confusions: actual → predicted"
    subtitle = "the most confident mistakes of each pair"
    figure = style.new_figure(0.72 * len(pairs) + 0.1, title, subtitle)
    names = []
    for pair in pairs:
        fraction = format_percent(pair["count"] / max(pair["of"], 1))
        line = f"{pair['count']:,} of {pair['of']:,}  ({fraction})"
        names.append(f"{shorten(pair['actual'])} → {shorten(pair['predicted'])}\n{line}")
    rows = [pair["images"][:PAIR_IMAGES] for pair in pairs]
    draw_montage(figure.add_subplot(), rows, names=names, columns=PAIR_IMAGES)
    return figure


@apply_style
def plot_per_class(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draws precision, recall and F1 of each class, the lowest F1 at the top."""
    ordered = sorted(scores.items(), key=lambda item: item[1]["f1"], reverse=True)
    (highest, best), (lowest, worst) = ordered[0], ordered[-1]
    title = "Per-class scores: F1 is equal for all classes"
    if worst["f1"] < best["f1"]:
        names = shorten(lowest), shorten(highest)
        title = "Per-class scores: F1 is lowest for {}, highest for {}".format(*names)
    figure = style.new_figure(0.33 * len(ordered) + 0.7, title)
    axes = figure.add_subplot()
    y = np.arange(len(ordered))
    keys = "precision", "recall", "f1"
    precision, recall, f1 = ([row[key] for _, row in ordered] for key in keys)
    axes.hlines(y, precision, recall, color="#c9ccd1", linewidth=3, zorder=1)
    labels = "correct among images predicted as the class", "correct among images of the class"
    axes.plot(precision, y, "s", color=ORANGE, markersize=8, label=f"precision: {labels[0]}")
    axes.plot(recall, y, "o", color=BLUE, markersize=8, label=f"recall: {labels[1]}")
    axes.plot(f1, y, "|", color=INK, markersize=8, label="F1", zorder=3)
    axes.set_yticks(y, [f"{shorten(name)}  {format_percent(row['f1'])}" for name, row in ordered])
    style.use_percent(axes, "x")
    axes.set_xlim(right=1.01)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, handletextpad=0.2)
    return figure


@apply_style
def plot_reliability(
    before: Mapping[str, Floats],
    after: Mapping[str, Floats],
    ece: Mapping[str, float],
    temperature: float,
) -> Figure:
    """Draws accuracy by confidence before and after temperature scaling.

    Args:
        before, after: "edges" (bins + 1,), "accuracy" and "count" (bins,).
        ece: expected calibration error "before" and "after", 0-1.
    """
    figure = style.new_figure(
        4.3,
        "Calibration: if confidence is 80 %, accuracy should be 80 % (orange line)",
        f"blue: measured;  pale: fewer than {FEW_PREDICTIONS} predictions, so mostly chance",
    )
    panels = figure.subplots(2, 2, sharex=True, height_ratios=(2.6, 1))
    panels[0, 0].set_title(f"As trained: ECE {format_percent(ece['before'])}")
    panels[0, 1].set_title(f"Temperature {temperature:.2f}: ECE {format_percent(ece['after'])}")
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("predictions")
    for (axes, counts), bins in zip(panels.T, (before, after), strict=True):
        edges, number = bins["edges"], bins["count"]
        width, centres = edges[1] * 0.92, (edges[:-1] + edges[1:]) / 2
        colours = [BLUE if count >= FEW_PREDICTIONS else PALE for count in number]
        axes.bar(centres, bins["accuracy"], width, color=colours)
        axes.plot([0, 1], [0, 1], color=ORANGE, linewidth=2)  # perfect calibration
        axes.set_ylim(0, 1)
        counts.bar(centres, number / max(number.sum(), 1), width, color=GREY)
        counts.set(xlim=(0, 1), xlabel="confidence")
        for each in (axes, counts):
            style.use_percent(each, "both")
    return figure
