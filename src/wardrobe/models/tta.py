"""Test-time augmentation: the mean of a model's logits over several views of each image."""

from typing import Any

import keras

from wardrobe.models.layers import SIDE


def with_tta(model: keras.Model, tta_views: int) -> keras.Model:
    """Returns the model whose logits are the mean of `model`'s over several views of an image.

    Args:
        tta_views: 1: the image itself. 2: also its mirror image. 6: also both shifted by one pixel,
            up and left, and down and right.

    Source: test-time augmentation as in KellerJordan/cifar10-airbench.
    """
    if tta_views == 1:
        return model
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    mean = _average_mirrored(model, pixels)
    if tta_views == 6:
        padded = keras.layers.ZeroPadding2D(1, name="padded")(pixels)  # (n, 30, 30, 1)
        shifted = [padded[:, start : start + SIDE, start : start + SIDE] for start in (0, 2)]
        first, second = (_average_mirrored(model, images) for images in shifted)
        mean = mean / 2 + first / 4 + second / 4  # the unshifted views count twice, as in airbench
    return keras.Model(pixels, mean, name=model.name)


def _average_mirrored(model: keras.Model, images: Any) -> Any:
    return (model(images) + model(images[:, :, ::-1])) / 2  # (n, classes); mirrored left to right
