"""What a model.onnx does inside: the layers' activations, kernels and windows, without Keras.

ONNX Runtime gives out what a graph names as its outputs; here the layers' own are named as well. Of a model that
answers for several views or in several columns, that of the plain image, and the first column, is looked into.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from wardrobe.inference.engines import FORMATS, INT8, PIXELS, SIDE, open_session

Floats = npt.NDArray[np.floating]

CONVOLUTION, POOLING = "Conv", "MaxPool"
ON_THE_WAY = {
    CONVOLUTION,
    POOLING,
    "Relu",
    "Mul",
    "Add",
    "Sub",
    "Div",
    "Cast",
    "Reshape",
    "Transpose",
    "Identity",
}


@dataclass(frozen=True)
class Window:
    """What the units of a layer see of the image: unit i looks at `size` pixels around pixel first + step * i."""

    first: float = 0.0
    step: int = 1
    size: int = 1

    def after(self, side: int, stride: int, padding: int) -> "Window":
        """Returns the windows of a layer of `side` units over these, every `stride`, `padding` before the first."""
        first = self.first + self.step * ((side - 1) / 2 - padding)
        return Window(first, self.step * stride, self.size + self.step * (side - 1))


@dataclass(frozen=True)
class Layer:
    """A layer whose activations can be seen."""

    name: str  # as the recipe has it: "conv1"
    tensor: str  # of its activations in the graph
    side: int  # units of the layer before that a unit sees, each way
    window: Window
    kernel: Floats | None  # (filters, channels, side, side); None of a pooling
    shape: tuple[int, ...] = ()  # (filters, height, width) of its activations


class ActivationModel:
    """A model's convolutions and poolings, first to last, and what they say of an image."""

    def __init__(self, path: Path) -> None:
        """Opens a model.onnx of float32."""
        model = onnx.load(path)
        found = list(_layers(model.graph))
        for layer in found:
            model.graph.output.append(
                onnx.helper.make_tensor_value_info(layer.tensor, onnx.TensorProto.FLOAT, None)
            )
        self._session = open_session(model.SerializeToString())
        self._tensors = {layer.name: layer.tensor for layer in found}
        shapes = self.activations(np.zeros((SIDE, SIDE), np.uint8))
        self.layers = [replace(layer, shape=shapes[layer.name].shape) for layer in found]

    @classmethod
    def beside(cls, path: Path) -> "ActivationModel | None":
        """Returns the network of a model's file in any format: that of the model.onnx beside it; None where none is."""
        plain = path.with_name(path.stem.removesuffix(INT8) + FORMATS["onnx"])
        return cls(plain) if plain.is_file() else None

    def activations(self, pixels: npt.NDArray[np.uint8]) -> dict[str, Floats]:
        """Returns what each layer makes of an image (28, 28) uint8: name → (filters, height, width) float32."""
        image = pixels[None, ..., None].astype(np.float32)
        found = self._session.run(list(self._tensors.values()), {PIXELS: image})
        return {name: each[0] for name, each in zip(self._tensors, found, strict=True)}


def _layers(graph: onnx.GraphProto) -> Iterator[Layer]:
    """Follows the plain image from layer to layer, to where it is flattened."""
    weights = {each.name: each for each in graph.initializer}
    tensor, window = PIXELS, Window()
    while (node := _next(graph, tensor)) is not None:
        tensor = node.output[0]
        if node.op_type not in (CONVOLUTION, POOLING):
            continue
        about = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        side = about["kernel_shape"][0]
        window = window.after(side, about.get("strides", [1])[0], about.get("pads", [0])[0])
        kernel = (
            onnx.numpy_helper.to_array(weights[node.input[1]])
            if node.op_type == CONVOLUTION
            else None
        )
        following = _next(graph, tensor)
        if following is not None and following.op_type == "Relu":
            tensor = following.output[0]
        yield Layer(_name(tensor), tensor, side, window, kernel)


def _next(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    """Returns the node that goes on with a tensor, on the way of the plain image and the first column."""
    return next(
        (node for node in graph.node if node.input[0] == tensor and node.op_type in ON_THE_WAY),
        None,
    )


def _name(tensor: str) -> str:
    """Returns a layer's name: "conv1" of "seed_1/conv1_1/Relu:0"."""
    return tensor.split("/")[-2].rpartition("_")[0]
