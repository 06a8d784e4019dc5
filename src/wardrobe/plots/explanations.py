"""Why a model predicts a class: heat maps, their faithfulness, label errors, one image's sheet."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wardrobe.plots import style
from wardrobe.plots.montage import TILE, colour_maps, draw_montage, overlay_heat_map, split_rows
from wardrobe.plots.predictions import draw_bars
from wardrobe.plots.style import BLUE, GREY, ORANGE, WRONG, Floats, Images, Labels, apply_style
from wardrobe.plots.text import CAPTION, format_prediction, shorten

MAP_COLUMNS = 3  # groups of an image and its heat maps in a row
LONGEST_FILE = 50  # columns of an image's name in a title
ERROR_COLUMNS = 10  # images in a row of the figure of label errors
LINES: dict[str, tuple[str, str]] = {  # order of the blocks → its colour and line
    "occlusion": (BLUE, "-"),
    "HiResCAM": (ORANGE, "-"),
    "Grad-CAM": (style.PURPLE, "-"),
    "occlusion, untrained": (BLUE, "--"),
    "HiResCAM, untrained": (ORANGE, "--"),
    "Grad-CAM, untrained": (style.PURPLE, "--"),
    "brightness": (style.INK, ":"),
    "random order": (GREY, "-"),
}


@apply_style
def plot_heat_maps(
    images: Images,
    labels: Labels,
    probabilities: Floats,
    maps: Mapping[str, Floats],
    class_names: Sequence[str],
) -> Figure:
    """Draws images, each with the heat maps of its predicted class.

    Args:
        images: (n, 28, 28); labels (n,); probabilities (n, k).
        maps: name → (n, 28, 28), above 0 where pixels support the prediction, below 0 where they
            oppose it.
    """
    figure = style.new_figure(
        1.15 * -(-len(images) // MAP_COLUMNS),
        "Heat maps: pixels that support the prediction (red) or oppose it (blue)",
        f"each group: the image, {', '.join(maps)};  only occlusion marks opposition",
    )
    for number, axes in enumerate(style.new_grid(figure, len(images), MAP_COLUMNS)):
        label = int(labels[number])
        text, colour = format_prediction(probabilities[number], label, class_names)
        if colour == WRONG:
            text += f"  (actual: {shorten(class_names[label], CAPTION)})"
        overlays = [overlay_heat_map(images[number], each[number]) for each in maps.values()]
        draw_montage(axes, [[images[number], *overlays]])
        axes.set_title(text, fontsize=8.5, color=colour, pad=4)
    return figure


@apply_style
def plot_faithfulness(results: Mapping[str, Any]) -> Figure:
    """Draws whether heat maps show what the model uses: deletion, insertion, randomised weights.

    Args:
        results: "images": their number; "deletion" and "insertion": order of the blocks →
            {"curve", "area", "interval"}; "randomization": heat map → {randomised layer → rank
            correlation with the trained model's map}.
    """
    figure = style.new_figure(
        8.3,
        "Faithfulness: do heat maps mark the pixels that the prediction depends on?",
        f"mean over {results['images']:,} images;  blocks of 4x4 pixels are blurred or inserted "
        "in the order of the map",
    )
    panels = figure.subplot_mosaic(
        [["deletion", "insertion"], ["areas"] * 2, ["layers"] * 2], height_ratios=(2.9, 1.6, 2.6)
    )
    titles = {
        "deletion": ("Deletion: faithful maps make it fall early", "blocks blurred"),
        "insertion": ("Insertion: faithful maps make it rise early", "blocks inserted"),
    }
    for name, (title, label) in titles.items():
        axes = panels[name]
        for order, (colour, line) in LINES.items():
            curve = results[name][order]["curve"]
            axes.plot(np.linspace(0, 1, len(curve)), curve, line, color=colour, linewidth=2)
        axes.set(title=title, xlabel=label, xlim=(0, 1), ylim=(0, 1))
        style.use_percent(axes, "both")
    panels["deletion"].set_ylabel("probability of the prediction")
    _write_areas(panels["areas"], results)
    _draw_randomization(panels["layers"], results["randomization"])
    return figure


def _write_areas(axes: Axes, results: Mapping[str, Any]) -> None:
    """Writes the legend of the curves and the areas under them: one row per order."""
    columns = {"deletion": 0.33, "insertion": 0.62}  # left edges, as fractions of the width
    axes.set(xlim=(0, 1), ylim=(len(LINES) + 0.5, -0.5))  # row 0 is the heading, at the top
    axes.set_axis_off()
    look: dict[str, Any] = {"fontsize": 8.5, "va": "center"}
    axes.text(0.06, 0, "area under the curve, 95 % interval", color=GREY, **look)
    axes.text(columns["deletion"], 0, "deletion (lower is better)", color=GREY, **look)
    axes.text(columns["insertion"], 0, "insertion (higher is better)", color=GREY, **look)
    for row, (order, (colour, line)) in enumerate(LINES.items(), 1):
        axes.plot([0, 0.045], [row, row], line, color=colour, linewidth=2)
        axes.text(0.06, row, order, **look)
        for name, left in columns.items():
            (low, high), area = results[name][order]["interval"], results[name][order]["area"]
            axes.text(left, row, f"{area:.3f}   {low:.3f} to {high:.3f}", **look)


def _draw_randomization(axes: Axes, similarities: Mapping[str, Mapping[str, float]]) -> None:
    """Draws how similar heat maps stay to the trained model's as its layers are randomised."""
    for name, by_layer in similarities.items():
        colour, line = LINES[name]
        layers, values = ["trained", *by_layer], [1, *by_layer.values()]  # 1: equal to itself
        axes.plot(layers, values, f"o{line}", color=colour, linewidth=2, label=name)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set_title("Layers randomised one after another, the last first: faithful maps must change")
    lowest = min(value for by_layer in similarities.values() for value in by_layer.values())
    axes.set(ylabel="rank correlation", ylim=(min(-0.2, lowest - 0.05), 1.05))
    axes.grid(axis="y")
    axes.legend(fontsize=8.5)


@apply_style
def plot_label_errors(
    images: Images,
    given: Labels,
    suggested: Labels,
    class_names: Sequence[str],
    found: int,
    of: int,
) -> Figure:
    """Draws the images whose labels are most likely wrong, the most likely first.

    Args:
        images: (n, 28, 28).
        given: their labels, (n,).
        suggested: the labels predicted by networks that were not trained on the image, (n,).
        found: number of likely errors; of: number of images checked.
    """
    row_gap = 40  # pixels; two lines of captions
    rows = split_rows(images, ERROR_COLUMNS)
    figure = style.new_figure(
        0.0114 * (TILE + row_gap) * len(rows) + 0.1,
        f"Likely label errors: {found:,} of {of:,} images, the most likely first",
        "grey: the given label;  blue: the prediction of networks not trained on the image",
    )
    montage = draw_montage(figure.add_subplot(), rows, row_gap=row_gap, columns=ERROR_COLUMNS)
    for number, labels in enumerate(zip(given, suggested, strict=True)):
        names = [shorten(class_names[label], CAPTION) for label in labels]
        montage.write_caption(number, names[0], color=GREY)
        montage.write_caption(number, f"\n{names[1]}", color=BLUE, weight="bold")
    return figure


@apply_style
def plot_image_sheet(story: Mapping[str, Any], class_names: Sequence[str]) -> Figure:
    """Draws one image from its pixels to the prediction.

    Args:
        story: "name"; "photo" (h, w, 3) or None; "pixels" (28, 28); "probabilities" (k,);
            "verdict": the answer in words; "not_sure": a reason or None; "maps": name → (28, 28);
            "layers": name → (h, w, maps), the strongest first; "nearest": images (n, 28, 28),
            "nearest_labels" (n,) and "likeness" (n,).
    """
    pixels, layers = story["pixels"], story["layers"]
    maps = {name: overlay_heat_map(pixels, heat) for name, heat in story["maps"].items()}
    photo = {} if story["photo"] is None else {"photo": story["photo"]}
    images = {**photo, "model input": pixels, **maps}
    heights = [2.2, 0.98 * len(layers), 1.55]  # inches
    probabilities, best = story["probabilities"], int(story["probabilities"].argmax())
    name, verdict = (shorten(story[each], LONGEST_FILE) for each in ("name", "verdict"))
    subtitle = story["not_sure"] or "from its pixels to the prediction"
    subtitle += f";  red supports {shorten(class_names[best])}, blue opposes it"
    figure = style.new_figure(sum(heights) + 0.2, f"{name}: {verdict}", subtitle)
    rows = figure.add_gridspec(3, 1, height_ratios=heights)
    top = rows[0].subgridspec(1, 6)  # photo, input, three heat maps, bars
    for number, (name, image) in enumerate(images.items()):
        axes = figure.add_subplot(top[number])
        draw_montage(axes, [[image]])
        axes.set_title(name, fontsize=8.5)
    bars = figure.add_subplot(top[len(images)])
    bars.set_title("prediction", fontsize=8.5)
    bars.set(xlim=(0, 1), ylim=(1, 0))  # y down
    bars.set_axis_off()
    draw_bars(bars, (0, 0, 1, 1), probabilities, best, class_names)
    names = [f"{name}\nstrongest {each.shape[-1]}" for name, each in layers.items()]
    tiles = [colour_maps(each) for each in layers.values()]
    draw_montage(figure.add_subplot(rows[1]), tiles, names=names)
    _draw_nearest(figure.add_subplot(rows[2]), story, best, class_names)
    return figure


def _draw_nearest(
    axes: Axes, story: Mapping[str, Any], predicted: int, class_names: Sequence[str]
) -> None:
    """Draws the nearest training images with their classes and similarities."""
    montage = draw_montage(axes, [story["nearest"]])
    text = "most similar training images, with cosine similarity;  blue: same class as predicted"
    axes.set_title(text, fontsize=8.5)
    pairs = zip(story["nearest_labels"], story["likeness"], strict=True)
    for number, (label, similarity) in enumerate(pairs):
        text = f"{shorten(class_names[label], CAPTION)} {similarity:.2f}"
        montage.write_caption(number, text, color=style.CORRECT if label == predicted else WRONG)
