"""What the network learnt: arrays in, arrays out. plots.py draws them."""

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import models

Floats = npt.NDArray[np.floating]


def first_filters(model: keras.Model) -> Floats:
    """Returns the kernels of the first convolution: (filters, height, width), any sign; it sees one grey channel."""
    kernel = keras.ops.convert_to_numpy(models.convolutions(model)[0].kernel)
    return kernel[:, :, 0, :].transpose(2, 0, 1)


def feature_maps(model: keras.Model, images: npt.NDArray[np.uint8]) -> dict[str, Floats]:
    """Returns each convolution's activations: layer name → (n, height, width, filters), 0 and up after ReLU.

    Args:
        images: (n, 28, 28) uint8, 0-255.
    """
    names = [layer.name for layer in models.convolutions(model)]
    return models.intermediates(model, names).predict(images[..., None], verbose=0)
