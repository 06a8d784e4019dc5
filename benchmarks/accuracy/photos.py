"""How well a model does on people's photos, and how well it tells what is none of its classes."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks import plots, results
from wardrobe import photo
from wardrobe.errors import DataError, PhotoError, UsageError
from wardrobe.evaluation import calibration, out_of_distribution
from wardrobe.inference.classifier import SHIPPED, Classifier, Predictions
from wardrobe.plots import save_figure

Images = npt.NDArray[np.uint8]
Kinds = npt.NDArray[np.str_]  # (n,), each photo's subfolder
T = TypeVar("T")

# Sub-folder of the photos → the classes that are right for it. Photos in other folders are none of the ten.
RIGHT = {
    "dress": ("Dress",),
    "longsleeve": ("Pullover",),
    "outwear": ("Coat",),
    "pants": ("Trouser",),
    "shirt": ("Shirt",),
    "shoes": ("Sandal", "Sneaker", "Ankle boot"),
    "t-shirt": ("T-shirt/top",),
}
SHEET_PHOTOS = 40
PALE_BLUE = np.array([181, 211, 231])  # shows white garments and black ones


def photos(root: Path, model: str | None, folder: Path) -> dict[str, Any]:
    """Scores a model on photos, one subfolder per kind of clothing as in `RIGHT`, and writes results/photos.json.

    Args:
        root: the folder of the photos.
        model: as in `Classifier.load`.
        folder: gets results/photos.json, RESULTS.md, runs/photo-steps.png and, for the shipped model, its card.

    Raises:
        UsageError: `root` is no folder. DataError: it lacks one of the kinds.
    """
    paths = _paths(root)
    kinds = np.array([path.parent.name for path in paths])
    classifier = Classifier.load(model)
    with ThreadPoolExecutor() as pool:
        steps = list(pool.map(_named(photo.prepare_steps), paths))
        resized = np.stack(list(pool.map(_named(grey_resized), paths)))
    predictions = classifier.classify(np.stack([each.pixels for each in steps]))
    resized_correct = _correct(classifier.classify(resized).labels, kinds)
    figures = {
        "benchmark": "photos",
        "command": f"wardrobe benchmark photos --photos {root}"
        + (f" --model {model}" if model else ""),
        **results.provenance(),
        "model": model or SHIPPED,
        "about": {key: value for key, value in classifier.metadata.items() if key != "class_names"},
        "class_names": list(classifier.class_names),
        **_scores(predictions, kinds),
        "balanced_accuracy_resized": balanced(resized_correct, kinds),
        "auroc": _auroc(classifier, predictions.familiarity, kinds),
    }
    results.write_results(figures, folder)
    _draw_sheet(steps, kinds, predictions, folder / "runs" / "photo-steps.png")
    return figures


def _paths(root: Path) -> list[Path]:
    """Returns the photos below `root`, by kind."""
    if not root.is_dir():
        raise UsageError(
            f"--photos {root} is no folder; give one with the subfolders {', '.join(RIGHT)} and others"
        )
    paths = sorted(
        path for path in root.glob("*/*") if path.is_file() and not path.name.startswith(".")
    )
    missing = sorted(set(RIGHT) - {path.parent.name for path in paths})
    if missing:
        raise DataError(
            f"{root} has no photos in {', '.join(missing)}; each kind of clothing needs some"
        )
    return paths


def _named(prepare: Callable[[Path], T]) -> Callable[[Path], T]:
    """Lets what `prepare` cannot read be named."""

    def prepared(path: Path) -> T:
        try:
            return prepare(path)
        except PhotoError as error:
            raise DataError(f"{path}: {error}; remove it") from error

    return prepared


def _scores(predictions: Predictions, kinds: Kinds) -> dict[str, Any]:
    """Returns accuracy, doubt and calibration over the photos of known kinds, and a row a kind."""
    known, sure = np.isin(kinds, list(RIGHT)), ~predictions.not_sure
    correct = _correct(predictions.labels, kinds)
    return {
        "photos": int(known.sum()),
        "accuracy": float(correct[known].mean()),
        "balanced_accuracy": balanced(correct, kinds),
        "sure": float(sure[known].mean()),
        "accuracy_where_sure": float(correct[known & sure].mean())
        if (known & sure).any()
        else None,
        "not_sure_of_known": float((~sure)[known].mean()),
        "not_sure_of_others": float((~sure)[~known].mean()) if (~known).any() else None,
        "ece": calibration.expected_calibration_error(
            predictions.confidences[known], correct[known]
        ),
        "rows": [_row(kind, kinds, predictions, correct) for kind in (*RIGHT, *_others(kinds))],
    }


def _draw_sheet(
    steps: Sequence[photo.Steps], kinds: Kinds, predictions: Predictions, path: Path
) -> None:
    """Draws some photos of each kind, step by step, with the model's answers."""
    rng = np.random.default_rng(0)
    names = [*RIGHT, *_others(kinds)]
    each = -(-SHEET_PHOTOS // len(names))
    chosen = [
        i for kind in names for i in sorted(rng.permutation(np.flatnonzero(kinds == kind))[:each])
    ]
    doubts = zip(predictions.labels, predictions.not_sure, strict=True)
    answers = ["not sure" if doubt else label for label, doubt in doubts]
    shares = [f" {share:.0%}".replace("%", " %") for share in predictions.confidences]
    captions = [
        f"{kinds[i]}: {answers[i]}{'' if answers[i] == 'not sure' else shares[i]}" for i in chosen
    ]
    right = [answers[i] in RIGHT.get(kinds[i], ("not sure",)) for i in chosen]
    path.parent.mkdir(exist_ok=True)
    save_figure(
        plots.plot_photo_steps([_strip(steps[i]) for i in chosen], captions, right),
        path,
        "photos",
        synthetic=False,
    )


def _strip(steps: photo.Steps) -> tuple[Images, ...]:
    """Returns photo, garment on pale blue, light, and what the model sees."""
    cut_out = np.where(steps.garment.mask[..., None], steps.photo, PALE_BLUE).astype(np.uint8)
    return steps.photo, cut_out, np.round(steps.light * 255).astype(np.uint8), steps.pixels


def balanced(correct: npt.NDArray[np.bool_], kinds: Kinds) -> float:
    """Returns the mean over the kinds in `RIGHT` of the share that is right."""
    return float(np.mean([correct[kinds == kind].mean() for kind in RIGHT]))


def grey_resized(path: Path) -> Images:
    """Returns what most people do with a photo: grey, squeezed to 28x28, nothing else. (28, 28) uint8."""
    with photo.open_image(path) as image:
        return np.asarray(
            image.convert("L").resize((photo.SIDE, photo.SIDE), Image.Resampling.BILINEAR)
        )


def _correct(labels: Iterable[str], kinds: Kinds) -> npt.NDArray[np.bool_]:
    return np.array(
        [label in RIGHT.get(kind, ()) for label, kind in zip(labels, kinds, strict=True)]
    )


def _others(kinds: Kinds) -> list[str]:
    return sorted(set(kinds.tolist()) - set(RIGHT))


def _row(
    kind: str, kinds: Kinds, predictions: Predictions, correct: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    here, labels = kinds == kind, np.array(predictions.labels)
    return {
        "kind": kind,
        "right": list(RIGHT.get(kind, ())),
        "n": int(here.sum()),
        "accuracy": float(correct[here].mean()) if kind in RIGHT else None,
        "not_sure": float(predictions.not_sure[here].mean()),
        "predicted": [int((labels[here] == name).sum()) for name in predictions.class_names],
    }


def _auroc(
    classifier: Classifier, familiarity: npt.NDArray[np.floating], kinds: Kinds
) -> dict[str, float]:
    """Returns how well familiarity tells known clothing from other things: areas under the ROC curve."""
    known = np.isin(kinds, list(RIGHT))

    def against(other: npt.NDArray[np.floating]) -> float:
        return out_of_distribution.auroc(familiarity[known], other)

    found = {kind: against(familiarity[kinds == kind]) for kind in _others(kinds)}
    drawn = {"digits": out_of_distribution.draw_digits(), "noise": out_of_distribution.draw_noise()}
    found |= {
        name: against(classifier.classify(images).familiarity) for name, images in drawn.items()
    }
    return (
        {"all other clothing": against(familiarity[~known]), **found} if (~known).any() else found
    )
