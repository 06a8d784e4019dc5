"""One image's way from its pixels to the answer, on one sheet."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import plots
from wardrobe.data import SYNTHETIC, Dataset
from wardrobe.evaluation import scoring
from wardrobe.explain import attribution, layers
from wardrobe.inference.classifier import Classifier
from wardrobe.photo import Steps
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints

SEARCHED = 10_000  # training images among which the nearest are
NEAREST = 8
LAYERS, MAPS = 4, 10  # convolutions that are shown, and maps of each


def write_sheet(
    name: str,
    steps: Steps,
    source: Run | str | Path | None,
    dataset: Dataset | None,
    target: Path,
    display: TrainingDisplay,
) -> None:
    """Draws one image's way from pixels to answer into `target`.

    Args:
        steps: the image as `photo.prepare_steps` gives it.
        source: a run, or what `Classifier.load` takes.
        dataset: what the run was trained on; None where there is no model.keras to look into.
    """
    display.stage(f"Looking at {name}")
    classifier = Classifier.load(source)
    pixels = steps.pixels[None]
    answer = classifier.classify(pixels)
    best = answer.probabilities.argmax(axis=1)
    story: dict[str, Any] = {
        "name": name,
        "photo": steps.photo if steps.photo.shape[:2] != steps.pixels.shape else None,
        "pixels": steps.pixels,
        "probabilities": answer.probabilities[0],
        "not_sure": answer.reason(0),
        "layers": {},
        "nearest": None,
        "left_out": "Grad-CAM, layers and the nearest training images need a run with model.keras: left out",
    }
    if isinstance(source, Run) and dataset is not None:
        model, recipe = checkpoints.load_model(source), source.recipe()
        maps = attribution.heat_maps(
            model, recipe, scoring.make_logits_function(model), pixels, best
        )
        display.stage(
            f"Searching {min(SEARCHED, len(dataset.train)):,} training images for the nearest"
        )
        searched = attribution.penultimate_features(model, dataset.train.images[:SEARCHED])
        nearest, likeness = attribution.find_nearest(
            searched, attribution.penultimate_features(model, pixels), NEAREST
        )
        story |= {
            "layers": _strongest_maps(model, pixels),
            "nearest": dataset.train.images[nearest[0]],
            "nearest_labels": dataset.train.labels[nearest[0]],
            "likeness": likeness[0],
            "left_out": None,
        }
        data, synthetic = dataset.name, dataset.is_synthetic
    else:
        maps = attribution.heat_maps(None, None, classifier.logits, pixels, best)
        data = str(classifier.metadata.get("data", "unknown"))
        synthetic = data == SYNTHETIC
    story["maps"] = {each: found[0] for each, found in maps.items()}
    plots.save_figure(
        plots.explanations.plot_image_sheet(story, classifier.class_names), target, data, synthetic
    )


def _strongest_maps(
    model: keras.Model, pixels: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.floating]]:
    """Returns for some convolutions, first and last among them, the maps that are brightest: name → (h, w, filters)."""
    maps = layers.feature_maps(model, pixels)
    places = np.unique(np.linspace(0, len(maps) - 1, min(LAYERS, len(maps))).round().astype(int))
    chosen = {name: maps[name][0] for name in np.array(list(maps))[places].tolist()}
    return {
        name: each[..., np.argsort(-each.max(axis=(0, 1)), kind="stable")[:MAPS]]
        for name, each in chosen.items()
    }
