"""What the report shows of each layer: shape, parameters, what it is for, and its picture.

All of it comes from layers.json, which describes the Keras model.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

Layer = dict[str, Any]  # as `models.architecture.describe_layers` returns it

# CSS pixels of a picture: the side of the largest maps, the width of a vector, the shift of a map
# behind the one before it.
SIDE, THICKNESS, SHIFT = 76, 12, 4
PURPOSES = {
    "InputLayer": "The image: grey values from 0 to 255.",
    "Rescaling": "Scales the grey values to 0 to 1.",
    "MaxPooling2D": "Keeps the largest value of each {window} block. The maps get smaller, and a "
    "shift of the garment by a pixel matters less.",
    "AveragePooling2D": "Averages each {window} block. The maps get smaller.",
    "GlobalMaxPooling2D": "Keeps the largest value of each map.",
    "GlobalAveragePooling2D": "Averages each map to one number.",
    "Flatten": "Puts all values into one row. It changes no value.",
    "BatchNormalization": "Normalizes each map by its mean and variance; training is faster.",
    "Dropout": "Sets some values to 0 at random, in training only, against overfitting.",
    "ReLU": "Replaces negative values by 0.",
    "Average": "The mean of the members' logits, which is the ensemble's answer.",
    "Add": "Adds its inputs, value by value.",
    "Concatenate": "Puts the maps of its inputs one behind the other.",
    "ZeroPadding2D": "Adds zeros at the edges.",
    "DepthwiseConv2D": "A filter of {window} weights for each map alone.",
    "SeparableConv2D": "A filter of {window} weights for each map alone, then sums over the maps.",
}


def describe(layers: Sequence[Layer], members: int) -> list[Layer]:
    """Returns the layers with what the page shows of them; of an ensemble, those of one member.

    Adds "shape" (text), "count" (its parameters), "sum" (text: how they add up), "purpose", and
    "picture" (see `_draw`), which is None if the diagram leaves the layer out.
    """
    if members > 1:
        layers = _select_member(layers)
    sized = [each for each in layers if None not in each["output"]]  # others take any size
    highest = max((each["output"][0] for each in sized if _is_maps(each)), default=1)
    longest = max((each["output"][0] for each in sized if not _is_maps(each)), default=1)
    shown, number = [], 0
    for before, layer in zip([None, *layers], layers, strict=False):
        number += layer["type"] == "Conv2D"
        has_kernel = any(len(each) > 1 for each in layer["weights"])
        is_new = has_kernel or before is None or layer["output"] != before["output"]
        extra = {
            "shape": _multiply(layer["output"]),
            "count": sum(math.prod(each) for each in layer["weights"]),
            "sum": " + ".join(_multiply(each) for each in layer["weights"]),
            "purpose": " ".join(_explain(layer, before, number)),
            "picture": _draw(layer, highest, longest) if is_new and layer in sized else None,
        }
        shown.append({**layer, **extra})
    return shown


def _select_member(layers: Sequence[Layer]) -> list[Layer]:
    """Returns the layers of an ensemble's first member, without the prefix of their names."""
    others = {each["name"] for each in layers if re.match(r"member(?!1_)", each["name"])}
    strip = re.compile("^member1_").sub
    return [
        {
            **layer,
            "name": strip("", layer["name"]),
            "inputs": [strip("", each) for each in layer["inputs"] if each not in others],
        }
        for layer in layers
        if layer["name"] not in others
    ]


def _is_maps(layer: Layer) -> bool:
    return len(layer["output"]) == 3  # height, width, maps


def _multiply(numbers: Sequence[int | None]) -> str:
    return "×".join("any" if each is None else f"{each:,}" for each in numbers)


def _explain(layer: Layer, before: Layer | None, number: int) -> Iterator[str]:
    """Yields sentences on what a layer is for; `number` counts the convolutions, from 1."""
    kind, count, window = layer["type"], layer["output"][-1], _multiply(layer["window"] or ())
    if before is not None and layer["inputs"] != [before["name"]]:
        yield f"From {' and '.join(layer['inputs'])}."
    if kind == "Conv2D":
        maps = layer["weights"][0][2]
        where = "the image" if number == 1 else f"all {maps:,} maps before it"
        yield f"Convolution {number}: {count:,} filters, each a {window} pattern in {where}."
    elif kind == "Dense" and layer["name"] == "logits":
        yield "A score for each class, the logit. Softmax turns the scores into probabilities."
    elif kind == "Dense":
        values = layer["weights"][0][0]
        yield f"Each of the {count:,} units is a weighted sum of all {values:,} values before it."
    else:
        yield PURPOSES.get(kind, f"A layer of Keras, {kind}.").format(window=window)
    if "Conv" in kind and max(layer["strides"]) > 1:
        yield f"The filters move {layer['strides'][0]} pixels at a time, so the maps get smaller."
    if layer["name"] == "stem1":
        yield "The first layers are called the stem if they make the image smaller."
    if layer["weights"] and not layer["is_trained"]:
        yield "Its weights are fixed: training does not change them."
    if layer["activation"] == "relu":
        yield "ReLU then replaces negative values by 0."


def _draw(layer: Layer, highest: int, longest: int) -> dict[str, Any]:
    """Returns the picture of a layer's output: maps one behind the other, or a vector.

    Sizes are in CSS pixels. Maps are as high as theirs to the `highest`; the number that is drawn,
    and the length of a vector, grow with the logarithm.
    """
    if _is_maps(layer):
        height, width, maps = layer["output"]
        scale, shifts = SIDE / highest, range(1 + round(math.log2(maps)))
        size = max(4, round(width * scale)), max(4, round(height * scale))
    else:
        share = math.log(layer["output"][0] + 1) / math.log(longest + 1)
        size, shifts = (THICKNESS, round(SIDE * share)), range(1)
    back = SHIFT * shifts[-1]
    return {
        "size": size,
        "corners": [(SHIFT * each, back - SHIFT * each) for each in reversed(shifts)],
        "width": size[0] + back + 2,
        "height": size[1] + back + 2,
    }
