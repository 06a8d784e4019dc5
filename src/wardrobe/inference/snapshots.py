"""A run's network at one epoch, from a snapshot of its weights, without Keras.

A snapshot has no graph. It is built as an ONNX model from the recipe, in memory, so that a server
can show any epoch of any run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from wardrobe.errors import ModelError, WardrobeError
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.engines import LOGITS, PIXELS, SIDE
from wardrobe.models import layers
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run

Floats = npt.NDArray[np.floating]
Weights = dict[str, Sequence[Floats]]  # layer → kernel, bias

FEATURES = "features"  # an output: what the last layer gets, of an ensemble the first member's
BATCH = 64  # images at once: several networks stay open, each with the memory of its largest batch
OPSET, IR_VERSION = 15, 8  # as in model.onnx


class Snapshot(ActivationModel):
    """The network of a run at one epoch, without test-time augmentation.

    Attributes:
        epoch, step: epochs done, and None; of live.npz the epoch in progress, counted from 1, and
            its batches done.
    """

    def __init__(self, model: onnx.ModelProto, file: str, epoch: int, step: int | None) -> None:
        """Opens a model that `build_model` has built."""
        super().__init__(model, file)
        self.epoch, self.step = epoch, step

    @classmethod
    def open(cls, run: Run, path: Path) -> "Snapshot":
        """Opens a file of the run's `snapshots/`, or its live.npz.

        Raises:
            ModelError: the file is damaged or not of the run's recipe, or the training diverged.
            FileNotFoundError: it does not exist.
        """
        try:
            with np.load(path) as file:
                names = (name for name in file.files if name.startswith("arr_"))  # in order
                arrays = [file[name].astype(np.float32) for name in names]
                if "epoch" in file.files:  # live.npz
                    epoch, step = int(file["epoch"]), int(file["step"])
                else:
                    epoch, step = int(path.stem.removeprefix("epoch-")), None
            if not all(np.isfinite(each).all() for each in arrays):
                raise ModelError(
                    f"{path} has weights that are not numbers; lower the learning rate"
                )
            return cls(build_model(run.recipe(), arrays), path.name, epoch, step)
        except (FileNotFoundError, WardrobeError):
            raise
        except Exception as error:  # NumPy, zipfile and ONNX Runtime each raise their own
            raise ModelError(
                f"{path} is not a snapshot of this run ({type(error).__name__}); resume the run, "
                "or train it again"
            ) from error

    def predict(self, images: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Returns logits (n, k) and features (n, f) of images (n, 28, 28) uint8, n at least 1."""
        pixels = images[..., None].astype(np.float32)  # (n, 28, 28, 1)
        starts = range(0, len(pixels), BATCH)
        batches = [
            self._session.run([LOGITS, FEATURES], {PIXELS: pixels[start : start + BATCH]})
            for start in starts
        ]
        logits, features = (np.concatenate(each) for each in zip(*batches, strict=True))
        return logits, features


def read_first_kernel(path: Path) -> Floats:
    """Returns a snapshot's first filters, (filters, height, width), without opening its network.

    Raises:
        ModelError: it has none, or the file is damaged.
    """
    try:
        with np.load(path) as file:
            kernel = file["arr_0"].astype(np.float32)  # (h, w, 1, filters)
        return kernel[:, :, 0].transpose(2, 0, 1)
    except Exception as error:  # NumPy and zipfile raise many types
        raise ModelError(f"{path} has no filters ({type(error).__name__})") from error


