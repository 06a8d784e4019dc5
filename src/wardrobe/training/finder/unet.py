"""The garment finder: a small U-Net, photo → mask.

Source: Ronneberger, Fischer and Brox 2015, arXiv 1505.04597, with "same" padding, batch
normalization, and a first level at half the photo's resolution.
"""

from typing import Any

import keras

from wardrobe.models.batch_norm import BatchNorm, fold_batch_norm
from wardrobe.photo.finder import SIDE


def build(filters: tuple[int, ...], for_training: bool = False) -> keras.Model:
    """Builds the untrained network.

    Input:  (n, 96, 96, 3) float32, raw RGB pixels 0-255. A layer of the model scales them.
    Output: (n, 96, 96) float32, logits, above 0 on the garment.

    Args:
        filters: of each level, first to last; each level has half the resolution of the one before.
        for_training: batch normalization follows each convolution but the last.
    """
    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="scale")(pixels)  # -1 to 1
    x = _convolve(x, "stem", filters[0], for_training, size=4, strides=2)
    skipped = []
    for level, width in enumerate(filters):
        if level:
            skipped.append(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool{level}")(x)
        for number in (1, 2):
            x = _convolve(x, f"down{level}_{number}", width, for_training)
    for level in reversed(range(len(skipped))):
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"up{level}")(x)
        x = keras.layers.Concatenate(name=f"skip{level}")([x, skipped[level]])
        for number in (1, 2):
            x = _convolve(x, f"up{level}_{number}", filters[level], for_training)
    x = keras.layers.Conv2D(4, 1, name="logits")(x)  # (n, 48, 48, 4): the pixels of 2x2 blocks
    half = SIDE // 2
    x = keras.layers.Reshape((half, half, 2, 2), name="blocks")(x)  # row, column, in the block
    x = keras.layers.Permute((1, 3, 2, 4), name="rows")(x)  # (n, 48, 2, 48, 2)
    return keras.Model(pixels, keras.layers.Reshape((SIDE, SIDE), name="mask")(x), name="finder")


def _convolve(
    x: Any, name: str, filters: int, has_norm: bool, size: int = 3, strides: int = 1
) -> Any:
    if not has_norm:
        options = {"padding": "same", "activation": "relu", "name": name}
        return keras.layers.Conv2D(filters, size, strides, **options)(x)
    x = keras.layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
    return keras.layers.ReLU(name=f"{name}_relu")(BatchNorm(name=f"{name}_norm")(x))


def to_inference(model: keras.Model, filters: tuple[int, ...]) -> keras.Model:
    """Returns a trained model's network for inference, batch normalization folded in."""
    network = build(filters)
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            layer.set_weights(fold_batch_norm(model, layer.name))
    return network
