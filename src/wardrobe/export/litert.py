"""LiteRT: writes a .tflite file by Keras and TensorFlow's converter."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.export.calibration import Images, iterate_batches
from wardrobe.inference import engines


def write(model: keras.Model, path: Path, calibration: Images | None) -> None:
    """Writes the model in float32, or in int8 if there are calibration images."""
    options = {}
    if calibration is not None:
        import tensorflow as tf

        def representative_dataset() -> Iterator[list[npt.NDArray[np.float32]]]:
            yield from ([image] for image in iterate_batches(calibration, 1))

        optimizations = [tf.lite.Optimize.DEFAULT]
        options = {"optimizations": optimizations, "representative_dataset": representative_dataset}
    # Of a dictionary, the converter takes the name of the output.
    named = keras.Model(model.input, {engines.LOGITS: model.output}, name=model.name)
    named.export(path, format="litert", verbose=False, **options)


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Appends a zip archive with metadata and class names, as the format's convention allows."""
    with zipfile.ZipFile(path, "a") as archive:
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        archive.writestr(engines.METADATA_FILE, text)
        archive.writestr("labels.txt", "\n".join(metadata["class_names"]) + "\n")
