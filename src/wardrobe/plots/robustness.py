"""Where predictions can be trusted: abstention, prediction sets, unusual and adversarial inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wardrobe.percent import format_percent
from wardrobe.plots import style
from wardrobe.plots.montage import TILE, draw_montage
from wardrobe.plots.style import BLUE, GREY, INK, ORANGE, Floats, Labels, apply_style
from wardrobe.plots.text import format_prediction


@apply_style
def plot_selective(
    coverage: Floats, accuracy: Floats, chosen: Sequence[Mapping[str, Any]]
) -> Figure:
    """Draws accuracy by coverage, if the model abstains from its least confident predictions.

    Args:
        coverage, accuracy: (n,) 0-1, as from `selective.accuracy_coverage_curve`.
        chosen: of each threshold chosen on validation images, "target_accuracy", "coverage",
            "accuracy" and "delta", the probability of missing the target.
    """
    reached = [each for each in chosen if each["accuracy"] is not None]
    title = "no threshold guarantees the target accuracy"
    if reached:
        values = (format_percent(reached[0][key]) for key in ("accuracy", "coverage"))
        title = "accuracy {} at coverage {}".format(*values)
    figure = style.new_figure(
        3.3,
        f"Selective prediction: {title}",
        "marked: confidence thresholds, chosen on validation images, that reach a target accuracy "
        f"with a probability of {format_percent(1 - chosen[0]['delta'], 0)}",
    )
    axes = figure.add_subplot()
    few = max(1, len(coverage) // 100)  # below 1 % of the images the accuracy is mostly chance
    axes.plot(coverage[few:], accuracy[few:], color=BLUE, linewidth=2)
    for each in reached:
        point = each["coverage"], each["accuracy"]
        axes.plot(*point, "o", color=ORANGE, markersize=8)
        values = (format_percent(each[key]) for key in ("coverage", "accuracy"))
        text = "target {}: coverage {}, accuracy {}".format(
            format_percent(each["target_accuracy"], 0), *values
        )
        style.annotate(axes, text, point, xytext=(-9, -4), ha="right", va="top", color=ORANGE)
    axes.set(xlim=(0, 1.01), ylabel="accuracy")
    axes.set_xlabel("coverage: fraction of images with a prediction, most confident first")
    style.use_percent(axes, "both")
    return figure


@apply_style
def plot_conformal(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the sizes of the prediction sets for each target coverage, and their coverage.

    Args:
        rows: "target_coverage", "coverage", "size" and "sizes" as from `evaluate_conformal`.
    """
    figure = style.new_figure(
        2.9,
        "Conformal prediction: sets that contain the actual class with a given probability",
        "calibrated on validation images;  bars: fraction of the images by size of their set",
    )
    largest = max(int(np.flatnonzero(np.array(row["sizes"]) > 0.0005).max()) for row in rows)
    sizes = range(largest + 1)  # classes in a set
    for axes, row in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        fractions = row["sizes"][: largest + 1]
        axes.bar(sizes, fractions, color=[GREY, *[BLUE] * largest])  # grey: empty sets
        for size, fraction in enumerate(fractions):
            if fraction >= 0.005:
                text = format_percent(fraction, 0)
                axes.text(size, fraction, text, ha="center", va="bottom", fontsize=8)
        target, coverage = (
            format_percent(row["target_coverage"], 0),
            format_percent(row["coverage"]),
        )
        axes.set(title=f"target {target}: coverage {coverage}", ylim=(0, 1.05), xticks=sizes)
        axes.set_xlabel(f"classes in the set (mean {row['size']:.2f})")
        style.use_percent(axes, "y")
    return figure


@apply_style
def plot_out_of_distribution(
    known: Floats,
    others: Mapping[str, Floats],
    auroc: Mapping[str, float],
    threshold: float,
    not_sure: Sequence[float],
    classes: int,
) -> Figure:
    """Draws the familiarity of clothing and of out-of-distribution inputs.

    Args:
        known: (n,), familiarity of clothing.
        others: name → (m,), familiarity of other images.
        auroc: name → 0-1.
        threshold: an image is unlike the classes below it.
        not_sure: the fraction of such images, 0-1, of clothing and of each of the others.
        classes: how many there are.
    """
    rows = {"clothing": known, **others}
    figure = style.new_figure(
        0.95 * len(rows) + 0.4,
        "Out-of-distribution inputs: familiarity of clothing and of other images",
        f"left of the orange line: unlike the {classes} classes;  AUROC: how often clothing is "
        "more familiar than the other image",
    )
    # Without the extreme values, which would compress all others.
    low = min(float(np.quantile(each, 0.002)) for each in rows.values())
    high = max(float(np.quantile(each, 0.998)) for each in rows.values())
    panels = figure.subplots(len(rows), sharex=True)
    for axes, (name, scores), unsure in zip(panels, rows.items(), not_sure, strict=True):
        colour = GREY if name in others else BLUE
        axes.hist(np.clip(scores, low, high), np.linspace(low, high, 70).tolist(), color=colour)
        axes.axvline(threshold, color=ORANGE, linewidth=2)
        axes.set_xlim(low, high)
        axes.spines["left"].set_visible(False)
        text = f"{name}: AUROC {auroc[name]:.3f}" if name in others else name
        middle = axes.get_ylim()[1] / 2
        axes.set_yticks([middle], [f"{text}\n{format_percent(unsure)} unlike the classes"])
    axes.set_xlabel("familiarity")
    return figure


