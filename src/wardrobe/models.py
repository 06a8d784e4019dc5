"""Recipe → Keras Functional model. Every layer has a name, so that the layers between can be looked at."""

import keras
import numpy as np

from wardrobe.recipes import Recipe

SIDE = 28  # pixels


def build(recipe: Recipe, class_count: int) -> keras.Model:
    """Builds the untrained network of a recipe.

    Input:  (n, 28, 28, 1) float32, raw pixels 0-255; the scaling to 0-1 is a layer of the model.
    Output: (n, class_count) float32, logits.
    Layers: pixels, scale, stem (if the recipe has one), conv1, pool1, conv2, pool2, …, flatten, dense, logits.
    """
    layers = keras.layers
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(pixels)
    if recipe.stem_filters:
        x = layers.Conv2D(recipe.stem_filters, 4, strides=2, padding="same", activation="relu", name="stem")(x)
    for depth, filters in enumerate(recipe.conv_filters, start=1):
        x = layers.Conv2D(filters, recipe.kernel_size, padding=recipe.padding, activation="relu", name=f"conv{depth}")(
            x
        )
        x = layers.MaxPooling2D(2, name=f"pool{depth}")(x)
    x = layers.Flatten(name="flatten")(x)
    if recipe.dropout:
        x = layers.Dropout(recipe.dropout, name="flatten_dropout")(x)
    x = layers.Dense(recipe.dense_units, activation="relu", name="dense")(x)
    if recipe.dropout:
        x = layers.Dropout(recipe.dropout, name="dense_dropout")(x)
    logits = layers.Dense(class_count, name="logits")(x)
    return keras.Model(pixels, logits, name=recipe.name)


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
