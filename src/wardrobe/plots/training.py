"""The training data and the learning curves."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wardrobe.percent import format_percent
from wardrobe.plots import style
from wardrobe.plots.montage import draw_montage
from wardrobe.plots.style import BLUE, GREY, ORANGE, Floats, Images, Labels, apply_style
from wardrobe.plots.text import shorten


@apply_style
def plot_samples(
    images: Images, labels: Labels, class_names: Sequence[str], columns: int = 16
) -> Figure:
    """Draws the first images of each class, one row per class."""
    rows = [images[labels == label][:columns] for label in range(len(class_names))]
    figure = style.new_figure(0.59 * len(rows) + 0.1, "Training samples of each class")
    names = [shorten(name) for name in class_names]
    draw_montage(figure.add_subplot(), rows, names=names, columns=columns)
    return figure


@apply_style
def plot_curves(
    history: Sequence[Mapping[str, float]], warmup: int | None = None, kept: int | None = None
) -> Figure:
    """Draws accuracy and loss on training and validation images after each epoch.

    Args:
        warmup: epochs on all images before hard-example mining starts; None: no mining.
        kept: the epoch whose weights the model has; None: the last.
    """
    last, best = history[-1], max(history, key=lambda row: row["val_accuracy"])
    hint = "if training improves and validation does not, the network overfits"
    if warmup is not None and len(history) > warmup:
        hint = f"from epoch {warmup + 1} on, training accuracy is measured on the hardest images"
    title = f"validation accuracy ends at {format_percent(last['val_accuracy'])}"
    if kept is not None and kept < last["epoch"]:
        hint = f"the weights are those of epoch {kept}, where validation loss is lowest"
    figure = style.new_figure(
        3.1,
        f"Training: {title}",
        f"best {format_percent(best['val_accuracy'])} in epoch {best['epoch']:.0f};  {hint}",
    )
    accuracy, loss = figure.subplots(1, 2)
    _draw_curves(accuracy, history, "accuracy")
    accuracy.set_title("Accuracy (higher is better)")
    style.use_percent(accuracy, "y")
    _draw_curves(loss, history, "loss")
    loss.set_title("Loss (lower is better)")
    return figure


@apply_style
def plot_range_test(rates: Floats, losses: Floats, suggested: float, used: float) -> Figure:
    """Draws the smoothed losses of a learning-rate range test.

    Args:
        rates, losses: (n,), in the order of the batches.
        suggested, used: the rate that the test suggests, and the recipe's.
    """
    figure = style.new_figure(
        3.4,
        f"Learning-rate range test: {suggested:g}",
        "the loss while the learning rate rises from batch to batch; it falls fastest at the "
        "suggested rate, and rises where the rate is too high",
    )
    axes = figure.add_subplot()
    axes.plot(rates, losses, color=BLUE)
    for rate, label, line, colour in (
        (used, "the recipe's", ":", GREY),
        (suggested, "suggested", "--", ORANGE),
    ):
        axes.axvline(rate, linestyle=line, color=colour, label=f"{label}: {rate:g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axes.set(xlim=(rates[0], rates[-1]), ylim=(0.9 * losses.min(), 1.3 * losses[0]))
    axes.grid(axis="y")
    axes.legend(loc="best")
    return figure


def _draw_curves(axes: Axes, history: Sequence[Mapping[str, float]], name: str) -> None:
    """Draws one metric, with its last values at the ends of the lines."""
    epochs = [row["epoch"] for row in history]
    highest = max(history[-1][name], history[-1][f"val_{name}"])
    for label, key, line, colour in (
        ("training", name, "o--", GREY),
        ("validation", f"val_{name}", "o-", BLUE),
    ):
        values = [row[key] for row in history]
        axes.plot(epochs, values, line, color=colour, markersize=4, linewidth=2, label=label)
        text = format_percent(values[-1]) if name == "accuracy" else f"{values[-1]:.3f}"
        raised = 5 if values[-1] == highest else -5  # points; keeps two close labels apart
        look = {"xytext": (7, raised), "va": "center", "color": colour, "weight": "bold"}
        style.annotate(axes, text, (epochs[-1], values[-1]), **look)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)  # matplotlib would show a tenth of an epoch
    axes.set_xlabel("epoch")
    axes.grid(axis="y")
    axes.legend(loc="best")
