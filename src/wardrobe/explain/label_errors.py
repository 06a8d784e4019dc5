"""Labels that are probably wrong, by confident learning on repeated cross-validation.

With another seed, other folds or another machine, a cross-validation flags other labels. So several
are run, each with its own seed and folds, and a label is reported only if most of them flag it.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import jaccard_score
from sklearn.model_selection import StratifiedKFold

from wardrobe.data import Dataset, Split
from wardrobe.errors import DataError
from wardrobe.evaluation import scoring
from wardrobe.inference.confidence import softmax
from wardrobe.models import recipes
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import loop

SEEDS = range(5)  # one cross-validation each
FOLDS = 5  # trainings of a cross-validation; each has four fifths of the images
# Fraction of the runs that must flag a label. Of the labels that four of five runs flag in one of
# two sets of runs, both sets flag 59 %. Two or three of five (62 %) are slightly more stable, but
# less strict; five of five (53 %) is less stable: docs/log.md, 2026-11-27.
REQUIRED = 0.8
RECIPE = "sprint"  # the fastest; 25 trainings of it take minutes

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelErrors:
    """The labels that are probably wrong, of the n images in `dataset.train + validation`."""

    indices: Labels  # (m,), those flagged by `required` runs or more, most probable error first
    suggested: Labels  # (m,), their predicted classes
    probabilities: Floats  # (n, k), mean over the runs
    flags: Flags  # (runs, n), whether a run flags a label
    required: int

    @property
    def votes(self) -> Labels:
        """The number of runs that flag each label: (n,)."""
        return self.flags.sum(axis=0)

    @property
    def agreement(self) -> float:
        """The mean over pairs of runs: labels that both flag, divided by those either flags."""
        pairs = combinations(self.flags, 2)
        scores = [jaccard_score(one, other, zero_division=1.0) for one, other in pairs]
        return float(np.mean(scores or [1.0]))  # a single run agrees with itself


def find_label_errors(
    dataset: Dataset, display: TrainingDisplay, seeds: Sequence[int]
) -> LabelErrors:
    """Searches the training and validation labels.

    In each run, five networks are each trained on four fifths of the images and predict the rest.
    Confident learning estimates from the predictions which labels are wrong.

    Args:
        seeds: one per run, for its folds and networks.

    Raises:
        DataError: a class has fewer than two images.

    Source: Northcutt et al. 2021, arXiv 1911.00068; cleanlab.
    """
    from cleanlab.filter import find_label_issues  # loads pandas: half a second

    images = dataset.train + dataset.validation  # never the test split
    predictions = np.zeros((len(seeds), len(images), len(dataset.class_names)))
    for number, seed in enumerate(seeds):
        display.stage(f"Label errors: cross-validation {number + 1} of {len(seeds)}")
        predictions[number] = _cross_validate(dataset, images, seed)
    flags = np.stack([find_label_issues(images.labels, each, n_jobs=1) for each in predictions])
    required = math.ceil(REQUIRED * len(seeds))
    probabilities = predictions.mean(axis=0)  # (n, k)
    of_label = probabilities[np.arange(len(images)), images.labels]  # (n,)
    indices = np.flatnonzero(flags.sum(axis=0) >= required)
    indices = indices[np.argsort(of_label[indices], kind="stable")]
    others = probabilities[indices]
    others[np.arange(len(indices)), images.labels[indices]] = 0  # suggest another class
    return LabelErrors(indices, others.argmax(axis=1), probabilities, flags, required)


def assign_folds(labels: Labels, seed: int) -> Labels:
    """Returns the fold of each image, with every class spread evenly over the folds: (n,).

    There are `FOLDS` folds, or as many as the smallest class has images.

    Raises:
        DataError: a class has fewer than two images.
    """
    fewest = int(np.bincount(labels).min())
    if fewest < 2:
        raise DataError("a class has fewer than 2 images, too few to cross-validate; add images")
    folds = np.zeros(len(labels), np.int64)
    splitter = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    for fold, (_, of_fold) in enumerate(splitter.split(labels, labels)):
        folds[of_fold] = fold
    return folds


def _cross_validate(dataset: Dataset, images: Split, seed: int) -> Floats:
    """Returns the probabilities of each image, from a network not trained on it: (n, k)."""
    folds = assign_folds(images.labels, seed)
    probabilities = np.zeros((len(images), len(dataset.class_names)))
    for fold in range(folds.max() + 1):
        trained, left_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        order = np.random.default_rng(seed).permutation(trained)  # whitening uses the first images
        train, validation = images[order], images[left_out]
        parts = replace(dataset, train=train, validation=validation, photos=None)
        recipe = recipes.with_enough_steps(recipes.get(RECIPE), len(trained))
        hidden = TrainingDisplay(io.StringIO())
        model = loop.fit(recipe, parts, None, seed, hidden)
        logits = scoring.make_logits_function(model, recipe.tta_views)(parts.validation.images)
        probabilities[left_out] = softmax(logits)
    return probabilities
