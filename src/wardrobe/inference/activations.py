"""The layers of an ONNX model: activations, kernels, receptive fields, without Keras.

ONNX Runtime returns what a graph names as outputs, so the layers' tensors are added to them. With
test-time augmentation or an ensemble, they are those of the unchanged image and the first member.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from wardrobe.inference.engines import FORMATS, INT8, PIXELS, SIDE
from wardrobe.onnx_runtime import open_session

Floats = npt.NDArray[np.floating]

CONVOLUTION, POOLING = "Conv", "MaxPool"
ELEMENTWISE = {"Relu", "Mul", "Add", "Sub", "Div", "Cast", "Reshape", "Transpose", "Identity"}
FOLLOWED = {CONVOLUTION, POOLING, *ELEMENTWISE}  # operators on the path of the image


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
    """A convolution or a pooling."""

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
        layers: the convolutions and poolings, first to last.
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

        None if there is none, or if it is a custom network, whose graph is not known.
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
        return {name: each[0] for name, each in zip(self._tensors, outputs, strict=True)}


def _find_layers(graph: onnx.GraphProto) -> Iterator[Layer]:
    """Yields the layers on the path of the image, up to the flattening."""
    weights = {each.name: each for each in graph.initializer}
    tensor, name, field = PIXELS, PIXELS, ReceptiveField()
    while (node := _find_next_node(graph, tensor)) is not None:
        tensor = node.output[0]
        if node.op_type in ELEMENTWISE:
            continue
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        side = attributes["kernel_shape"][0]  # all kernels are square
        stride, padding = attributes.get("strides", [1])[0], attributes.get("pads", [0])[0]
        field = field.after(side, stride, padding)
        kernel = bias = None
        if node.op_type == CONVOLUTION:
            kernel, *biases = (onnx.numpy_helper.to_array(weights[each]) for each in node.input[1:])
            bias = biases[0] if biases else np.zeros(len(kernel), kernel.dtype)  # no bias: 0
        following = _find_next_node(graph, tensor)  # activations are shown after ReLU
        if following is not None and following.op_type == "Relu":
            tensor = following.output[0]
        before = name
        name = tensor.split("/")[-2].rpartition("_")[0]  # "conv1" of "baseline_1/conv1_1/Relu:0"
        yield Layer(name, before, tensor, side, stride, padding, field, kernel, bias)


def _find_next_node(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    """Returns the first node that takes the tensor as its input."""
    nodes = (node for node in graph.node if node.input[0] == tensor and node.op_type in FOLLOWED)
    return next(nodes, None)
