"""Accuracy on photos of clothing taken by users, and rejection of photos of other things.

Nothing is chosen on the photos of `test`, and they are never drawn, so that no step is chosen by
looking at them. Choices are made on the photos of `validation`, so scores on them are optimistic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks import plots, results
from wardrobe import photo
from wardrobe.data import TEST, VALIDATION, clothing_photos
from wardrobe.data.clothing_photos import KINDS, PUBLISHED, Photos, accepted_classes
from wardrobe.data.dataset import TRAIN
from wardrobe.evaluation import metrics, out_of_distribution
from wardrobe.evaluation import photos as scoring
from wardrobe.inference.classifier import SHIPPED, Classifier, Predictions
from wardrobe.percent import format_percent
from wardrobe.plots import save_figure

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Kinds = npt.NDArray[np.str_]

RECIPE = "photo"
OTHERS = "all other clothing"
CROPS = "crops of two photos"  # not independent, so their AUROC has no interval
SHEET_PHOTOS = 40
SUREST_MISTAKES = 20
PALE_BLUE = np.array([181, 211, 231])  # a background on which white and black garments are visible
# What others report for the published test split: fractions of all its photos, of ten kinds.
REPORTED = [
    {
        "method": "Create ML: a classifier on the features of Apple's Vision framework",
        "accuracy": [0.82],
        "source": "github.com/Joschitsch/drape, Tools/MODEL_CARD.md",
    },
    {
        "method": "Xception from ImageNet, fine-tuned on 299×299 pixels",
        "accuracy": [0.89, 0.90],
        "source": "github.com/RohanTemgire/machine-learning-zoomcamp, 08-Deep-learning/README.md",
    },
]


@dataclass(frozen=True)
class OpenSplit:
    """The photos of a split."""

    photos: Photos
    checksum: str  # SHA-256; see `clothing_photos.compute_checksum`
    is_published: bool  # a folder's name does not say what is in it


@dataclass(frozen=True)
class OpenPhotos:
    """The photos of a folder."""

    train_count: int
    splits: dict[str, OpenSplit]  # TEST and VALIDATION


def open_photos(photos_dir: Path | None) -> OpenPhotos:
    """Opens and prepares photos.

    Args:
        photos_dir: as in `clothing_photos.locate`, but with a folder test as well.

    Raises:
        WardrobeError: as in `clothing_photos.load_photos`.
    """
    root = clothing_photos.locate(photos_dir)
    splits = {}
    for split in (TEST, VALIDATION):
        listed = clothing_photos.list_photos(root / split)
        checksum = clothing_photos.compute_checksum(root / split, listed)
        opened = scoring.open_photos(split, root)
        splits[split] = OpenSplit(opened, checksum, checksum == PUBLISHED[split])
    return OpenPhotos(len(clothing_photos.list_photos(root / TRAIN)), splits)


def score_model(opened: OpenPhotos, model: str | None, folder: Path) -> dict[str, Any]:
    """Scores a model on photos, and draws the steps and the mistakes on those of `validation`.

    Args:
        model: as in `Classifier.load`.
        folder: for results/photos.json, RESULTS.md, runs/photo-steps.png, runs/photo-mistakes.png
            and, if the model is the shipped one and the photos are the published ones, its card.

    Returns:
        The content of results/photos.json.
    """
    classifier = Classifier.load(model)
    about = {key: value for key, value in classifier.metadata.items() if key != "class_names"}
    predicted = {
        split: classifier.classify(each.photos.images) for split, each in opened.splits.items()
    }
    unlike = {name: classifier.classify(draw()).familiarity for name, draw in UNLIKE.items()}
    measured = {
        "benchmark": "photos",
        "command": results.format_command("photos", model=model, seeds=0),
        **results.provenance(),
        "model": model or SHIPPED,
        "about": about,
        "class_names": list(classifier.class_names),
        "train_photos": opened.train_count if about.get("recipe") == RECIPE else 0,
        "train_kinds": [OTHERS, *KINDS] if about.get("recipe") == RECIPE else [],
        "splits": {
            split: score_split(each, predicted[split], unlike)
            for split, each in opened.splits.items()
        },
        "reported": REPORTED,
    }
    results.write_results(measured, folder)
    for draw in (_draw_steps, _draw_mistakes):
        draw(opened.splits[VALIDATION].photos, predicted[VALIDATION], folder / "runs")
    return measured


def score_split(
    opened: OpenSplit, predictions: Predictions, unlike: Mapping[str, Floats]
) -> dict[str, Any]:
    """Returns all scores on the photos of a split.

    Args:
        unlike: name → familiarity of inputs that are no clothing.
    """
    kinds = opened.photos.kinds
    return {
        "sha256": opened.checksum,
        "is_published": opened.is_published,
        **scoring.score(predictions, kinds),
        "rows": make_rows(predictions, kinds),
        "rejection": measure_rejection(predictions.familiarity, kinds, unlike),
    }


def make_rows(predictions: Predictions, kinds: Kinds) -> list[dict[str, Any]]:
    """Returns, for each kind, its accuracy and how often each class was predicted."""
    labels, rows = np.array(predictions.labels), []
    correct = scoring.is_correct(predictions.labels, kinds)
    for kind in list_kinds(kinds):
        here, accepted = kinds == kind, accepted_classes(kind)
        n, hits = int(here.sum()), int(correct[here].sum())
        row = {
            "kind": kind,
            "accepted": list(accepted),
            "n": n,
            "accuracy": hits / n if accepted else None,
            "accuracy_interval_95": list(metrics.accuracy_interval(hits, n)) if accepted else None,
            "not_sure": float(predictions.not_sure[here].mean()),
            "predicted": [int((labels[here] == name).sum()) for name in predictions.class_names],
        }
        rows.append(row)
    return rows


def measure_rejection(
    familiarity: Floats, kinds: Kinds, unlike: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """Returns the AUROC of familiarity for known clothing against each other kind of input.

    Returns:
        name → n, its inputs; auroc, 0-1; interval_95, or None if it cannot be computed.
    """
    known = scoring.is_known(kinds)
    others = [kind for kind in list_kinds(kinds) if not accepted_classes(kind)]
    # The order of these entries is that of the tables.
    inputs = {OTHERS: familiarity[~known]} if others else {}
    inputs |= {kind: familiarity[kinds == kind] for kind in others} | dict(unlike)
    return {
        name: {
            "n": len(other),
            "auroc": out_of_distribution.auroc(familiarity[known], other),
            "interval_95": None
            if name == CROPS
            else out_of_distribution.auroc_interval(familiarity[known], other),
        }
        for name, other in inputs.items()
    }


def list_kinds(kinds: Kinds) -> list[str]:
    """Returns the kinds that photos have, in the order of `KINDS`."""
    return [kind for kind in dict.fromkeys([*KINDS, *kinds.tolist()]) if (kinds == kind).any()]


def draw_crops() -> Images:
    """Returns square crops of scikit-learn's two photos, a temple and a flower: (n, 28, 28) grey.

    No recipe draws such images in training.
    """
    rng, size = np.random.default_rng(0), (photo.SIDE, photo.SIDE)
    sources = [Image.fromarray(each).convert("L") for each in load_sample_images().images]
    crops = []
    for number in range(out_of_distribution.COUNT):
        source = sources[number % len(sources)]
        side = rng.integers(photo.SIDE, min(source.size), endpoint=True)
        left, top = rng.integers(0, np.array(source.size) - side, endpoint=True)
        box = left, top, left + side, top + side
        crops.append(np.asarray(source.resize(size, Image.Resampling.BOX, box)))
    return np.stack(crops)


UNLIKE = {**out_of_distribution.OOD_INPUTS, CROPS: draw_crops}


def _draw_steps(photos: Photos, predictions: Predictions, folder: Path) -> None:
    """Draws some photos of each kind, step by step, with the model's predictions."""
    rng, kinds = np.random.default_rng(0), list_kinds(photos.kinds)
    per_kind = -(-SHEET_PHOTOS // len(kinds))  # rounded up
    chosen: list[int] = []
    for kind in kinds:
        chosen += sorted(rng.permutation(np.flatnonzero(photos.kinds == kind))[:per_kind])
    right = int(_is_right(photos.kinds, predictions)[chosen].sum())
    title = (
        f"From photo to 28×28: {right} of {len(chosen)} predictions are correct (blue ✓), the "
        "others wrong (orange ✗)"
    )
    _draw_sheet(title, photos, predictions, chosen, folder / "photo-steps.png")


def _draw_mistakes(photos: Photos, predictions: Predictions, folder: Path) -> None:
    """Draws the photos with a wrong answer that has the highest confidence."""
    wrong = ~_is_right(photos.kinds, predictions) & ~predictions.not_sure
    by_confidence = np.argsort(-scoring.sum_over_kind(predictions), kind="stable")
    chosen = [int(i) for i in by_confidence if wrong[i]][:SUREST_MISTAKES]
    if chosen:
        title = f"The {len(chosen)} surest mistakes on {len(photos)} photos: kind, then prediction"
        _draw_sheet(title, photos, predictions, chosen, folder / "photo-mistakes.png")


def _is_right(kinds: Kinds, predictions: Predictions) -> npt.NDArray[np.bool_]:
    """Returns whether each answer is correct: (n,). Kinds without a class should get none."""
    correct = scoring.is_correct(predictions.labels, kinds)
    return np.where(scoring.is_known(kinds), correct & ~predictions.not_sure, predictions.not_sure)


def _draw_sheet(
    title: str, photos: Photos, predictions: Predictions, chosen: list[int], path: Path
) -> None:
    strips, captions = [], []
    confidences = scoring.sum_over_kind(predictions)
    for i in chosen:
        answer = f"{predictions.labels[i]} {format_percent(confidences[i], 0)}"
        captions.append(
            f"{photos.kinds[i]}: {'unlike the 10 classes' if predictions.not_sure[i] else answer}"
        )
        strips.append(_show_steps(photo.prepare_steps(photos.paths[i])))
    is_right = _is_right(photos.kinds, predictions)[chosen]
    figure = plots.plot_photo_steps(strips, captions, is_right.tolist(), title)
    path.parent.mkdir(exist_ok=True)
    save_figure(figure, path, "photos", synthetic=False)


def _show_steps(steps: photo.Steps) -> tuple[Images, ...]:
    """Returns the photo, the garment on pale blue, its light, and the model's input."""
    garment = np.where(steps.garment.mask[..., None], steps.photo, PALE_BLUE).astype(np.uint8)
    return steps.photo, garment, np.round(steps.light * 255).astype(np.uint8), steps.pixels
