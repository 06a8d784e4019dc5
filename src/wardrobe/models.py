"""Recipe → Keras Functional model. Every layer has a name, so that the layers between can be looked at."""

from functools import partial
from typing import Any

import keras
import numpy as np

from wardrobe import seeds
from wardrobe.recipes import BFLOAT16, FLOAT32, Recipe

SIDE = 28  # pixels


def build(recipe: Recipe, class_count: int, precision: str = FLOAT32) -> keras.Model:
    """Builds the untrained network of a recipe.

    Input:  (n, 28, 28, 1) float32, raw pixels 0-255; the scaling to 0-1 is a layer of the model.
    Output: (n, class_count) float32, logits.
    Layers: pixels, scale, stem1, … (if the recipe has a stem), conv1, pool1, conv2, pool2, …, flatten, dense (if the
    recipe has one), logits.

    Args:
        precision: of the layers' arithmetic, "float32" or "bfloat16"; weights and logits are float32 always.
    """
    policy = "mixed_bfloat16" if precision == BFLOAT16 else FLOAT32
    conv = partial(keras.layers.Conv2D, activation="relu", dtype=policy)
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    x = keras.layers.Rescaling(1 / 255, name="scale", dtype=policy)(pixels)
    for depth, filters in enumerate(recipe.stem_filters, start=1):
        x = conv(filters, 4 if depth == 1 else 3, strides=2, padding="same", name=f"stem{depth}")(x)
    for depth, filters in enumerate(recipe.conv_filters, start=1):
        x = conv(filters, recipe.kernel_size, padding=recipe.padding, name=f"conv{depth}")(x)
        if depth % recipe.pool_every == 0:
            x = keras.layers.MaxPooling2D(2, name=f"pool{depth // recipe.pool_every}", dtype=policy)(x)
    x = keras.layers.Flatten(name="flatten", dtype=policy)(x)
    if recipe.dropout:
        x = keras.layers.Dropout(recipe.dropout, name="flatten_dropout", dtype=policy)(x)
    if recipe.dense_units:
        x = keras.layers.Dense(recipe.dense_units, activation="relu", name="dense", dtype=policy)(x)
        if recipe.dropout:
            x = keras.layers.Dropout(recipe.dropout, name="dense_dropout", dtype=policy)(x)
    logits = keras.layers.Dense(class_count, name="logits", dtype=FLOAT32)(x)
    return keras.Model(pixels, logits, name=recipe.name)


def initialise(model: keras.Model, recipe: Recipe, seed: int) -> None:
    """Draws every kernel, by NumPy, so that a seed gives the same weights on every backend.

    "glorot": uniform, of variance 2 / (inputs + outputs), Keras's own (Glorot and Bengio 2010); "he": normal, of
    variance 2 / inputs (He et al. 2015, arXiv 1502.01852).
    """
    rng = seeds.generator("initial", seed)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            *window, inputs, outputs = layer.kernel.shape
            if recipe.initial == "he":
                drawn = rng.normal(0, np.sqrt(2 / (np.prod(window) * inputs)), layer.kernel.shape)
            else:
                limit = np.sqrt(6 / (np.prod(window) * (inputs + outputs)))
                drawn = rng.uniform(-limit, limit, layer.kernel.shape)
            layer.kernel.assign(drawn.astype(np.float32))


def in_float32(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Returns the network with the same weights, whose arithmetic is float32: for use, whatever it was trained in."""
    exact = build(recipe, model.output_shape[-1])
    exact.set_weights(model.get_weights())
    return exact


def averaged(model: keras.Model, views: int) -> keras.Model:
    """Returns the model whose logits are the mean of `model`'s over several views of an image.

    Args:
        views: 1, the image itself; 2, with its mirror image; 6, both also moved by a pixel each way along the diagonal,
            which together count as much as the two that are not.

    Source: test-time augmentation as in KellerJordan/cifar10-airbench.
    """
    if views == 1:
        return model
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    mean = _mean_of_both_sides(model, pixels)
    if views == 6:
        padded = keras.layers.ZeroPadding2D(1, name="padded")(pixels)
        moved = [padded[:, corner : corner + SIDE, corner : corner + SIDE] for corner in (0, 2)]
        first, second = (_mean_of_both_sides(model, image) for image in moved)
        mean = mean / 2 + first / 4 + second / 4
    return keras.Model(pixels, mean, name=model.name)


def _mean_of_both_sides(model: keras.Model, images: Any) -> Any:
    return (model(images) + model(images[:, :, ::-1])) / 2


def convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    """Returns the model's convolutions, first to last."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def intermediates(model: keras.Model, names: list[str]) -> keras.Model:
    """Returns a model with the same input whose outputs are those of the named layers, as a dictionary by name."""
    return keras.Model(model.input, {name: model.get_layer(name).output for name in names})


def forward_flops(model: keras.Model) -> int:
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
