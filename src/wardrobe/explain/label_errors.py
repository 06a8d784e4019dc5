"""Labels that are likely wrong: what networks say of images that they did not learn from."""

import io
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import runs
from wardrobe.data import Dataset, Split
from wardrobe.errors import DataError
from wardrobe.evaluation import scoring
from wardrobe.inference.confidence import softmax
from wardrobe.models.recipes import Recipe
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import loop

FOLDS = 5


@dataclass(frozen=True)
class LabelErrors:
    """The images whose labels are likely wrong, the likeliest first."""

    indices: npt.NDArray[np.int64]  # (m,) into the training images, then the validation images
    suggested: npt.NDArray[np.int64]  # (m,) the class that networks give them
    probabilities: npt.NDArray[
        np.floating
    ]  # (n, k) of every image, by a network that did not learn from it


def find_label_errors(
    recipe: Recipe, dataset: Dataset, seed: int, display: TrainingDisplay
) -> LabelErrors:
    """Trains a network on four fifths of the training and validation images, five times, and asks it about the others.

    How many labels of each class are wrong, and really of which other, is counted by confident learning; so many are
    named, those first where the networks are surest of the other.

    Raises:
        DataError: a class has fewer than two images.

    Source: confident learning, Northcutt et al. 2021, arXiv 1911.00068; cleanlab.
    """
    from cleanlab.filter import find_label_issues  # loads pandas: half a second

    images, labels = all_labelled_images(dataset)
    folds = _folds(labels)
    found = np.zeros((len(labels), len(dataset.class_names)))
    for number in range(folds.max() + 1):
        inside = folds == number
        display.stage(
            f"Label errors: network {number + 1} of {folds.max() + 1}, on what the others are asked about"
        )
        found[inside] = _asked(recipe, dataset, images, labels, inside, seed)
    issues = find_label_issues(labels, found, return_indices_ranked_by="self_confidence", n_jobs=1)
    return LabelErrors(issues, found[issues].argmax(axis=1), found)


def all_labelled_images(dataset: Dataset) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Returns the images and labels that may be looked through: training, then validation."""
    splits = dataset.train, dataset.validation
    return np.concatenate([each.images for each in splits]), np.concatenate(
        [each.labels for each in splits]
    )


def _folds(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the fold of each image, every class shared out evenly: (n,); a class of few is in the first of them."""
    smallest = int(np.bincount(labels).min())
    if smallest < 2:
        raise DataError(
            "a class has fewer than 2 images, so that none can be asked about; add images to it"
        )
    folds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        folds[here] = np.arange(len(here)) % FOLDS
    return folds


def _asked(
    recipe: Recipe,
    dataset: Dataset,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    inside: npt.NDArray[np.bool_],
    seed: int,
) -> npt.NDArray[np.floating]:
    """Returns what a network trained on the images outside a fold says of those inside: (inside, k)."""
    order = np.random.default_rng(0).permutation(np.flatnonzero(~inside))
    parts = replace(
        dataset,
        train=Split(images[order], labels[order]),
        validation=Split(images[inside], labels[inside]),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = runs.create_run(recipe, Path(folder) / "fold", data=dataset.name, seed=seed)
        model = loop.fit(
            recipe, parts, run, seed, TrainingDisplay(io.StringIO())
        )  # its epochs are not shown
    return softmax(scoring.predict_logits(model, parts.validation.images, recipe.tta_views))
