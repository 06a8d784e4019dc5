"""Why an answer was given, whether heat maps are true, where answers fail → figures. Nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from wardrobe.plots import layout
from wardrobe.plots.layout import BLUE, GREY, INK, ORANGE, RIGHT, WIDTH, WRONG

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

MAP_COLUMNS = 3  # images across in the sheet of heat maps
ERROR_COLUMNS = 10  # images across in the sheet of label errors
LINES: dict[str, tuple[str, str]] = {  # order of the blocks → its colour and line
    "occlusion": (BLUE, "-"),
    "Grad-CAM": (ORANGE, "-"),
    "Grad-CAM, averaged": (ORANGE, ":"),
    "occlusion, untrained": (BLUE, "--"),
    "Grad-CAM, untrained": (ORANGE, "--"),
    "brightness": (INK, ":"),
    "by chance": (GREY, "-"),
}


@layout.apply_style
def heat_maps(
    images: Images,
    labels: Labels,
    probabilities: Floats,
    maps: Mapping[str, Floats],
    class_names: Sequence[str],
) -> Figure:
    """Draws images, each with the heat maps of what was answered.

    Args:
        images: (n, 28, 28); labels (n,); probabilities (n, k).
        maps: name → (n, 28, 28), higher where the image speaks for the answer; what is below 0 speaks against it.
    """
    gap, cell = 0.06, 1.02
    rows = -(-len(images) // MAP_COLUMNS)
    row_height = cell + 0.42
    height = rows * row_height + 1.05
    figure = layout.sheet(
        height,
        "Why this answer: where the image speaks for it (red) and against it (blue)",
        "in each group: the image, " + ", ".join(maps).replace("Grad-CAM", "Grad-CAM (for alone)"),
    )
    for number, image in enumerate(images):
        left = 0.1 + number % MAP_COLUMNS * WIDTH / MAP_COLUMNS
        bottom = height - 0.85 - (number // MAP_COLUMNS + 1) * row_height + 0.1
        text, colour = layout.describe_verdict(
            probabilities[number], int(labels[number]), class_names
        )
        actual = (
            "" if colour == RIGHT else f"  (actual: {layout.shorten(class_names[labels[number]])})"
        )
        layout.add_text(
            figure,
            left,
            bottom + cell + 0.07,
            text + actual,
            fontsize=8.5,
            color=colour,
            weight="bold",
        )
        layout.draw_thumbnail(figure, left, bottom, cell, image)
        for place, each in enumerate(maps.values(), 1):
            layout.draw_thumbnail(
                figure, left + place * (cell + gap), bottom, cell, overlaid(image, each[number])
            )
    return figure


def overlaid(image: Images, heat: Floats) -> Images:
    """Returns the image (h, w) with the map (h, w) over it, red above 0 and blue below: (h, w, 3) uint8."""
    share_of_most = np.abs(heat) / max(float(np.abs(heat).max()), 1e-12)
    strength = np.sign(heat) * share_of_most**0.7  # that what is weaker can be seen as well
    colours = matplotlib.colormaps["RdBu_r"]((strength + 1) / 2)[..., :3] * 255
    share = (0.15 + 0.75 * np.abs(strength))[..., None]
    grey = 60 + 0.72 * image[..., None].astype(np.float64)
    return np.round((1 - share) * grey + share * colours).astype(np.uint8)


@layout.apply_style
def map_check(figures: Mapping[str, Any]) -> Figure:
    """Draws whether heat maps are true: deletion, insertion, and what becomes of them as the network forgets.

    Args:
        figures: "images", their number; "deletion" and "insertion": order → {"curve", "area", "interval"};
            "forgetting": map → {layer drawn anew → rank correlation with the trained network's map}.
    """
    figure = layout.sheet(
        9.3,
        "Are the heat maps true? Measured against chance, and on a network that forgets",
        f"mean over {figures['images']:,} images;  blocks of 4x4 pixels are blurred, or put in, in the map's order",
    )
    panels = (
        ("deletion", "Taken away: a true map makes it fall early"),
        ("insertion", "Put in: a true map makes it rise early"),
    )
    for number, (what, title) in enumerate(panels):
        axes = figure.add_axes(
            layout.axes_at(figure, 0.75 + 5.15 * number, 5.8, 4.25, 2.45), title=title
        )
        for order, (colour, line) in LINES.items():
            each = figures[what][order]
            shares = np.linspace(0, 1, len(each["curve"]))
            axes.plot(shares, each["curve"], line, color=colour, linewidth=2)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        layout.use_percent(axes.xaxis, axes.yaxis)
        axes.set_xlabel("blocks" + (" blurred" if what == "deletion" else " put in"))
        axes.grid(axis="y")
    figure.axes[0].set_ylabel("probability of the answer")
    _areas(figure, figures, top=5.15)
    forgetting = figures["forgetting"]
    layers = list(next(iter(forgetting.values())))
    axes = figure.add_axes(
        layout.axes_at(figure, 0.75, 0.75, 9.4, 2.2),
        title="Layer by layer the weights are drawn anew, the last first: a map of what was learnt must change",
    )
    for name, likeness in forgetting.items():
        colour, line = LINES[name]
        axes.plot(
            range(len(layers) + 1),
            [1, *likeness.values()],
            f"o{line}",
            color=colour,
            linewidth=2,
            label=name,
        )
    axes.set_xticks(range(len(layers) + 1), ["trained", *layers])
    axes.set_ylabel("likeness to before")
    axes.axhline(0, color=GREY, linewidth=1)
    lowest = min(min(likeness.values()) for likeness in forgetting.values())
    axes.set_ylim(min(-0.2, lowest - 0.05), 1.05)
    axes.grid(axis="y")
    axes.legend(fontsize=8.5, title="rank correlation", title_fontsize=8)
    return figure


def _areas(figure: Figure, figures: Mapping[str, Any], top: float) -> None:
    """Writes what each line is and the areas below the curves, a row an order, from so many inches downward."""
    name, columns, step = 1.3, {"deletion": 3.6, "insertion": 6.1}, 0.2
    style = {"fontsize": 8.5, "va": "center"}
    layout.add_text(
        figure, name, top, "area below the curve, with its 95 % interval", color=GREY, **style
    )
    for what, left in columns.items():
        text = "taken away (less is better)" if what == "deletion" else "put in (more is better)"
        layout.add_text(figure, left + 0.6, top, text, color=GREY, **style)
    for row, (order, (colour, line)) in enumerate(LINES.items(), 1):
        height = top - row * step
        axes = figure.add_axes(layout.axes_at(figure, 0.75, height - 0.05, 0.42, 0.1))
        axes.set_axis_off()
        axes.plot([0, 1], [0, 0], line, color=colour, linewidth=2)
        layout.add_text(figure, name, height, order, **style)
        for what, left in columns.items():
            low, high = figures[what][order]["interval"]
            text = f"{figures[what][order]['area']:.3f}   {low:.3f} to {high:.3f}"
            layout.add_text(figure, left + 0.6, height, text, **style)


@layout.apply_style
def confused(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the most confused pairs of classes, each with the surest of those mistakes.

    Args:
        pairs: "actual", "predicted", names; "count", mistakes; "of", images of the class; "images" (n, 28, 28).
    """
    across, cell, text = 12, 0.62, 2.6
    height = len(pairs) * (cell + 0.12) + 0.95
    figure = layout.sheet(
        height,
        "What it confuses: the commonest pairs",
        "the surest of each kind of mistake, the surest first",
    )
    for row, pair in enumerate(pairs):
        bottom = height - 0.7 - (row + 1) * (cell + 0.12) + 0.1
        names = f"{layout.shorten(pair['actual'])} → {layout.shorten(pair['predicted'])}"
        layout.add_text(figure, 0.1, bottom + cell / 2 + 0.09, names, va="center", weight="bold")
        share = f"{pair['count']:,} of {pair['of']:,}  ({layout.format_tenths(pair['count'] / max(pair['of'], 1))})"
        layout.add_text(
            figure, 0.1, bottom + cell / 2 - 0.11, share, va="center", fontsize=8.5, color=GREY
        )
        for place, image in enumerate(pair["images"][:across]):
            layout.draw_thumbnail(figure, text + place * (cell + 0.02), bottom, cell, image)
    return figure


@layout.apply_style
def label_errors(
    images: Images,
    given: Labels,
    suggested: Labels,
    class_names: Sequence[str],
    found: int,
    of: int,
) -> Figure:
    """Draws the images whose labels are likeliest to be wrong, to judge by eye; the likeliest first.

    Args:
        images: (n, 28, 28); given: their labels; suggested: what networks that did not learn from them say; (n,).
        found: how many such there are; of: among how many images.
    """
    cell = WIDTH / ERROR_COLUMNS
    rows = max(1, -(-len(images) // ERROR_COLUMNS))
    row_height = cell + 0.42
    height = rows * row_height + 1.0
    figure = layout.sheet(
        height,
        f"Labels that networks doubt: {found:,} of {of:,}, those doubted most",
        "grey: the label in the data;  blue: what networks say that did not learn from the image",
    )
    for number, image in enumerate(images):
        left = number % ERROR_COLUMNS * cell + 0.1
        bottom = height - 0.75 - (number // ERROR_COLUMNS + 1) * row_height + 0.42
        layout.draw_thumbnail(figure, left, bottom, cell - 0.2, image)
        middle = left + cell / 2 - 0.1
        style = {"ha": "center", "va": "top", "fontsize": 8}
        names = [
            layout.shorten(class_names[each], layout.LONGEST_IN_GRID)
            for each in (given[number], suggested[number])
        ]
        layout.add_text(figure, middle, bottom - 0.03, names[0], color=GREY, **style)
        layout.add_text(figure, middle, bottom - 0.18, names[1], color=BLUE, weight="bold", **style)
    return figure


@layout.apply_style
def sheet(story: Mapping[str, Any], class_names: Sequence[str]) -> Figure:
    """Draws one image's way from pixels to answer.

    Args:
        story: "name"; "photo" (h, w, 3) or None; "pixels" (28, 28); "probabilities" (k,); "not_sure", a reason or None;
            "maps": name → (28, 28); "layers": name → (h, w, filters), the strongest first, empty without a Keras model;
            "nearest": images (n, 28, 28), "nearest_labels" (n,), "likeness" (n,), or None; "left_out": what could not
            be shown, or None.
    """
    layers, nearest = story["layers"], story["nearest"]
    height = 3.35 + 1.0 * len(layers) + (1.75 if nearest is not None else 0) + 0.45
    probabilities = story["probabilities"]
    best = int(probabilities.argmax())
    answer = f"{class_names[best]}, {layout.format_percent(probabilities[best])}"
    title = (
        f"{story['name']}: not sure, likeliest {answer}"
        if story["not_sure"]
        else f"{story['name']}: {answer}"
    )
    figure = layout.sheet(height, title, story["not_sure"] or "from its pixels to the answer")
    top = height - 0.95
    pictures = [("the picture", story["photo"]), ("what the model sees", story["pixels"])]
    pictures += [(name, overlaid(story["pixels"], each)) for name, each in story["maps"].items()]
    left, side = 0.1, 1.62
    for name, picture in pictures:
        if picture is not None:
            layout.draw_thumbnail(figure, left, top - side - 0.2, side, picture)
            layout.add_text(figure, left, top - 0.13, name, fontsize=8.5, weight="bold")
            left += side + 0.12
    answer_at = left + 1.1  # room for the classes' names
    bars = figure.add_axes(layout.axes_at(figure, answer_at, top - side - 0.2, 1.55, side))
    layout.draw_bars(bars, probabilities, best, class_names, min(len(class_names), 10))
    layout.add_text(figure, answer_at, top - 0.13, "the answer", fontsize=8.5, weight="bold")
    layout.add_text(
        figure,
        0.1,
        top - side - 0.42,
        "red speaks for the answer, blue against it",
        fontsize=8,
        color=GREY,
        va="top",
    )
    bottom = top - side - 0.75
    for name, maps in layers.items():
        bottom -= 1.0
        _, _, filters = maps.shape
        layout.add_text(figure, 0.1, bottom + 0.5, f"{name}", weight="bold", va="center")
        layout.add_text(
            figure, 0.1, bottom + 0.3, f"strongest {filters}", fontsize=8, color=GREY, va="center"
        )
        for place in range(filters):
            axes = layout.draw_thumbnail(
                figure, 1.15 + place * 0.92, bottom + 0.02, 0.88, np.zeros((1, 1), np.uint8)
            )
            axes.imshow(maps[..., place], cmap="magma", interpolation="nearest")
    if nearest is not None:
        bottom -= 0.35
        layout.add_text(
            figure,
            0.1,
            bottom + 0.05,
            "the training images that it sees as most alike, with the cosine;  blue: of the class that is answered",
            fontsize=8.5,
            weight="bold",
        )
        for place, (image, label, cosine) in enumerate(
            zip(nearest, story["nearest_labels"], story["likeness"], strict=True)
        ):
            at = 0.1 + place * 1.28
            layout.draw_thumbnail(figure, at, bottom - 1.12, 1.08, image)
            colour = RIGHT if label == best else WRONG
            name = f"{layout.shorten(class_names[label], layout.LONGEST_IN_GRID)} {cosine:.2f}"
            layout.add_text(
                figure,
                at + 0.54,
                bottom - 1.15,
                name,
                ha="center",
                va="top",
                fontsize=8,
                color=colour,
            )
    if story["left_out"]:
        layout.add_text(figure, 0.1, 0.12, story["left_out"], fontsize=8.5, color=GREY)
    return figure
