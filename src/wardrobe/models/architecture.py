"""Recipe → Keras Functional model. Every layer has a name, so that the layers between can be looked at."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.models.batch_norm import BatchNorm
from wardrobe.models.recipes import BFLOAT16, FLOAT32, Recipe
from wardrobe.rng import make_rng

Weights = npt.NDArray[np.float32]

SIDE = 28  # pixels
WHITENED_FROM = 2000  # images
WHITENED_LEAST = (
    5e-4  # added to each variance, as a share of the largest: what varies less is mostly noise
)


def build(
    recipe: Recipe, class_count: int, precision: str = FLOAT32, for_training: bool = False
) -> keras.Model:
    """Builds the untrained network of a recipe.

    Input:  (n, 28, 28, 1) float32, raw pixels 0-255; the scaling to 0-1 is a layer of the model.
    Output: (n, class_count) float32, logits; of several columns, their mean.
    Layers: pixels, scale, stem1, … (if the recipe has a stem), conv1, pool1, conv2, pool2, …, flatten, dense (if the
    recipe has one), logits. Where there are several columns, all between scale and logits is there once for each:
    column1_conv1, …, column1_logits, column2_conv1, ….

    Args:
        precision: of the layers' arithmetic, "float32" or "bfloat16"; weights and logits are float32 always.
        for_training: where the recipe normalises, convolutions give what is not yet rectified, and after the pooling,
            which that leaves the same and makes cheaper, come conv1_norm and conv1_relu, …; several columns give their
            logits apart, (n, columns, class_count). `for_use` turns it into the other.
    """
    policy = "mixed_bfloat16" if precision == BFLOAT16 else FLOAT32
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    scaled = keras.layers.Rescaling(1 / 255, name="scale", dtype=policy)(pixels)
    normalised = for_training and recipe.batch_norm
    columns = [
        _column(recipe, scaled, class_count, policy, normalised, prefix)
        for prefix in layer_prefixes(recipe)
    ]
    if len(columns) == 1:
        logits = columns[0]
    elif for_training:
        logits = keras.ops.stack(columns, axis=1)
    else:
        logits = keras.layers.Average(name="logits", dtype=FLOAT32)(columns)
    model = keras.Model(pixels, logits, name=recipe.name)
    if recipe.whitened_stem:
        for first in _first_convolutions(model):
            first.trainable = False
    return model


def layer_prefixes(recipe: Recipe) -> list[str]:
    """Returns what the names of each column's layers begin with: nothing, where there is one column."""
    return (
        [""]
        if recipe.ensemble_size == 1
        else [f"member{number}_" for number in range(1, recipe.ensemble_size + 1)]
    )


def _column(
    recipe: Recipe, scaled: Any, class_count: int, policy: str, normalised: bool, prefix: str
) -> Any:
    """Returns the logits of one column, whose layers' names begin with `prefix`."""
    x = scaled
    for name, filters, size, strides, padding, pool in _convolutions(recipe):
        rectifier, called = None if normalised else "relu", prefix + name
        convolution = keras.layers.Conv2D(
            filters,
            size,
            strides,
            padding,
            activation=rectifier,
            use_bias=not normalised,
            name=called,
            dtype=policy,
        )
        x = convolution(x)
        if pool:
            x = keras.layers.MaxPooling2D(2, name=prefix + pool, dtype=policy)(x)
        if normalised:
            x = BatchNorm(name=f"{called}_norm", dtype=policy)(x)
            x = keras.layers.ReLU(name=f"{called}_relu", dtype=policy)(x)
    x = keras.layers.Flatten(name=f"{prefix}flatten", dtype=policy)(x)
    if recipe.dropout:
        x = keras.layers.Dropout(recipe.dropout, name=f"{prefix}flatten_dropout", dtype=policy)(x)
    if recipe.dense_units:
        x = keras.layers.Dense(
            recipe.dense_units, activation="relu", name=f"{prefix}dense", dtype=policy
        )(x)
        if recipe.dropout:
            x = keras.layers.Dropout(recipe.dropout, name=f"{prefix}dense_dropout", dtype=policy)(x)
    return keras.layers.Dense(class_count, name=f"{prefix}logits", dtype=FLOAT32)(x)


