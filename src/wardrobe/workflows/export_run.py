"""Writes a trained model in another format: accepted on validation, then scored on test."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from wardrobe import export
from wardrobe.data import Dataset
from wardrobe.errors import RunError
from wardrobe.evaluation import scoring
from wardrobe.evaluation.scoring import Evaluation
from wardrobe.inference import engines
from wardrobe.models import tta
from wardrobe.runs import Run
from wardrobe.terminal import console
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints, sampling

# Of metrics.json, in the metadata of every exported file.
METADATA_METRICS = (
    *("temperature", "familiarity_threshold", "sure"),
    *("split", "n", "accuracy", "accuracy_interval_95"),
)


def export_model(
    source: Run | Path,
    dataset: Dataset,
    to: str,
    int8: bool,
    folder: Path,
    display: TrainingDisplay,
) -> dict[str, Any]:
    """Writes the model of a run, or of a float32 model.onnx that ships, and checks it.

    Args:
        to: the format.
        folder: where the file goes; made if it is missing.

    Returns:
        "file", "format", "int8", "bytes" and the fields of `export.Parity`.
    """
    if isinstance(source, Run):
        model, recipe = load_checked_model(source, dataset), source.recipe()
        stem = source.keras_path.stem
    else:
        model, recipe, metadata = export.load_as_keras(source)
        stem = source.stem
    count = len(dataset.validation)
    display.stage(f"Scoring {count:,} validation and {dataset.test_size:,} test images with Keras")
    evaluated = scoring.evaluate(model, dataset, recipe)
    if isinstance(source, Run):
        metadata = describe_model(source, dataset, evaluated)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / engines.file_name(stem, to, int8)
    display.stage(f"Writing {path} and checking it against Keras")
    samples = sampling.draw_samples(dataset, export.CALIBRATION_IMAGES) if int8 else None
    averaged = tta.with_tta(model, recipe.tta_views)
    parity = export.export_model(averaged, path, to, metadata, evaluated, samples)
    found = {"file": str(path), "format": to, "int8": int8, "bytes": export.file_size(path)}
    found |= asdict(parity)
    if isinstance(source, Run):
        source.update(exports={**source.info().get("exports", {}), path.name: found})
    return found


def describe_model(run: Run, dataset: Dataset, evaluated: Evaluation) -> dict[str, object]:
    """Returns the metadata of every exported file of a run."""
    info = run.info()
    network = info["recipe"].get("network")  # the file's name, for a network of one's own
    return {
        "class_names": list(dataset.class_names),
        "recipe": info["recipe"]["name"],
        "tta_views": run.recipe().tta_views,
        "data": console.make_printable(dataset.public_name),  # metadata is UTF-8
        "seed": info["seed"],
        "parameters": info["parameters"],
        **({"network": network} if network else {}),
        **{key: evaluated.metrics[key] for key in METADATA_METRICS},
    }


def load_checked_model(run: Run, dataset: Dataset) -> keras.Model:
    """Returns the run's model.

    Raises:
        RunError: it cannot be read, or has another number of classes than the data.
    """
    model = checkpoints.load_model(run)
    classes, expected = model.output_shape[-1], len(dataset.class_names)
    if classes != expected:
        raise RunError(
            f"{run.keras_path} has {classes} classes, expected {expected}; "
            "restore the run's own model, or train again"
        )
    return model
