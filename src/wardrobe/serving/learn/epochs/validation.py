"""What a network predicts for its run's validation images, and a map of their features.

Never the test split: the pages show this while someone still chooses what to train.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.data import Split
from wardrobe.errors import RunError
from wardrobe.inference import confidence
from wardrobe.inference.snapshots import Snapshot
from wardrobe.runs import Run
from wardrobe.serving.learn.epochs.cache import Cache
from wardrobe.workflows.opening import load_validation

Floats = npt.NDArray[np.floating]

MAX_IMAGES = 1_000  # the first ones, in the split's fixed order
DATA_SETS = 2  # kept in memory: those of two runs side by side
TILE_COLUMNS = 40  # images in a row of the PNG
MIN_POINTS = 3  # fewer have no two axes

_data_sets: Cache[Split] = Cache(DATA_SETS)


def load_images(run: Run) -> Split:
    """Returns the first validation images of the run's data, which may take long.

    Runs on the same data share them.

    Raises:
        RunError, DataError: see `load_validation`.
    """
    checksums, names = (_read_dataset(run)[key] for key in ("checksums", "class_names"))
    key = str((sorted(checksums.items()), names, run.recipe().held_out))

    def load() -> Split:
        split = load_validation(run)
        # Copies, so that the whole data set does not stay in memory.
        return Split(split.images[:MAX_IMAGES].copy(), split.labels[:MAX_IMAGES].copy())

    return _data_sets.get(key, None, load)


def read_class_names(run: Run) -> list[str]:
    """Returns the run's classes, in the order of its logits."""
    return _read_dataset(run)["class_names"]


def _read_dataset(run: Run) -> dict[str, Any]:
    try:
        return run.info()["dataset"]
    except KeyError:
        raise RunError(f"{run.path}/run.json has no dataset; train the run again") from None


def describe_predictions(
    network: Snapshot, axes: Floats | None, split: Split, class_names: list[str]
) -> dict[str, Any]:
    """Returns the prediction for each image, and the images as points on two axes (f, 2)."""
    logits, features = network.predict(split.images)
    probabilities = confidence.softmax(logits)
    return {
        "class_names": class_names,
        "labels": split.labels.tolist(),
        "predictions": probabilities.argmax(axis=1).tolist(),
        "confidences": _round(probabilities.max(axis=1)).tolist(),
        "points": None if axes is None else _place_points(features, axes).round(4).tolist(),
    }


def predict_dozen(network: Snapshot, split: Split, count: int) -> list[dict[str, Any]]:
    """Returns the probabilities of the first image of each class and others, `count` in all."""
    _, first = np.unique(split.labels, return_index=True)
    others = np.setdiff1d(np.arange(len(split)), first)
    chosen = np.concatenate([first, others])[:count]
    probabilities = _round(confidence.softmax(network.predict(split.images[chosen])[0]))
    return [
        {"index": int(i), "label": int(split.labels[i]), "probabilities": each.tolist()}
        for i, each in zip(chosen, probabilities, strict=True)
    ]


def _round(probabilities: Floats) -> Floats:
    """Rounds to 0.01 %, but never to 1: the page would write "100 %"."""
    return probabilities.round(4).clip(max=0.9999)


def find_axes(network: Snapshot, split: Split) -> Floats | None:
    """Returns the two principal axes of the images' features: (f, 2), orthonormal.

    None if there are too few images, or if they do not differ.
    """
    if len(split) < MIN_POINTS:
        return None
    features = _centre(network.predict(split.images)[1])
    # The eigenvectors of the images' products, (n, n), because there can be more features.
    values, vectors = np.linalg.eigh(features @ features.T)
    if values[-2] <= 1e-9 * max(values[-1], 1):
        return None
    axes = features.T @ vectors[:, :-3:-1] / np.sqrt(values[:-3:-1])  # the largest two first
    # An axis has no sign; with a fixed one, a map does not flip from epoch to epoch.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    return axes * signs


def _place_points(features: Floats, axes: Floats) -> Floats:
    """Returns the features (n, f) on the axes: (n, 2), -1 to 1.

    Each epoch has its own centre and scale. On the last epoch's scale, the first would be a dot.
    """
    points = _centre(features) @ axes
    return points / max(float(np.abs(points).max()), 1e-9)


def _centre(features: Floats) -> Floats:
    wide = features.astype(np.float64)
    return wide - wide.mean(axis=0)
