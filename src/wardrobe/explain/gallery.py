"""The images behind a figure of the report, which its page shows when the figure is asked.

They are kept as a few images in one PNG and columns of numbers, so that the page stays small.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.distance import cdist

from wardrobe.data import Split, tile_images

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]

CORRECT = 40  # images of a cell on the diagonal of the confusion matrix
MOST_IMAGES = 2_000  # of all cells together; an image takes 600 bytes of the page
NEAREST = 4  # images of each class
COLUMNS = 64  # tiles in a row of the PNG
SCALE = 10_000  # probabilities are written as integers of 0.01 %


def select_images(labels: Indices, predicted: Indices, probabilities: Floats) -> Indices:
    """Returns the images to show for a confusion matrix, by cell, the most confident first.

    All mistakes, and of each class `CORRECT` images from the most to the least confident; of more
    than `MOST_IMAGES`, every cell loses its last ones.

    Args:
        labels, predicted: (n,). probabilities: (n, k).

    Returns:
        (m,), indices of images.
    """
    order = np.lexsort((-probabilities.max(axis=1), predicted, labels))  # (n,)
    cells = labels[order] * probabilities.shape[1] + predicted[order]
    _, cell, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    rank, size = _rank(cells), sizes[cell]
    chosen = rank * CORRECT // size > (rank - 1) * CORRECT // size  # CORRECT, evenly spaced
    kept = np.flatnonzero((labels != predicted)[order] | chosen)
    first = np.argsort(_rank(cells[kept]), kind="stable")[:MOST_IMAGES]
    return order[kept[np.sort(first)]]


def describe_images(
    split: Split,
    shown: Indices,
    probabilities: Floats,
    features: Floats,
    names: Sequence[str],
    levels: int = 256,
) -> dict[str, Any]:
    """Returns what the page needs to show images: their pixels, predictions and nearest images.

    The nearest images of a class are those of the correctly predicted ones among `shown` whose
    features have the highest cosine similarity.

    Args:
        split: n images.
        shown: (m,), indices of the images to show; image i of the result is tile i of the PNG.
        probabilities: (n, k). features: (n, f).
        names: of the k classes.
        levels: grey levels of the tiles; 16 take half the space of 256.
    """
    labels, predicted = split.labels[shown], probabilities[shown].argmax(axis=1)
    rounded = np.clip(np.rint(SCALE * probabilities[shown]), 1, SCALE - 1)
    is_exact = np.isin(probabilities[shown], (0, 1))  # only these are written as none and all
    integers = np.where(is_exact, SCALE * probabilities[shown], rounded).astype(int)
    return {
        "classes": list(names),
        "png": _encode_png(split.images[shown], levels),
        "columns": COLUMNS,
        "levels": levels,
        "index": shown.tolist(),
        "actual": labels.tolist(),
        "predicted": predicted.tolist(),
        "probabilities": integers.tolist(),
        "nearest": {
            side: _find_nearest(features[shown], labels, predicted, classes).tolist()
            for side, classes in (("predicted", predicted), ("actual", labels))
        },
    }


def _rank(groups: Indices) -> Indices:
    """Returns the place of each element in its group, from 0; `groups` is sorted."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def _find_nearest(
    features: Floats, labels: Indices, predicted: Indices, classes: Indices
) -> Indices:
    """Returns the images nearest to each of m images, correct ones of the class given for it.

    Returns:
        (m, NEAREST), -1 where the class has fewer.
    """
    found = np.full((len(labels), NEAREST), -1)
    for each in np.unique(classes):
        members = np.flatnonzero((labels == each) & (predicted == each))
        asked = np.flatnonzero(classes == each)
        distance = cdist(features[asked], features[members], "cosine")  # (asked, members)
        distance[asked[:, None] == members] = np.inf  # not the image itself
        order = np.argsort(distance, axis=1, kind="stable")[:, :NEAREST]
        is_other = np.isfinite(np.take_along_axis(distance, order, axis=1))
        found[asked, : order.shape[1]] = np.where(is_other, members[order], -1)
    return found


def _encode_png(tiles: npt.NDArray[np.uint8], levels: int) -> str:
    """Returns tiles (t, 28, 28) as one PNG in base64, `COLUMNS` tiles in a row."""
    step = 255 / (levels - 1)
    rounded = np.rint(np.rint(tiles / step) * step).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(tile_images(rounded, COLUMNS)).save(content, "PNG", compress_level=9)
    return base64.b64encode(content.getvalue()).decode()
