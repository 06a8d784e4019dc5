"""The layers that a recipe describes: names, sizes, receptive fields. It needs no Keras."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from wardrobe.errors import UsageError
from wardrobe.models.recipes import Recipe

SIDE = 28  # pixels


class Convolution(NamedTuple):
    """A convolution, and the pooling after it."""

    name: str
    filters: int
    kernel_size: int  # pixels per side
    stride: int  # pixels
    padding: str  # "valid" or "same"
    pool: str  # name of the 2x2 max pooling after it, or ""


def member_prefixes(recipe: Recipe) -> list[str]:
    """Returns the prefix of the layer names of each ensemble member; "" for a single network."""
    if recipe.ensemble_size == 1:
        return [""]
    return [f"member{number}_" for number in range(1, recipe.ensemble_size + 1)]


def iterate_convolutions(recipe: Recipe) -> Iterator[Convolution]:
    """Yields the convolutions of a single network, first to last."""
    for depth, filters in enumerate(recipe.stem_filters, start=1):
        # At stride 2, windows of 4x4 cover every pixel equally often, those of 3x3 do not.
        yield Convolution(f"stem{depth}", filters, 4 if depth == 1 else 3, 2, "same", "")
    strides = recipe.conv_strides or [1] * len(recipe.conv_filters)  # None: stride 1 everywhere
    pools = {depth: f"pool{number}" for number, depth in enumerate(recipe.pool_after, start=1)}
    layers = enumerate(zip(recipe.conv_filters, strides, strict=True), start=1)
    for depth, (filters, stride) in layers:
        pool, size = pools.get(depth, ""), recipe.kernel_size
        yield Convolution(f"conv{depth}", filters, size, stride, recipe.padding, pool)


def compute_kernel_shapes(recipe: Recipe, class_count: int) -> dict[str, tuple[int, ...]]:
    """Returns the kernel shape of each layer of a single network, as Keras has it.

    Convolutions: (height, width, inputs, outputs); dense layers: (inputs, outputs).

    Raises:
        UsageError: the image shrinks to nothing.
    """
    side, inputs = SIDE, 1
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in iterate_convolutions(recipe):
        outputs = _count_outputs(side, layer) // (2 if layer.pool else 1)
        if outputs < 1:
            pooled = " and its pooling" if layer.pool else ""
            raise UsageError(
                f"{layer.name}{pooled} leaves nothing of the {side}x{side} pixels before it; give "
                "padding same, or fewer or smaller convolutions, strides and poolings"
            )
        shapes[layer.name] = layer.kernel_size, layer.kernel_size, inputs, layer.filters
        side, inputs = outputs, layer.filters
    features = side * side * inputs
    if recipe.dense_units:
        shapes["dense"], features = (features, recipe.dense_units), recipe.dense_units
    return shapes | {"logits": (features, class_count)}


def count_parameters(recipe: Recipe, class_count: int) -> int:
    """Returns the parameters of the network for inference, over all ensemble members.

    Raises:
        UsageError: the image shrinks to nothing.
    """
    shapes = compute_kernel_shapes(recipe, class_count).values()
    return recipe.ensemble_size * sum(math.prod(shape) + shape[-1] for shape in shapes)


def compute_receptive_fields(recipe: Recipe) -> dict[str, tuple[float, int, int]]:
    """Returns each convolution's receptive fields: layer name → (first, step, size), in pixels.

    The window of unit i along a side is centred at pixel `first + i * step` and is `size` pixels
    wide. At the image's edge a part of it can be outside. For an ensemble: the first member's.
    """
    prefix = member_prefixes(recipe)[0]
    side, first, step, size = SIDE, 0.0, 1, 1
    fields = {}
    for layer in iterate_convolutions(recipe):
        kernel, outputs = layer.kernel_size, _count_outputs(side, layer)
        before, _ = compute_padding(layer, side)
        first += ((kernel - 1) / 2 - before) * step  # the center of the first window
        size += (kernel - 1) * step  # step: input pixels between two units
        side, step = outputs, step * layer.stride
        fields[prefix + layer.name] = first, step, size
        if layer.pool:  # 2x2 with stride 2
            first, size, side, step = first + step / 2, size + step, side // 2, step * 2
    return fields


def compute_padding(layer: Convolution, side: int) -> tuple[int, int]:
    """Returns the zeros before and after an input of `side` pixels, as in TensorFlow."""
    if layer.padding == "valid":
        return 0, 0
    total = max((_count_outputs(side, layer) - 1) * layer.stride + layer.kernel_size - side, 0)
    return total // 2, total - total // 2


def _count_outputs(side: int, layer: Convolution) -> int:
    """Returns the units per side of a convolution's output, 0 or less if no window fits."""
    if layer.padding == "same":
        return -(-side // layer.stride)  # rounded up, as in TensorFlow
    return (side - layer.kernel_size) // layer.stride + 1  # windows inside the image