def _convolutions(recipe: Recipe) -> Iterator[tuple[str, int, int, int, str, str]]:
    """Yields each convolution's name, filters, kernel size, stride, padding, and the name of the pooling after it."""
    for depth, filters in enumerate(recipe.stem_filters, start=1):
        yield f"stem{depth}", filters, 4 if depth == 1 else 3, 2, "same", ""
    depths = range(1, len(recipe.conv_filters) + 1)
    strides = recipe.conv_strides or [1 for _ in depths]  # None: stride 1 everywhere
    pools = {depth: f"pool{number}" for number, depth in enumerate(recipe.pool_after, start=1)}
    for depth, filters, stride in zip(depths, recipe.conv_filters, strides, strict=True):
        yield (
            f"conv{depth}",
            filters,
            recipe.kernel_size,
            stride,
            recipe.padding,
            pools.get(depth, ""),
        )


def initialize_weights(model: keras.Model, seed: int) -> None:
    """Draws every kernel as Keras would, but by NumPy, so that a seed gives the same weights on every backend.

    Uniform, of variance 2 / (inputs + outputs) (Glorot and Bengio 2010).
    """
    rng = make_rng("initial", seed)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            *window, inputs, outputs = layer.kernel.shape
            limit = np.sqrt(6 / (np.prod(window) * (inputs + outputs)))
            layer.kernel.assign(rng.uniform(-limit, limit, layer.kernel.shape).astype(np.float32))


