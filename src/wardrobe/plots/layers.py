"""What the layers learnt: filters, feature maps, activation maximisation, probes, embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wardrobe.percent import format_percent
from wardrobe.plots import style
from wardrobe.plots.montage import (
    GAP,
    TILE,
    colour_maps,
    colour_weights,
    draw_image,
    draw_montage,
    make_tile,
    split_rows,
)
from wardrobe.plots.style import BLUE, GREY, INK, WIDTH, Floats, Images, Labels, apply_style
from wardrobe.plots.text import shorten, wrap_name

TopImages = tuple[Sequence[int], Images, Images, Floats, int]  # as for `plot_top_images`

NUMBER_GAP = 20  # pixels of a montage; one line with the number of a filter
ROW_IMAGES = 16  # images of filters in a row
LONGEST_LINE = 9  # characters of a class name, in one line of a caption below such an image
MAP_ROWS = 4  # rows of feature maps of one image and layer
MOST_MAPS = 128  # all are drawn up to this number; of more, as many as fit
SMALLEST_MAP = 0.28  # inches
MAPPED_IMAGES = 12  # in the figure of feature maps
FRAME = "#ffb000"  # visible on black and on white


@apply_style
def plot_filters(kernels: Floats, layer: str) -> Figure:
    """Draws the kernels of the first convolution: (filters, height, width), any sign."""
    columns = 16 if len(kernels) > 16 else 8
    figure = style.new_figure(
        -(-len(kernels) // columns) * WIDTH / columns * (TILE + NUMBER_GAP) / (TILE + GAP) + 0.45,
        f"The {len(kernels)} filters of the first convolution, {layer}",
        "red: positive weights;  blue: negative weights;  white: weights near zero",
    )
    # A few weights are far larger than the others, which would be pale on the full scale.
    limit = float(np.quantile(np.abs(kernels), 0.98))
    colours = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    tiles = [colours.to_rgba(each, bytes=True)[..., :3] for each in kernels]  # (h, w, 3) each
    axes = figure.add_subplot()
    rows = split_rows(tiles, columns)
    montage = draw_montage(axes, rows, row_gap=NUMBER_GAP, columns=columns)
    for number in range(len(kernels)):
        montage.write_caption(number, str(number), color=GREY)
    bar = figure.colorbar(
        colours, ax=axes, location="bottom", extend="both", shrink=0.3, aspect=40, anchor=(0, 0)
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, pad=1)
    return figure


@apply_style
def plot_feature_maps(images: Images, maps: Mapping[str, Floats], names: Sequence[str]) -> Figure:
    """Draws the feature maps of each convolution for the first images, scaled to their maximum.

    Args:
        images: (n, 28, 28).
        maps: layer name → (n, height, width, filters).
        names: what to write above each image, (n,).
    """
    images = images[:MAPPED_IMAGES]
    picture, gap = 1.1, 0.14  # inches
    total = sum(each.shape[-1] for each in maps.values())
    room = WIDTH - picture - 0.35 - gap * len(maps)  # inches for all maps of an image
    most = total if total <= MOST_MAPS else MAP_ROWS * int(room / len(maps) / SMALLEST_MAP)
    counts = [min(each.shape[-1], most) for each in maps.values()]
    columns = [-(-count // MAP_ROWS) for count in counts]  # of each layer
    cell = min(0.42, room / sum(columns))  # inches of one map
    head = 0.2 * max(layer.count("_") + 3 for layer in maps)  # the layers' names have a line each
    figure = style.new_figure(
        max(MAP_ROWS * cell + 0.1, picture + 0.22) * len(images) + head,
        "Feature maps: the output of every filter for one image of each class",
    )
    widths = [picture, *(max(cell * each, 0.8) for each in columns)]  # 0.8: room for the names
    spare = max(room + picture - sum(widths), 0.01)  # an empty column: few maps stay small
    grid = figure.add_gridspec(len(images), len(widths) + 1, width_ratios=[*widths, spare])
    for row, image in enumerate(images):
        draw_image(figure.add_subplot(grid[row, 0]), image, shorten(names[row]), INK)
        for column, (layer, each) in enumerate(maps.items(), 1):
            axes = figure.add_subplot(grid[row, column])
            tiles = colour_maps(each[row][..., : counts[column - 1]])
            draw_montage(axes, split_rows(tiles, columns[column - 1]))
            if row == 0:
                axes.set_title(_describe_maps(layer, each.shape, len(tiles)), pad=6)
    return figure


def _describe_maps(layer: str, shape: tuple[int, ...], count: int) -> str:
    _, height, width, filters = shape
    number = f"{count} maps" if count == filters else f"{count} of {filters}"
    return "\n".join([*layer.split("_"), number, f"{height}x{width}"])


@apply_style
def plot_activation_maximization(rows: Mapping[str, Images], class_names: Sequence[str]) -> Figure:
    """Draws images that maximise the activation of filters, one row per layer; classes last.

    Args:
        rows: layer name → (filters, side, side), 0-255; the first `ROW_IMAGES` are drawn.
    """
    figure = style.new_figure(
        0.63 * len(rows) + 0.35,
        "Activation maximisation: one image per filter",
        "one row per layer, first to last;  each image is as large as the receptive field of its "
        "filter;  last row: classes",
    )
    gap = 12  # pixels between rows
    sides = {_strip_member(layer): images.shape[-1] for layer, images in rows.items()}
    names = [f"{layer}\n{side}x{side}" for layer, side in sides.items()]
    shown = [images[:ROW_IMAGES] for images in rows.values()]
    axes = figure.add_subplot()
    montage = draw_montage(axes, shown, names=names, row_gap=gap, columns=ROW_IMAGES)
    last_row = ROW_IMAGES * (len(rows) - 1)  # its first tile
    for number, name in enumerate(class_names[:ROW_IMAGES], last_row):
        montage.write_caption(number, wrap_name(name, LONGEST_LINE), fontsize=7)
    return figure


@apply_style
def plot_units(layer: str, images: Images, class_names: Sequence[str] | None) -> Figure:
    """Draws an image that maximises each unit of a dense layer: (units, side, side), 0-255.

    Args:
        class_names: of the units, if the layer gives logits; None: units have numbers.
    """
    rows = split_rows(images, ROW_IMAGES)
    row_gap = 42 if class_names else 28  # pixels; two lines or one
    title = f"Activation maximisation: one image per unit of {_strip_member(layer)}"
    figure = style.new_figure(0.0072 * (TILE + row_gap) * len(rows) + 0.1, title)
    montage = draw_montage(figure.add_subplot(), rows, row_gap=row_gap, columns=ROW_IMAGES)
    for unit in range(len(images)):
        name = wrap_name(class_names[unit], LONGEST_LINE) if class_names else str(unit)
        montage.write_caption(unit, name, fontsize=7, color=GREY)
    return figure


@apply_style
def plot_filter_inputs(
    images: Images,
    inputs: Images,
    kernels: Floats,
    filters: Sequence[int],
    total: int,
    layer: str,
    before: str,
) -> Figure:
    """Draws the strongest inputs of some filters: filters of the layer before, and the weights.

    Args:
        images: (f, side, side), an image that maximises each filter.
        inputs: (f, inputs, side, side), images that maximise filters of the layer before.
        kernels: (f, inputs, h, w), the filter's weights for each of these inputs, any sign.
        filters: (f,), their numbers.
        total: filters of the layer before.
    """
    columns = 2
    figure = style.new_figure(
        0.63 * -(-len(images) // columns),
        f"How filters of {_strip_member(layer)} combine filters of {_strip_member(before)}",
        f"left: an image that maximises the filter;  right: its {inputs.shape[1]} strongest inputs "
        f"of {total}, and the weights of each (red: positive, blue: negative)",
    )
    for number, axes in enumerate(style.new_grid(figure, len(images), columns)):
        sign, gap = (np.full((TILE, width, 3), 255, np.uint8) for width in (36, 2))
        cells = [make_tile(images[number])]
        for each, kernel in zip(inputs[number], kernels[number], strict=True):
            left = sum(cell.shape[1] for cell in cells) + sign.shape[1] / 2
            axes.text(left, TILE / 2, "←" if len(cells) == 1 else "+", ha="center", va="center")
            cells += [sign, make_tile(each), gap, make_tile(colour_weights(kernel))]
        if total > inputs.shape[1]:
            right = sum(cell.shape[1] for cell in cells)
            axes.text(right, TILE / 2, " + …", va="center")
            cells.append(sign)
        axes.imshow(np.hstack(cells), interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([TILE / 2], [str(filters[number])], fontsize=8, color=GREY)
        axes.spines[:].set_visible(False)
    return figure


@apply_style
def plot_top_images(layers: Mapping[str, TopImages]) -> Figure:
    """Draws the images with the highest activation of some filters of each layer.

    Args:
        layers: layer name → numbers of the filters (f,); an image that maximises each
            (f, side, side); the images (f, count, 28, 28); the centres of the receptive fields
            (f, count, 2), row and column; the size of the receptive field in pixels.
    """
    heights = [0.69 * len(layer[0]) + 0.3 for layer in layers.values()]
    figure = style.new_figure(
        sum(heights),
        "The training images with the highest activation of each filter",
        "first: an image that maximises the filter;  "
        "framed: the receptive field with the highest activation",
    )
    panels = figure.subplots(len(layers), squeeze=False, height_ratios=heights).flatten()
    for axes, (layer, top) in zip(panels, layers.items(), strict=True):
        filters, maximizing, images, centres, size = top
        rows = [[one, None, *found] for one, found in zip(maximizing, images, strict=True)]
        draw_montage(axes, rows, names=[f"filter {number}" for number in filters])
        axes.set_title(f"{_strip_member(layer)}: receptive field {size}x{size} pixels")
        for row, column in np.ndindex(centres.shape[:2]):
            _frame_window(axes, row, column + 2, centres[row, column], size, images.shape[-1])
    return figure


def _frame_window(axes: Axes, row: int, column: int, centre: Floats, size: int, side: int) -> None:
    """Frames the window of `size` pixels around `centre`, cut at the edges of a tile's image."""
    scale = TILE / side  # pixels of the tile per pixel of the image
    top, left = (max(0, place + 0.5 - size / 2) * scale for place in centre)
    bottom, right = (min(side, place + 0.5 + size / 2) * scale for place in centre)
    corner = column * (TILE + GAP) + left - 0.5, row * (TILE + GAP) + top - 0.5
    extent = right - left, bottom - top
    axes.add_patch(Rectangle(corner, *extent, fill=False, edgecolor=FRAME, linewidth=1.2))


