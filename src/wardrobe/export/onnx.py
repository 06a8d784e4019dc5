"""ONNX: written by Keras and tf2onnx, int8 by ONNX Runtime; read back into Keras."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx

from wardrobe.errors import ModelError
from wardrobe.export.calibration import Images, iterate_batches
from wardrobe.inference import engines
from wardrobe.models import architecture, recipes
from wardrobe.onnx_runtime import get_layer_name


def write(model: keras.Model, path: Path, calibration: Images | None) -> None:
    """Writes the model in float32, or in int8 if there are calibration images."""
    model.export(path, format="onnx", verbose=False)
    onnx.save(_rename_outputs(onnx.load(path)), path)
    if calibration is not None:
        _quantize(path, calibration)


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Adds metadata to the file."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, engines.format_metadata(metadata))
    onnx.save(model, path)


def _quantize(path: Path, calibration: Images) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = iterate_batches(calibration)

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            pixels = next(batches, None)
            return None if pixels is None else {engines.PIXELS: pixels}

    prepared = path.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        # reduce_range, 7-bit weights: without VNNI, processors add two products in 16 bits, which
        # overflow with 8-bit weights.
        quantization.quantize_static(
            str(prepared),
            str(path),
            Reader(),
            # ONNX Runtime's kernels for x86 take unsigned activations. It converts signed ones, but
            # not where two layers read them: there it falls back to float32.
            activation_type=quantization.QuantType.QUInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=_find_logits_nodes(onnx.load(prepared).graph),
        )
    finally:
        prepared.unlink(missing_ok=True)


def _find_logits_nodes(graph: onnx.GraphProto) -> list[str]:
    """Returns the nodes from the logits layer on, which stay in float32.

    This costs no time, and a fifth as many answers to photos change.
    """
    reached: set[str] = set()
    names = []
    for node in graph.node:  # in topological order
        is_logits = re.search(r"/(member\d+_)?logits_\d+/", node.name)
        if is_logits or reached.intersection(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names


def _rename_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Names output and batch dimension, which tf2onnx calls "Identity:0" and "unk__1"."""
    graph = model.graph
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = [engines.LOGITS if name == old else name for name in node.output]
        node.input[:] = [engines.LOGITS if name == old else name for name in node.input]
    graph.output[0].name = engines.LOGITS
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    return model


def load_as_keras(path: Path) -> tuple[keras.Model, recipes.Recipe, dict[str, Any]]:
    """Returns the Keras model of a float32 .onnx file without TTA, its recipe and its metadata.

    Raises:
        ModelError: its recipe is not one of the package.
    """
    loaded = onnx.load(path)
    texts = {each.key: each.value for each in loaded.metadata_props}
    metadata = engines.parse_metadata(texts)
    recipe = recipes.RECIPES.get(metadata.get("recipe", ""))
    if recipe is None:
        name = metadata.get("recipe")
        raise ModelError(f"{path} has the unknown recipe {name!r}; give its run instead")
    model = architecture.build(recipe, len(metadata["class_names"]))
    for name, values in read_layers(path).items():
        model.get_layer(name).set_weights(values)
    return model, recipe, metadata


def read_layers(path: Path) -> dict[str, list[npt.NDArray[np.float32]]]:
    """Returns the kernel and the bias of each layer of a float32 .onnx file, as Keras has them.

    A layer that is missing is not in float32.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf has many errors
        raise ModelError(f"{path} cannot be read ({type(error).__name__}); give another") from error
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    layers = {}
    for node in graph.node:
        layer = get_layer_name(node.name)
        found = [weights[name] for name in node.input if name in weights]
        if node.op_type == "Conv" and found:
            kernel, *biases = found
            biases = biases or [np.zeros(len(kernel), np.float32)]  # tf2onnx omits zeros
            # ONNX: (filters, channels, height, width); Keras: (height, width, channels, filters)
            layers[layer] = [kernel.transpose(2, 3, 1, 0), *biases]
        elif node.op_type == "MatMul" and len(found) == 1:
            (addition,) = (each for each in graph.node if node.output[0] in each.input)
            biases = [weights[name] for name in addition.input if name in weights]
            layers[layer] = [*found, *biases]
    return layers
