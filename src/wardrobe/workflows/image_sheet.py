"""Explains the prediction for one image in one figure."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import plots
from wardrobe.data import SYNTHETIC, Dataset
from wardrobe.evaluation import scoring
from wardrobe.explain import attribution, embedding, filters
from wardrobe.inference.classifier import Classifier
from wardrobe.photo import Steps
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints

SEARCHED_IMAGES = 10_000  # training images among which the nearest are searched
NEAREST = 8
LAYERS, MAPS = 4, 10  # convolutions on the sheet; maps of each

Pixels = npt.NDArray[np.uint8]  # (1, 28, 28), 0-255


def write_sheet(
    name: str,
    steps: Steps,
    source: Run | str | Path | None,
    dataset: Dataset | None,
    target: Path,
    display: TrainingDisplay,
) -> None:
    """Draws the sheet of one image into `target`.

    Args:
        steps: the image, from `photo.prepare_steps`.
        source: a run, or what `Classifier.load` accepts.
        dataset: what the run was trained on; None if there is no model.keras.
    """
    display.stage(f"Explaining {name}")
    classifier = Classifier.load(source)
    pixels = steps.pixels[None]
    prediction = classifier.classify(pixels)
    story: dict[str, Any] = {
        "name": name,
        "photo": steps.photo if steps.photo.shape[:2] != steps.pixels.shape else None,
        "pixels": steps.pixels,
        "probabilities": prediction.probabilities[0],
        "not_sure": prediction.reason(0),
        "layers": {},
        "nearest": None,
        "left_out": "HiResCAM, Grad-CAM, layers, similar images: only for runs of a recipe, "
        "with model.keras",
    }
    best = prediction.probabilities.argmax(axis=1)  # (1,)
    if isinstance(source, Run) and dataset is not None and source.recipe().network is None:
        model, recipe = checkpoints.load_model(source), source.recipe()
        logits = scoring.make_logits_function(model)
        maps = attribution.heat_maps(model, recipe, logits, pixels, best)
        searched = dataset.train[:SEARCHED_IMAGES]
        display.stage(f"Searching {len(searched):,} training images for the nearest")
        layers = _find_strongest_maps(model, pixels)
        nearest = _find_nearest(model, searched.images, pixels)
        story |= {"layers": layers, "left_out": None, "likeness": nearest[1]}
        story |= {
            "nearest": searched.images[nearest[0]], "nearest_labels": searched.labels[nearest[0]]
        }  # fmt: skip
        data, is_synthetic = dataset.name, dataset.is_synthetic
    else:
        maps = attribution.heat_maps(None, None, classifier.logits, pixels, best)
        data = str(classifier.metadata.get("data", "unknown"))
        is_synthetic = data == SYNTHETIC
    story["maps"] = {each: found[0] for each, found in maps.items()}
    plots.save_figure(
        plots.explanations.plot_image_sheet(story, classifier.class_names),
        target,
        data,
        is_synthetic,
    )


def _find_nearest(
    model: keras.Model, images: npt.NDArray[np.uint8], pixels: Pixels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]:
    """Returns indices and cosines of the images most similar to one: (NEAREST,) each."""
    features, queries = (embedding.penultimate_features(model, each) for each in (images, pixels))
    indices, cosines = embedding.find_nearest(features, queries, NEAREST)
    return indices[0], cosines[0]


def _find_strongest_maps(model: keras.Model, pixels: Pixels) -> dict[str, npt.NDArray[np.floating]]:
    """Returns the brightest maps of up to `LAYERS` convolutions: name → (h, w, filters).

    The first and the last convolution are always among them.
    """
    maps = filters.feature_maps(model, pixels)
    places = np.unique(np.linspace(0, len(maps) - 1, min(LAYERS, len(maps))).round().astype(int))
    strongest = {}
    for name in np.array(list(maps))[places].tolist():
        each = maps[name][0]  # (h, w, filters)
        brightest = np.argsort(-each.max(axis=(0, 1)), kind="stable")[:MAPS]
        strongest[name] = each[..., brightest]
    return strongest
