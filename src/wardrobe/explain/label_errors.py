"""Labels that are probably wrong, by confident learning on cross-validated predictions."""

import io
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.errors import DataError
from wardrobe.evaluation import scoring
from wardrobe.inference.confidence import softmax
from wardrobe.models.recipes import Recipe
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import loop

FOLDS = 5  # trainings; each has four fifths of the images

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelErrors:
    """The images whose labels are probably wrong, most probable first."""

    indices: Labels  # (m,) into `dataset.train + dataset.validation`
    suggested: Labels  # (m,) the predicted classes
    probabilities: npt.NDArray[np.floating]  # (n, k), of every image


def find_label_errors(
    recipe: Recipe, dataset: Dataset, seed: int, display: TrainingDisplay
) -> LabelErrors:
    """Searches the training and validation labels.

    Five networks are each trained on four fifths of the images and predict the rest. Confident
    learning estimates from the predictions how many labels of each class are wrong.

    Raises:
        DataError: a class has fewer than two images.

    Source: Northcutt et al. 2021, arXiv 1911.00068; cleanlab.
    """
    from cleanlab.filter import find_label_issues  # loads pandas: half a second

    labels = (dataset.train + dataset.validation).labels  # never the test split
    folds = assign_folds(labels)  # (n,), 0 to FOLDS - 1
    probabilities = np.zeros((len(labels), len(dataset.class_names)))
    for fold in range(folds.max() + 1):
        display.stage(f"Label errors: training network {fold + 1} of {folds.max() + 1}")
        probabilities[folds == fold] = _cross_predict(recipe, dataset, folds == fold, seed)
    issues = find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return LabelErrors(issues, probabilities[issues].argmax(axis=1), probabilities)


def assign_folds(labels: Labels) -> Labels:
    """Returns the fold of each image, with every class spread evenly over the folds: (n,)."""
    if np.bincount(labels).min() < 2:
        raise DataError("a class has fewer than 2 images, too few to cross-validate; add images")
    folds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        folds[of_class] = np.arange(len(of_class)) % FOLDS
    return folds


def _cross_predict(
    recipe: Recipe, dataset: Dataset, in_fold: npt.NDArray[np.bool_], seed: int
) -> npt.NDArray[np.floating]:
    """Trains on the images outside a fold; returns probabilities (in fold, k) of those in it."""
    images = dataset.train + dataset.validation
    order = np.random.default_rng(0).permutation(np.flatnonzero(~in_fold))
    parts = replace(dataset, train=images[order], validation=images[np.flatnonzero(in_fold)])
    with tempfile.TemporaryDirectory() as folder:
        run = runs.create_run(recipe, Path(folder) / "fold", data=dataset.name, seed=seed)
        hidden = TrainingDisplay(io.StringIO())  # prints into nothing
        model = loop.fit(recipe, parts, run, seed, hidden)
    return softmax(scoring.predict_logits(model, parts.validation.images, recipe.tta_views))
