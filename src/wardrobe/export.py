"""A trained model for other engines. Every file is checked against Keras before it gets its final name."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from wardrobe.classifier import run_session
from wardrobe.errors import WardrobeError
from wardrobe.runs import replacing

LARGEST_DIFFERENCE = 1e-4  # between two logits of the same image


def to_onnx(
    model: keras.Model,
    path: Path,
    metadata: Mapping[str, Any],
    images: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float32],
) -> float:
    """Writes `model` as ONNX: input "pixels" (batch, 28, 28, 1) float32, 0-255; output "logits" (batch, k) float32.

    Args:
        metadata: goes into the file's metadata; what is no string goes as JSON.
        images, logits: (n, 28, 28) uint8 and (n, k): what Keras says of these images, for the check.

    Returns:
        The largest difference of a logit from Keras's.

    Raises:
        WardrobeError: the difference is above `LARGEST_DIFFERENCE`; no file is left.
    """
    with replacing(path) as temporary:
        _export(model, temporary)
        onnx.save(_finished(onnx.load(temporary), metadata), temporary)
        difference = float(np.abs(onnx_logits(temporary, images) - logits).max())
        if not difference <= LARGEST_DIFFERENCE:  # nor may it be NaN
            raise WardrobeError(
                f"the ONNX export of {model.name} differs from Keras by {difference:.1e} in a logit, expected at most "
                f"{LARGEST_DIFFERENCE:.0e}; no {path.name} was written; report this with the versions in run.json"
            )
    return difference


def onnx_logits(path: Path, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns the logits (n, k) that the ONNX file gives images (n, 28, 28) uint8, 0-255."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return run_session(session, images)


def _export(model: keras.Model, path: Path) -> None:
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports only a model that has been called
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx 1.17 and Keras's patch of it use names that NumPy deprecates
        model.export(path, format="onnx", verbose=False)


def _finished(exported: onnx.ModelProto, metadata: Mapping[str, Any]) -> onnx.ModelProto:
    """Names the output and the batch dimension, which tf2onnx calls "Identity:0" and "unk__1", and adds metadata."""
    graph = exported.graph
    old_name = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["logits" if name == old_name else name for name in node.output]
        node.input[:] = ["logits" if name == old_name else name for name in node.input]
    graph.output[0].name = "logits"
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(exported, text)
    onnx.checker.check_model(exported)
    return exported