@apply_style
def plot_probes(curves: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draws the accuracy of linear probes by layer, one line per state of the network.

    Args:
        curves: state, from "untrained" over "epoch 1", … to "trained" → layer name → accuracy, 0-1.
    """
    first, *_, trained = curves.values()
    *_, last = trained  # the last layer
    figure = style.new_figure(
        3.3,
        f"Linear probes: accuracy is {format_percent(trained['pixels'])} on pixels, "
        f"{format_percent(trained[last])} on {_strip_member(last)}",
        "validation accuracy of a linear classifier trained on the output of each layer;  "
        f"{format_percent(first[last])} on {_strip_member(last)} before training",
    )
    axes = figure.add_subplot()
    names = [_strip_member(name) for name in trained]
    for number, (state, curve) in enumerate(curves.items()):
        line, colour = ("o--", GREY) if number == 0 else ("o-", BLUE)
        opacity = 0.25 + 0.75 * number / max(len(curves) - 1, 1) if number else 1  # later: darker
        label = f"{state}  {format_percent(curve[last])}"
        axes.plot(names, [*curve.values()], line, color=colour, alpha=opacity, lw=2, label=label)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)
    style.use_percent(axes, "y")
    return figure


@apply_style
def plot_embedding(
    points: Mapping[str, Floats],
    labels: Labels,
    wrong: npt.NDArray[np.bool_],
    class_names: Sequence[str],
) -> Figure:
    """Draws images as points in the colour of their class, one panel per method; rings mistakes.

    Args:
        points: method → (n, 2).
        labels, wrong: (n,).
    """
    figure = style.new_figure(
        5.3,
        "Features of the last hidden layer in two dimensions",
        f"{len(labels):,} images not used for training;  ringed: {wrong.sum():,} mistakes",
    )
    rows: list[Any] = [list(points), ["legend"] * len(points)]
    panels = figure.subplot_mosaic(rows, height_ratios=(4.8, 0.5))
    for name, xy in points.items():
        axes = panels[name]
        axes.set(title=name, xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        for label, class_name in enumerate(class_names):
            chosen = labels == label
            # "C0" to "C9" are matplotlib's ten colours; with more classes they repeat.
            look: dict[str, Any] = {"color": f"C{label % 10}", "label": shorten(class_name)}
            axes.plot(*xy[chosen].T, "o", markersize=3, alpha=0.8, markeredgewidth=0, **look)
        ring = {"markersize": 5, "fillstyle": "none", "color": INK, "markeredgewidth": 0.7}
        axes.plot(*xy[wrong].T, "o", **ring)
    columns = 10 if sum(len(shorten(name)) for name in class_names) <= 90 else 6
    handles, names = axes.get_legend_handles_labels()
    look = {"fontsize": 8.5, "handletextpad": 0.1, "columnspacing": 0.9, "markerscale": 2.4}
    panels["legend"].legend(handles, names, loc="center", ncols=columns, **look)
    panels["legend"].set_axis_off()
    return figure


def _strip_member(layer: str) -> str:
    """Returns a layer's name without the prefix of the ensemble's first member."""
    return layer.removeprefix("member1_")
