"""A model's metrics on a split of its data set; nothing is chosen on the test split."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from wardrobe.data import TEST, VALIDATION, Dataset, Split, batches
from wardrobe.data.clothing_photos import Photos
from wardrobe.data.test_split import open_test_split
from wardrobe.evaluation import calibration, metrics
from wardrobe.evaluation.metrics import Floats, Labels
from wardrobe.evaluation.photos import score_answers
from wardrobe.inference import confidence
from wardrobe.models import tta
from wardrobe.models.recipes import Recipe

Predict = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]  # images → logits

BATCH = 500  # images
FEW = 100  # images: of fewer, less than five decide the familiarity threshold
ANSWERED = 0.95  # fraction of validation images that count as familiar


@dataclass(frozen=True)
class ReferenceOutputs:
    """Labelled images with the logits of the Keras model, which an exported file must match."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: Labels  # (n,)
    logits: npt.NDArray[np.float32]  # (n, k)


@dataclass(frozen=True)
class Evaluation(ReferenceOutputs):
    """A split with the model's logits and metrics."""

    temperatures: Floats  # (n,), each fitted on other images
    metrics: dict[str, Any]  # as in metrics.json
    validation: ReferenceOutputs  # decides whether an exported file is kept


def evaluate(model: keras.Model, dataset: Dataset, recipe: Recipe, split: str = TEST) -> Evaluation:
    """Scores `model` on "test" or "validation".

    The temperature and the familiarity threshold are fitted on validation images, or on the photos
    for validation if the model was trained on photos. If the images that are scored were fitted
    on, each half of them is scored with the values fitted on the other half (cross-fitting).
    """
    views, validation = recipe.tta_views, dataset.validation
    predict = make_logits_function(model, views)
    reference = ReferenceOutputs(validation.images, validation.labels, predict(validation.images))
    fitted: Floats = reference.logits
    targets: npt.NDArray[Any] = validation.labels
    photo_scores: dict[str, Any] = {}
    if dataset.photos is not None:
        photos = dataset.photos.validation
        fitted, targets, photo_scores = _score_photos(predict, photos, dataset.class_names)
    temperature, threshold = _fit(fitted, targets)
    scored = open_split(dataset, split)  # after fitting: nothing above sees these images
    logits = reference.logits if split == VALIDATION else predict(scored.images)
    temperatures, thresholds = (np.full(len(logits), each) for each in (temperature, threshold))
    if fitted is logits:
        temperatures, thresholds = _cross_fit(logits, targets)
    scaled = logits / temperatures[:, None]
    sure = confidence.familiarity(logits) >= thresholds
    majority = int(np.bincount(dataset.train.labels).argmax())  # what to answer without a network
    found = {
        "data": dataset.name,
        "split": split,
        "tta_views": views,
        **compute_metrics(logits, scaled, scored.labels, dataset.class_names),
        "temperature": temperature,
        "familiarity_threshold": threshold,
        "sure": float(sure.mean()),
        "sure_accuracy": metrics.accuracy(logits[sure], scored.labels[sure])
        if sure.any()
        else None,
        "fitted_on": len(targets),
        "fitted_on_few": len(targets) < FEW,
        "majority_class": dataset.class_names[majority],
        "majority_accuracy": float((scored.labels == majority).mean()),
        **photo_scores,
    }
    return Evaluation(scored.images, scored.labels, logits, temperatures, found, reference)


def _score_photos(
    predict: Predict, photos: Photos, class_names: tuple[str, ...]
) -> tuple[Floats, npt.NDArray[np.bool_], dict[str, Any]]:
    """Scores photos; returns what temperature and threshold are fitted on as well.

    Returns:
        Logits of the photos that show one of the classes, (n, k); the classes that count as correct
        for each, (n, k); the entry "photos" of metrics.json, over all photos.
    """
    logits = predict(photos.images)
    labels = [class_names[i] for i in logits.argmax(axis=1)]
    scores = score_answers(labels, confidence.familiarity(logits), photos.kinds)
    accepted = photos.targets(class_names)[:, :-1] > 0  # the last column is "none"
    known = accepted.any(axis=1)
    return logits[known], accepted[known], {"photos": {"split": VALIDATION, **scores}}


def _fit(logits: Floats, targets: npt.NDArray[Any]) -> tuple[float, float]:
    """Returns the temperature, and the familiarity below which an image is unlike the classes."""
    threshold = np.quantile(confidence.familiarity(logits), 1 - ANSWERED)
    return calibration.fit_temperature(logits, targets), float(threshold)


def _cross_fit(logits: Floats, targets: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Returns what `_fit` returns for each image, (n,) both, fitted on the half without it."""
    half, fitted = assign_halves(targets), np.empty((2, len(logits)))
    for each in (0, 1):
        values = _fit(logits[half != each], targets[half != each])
        fitted[:, half == each] = np.array(values)[:, None]
    return fitted[0], fitted[1]


def assign_halves(labels: Labels) -> Labels:
    """Returns 0 or 1 for each image, the half that it is in; classes are divided evenly: (n,)."""
    halves = np.empty(len(labels), np.int64)
    halves[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % 2
    return halves


def compute_metrics(
    logits: Floats, scaled: Floats, labels: Labels, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Returns the scores of metrics.json.

    Args:
        logits: (n, k), for all scores but those named "after".
        scaled: (n, k), the same divided by a temperature that was fitted on other images.
        labels: (n,).
    """
    classes = np.arange(len(class_names))  # also those that no image has
    predicted = logits.argmax(axis=1)
    correct, n = predicted == labels, len(labels)
    per_class = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    both = {"before": logits, "after": scaled}
    softened = {when: confidence.softmax(each) for when, each in both.items()}
    ece = calibration.expected_calibration_error
    return {
        "n": n,
        "accuracy": int(correct.sum()) / n,
        "accuracy_interval_95": list(metrics.accuracy_interval(int(correct.sum()), n)),
        "class_names": list(class_names),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for name, p, r, f, s in zip(class_names, *per_class, strict=True)
        },
        # Rows: actual; columns: predicted.
        "confusion": confusion_matrix(labels, predicted, labels=classes).tolist(),
        "nll": {when: metrics.negative_log_likelihood(both[when], labels) for when in both},
        "brier": {when: metrics.brier_score(softened[when], labels) for when in both},
        "ece": {when: ece(softened[when].max(axis=1), correct) for when in both},
    }


def open_split(dataset: Dataset, split: str) -> Split:
    """Returns "test" or "validation" to measure on; nothing may be chosen on it."""
    return open_test_split(dataset) if split == TEST else dataset.validation


def make_logits_function(model: keras.Model, tta_views: int = 1) -> Predict:
    """Returns a function from images (n, 28, 28), 0-255, to logits (n, k).

    TensorFlow traces the model once for each function that this returns.

    Args:
        tta_views: of test-time augmentation; see `tta.with_tta`.
    """
    averaged = tta.with_tta(model, tta_views)  # the views are part of the graph
    return lambda images: averaged.predict(
        **batches.from_images(images[..., None], BATCH), verbose=0
    )
