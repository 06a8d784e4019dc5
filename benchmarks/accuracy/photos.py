"""Accuracy on photos of clothing taken by users, and rejection of photos of other things.

Published scores are those on the test split. The steps of `wardrobe.photo` and the recipe `photo`
were chosen on the validation split, so scores on it are optimistic.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks import plots, results
from wardrobe import photo
from wardrobe.data import TEST
from wardrobe.data.clothing_photos import KINDS, KNOWN_KINDS, PUBLISHED, compute_checksum
from wardrobe.errors import DataError, PhotoError, UsageError
from wardrobe.evaluation import calibration, metrics, out_of_distribution
from wardrobe.inference.classifier import SHIPPED, Classifier, Predictions
from wardrobe.percent import format_percent
from wardrobe.plots import save_figure

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Categories = npt.NDArray[np.str_]  # (n,), the subfolder of each photo
T = TypeVar("T")

# Inputs that the recipe `photo` learns to reject → how `photo_augment.make_unknowns` draws them.
DRAWN_IN_TRAINING = {
    "all other clothing": "shorts and skirts, not hats",
    "shorts": "cut from trousers",
    "skirt": "cut from dresses",
    "digits": "strokes, which were added because they improve this score",
    "noise": "uniform noise",
}
CROPS = "crops of two photos"  # not independent, so their AUROC has no interval
SHEET_PHOTOS = 40
PALE_BLUE = np.array([181, 211, 231])  # a background on which white and black garments are visible


def score_photos(root: Path, model: str | None, folder: Path) -> dict[str, Any]:
    """Scores a model on photos, and draws how they are prepared.

    Photos of the test split are not drawn, so that no step is chosen by looking at them.

    Args:
        root: folder of photos, with one subfolder per category, as in `KINDS`.
        model: as in `Classifier.load`.
        folder: for results/photos.json, RESULTS.md, runs/photo-steps.png and, if the model is
            the shipped one and the photos those of the published test split, its card.

    Returns:
        The content of results/photos.json.

    Raises:
        UsageError: `root` is not a folder.
        DataError: one of the categories has no photos, or a file is not an image.
    """
    paths = _list_photos(root)
    categories = np.array([path.parent.name for path in paths])
    classifier = Classifier.load(model)
    with ThreadPoolExecutor() as pool:
        steps = list(pool.map(_name_errors(photo.prepare_steps), paths))
        resized = np.stack(list(pool.map(_name_errors(resize_grey), paths)))
    predictions = classifier.classify(np.stack([each.pixels for each in steps]))
    resized_correct = _check_labels(classifier.classify(resized).labels, categories)
    metadata = {key: value for key, value in classifier.metadata.items() if key != "class_names"}
    checksum = compute_checksum(root, paths)
    is_test = checksum == PUBLISHED[TEST]  # a folder's name does not say what is in it
    measured = {
        "benchmark": "photos",
        "command": results.format_command("photos", photos=root, model=model),
        **results.provenance(),
        "split": TEST if is_test else None,
        "folder": root.resolve().name,
        "sha256": checksum,
        "model": model or SHIPPED,
        "about": metadata,
        "class_names": list(classifier.class_names),
        **score_predictions(predictions, categories),
        "balanced_accuracy_resized": average_by_category(resized_correct, categories),
        "auroc": _measure_auroc(classifier, predictions.familiarity, categories),
        "drawn_in_training": DRAWN_IN_TRAINING if metadata.get("recipe") == "photo" else {},
    }
    results.write_results(measured, folder)
    if not is_test:
        _draw_sheet(steps, categories, predictions, folder / "runs" / "photo-steps.png")
    return measured


def average_by_category(correct: npt.NDArray[np.bool_], categories: Categories) -> float:
    """Returns the balanced accuracy: the mean over the categories of `KNOWN_KINDS`, 0-1."""
    return float(np.mean([correct[categories == category].mean() for category in KNOWN_KINDS]))


def balanced_accuracy_interval(
    correct: npt.NDArray[np.bool_], categories: Categories
) -> tuple[float, float]:
    """Returns the 95 % interval of the balanced accuracy, 0-1.

    It combines the Wilson intervals of the categories: the distance from each estimate to its
    bound is an error, and the errors of independent samples add in quadrature. Unlike in a
    bootstrap, a category whose photos are all correct still adds to the width.

    Source: MOVER, Zou, Huang, Zhang 2009, doi 10.1016/j.csda.2008.09.033.
    """
    groups = [correct[categories == category] for category in KNOWN_KINDS]
    accuracies = np.array([group.mean() for group in groups])  # (7,)
    bounds = np.array(
        [metrics.accuracy_interval(int(group.sum()), len(group)) for group in groups]
    )  # (7, 2)
    errors = np.linalg.norm(bounds - accuracies[:, None], axis=0) / len(groups)  # (2,)
    low, high = accuracies.mean() + errors * (-1, 1)
    return float(low), float(high)


def auroc_interval(known: Floats, other: Floats) -> tuple[float, float] | None:
    """Returns the 95 % interval of the AUROC, 0-1; None if a kind has fewer than 2 inputs.

    Source: DeLong, DeLong, Clarke-Pearson 1988, doi 10.2307/2531595.
    """
    if min(len(known), len(other)) < 2:
        return None
    wins = (known[:, None] > other) + 0.5 * (known[:, None] == other)  # (m, n): 0, 0.5 or 1
    # The mean wins of each known input vary, and so do those against each other input.
    variance = sum(wins.mean(axis=1 - i).var(ddof=1) / wins.shape[i] for i in (0, 1))
    low, high = np.clip(wins.mean() + 1.96 * np.sqrt(variance) * np.array([-1, 1]), 0, 1)
    return float(low), float(high)


def sum_over_kind(predictions: Predictions) -> Floats:
    """Returns, for each answer, the probability that the photo is of that kind: (n,), 0-1.

    A category can accept several classes, such as three kinds of shoes. The probability of any of
    them is their sum. A class that no category accepts is a kind of its own.
    """
    kind = {name: category for category, names in KINDS.items() for name in names}
    kinds = np.array([kind.get(name, name) for name in predictions.class_names])
    is_same_kind = kinds[:, None] == kinds  # (k, k)
    answers = predictions.probabilities.argmax(axis=1)
    return np.where(is_same_kind[answers], predictions.probabilities, 0).sum(axis=1)


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


def resize_grey(path: Path) -> Images:
    """Returns a photo only converted to grey and resized, (28, 28): the usual preprocessing."""
    size = photo.SIDE, photo.SIDE
    with photo.open_image(path) as image:
        return np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))


def _list_photos(root: Path) -> list[Path]:
    """Returns the photos in the subfolders of `root`, sorted."""
    if not root.is_dir():
        raise UsageError(
            f"--photos {root} is not a folder; expected one with the subfolders "
            f"{', '.join(KNOWN_KINDS)} and others"
        )
    files = (path for path in root.glob("*/*") if path.is_file())
    paths = sorted(path for path in files if not path.name.startswith("."))
    missing = sorted(set(KNOWN_KINDS) - {path.parent.name for path in paths})
    if missing:
        raise DataError(
            f"{root} has no photos in {', '.join(missing)}; add some to each of these subfolders"
        )
    return paths


def _name_errors(prepare: Callable[[Path], T]) -> Callable[[Path], T]:
    """Adds the path to the error of an image that cannot be read."""

    def prepare_path(path: Path) -> T:
        try:
            return prepare(path)
        except PhotoError as error:
            raise DataError(f"{path}: {error}; remove it") from error

    return prepare_path


def _check_labels(labels: Iterable[str], categories: Categories) -> npt.NDArray[np.bool_]:
    pairs = zip(labels, categories, strict=True)
    return np.array([label in KINDS.get(category, ()) for label, category in pairs])


def _list_others(categories: Categories) -> list[str]:
    """Returns the categories without a correct class."""
    return sorted(set(categories.tolist()) - set(KNOWN_KINDS))


def score_predictions(predictions: Predictions, categories: Categories) -> dict[str, Any]:
    """Returns accuracy, coverage and calibration over photos with a correct class, and the rows."""
    known, sure = np.isin(categories, list(KNOWN_KINDS)), ~predictions.not_sure
    answered = known & sure
    correct = _check_labels(predictions.labels, categories)
    return {
        "photos": int(known.sum()),
        "accuracy": float(correct[known].mean()),
        "balanced_accuracy": average_by_category(correct, categories),
        "balanced_accuracy_interval_95": list(balanced_accuracy_interval(correct, categories)),
        "coverage": float(sure[known].mean()),
        "accuracy_of_answered": float(correct[answered].mean()) if answered.any() else None,
        "not_sure_of_known": float((~sure)[known].mean()),
        "not_sure_of_others": float((~sure)[~known].mean()) if (~known).any() else None,
        "ece": calibration.expected_calibration_error(
            sum_over_kind(predictions)[known], correct[known]
        ),
        "rows": [
            _make_row(category, categories, predictions, correct)
            for category in (*KNOWN_KINDS, *_list_others(categories))
        ],
    }


def _make_row(
    category: str, categories: Categories, predictions: Predictions, correct: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    here, labels = categories == category, np.array(predictions.labels)
    n, hits, is_known = int(here.sum()), int(correct[here].sum()), category in KNOWN_KINDS
    return {
        "category": category,
        "accepted": list(KINDS.get(category, ())),
        "n": n,
        "accuracy": hits / n if is_known else None,
        "accuracy_interval_95": list(metrics.accuracy_interval(hits, n)) if is_known else None,
        "not_sure": float(predictions.not_sure[here].mean()),
        "predicted": [int((labels[here] == name).sum()) for name in predictions.class_names],
    }


def _measure_auroc(
    classifier: Classifier, familiarity: Floats, categories: Categories
) -> dict[str, dict[str, Any]]:
    """Returns the AUROC of familiarity for known clothing against each other kind of input.

    Returns:
        kind → n, its inputs; area, 0-1; interval_95, or None if it cannot be computed.
    """
    known = familiarity[np.isin(categories, list(KNOWN_KINDS))]
    others = _list_others(categories)
    # The order of these entries is that of the tables.
    inputs = {"all other clothing": familiarity[np.isin(categories, others)]} if others else {}
    inputs |= {category: familiarity[categories == category] for category in others}
    for name, draw in (
        ("digits", out_of_distribution.draw_digits),
        ("noise", out_of_distribution.draw_noise),
        (CROPS, draw_crops),
    ):
        inputs[name] = classifier.classify(draw()).familiarity
    return {
        name: {
            "n": len(other),
            "area": out_of_distribution.auroc(known, other),
            "interval_95": None if name == CROPS else auroc_interval(known, other),
        }
        for name, other in inputs.items()
    }


def _draw_sheet(
    steps: Sequence[photo.Steps], categories: Categories, predictions: Predictions, path: Path
) -> None:
    """Draws some photos of each category, step by step, with the model's predictions."""
    rng = np.random.default_rng(0)
    names = [*KNOWN_KINDS, *_list_others(categories)]
    per_category = -(-SHEET_PHOTOS // len(names))  # rounded up
    chosen: list[int] = []
    for name in names:
        chosen += sorted(rng.permutation(np.flatnonzero(categories == name))[:per_category])
    captions, correct = [], []
    for i in chosen:
        is_not_sure = predictions.not_sure[i]
        answer = "not sure" if is_not_sure else predictions.labels[i]
        confidence = "" if is_not_sure else f" {format_percent(predictions.confidences[i], 0)}"
        captions.append(f"{categories[i]}: {answer}{confidence}")
        correct.append(answer in KINDS.get(categories[i], ("not sure",)))
    figure = plots.plot_photo_steps([_show_steps(steps[i]) for i in chosen], captions, correct)
    path.parent.mkdir(exist_ok=True)
    save_figure(figure, path, "photos", synthetic=False)


def _show_steps(steps: photo.Steps) -> tuple[Images, ...]:
    """Returns the photo, the garment on pale blue, its light, and the model's input."""
    garment = np.where(steps.garment.mask[..., None], steps.photo, PALE_BLUE).astype(np.uint8)
    return steps.photo, garment, np.round(steps.light * 255).astype(np.uint8), steps.pixels
