"""The layers of an ONNX model: activations, kernels, receptive fields, without Keras.

ONNX Runtime returns what a graph names as outputs, so the layers' tensors are added to them. With
test-time augmentation or an ensemble, they are those of the unchanged image and the first member.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from wardrobe.inference.engines import FORMATS, INT8, PIXELS, SIDE
from wardrobe.onnx_runtime import DENSE, FOLLOWED, get_layer_name, open_session

Floats = npt.NDArray[np.floating]

PASSED = FOLLOWED - DENSE - {"Conv", "MaxPool"}  # these are no layers of their own


@dataclass(frozen=True)
class ReceptiveField:
    """What units see of the image: unit i sees `size` pixels around pixel first + step * i."""

    first: float = 0.0
    step: int = 1
    size: int = 1

    def after(self, side: int, stride: int, padding: int) -> "ReceptiveField":
        """Returns the receptive field after a layer of kernel `side`, with stride and padding."""
        first = self.first + self.step * ((side - 1) / 2 - padding)  # center of the first window
        return ReceptiveField(first, self.step * stride, self.size + self.step * (side - 1))


@dataclass(frozen=True)
class Layer:
    """A convolution, a pooling, or a hidden dense layer: a convolution over its whole input."""

    kind: str  # "convolution", "pooling" or "dense"
    name: str  # as in the recipe's network: "conv1"
    input: str  # name of the layer before it, or "pixels"
    tensor: str  # name of its activations in the graph
    side: int  # of its kernel
    stride: int
    padding: int  # zeros above and left of its input
    receptive_field: ReceptiveField
    kernel: Floats | None  # (filters, channels, side, side); None of a pooling
    bias: Floats | None  # (filters,)
    shape: tuple[int, ...] = ()  # (filters, height, width) of its activations


class ActivationModel:
    """A model whose layers' activations can be read.

    Attributes:
        file: the name of the file that it is from.
        layers: the convolutions, poolings and hidden dense layers, first to last.
    """

    def __init__(self, model: onnx.ModelProto, file: str) -> None:
        """Opens a float32 model, and adds its layers to its outputs."""
        self.file = file
        layers = list(_find_layers(model.graph))
        for layer in layers:
            info = onnx.helper.make_tensor_value_info(layer.tensor, onnx.TensorProto.FLOAT, None)
            model.graph.output.append(info)  # shape None: the graph knows it
        self._session = open_session(model.SerializeToString())
        self._tensors = {layer.name: layer.tensor for layer in layers}
        # An empty image is run once for the shapes.
        activations = self.activations(np.zeros((SIDE, SIDE), np.uint8))
        self.layers = [replace(layer, shape=activations[layer.name].shape) for layer in layers]

    @classmethod
    def find(cls, path: Path) -> "ActivationModel | None":
        """Opens the .onnx file next to a model file of any format.

        None if the file does not exist, or if it holds a custom network.
        """
        plain = path.with_name(path.stem.removesuffix(INT8) + FORMATS["onnx"])
        if not plain.is_file():
            return None
        model = onnx.load(plain)
        is_own = any(each.key == "network" for each in model.metadata_props)
        return None if is_own else cls(model, plain.name)

    def activations(self, pixels: npt.NDArray[np.uint8]) -> dict[str, Floats]:
        """Returns the activations of an image (28, 28) uint8: layer → (filters, height, width)."""
        image = pixels[None, ..., None].astype(np.float32)  # (1, 28, 28, 1)
        outputs = self._session.run(list(self._tensors.values()), {PIXELS: image})
        maps = {name: each[0] for name, each in zip(self._tensors, outputs, strict=True)}
        return {
            name: each.reshape(len(each), *(each.shape[1:] or (1, 1)))
            for name, each in maps.items()
        }


def _find_layers(graph: onnx.GraphProto) -> Iterator[Layer]:
    """Yields the layers on the path of the image, up to the last hidden one."""
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    tensor, name, field, channels = PIXELS, PIXELS, ReceptiveField(), 1
    while (node := _find_next_node(graph, tensor)) is not None:
        tensor = node.output[0]
        if node.op_type in PASSED:
            continue
        kernel, *biases = [weights[each] for each in node.input[1:] if each in weights] or [None]
        following, is_dense = _find_next_node(graph, tensor), node.op_type in DENSE
        if is_dense and following is not None and following.op_type == "Add":
            biases, tensor = [weights[following.input[1]]], following.output[0]
            following = _find_next_node(graph, tensor)
        if following is not None and following.op_type == "Relu":
            tensor = following.output[0]  # activations are shown after ReLU
        elif is_dense:
            return  # the logits, which are the answer or a part of it
        if is_dense:
            # As Keras has it: (height * width * channels, units).
            side, stride, padding = math.isqrt(len(kernel) // channels), 1, 0
            kernel = kernel.reshape(side, side, channels, -1).transpose(3, 2, 0, 1)
        else:
            values = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            side = values["kernel_shape"][0]  # all kernels are square
            stride, padding = values.get("strides", [1])[0], values.get("pads", [0])[0]
        bias = None
        if kernel is not None:
            channels = len(kernel)
            bias = biases[0] if biases else np.zeros(channels, kernel.dtype)  # no bias: 0
        field = field.after(side, stride, padding)
        before, name = name, get_layer_name(tensor)
        kind = "dense" if is_dense else "pooling" if kernel is None else "convolution"
        yield Layer(kind, name, before, tensor, side, stride, padding, field, kernel, bias)


def _find_next_node(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    """Returns the first node that takes the tensor as its input."""
    nodes = (node for node in graph.node if node.input[0] == tensor and node.op_type in FOLLOWED)
    return next(nodes, None)