def whiten_stem(model: keras.Model, images: npt.NDArray[np.uint8]) -> None:
    """Sets the first convolution to split patches into independent parts of variance 1, each with both its signs.

    Its filters are the principal components of the patches of `images` (n, 28, 28), the largest first, divided by their
    standard deviation, and the same negated, so that no sign is lost to the ReLU. All columns get the same.

    Source: KellerJordan/cifar10-airbench, the whitening layer; here it has as many filters as the recipe says.
    """
    size, _, _, filters = find_convolutions(model)[0].kernel.shape
    scaled = images[:WHITENED_FROM].astype(np.float32) / 255
    windows = np.lib.stride_tricks.sliding_window_view(scaled, (size, size), (1, 2))
    patches = windows[:, ::2, ::2].reshape(-1, size * size)
    variances, components = np.linalg.eigh(patches.T @ patches / len(patches))  # smallest first
    whitening = components / np.sqrt(variances + WHITENED_LEAST * variances[-1])
    largest = whitening[:, ::-1][:, : filters // 2]
    kernel = np.concatenate([largest, -largest], axis=1).reshape(size, size, 1, filters)
    for first in _first_convolutions(model):
        first.kernel.assign(kernel.astype(np.float32))


def build_untrained(
    recipe: Recipe, class_count: int, seed: int, images: npt.NDArray[np.uint8]
) -> keras.Model:
    """Returns the network as it is before training on `images`, (n, 28, 28), with the weights of `seed`."""
    model = build(recipe, class_count)
    initialize_weights(model, seed)
    if recipe.whitened_stem:
        whiten_stem(model, images)
    return model


def to_inference(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Returns the network that a trained one becomes: in float32, batch normalisation taken up in the convolutions.

    Several columns become one answer, the mean of their logits.
    """
    used = build(recipe, model.output_shape[-1])
    for layer in used.layers:
        if hasattr(layer, "kernel"):
            layer.set_weights(_weights_for_use(model, layer.name))
    return used


def _weights_for_use(model: keras.Model, name: str) -> list[Weights]:
    """Returns kernel and bias of a layer, its normalisation with them: ((wx) - mean) / deviation + beta = w'x + b'."""
    weights: list[Weights] = model.get_layer(name).get_weights()
    if len(weights) == 2:
        return weights
    norm = model.get_layer(f"{name}_norm")
    beta, mean, variance = norm.get_weights()
    scale = 1 / np.sqrt(variance + norm.epsilon)
    return [weights[0] * scale, beta - mean * scale]


def with_tta(model: keras.Model, tta_views: int) -> keras.Model:
    """Returns the model whose logits are the mean of `model`'s over several views of an image.

    Args:
        tta_views: 1, the image itself; 2, with its mirror image; 6, both also moved by a pixel each way along the diagonal,
            which together count as much as the two that are not.

    Source: test-time augmentation as in KellerJordan/cifar10-airbench.
    """
    if tta_views == 1:
        return model
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    mean = _mean_of_both_sides(model, pixels)
    if tta_views == 6:
        padded = keras.layers.ZeroPadding2D(1, name="padded")(pixels)
        moved = [padded[:, corner : corner + SIDE, corner : corner + SIDE] for corner in (0, 2)]
        first, second = (_mean_of_both_sides(model, image) for image in moved)
        mean = mean / 2 + first / 4 + second / 4
    return keras.Model(pixels, mean, name=model.name)


def _mean_of_both_sides(model: keras.Model, images: Any) -> Any:
    return (model(images) + model(images[:, :, ::-1])) / 2


def find_convolutions(model: keras.Model, prefix: str = "member1_") -> list[keras.layers.Conv2D]:
    """Returns the model's convolutions, first to last; of several columns, those whose names begin with `prefix`."""
    every = _all_convolutions(model)
    return [layer for layer in every if layer.name.startswith(prefix)] or every


def find_logits_layer(model: keras.Model) -> keras.layers.Dense:
    """Returns the layer that gives the logits; of several columns, those of the first."""
    dense = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    return next(layer for layer in dense if layer.name.endswith("logits"))


def first_member(model: keras.Model) -> keras.Model:
    """Returns the network that ends in the logits of the model's first column, (n, class_count); of one, itself."""
    return (
        model
        if len(model.output_shape) == 2
        else keras.Model(model.input, find_logits_layer(model).output)
    )


def _first_convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    """Returns the convolution of each column that sees the image itself, which has one channel."""
    return [layer for layer in _all_convolutions(model) if layer.kernel.shape[2] == 1]


def _all_convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def build_intermediates(model: keras.Model, names: list[str]) -> keras.Model:
    """Returns a model with the same input whose outputs are those of the named layers, as a dictionary by name."""
    return keras.Model(model.input, {name: model.get_layer(name).output for name in names})


def receptive_fields(recipe: Recipe) -> dict[str, tuple[float, int, int]]:
    """Returns where in the image each convolution's units look: layer name → (first, step, size), in pixels.

    Unit i along a side has the middle of its window at pixel `first + i * step`, and its window, the receptive field,
    is `size` pixels wide; at the image's edge a part of it may lie outside. Of columns, the first.
    """
    prefix = layer_prefixes(recipe)[0]
    side, first, step, size = SIDE, 0.0, 1, 1
    found = {}
    for name, _, kernel, stride, padding, pool in _convolutions(recipe):
        outputs = -(-side // stride) if padding == "same" else (side - kernel) // stride + 1
        before = max((outputs - 1) * stride + kernel - side, 0) // 2 if padding == "same" else 0
        first += ((kernel - 1) / 2 - before) * step
        size += (kernel - 1) * step
        side, step = outputs, step * stride
        found[prefix + name] = first, step, size
        if pool:
            first, size, side, step = first + step / 2, size + step, side // 2, step * 2
    return found


def count_forward_flops(model: keras.Model) -> int:
    """Returns the floating-point operations of one image's forward pass, two for each multiply-add.

    Counts the layers with a kernel; activations, pooling and biases, under 2 % of the whole, are left out.
    """
    flops = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            flops += 2 * height * width * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            flops += 2 * int(np.prod(layer.kernel.shape))
    return flops
