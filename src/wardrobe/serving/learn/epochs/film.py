"""The first layer's filters over the epochs, as an animated image."""

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from wardrobe.inference.snapshots import read_first_kernel

Floats = npt.NDArray[np.floating]

COLUMNS, TILE, GAP = 8, 60, 8  # filters in a row; pixels of each, and between them
HEADER, FONT_SIZE = 40, 20  # pixels
MAX_FRAMES = 120  # of a long training: these many epochs, evenly spaced
FRAME_MS, ALL_MS, LAST_MS = 500, 20_000, 2_000  # milliseconds: a frame, all at most, the last
# Saturated colour from here: a few weights are far larger than the others. As in the report.
QUANTILE = 0.98
# Blue for negative weights, red for positive: as the page has them (colours.js).
COLOURS = np.array(
    [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]]
)


def draw_film(title: str, snapshots: Mapping[int, Path], file_format: str) -> bytes:
    """Returns an animation with a frame for each snapshot: its epoch, and the filters magnified.

    Args:
        title: written on each frame.
        snapshots: epoch → file, at least one.
        file_format: "webp" or "gif".
    """
    epochs = list(snapshots)
    if len(epochs) > MAX_FRAMES:
        chosen = np.linspace(0, len(epochs) - 1, MAX_FRAMES).round().astype(int)
        epochs = [epochs[i] for i in chosen]
    kernels = np.stack([read_first_kernel(snapshots[epoch]) for epoch in epochs])  # (e, f, h, w)
    # One scale for all epochs, so that the weights are seen to grow.
    limit = max(float(np.quantile(np.abs(kernels), QUANTILE)), 1e-9)
    first, *others = (
        _draw_frame(f"{title}   epoch {epoch} of {epochs[-1]}", filters / limit)
        for epoch, filters in zip(epochs, kernels, strict=True)
    )
    duration = [min(FRAME_MS, ALL_MS // len(epochs))] * len(others) + [LAST_MS]
    buffer = io.BytesIO()
    options = {"lossless": True} if file_format == "webp" else {}
    first.save(
        buffer,
        file_format,
        save_all=True,
        append_images=others,
        duration=duration,
        loop=0,
        **options,
    )
    return buffer.getvalue()


def _draw_frame(text: str, filters: Floats) -> Image.Image:
    """Draws filters (f, h, w) of -1 to 1, numbers beyond are clipped, below a line of text."""
    step = TILE + GAP
    rows = -(-len(filters) // COLUMNS)
    frame = Image.new("RGB", (COLUMNS * step + GAP, HEADER + rows * step), "white")
    write = partial(ImageDraw.Draw(frame).text, font=ImageFont.load_default(FONT_SIZE))
    write((GAP, HEADER // 2), text, fill="#22262b", anchor="lm")
    for number, filter_ in enumerate(filters):
        row, column = divmod(number, COLUMNS)
        tile = Image.fromarray(_colour(filter_)).resize((TILE, TILE), Image.Resampling.NEAREST)
        frame.paste(tile, (GAP + column * step, HEADER + row * step))
    return frame


def _colour(values: Floats) -> npt.NDArray[np.uint8]:
    """Returns values (h, w), -1 to 1, as colours (h, w, 3)."""
    places = np.linspace(-1, 1, len(COLOURS))
    channels = [np.interp(values, places, COLOURS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