def build_model(recipe: Recipe, weights: Sequence[Floats]) -> onnx.ModelProto:
    """Builds the network that `models.architecture.build` builds for inference.

    Input:   pixels (batch, 28, 28, 1) float32, 0-255.
    Outputs: logits (batch, classes) float32; features (batch, f) float32, the input of the last
             layer, of an ensemble the first member's.

    Args:
        weights: float32, in the order of the Keras model's `get_weights()`: kernels as Keras has
            them, (height, width, channels, filters) or (inputs, units), each before its bias.

    Raises:
        ModelError: the number of arrays does not fit the recipe.
    """
    named, graph = _name_weights(recipe, weights), _Graph()
    image = graph.constant("shape", np.array([-1, 1, SIDE, SIDE]))  # one channel: no transposition
    scale = graph.constant("scale", np.float32(1 / 255))
    channels_first = graph.add("Reshape", [PIXELS, image], "image")  # (n, 1, 28, 28)
    scaled = graph.add("Mul", [channels_first, scale], "scaled")  # 0-1
    prefixes = layers.member_prefixes(recipe)
    members = [_add_member(graph, recipe, scaled, named, prefix) for prefix in prefixes]
    graph.add("Mean", [logits for logits, _ in members], LOGITS)
    graph.add("Identity", [members[0][1]], FEATURES)
    classes, inputs = (len(named[f"{prefixes[0]}logits"][each]) for each in (1, 0))
    values = ((PIXELS, [SIDE, SIDE, 1]), (LOGITS, [classes]), (FEATURES, [inputs]))
    pixels, *outputs = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])
        for name, shape in values
    )
    return helper.make_model(
        helper.make_graph(graph.nodes, recipe.name, [pixels], outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


class _Graph:
    """The nodes and constants of a graph that is being built."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """Adds a constant and returns its name."""
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name


def _name_weights(recipe: Recipe, weights: Sequence[Floats]) -> Weights:
    dense = ["dense"] if recipe.dense_units else []
    short_names = [*(name for name, *_ in layers.iterate_convolutions(recipe)), *dense, LOGITS]
    # Keras orders layers by depth: each layer of all members before the next.
    names = [prefix + name for name in short_names for prefix in layers.member_prefixes(recipe)]
    if len(weights) != 2 * len(names):
        raise ModelError(
            f"the snapshot has {len(weights)} arrays, expected {2 * len(names)} for the recipe "
            f"{recipe.name}; train the run again"
        )
    return {name: weights[2 * row : 2 * row + 2] for row, name in enumerate(names)}


def _add_member(
    graph: _Graph, recipe: Recipe, scaled: str, weights: Weights, prefix: str
) -> tuple[str, str]:
    """Adds a network, named as `activations` reads it; returns its logits and its features."""
    x, side = scaled, SIDE
    for layer in layers.iterate_convolutions(recipe):
        name = prefix + layer.name
        kernel, bias = weights[name]  # (h, w, in, out), (out,)
        constants = (
            graph.constant(f"{name}_kernel", kernel.transpose(3, 2, 0, 1)),  # (out, in, h, w)
            graph.constant(f"{name}_bias", bias),
        )
        before, after = layers.compute_padding(layer, side)
        window = {"kernel_shape": [layer.kernel_size] * 2, "strides": [layer.stride] * 2}
        pads = [before] * 2 + [after] * 2  # top, left, bottom, right
        x = graph.add("Conv", [x, *constants], f"{name}_1/Conv", **window, pads=pads)
        x = graph.add("Relu", [x], f"{name}_1/Relu")
        side = (before + side + after - layer.kernel_size) // layer.stride + 1
        if layer.pool:
            window = {"kernel_shape": [2, 2], "strides": [2, 2]}
            x = graph.add("MaxPool", [x], f"{prefix}{layer.pool}_1/MaxPool", **window)
            side //= 2
    x = graph.add("Transpose", [x], f"{prefix}transposed", perm=[0, 2, 3, 1])  # as Keras flattens
    x = graph.add("Flatten", [x], f"{prefix}flatten")
    if recipe.dense_units:
        name = f"{prefix}dense"
        x = graph.add("Relu", [_add_dense(graph, x, weights, name)], f"{name}_1/Relu")
    return _add_dense(graph, x, weights, prefix + LOGITS), x


def _add_dense(graph: _Graph, x: str, weights: Weights, name: str) -> str:
    kernel, bias = weights[name]  # (inputs, units), (units,)
    constants = graph.constant(f"{name}_kernel", kernel), graph.constant(f"{name}_bias", bias)
    return graph.add("Gemm", [x, *constants], f"{name}_1/Gemm")
