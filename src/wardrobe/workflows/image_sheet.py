"""Explains the prediction of a run for one image in one figure, with Keras for the gradients."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import plots
from wardrobe.data import Dataset
from wardrobe.evaluation import scoring
from wardrobe.explain import attribution, embedding, filters
from wardrobe.inference.classifier import Predictions
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
    run: Run,
    answer: Predictions,
    dataset: Dataset,
    target: Path,
    display: TrainingDisplay,
) -> dict[str, Any]:
    """Draws the sheet of one image into `target`, and returns its content for JSON.

    Args:
        steps: the image, from `photo.prepare_steps`.
        run: of a recipe, with model.keras. answer: its own to the image.
        dataset: what it was trained on.

    Returns:
        "occlusion", "layers" and "nearest"; see `api.describe_image`.
    """
    pixels, best = steps.pixels[None], answer.probabilities.argmax(axis=1)  # (1,)
    model, recipe = checkpoints.load_model(run), run.recipe()
    logits = scoring.make_logits_function(model)
    maps = attribution.heat_maps(model, recipe, logits, pixels, best)
    searched = dataset.train[:SEARCHED_IMAGES]
    display.stage(f"Searching {len(searched):,} training images for the nearest")
    nearest, likeness = _find_nearest(model, searched.images, pixels)
    nearest_labels = searched.labels[nearest]
    layers = _find_strongest_maps(model, pixels)
    story: dict[str, Any] = {
        "name": name,
        "photo": steps.photo if steps.photo.shape[:2] != steps.pixels.shape else None,
        "pixels": steps.pixels,
        "probabilities": answer.probabilities[0],
        "verdict": answer.verdict(0),
        "not_sure": answer.reason(0),
        "maps": {each: found[0] for each, found in maps.items()},
        "layers": {layer: each for layer, (_, each) in layers.items()},
        "nearest": searched.images[nearest],
        "nearest_labels": nearest_labels,
        "likeness": likeness,
    }
    figure = plots.explanations.plot_image_sheet(story, answer.class_names)
    plots.save_figure(figure, target, dataset.name, dataset.is_synthetic)
    pairs = zip(nearest_labels, likeness, strict=True)
    return {
        "occlusion": maps["occlusion"][0].round(4).tolist(),
        "layers": {layer: strongest for layer, (strongest, _) in layers.items()},
        "nearest": [
            {"label": answer.class_names[label], "similarity": float(near)} for label, near in pairs
        ],
    }


def _find_nearest(
    model: keras.Model, images: npt.NDArray[np.uint8], pixels: Pixels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]:
    """Returns indices and cosines of the images most similar to one: (NEAREST,) each."""
    features, queries = (embedding.penultimate_features(model, each) for each in (images, pixels))
    indices, cosines = embedding.find_nearest(features, queries, NEAREST)
    return indices[0], cosines[0]


def _find_strongest_maps(
    model: keras.Model, pixels: Pixels
) -> dict[str, tuple[list[int], npt.NDArray[np.floating]]]:
    """Returns the strongest filters of up to `LAYERS` convolutions, and their maps (h, w, filters).

    The first and the last convolution are always among them.
    """
    maps = filters.feature_maps(model, pixels)
    places = np.unique(np.linspace(0, len(maps) - 1, min(LAYERS, len(maps))).round().astype(int))
    strongest = {}
    for name in np.array(list(maps))[places].tolist():
        each = maps[name][0]  # (h, w, filters)
        brightest = np.argsort(-each.max(axis=(0, 1)), kind="stable")[:MAPS]
        strongest[name] = brightest.tolist(), each[..., brightest]
    return strongest
