"""What a model predicts: images, probabilities, confusions, per-class scores, calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wardrobe.percent import format_percent
from wardrobe.plots import style
from wardrobe.plots.montage import TILE, Montage, draw_montage, split_rows
from wardrobe.plots.style import BLUE, INK, ORANGE, WRONG, Floats, Images, Labels, apply_style
from wardrobe.plots.text import CAPTION, format_prediction, shorten

FEW_PREDICTIONS = 25  # in a bin of the reliability diagram; its accuracy is then uncertain
MOST_NAMES = 30  # along one side of the confusion matrix; of more classes every second, third, …
MOST_COUNTED = 20  # classes; with more, the cells of the confusion matrix are too small for text
MOST_BARS = 10  # classes of which one image's probabilities are drawn
CAPTION_GAP = 34  # pixels of a montage: the actual class, and the prediction of the next row
TITLE_GAP = 20  # pixels between columns, because a prediction may be wider than its image
BARS_GAP = 144  # pixels: class names, bars and values
PAIR_IMAGES = 12  # images of each pair of confused classes


@apply_style
def plot_predictions(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], what: str
) -> Figure:
    """Draws images with prediction, confidence and actual class; the title starts with `what`."""
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    title = f"{what}: {correct} correct (blue ✓), {len(labels) - correct} wrong (orange ✗)"
    return _draw_grid(images, labels, probabilities, class_names, title)[0]


@apply_style
def plot_mistakes(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], total: int
) -> Figure:
    """Draws mistakes, the most confident first; `total` is their number in the split."""
    if not total:
        return style.new_figure(0.15, "No mistakes")
    title = f"The most confident of {total:,} mistakes"
    return _draw_grid(images, labels, probabilities, class_names, title)[0]


@apply_style
def plot_confidence(
    images: Images, labels: Labels, probabilities: Floats, class_names: Sequence[str], what: str
) -> Figure:
    """Draws each image with bars of its class probabilities; the title starts with `what`."""
    titles = f"{what}: class probabilities", "blue: actual class;  orange: wrong prediction"
    figure, montage = _draw_grid(
        images, labels, probabilities, class_names, *titles, columns=3, gap=BARS_GAP
    )
    for number, label in enumerate(labels):
        left, top = montage.locate_tile(number)
        # The names of the classes are to the left of the bars, the values to the right.
        box = left + TILE + BARS_GAP * 0.4, top - 3, BARS_GAP * 0.36, TILE + 6
        draw_bars(montage.axes, box, probabilities[number], int(label), class_names)
    return figure


def _draw_grid(
    images: Images,
    labels: Labels,
    probabilities: Floats,
    class_names: Sequence[str],
    title: str,
    subtitle: str = "",
    columns: int = 8,
    gap: int = TITLE_GAP,
) -> tuple[Figure, Montage]:
    """Draws images, each with its prediction above and its actual class below.

    Args:
        gap: pixels to the right of each image.
    """
    rows = split_rows(images, columns)
    inches = style.WIDTH / (columns * (TILE + gap))  # of a pixel of the montage
    figure = style.new_figure(len(rows) * (TILE + CAPTION_GAP) * inches + 0.15, title, subtitle)
    axes = figure.add_subplot()
    montage = draw_montage(axes, rows, row_gap=CAPTION_GAP, column_gap=gap, columns=columns)
    for number, label in enumerate(labels):
        text, colour = format_prediction(probabilities[number], int(label), class_names)
        montage.frame_tile(number, text, colour)
        actual = f"actual: {shorten(class_names[label], CAPTION)}"
        montage.write_caption(number, actual, fontsize=8.5)
    return figure, montage


def draw_bars(
    axes: Axes,
    box: tuple[float, float, float, float],
    probabilities: Floats,
    label: int,
    class_names: Sequence[str],
) -> None:
    """Draws the probability of the actual class and of the most probable others, in class order.

    Args:
        box: left, top, width and height of the bars in the axes' units, y down; names and values
            are written beside it.
    """
    left, top, width, height = box
    ranked = probabilities.argsort()[::-1]  # most probable first
    others = ranked[ranked != label][: MOST_BARS - 1]
    classes = np.sort(np.append(others, label))
    colours = dict.fromkeys(classes, style.LIGHT_GREY)
    colours |= {probabilities.argmax(): WRONG, label: style.CORRECT}
    step = height / len(classes)
    places = top + step * (np.arange(len(classes)) + 0.5)  # the middle of each bar
    lengths = probabilities[classes] * width
    bars = axes.barh(places, lengths, left=left, height=0.78 * step)
    for bar, each, place in zip(bars, classes, places, strict=True):
        bar.set_color(colours[each])
        name, text = shorten(class_names[each], CAPTION), format_percent(probabilities[each], 0)
        look: dict[str, Any] = {"va": "center", "fontsize": 8}
        style.annotate(axes, name, (left, place), xytext=(-3, 0), ha="right", **look)
        if probabilities[each] >= 0.005:  # less would read "<1 %"
            end = left + min(probabilities[each], 1) * width
            style.annotate(axes, text, (end, place), xytext=(3, 0), **look)


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
        colours = [BLUE if count >= FEW_PREDICTIONS else style.PALE for count in number]
        axes.bar(centres, bins["accuracy"], width, color=colours)
        axes.plot([0, 1], [0, 1], color=ORANGE, linewidth=2)  # perfect calibration
        axes.set_ylim(0, 1)
        counts.bar(centres, number / max(number.sum(), 1), width, color=style.GREY)
        counts.set(xlim=(0, 1), xlabel="confidence")
        for each in (axes, counts):
            style.use_percent(each, "both")
    return figure
