"""The arithmetic of one unit: the numbers that a convolution or a pooling computes it from.

Arrays in, JSON-ready values out. Numbers are float32 as the network has them; a sum is float64, so
that a page that adds the same products gets the same sum.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.errors import RequestError
from wardrobe.inference import confidence
from wardrobe.inference.activations import ActivationModel, Layer
from wardrobe.inference.engines import LOGITS, PIXELS

Floats = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8]
Query = Mapping[str, str]


def describe_unit(network: ActivationModel, pixels: Pixels, query: Query) -> dict[str, Any]:
    """Returns the arithmetic of the unit that a query names by layer, filter, row and column.

    Args:
        pixels: (28, 28) uint8.

    Raises:
        RequestError: the network has no such unit.
    """
    layer = _find_layer(network, query.get("layer"))
    names = "filter", "row", "column"
    indices = [parse_index(query, *each) for each in zip(names, layer.shape, strict=True)]
    maps = network.activations(pixels)
    maps[PIXELS] = (pixels * np.float32(1 / 255))[None]  # (1, 28, 28), as the network scales them
    return _describe_unit(layer, maps[layer.input], *indices)


def describe_logits(logits: Floats, temperature: float) -> dict[str, Any]:
    """Returns how logits (1, k) become probabilities."""
    return {
        "kind": "logits",
        "logits": logits[0].tolist(),
        "temperature": temperature,
        "probabilities": confidence.softmax(logits, temperature)[0].tolist(),
    }


def is_logits(query: Query) -> bool:
    """Returns whether a query names the last layer."""
    return query.get("layer") == LOGITS


def _describe_unit(
    layer: Layer, inputs: Floats, filter_: int, row: int, column: int
) -> dict[str, Any]:
    """Returns the arithmetic of a unit; inputs: (channels, height, width) of the layer before."""
    top, left = (layer.stride * each - layer.padding for each in (row, column))
    place = {"input": layer.input, "top": top, "left": left}
    if layer.kernel is None or layer.bias is None:
        patch = _cut(inputs[filter_ : filter_ + 1], top, left, layer.side)[0]  # (2, 2)
        chosen = np.unravel_index(patch.argmax(), patch.shape)  # of equal values the first
        return {
            "kind": layer.kind,
            **place,
            "patch": patch.tolist(),
            "chosen": [int(each) for each in chosen],
            "output": float(patch.max()),
        }
    patch, kernel = _cut(inputs, top, left, layer.side), layer.kernel[filter_]
    bias = float(layer.bias[filter_])
    total = float(np.vdot(patch.astype(np.float64), kernel.astype(np.float64))) + bias
    return {
        "kind": layer.kind,
        **place,
        "stride": layer.stride,
        "patch": patch.tolist(),
        "kernel": kernel.tolist(),
        "bias": bias,
        "sum": total,
        "output": max(total, 0.0),  # ReLU
    }


def _cut(maps: Floats, top: int, left: int, side: int) -> Floats:
    """Returns a window of maps (channels, height, width), with zeros outside of them."""
    around = [(0, 0), (side, side), (side, side)]  # a window is outside by less than its side
    top, left = top + side, left + side
    return np.pad(maps, around)[:, top : top + side, left : left + side]


def _find_layer(network: ActivationModel, name: str | None) -> Layer:
    for layer in network.layers:
        if layer.name == name:
            return layer
    known = ", ".join([*(layer.name for layer in network.layers), LOGITS])
    raise RequestError(f"layer is {name!r:.40}; expected one of: {known}")


def parse_index(query: Query, name: str, count: int) -> int:
    """Returns a number of a query, 0 to `count` - 1, by default 0.

    Raises:
        RequestError: it is not such a number.
    """
    text = query.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < count):
        raise RequestError(f"{name} is {text!r:.40}; expected a number from 0 to {count - 1}")
    return int(text)