@apply_style
def plot_corruptions(rows: Mapping[str, Sequence[float]], clean: float, images: int) -> Figure:
    """Draws accuracy by severity for each corruption, as curves and as a table.

    Args:
        rows: corruption → accuracy at severities 1 to 5, 0-1.
        clean: accuracy without corruption, 0-1.
        images: how many were evaluated.
    """
    worst = min(rows, key=lambda name: rows[name][-1])
    columns = 5
    names = [*rows, *"." * (-len(rows) % columns)]  # "." leaves a place empty
    mosaic: list[Any] = [names[start:][:columns] for start in range(0, len(names), columns)]
    heights = [*[1.45] * len(mosaic), 0.28 * len(rows) + 0.35]  # inches
    figure = style.new_figure(
        sum(heights),
        f"Corruptions: {worst} lowers accuracy most, to {format_percent(rows[worst][-1])}",
        f"{format_percent(clean)} without corruption;  {len(rows)} corruptions at severities "
        f"1 to 5;  {images:,} images",
    )
    panels = figure.subplot_mosaic([*mosaic, ["table"] * columns], height_ratios=heights)
    for number, (name, values) in enumerate(rows.items()):
        axes = panels[name]
        axes.set_title(name, fontsize=9)
        axes.plot(range(6), [clean, *values], "o-", color=BLUE, markersize=4, linewidth=2)
        axes.set(ylim=(0, 1), xticks=range(6))
        axes.tick_params(labelsize=8, labelleft=number % columns == 0)
        style.use_percent(axes, "y")
    _draw_table(panels["table"], rows, clean)
    return figure


def _draw_table(axes: Axes, rows: Mapping[str, Sequence[float]], clean: float) -> None:
    table = np.array([[clean, *values] for values in rows.values()])
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        text, colour = format_percent(value), "white" if value > 0.6 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8.5)
    axes.set_yticks(range(len(rows)), list(rows))
    severities = [f"severity {number}" for number in range(1, table.shape[1])]
    axes.set_xticks(range(table.shape[1]), ["clean", *severities])
    axes.spines[:].set_visible(False)


@apply_style
def plot_attacks(rows: Mapping[str, Mapping[float, float]], clean: float, images: int) -> Figure:
    """Draws accuracy under adversarial attacks of growing strength.

    Args:
        rows: attack → epsilon, as a fraction of white → accuracy, 0-1.
        clean: accuracy without an attack, 0-1.
        images: how many were evaluated.
    """
    lowest = min(rows["PGD"].values())
    figure = style.new_figure(
        3.2,
        f"Adversarial attacks: accuracy falls from {format_percent(clean)} to "
        f"{format_percent(lowest)}",
        "white-box attacks, which know the weights;  each pixel changes by at most epsilon;  "
        f"{images:,} images",
    )
    axes = figure.add_subplot()
    for (name, values), colour in zip(rows.items(), (BLUE, ORANGE), strict=True):
        epsilons, accuracies = [0, *values], [clean, *values.values()]
        axes.plot(epsilons, accuracies, "o-", color=colour, linewidth=2, label=name, clip_on=False)
    axes.set(ylim=(0, 1), xlabel="epsilon, relative to white", ylabel="accuracy")
    style.use_percent(axes, "both")
    axes.legend()
    return figure


@apply_style
def plot_adversarial_examples(
    rows: Mapping[float, tuple[npt.NDArray[Any], Floats]],
    labels: Labels,
    class_names: Sequence[str],
) -> Figure:
    """Draws images under attacks of growing strength, one row per strength, with predictions.

    Args:
        rows: epsilon, as a fraction of white, 0 for none → the images (n, 28, 28), 0-255, and the
            probabilities (n, k).
        labels: the actual classes, (n,).
    """
    row_gap = 16  # pixels; one line of captions
    figure = style.new_figure(
        0.0146 * (TILE + row_gap) * len(rows) + 0.1,
        "Adversarial examples: the same images under attacks of growing strength",
        "PGD attack;  epsilon is relative to white;  blue: correct prediction;  orange: wrong",
    )
    names = [f"epsilon {format_percent(each, 0)}" if each else "original" for each in rows]
    shown = [images for images, _ in rows.values()]
    montage = draw_montage(figure.add_subplot(), shown, names=names, row_gap=row_gap)
    for number, each in enumerate(np.concatenate([found for _, found in rows.values()])):
        text, colour = format_prediction(each, int(labels[number % len(labels)]), class_names)
        montage.write_caption(number, text, color=colour, weight="bold", fontsize=7)
    return figure
