"""Many small images in one: one large image draws far faster than many axes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps

from wardrobe.inference import occlusion
from wardrobe.plots.style import INK, Floats, Images

TILE, GAP = 84, 6  # pixels of a montage; 84 is a multiple of 28, so that pixels stay square


def make_tile(image: npt.NDArray[Any]) -> Images:
    """Scales an image to (TILE, TILE, 3), with white margins if it is not square.

    Args:
        image: (h, w) grey or (h, w, 3), 0-255.
    """
    picture = Image.fromarray(np.round(image).astype(np.uint8)).convert("RGB")
    is_small = max(picture.size) < TILE
    method = Image.Resampling.NEAREST if is_small else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.pad(picture, (TILE, TILE), method, color="white"))


@dataclass(frozen=True)
class Montage:
    """A drawn montage, to which captions and frames are added; see `draw_montage`.

    Tiles have numbers from 0, row by row.
    """

    axes: Axes  # in pixels of the montage, y down
    columns: int
    row_gap: int  # pixels
    column_gap: int  # pixels

    def locate_tile(self, number: int) -> tuple[int, int]:
        """Returns left and top of a tile, in pixels."""
        row, column = divmod(number, self.columns)
        return column * (TILE + self.column_gap), row * (TILE + self.row_gap)

    def write_caption(self, number: int, text: str, **style: Any) -> None:
        """Writes a caption below a tile."""
        left, top = self.locate_tile(number)
        look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "color": INK, **style}
        self.axes.text(left + TILE / 2, top + TILE + 2, text, **look)

    def frame_tile(self, number: int, title: str, colour: str) -> None:
        """Draws a frame around a tile, and a title of the same colour above it."""
        left, top = self.locate_tile(number)
        frame = Rectangle((left, top), TILE, TILE, fill=False, edgecolor=colour, linewidth=2.2)
        self.axes.add_patch(frame)
        look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7.5, "weight": "bold"}
        self.axes.text(left + TILE / 2, top - 3, title, color=colour, **look)


def draw_montage(
    axes: Axes,
    rows: Iterable[Iterable[npt.NDArray[Any] | None]],
    *,
    names: Sequence[str] = (),
    row_gap: int = GAP,
    column_gap: int = GAP,
    columns: int = 0,
) -> Montage:
    """Draws rows of images; None leaves a tile white.

    Args:
        rows: images as for `make_tile`.
        names: one per row, written to its left.
        row_gap: pixels below each row, for captions and the titles of the next row.
        column_gap: pixels to the right of each tile.
        columns: tiles per row; 0: as many as the longest row has.
    """
    table = [list(row) for row in rows]
    columns = columns or max(len(row) for row in table)
    montage, step = Montage(axes, columns, row_gap, column_gap), TILE + row_gap
    canvas = np.full((len(table) * step, columns * (TILE + column_gap), 3), 255, np.uint8)
    for row, images in enumerate(table):
        for column, image in enumerate(images):
            if image is not None:
                left, top = montage.locate_tile(row * columns + column)
                canvas[top : top + TILE, left : left + TILE] = make_tile(image)
    axes.imshow(canvas[:, :-GAP], interpolation="nearest")
    axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([row * step + TILE / 2 for row in range(len(names))], names)
    axes.spines[:].set_visible(False)
    axes.autoscale(False)  # what is drawn on top does not move the limits
    return montage


def split_rows(tiles: Images | list[Images], columns: int) -> list[Images | list[Images]]:
    """Splits a sequence into rows of a montage; no tiles make one empty row."""
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)] or [[]]


def draw_image(axes: Axes, image: Images, title: str, colour: str, actual: str = "") -> None:
    """Draws an image, (h, w) grey 0-255, in a frame, with its title above and its class below."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set(color=colour, linewidth=2.2)
    axes.set_title(title, color=colour, fontsize=7.5, pad=4, loc="center")
    axes.set_xlabel(actual, fontsize=8.5, labelpad=3)


def colour_weights(weights: Floats) -> Images:
    """Returns weights (h, w) as RGB: red above 0, blue below, white at 0."""
    limit = max(float(np.abs(weights).max()), 1e-12)
    return _apply_colormap("RdBu_r", (weights / limit + 1) / 2)


def colour_maps(maps: Floats) -> list[Images]:
    """Returns feature maps (h, w, filters), each divided by its maximum, as RGB."""
    relative = maps / np.maximum(maps.max(axis=(0, 1)), 1e-9)  # (h, w, filters), at most 1
    return [*_apply_colormap("magma", np.moveaxis(relative, -1, 0))]


def overlay_heat_map(image: Images, heat: Floats) -> Images:
    """Returns an image (h, w) with a heat map (h, w) over it, red above 0 and blue below: RGB."""
    return occlusion.overlay(image, heat, lambda each: _apply_colormap("RdBu_r", (each + 1) / 2))


def _apply_colormap(name: str, values: Floats) -> Images:
    """Returns values (…, h, w), 0-1, in the colours of a matplotlib colormap: (…, h, w, 3)."""
    return np.round(matplotlib.colormaps[name](values)[..., :3] * 255).astype(np.uint8)
