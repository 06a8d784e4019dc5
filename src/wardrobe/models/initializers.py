"""Initial weights. NumPy draws them, so that a seed gives the same weights on every backend."""

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.models import architecture
from wardrobe.models.recipes import Recipe
from wardrobe.rng import make_rng

WHITENING_IMAGES = 2000  # 2,000 * 13 * 13 patches of 4x4
# Added to each second moment, relative to the largest: directions with less are mostly noise.
WHITENING_EPSILON = 5e-4


def initialize_weights(model: keras.Model, seed: int) -> None:
    """Sets every kernel to random numbers, as Keras does by default; biases stay 0.

    Uniform, with variance 2 / (inputs + outputs). Source: Glorot and Bengio 2010.
    """
    rng = make_rng("initial", seed)  # one stream; the order of the layers must not change
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            *window, inputs, outputs = layer.kernel.shape
            # A uniform distribution over ±limit has the variance limit² / 3.
            limit = np.sqrt(6 / (np.prod(window) * (inputs + outputs)))
            layer.kernel.assign(rng.uniform(-limit, limit, layer.kernel.shape).astype(np.float32))


def whiten_stem(model: keras.Model, images: npt.NDArray[np.uint8]) -> None:
    """Sets the first convolution to whiten image patches by their second moment.

    Its outputs are orthogonal with a mean square of 1 over the patches. The mean is not subtracted,
    so they are not strictly uncorrelated; subtracting it made no clear difference (docs/log.md).
    The filters are the eigenvectors of the second moment with the largest eigenvalues, divided by
    their square roots, and the same negated, so that ReLU loses no sign. All members of an ensemble
    get the same.

    Args:
        images: training images, (n, 28, 28), 0-255; the first 2,000 are used.

    Source: the whitening layer of KellerJordan/cifar10-airbench; here with as many filters as the
    recipe has in its first convolution.
    """
    stems = architecture.find_first_convolutions(model)
    size, _, _, filters = stems[0].kernel.shape  # (4, 4, 1, 16) in `sprint`
    scaled = images[:WHITENING_IMAGES].astype(np.float32) / 255  # as the network's own `scale`
    windows = np.lib.stride_tricks.sliding_window_view(scaled, (size, size), (1, 2))
    patches = windows[:, ::2, ::2].reshape(-1, size * size)  # every second one suffices
    moments, components = np.linalg.eigh(patches.T @ patches / len(patches))  # smallest first
    whitening = components / np.sqrt(moments + WHITENING_EPSILON * moments[-1])
    largest = whitening[:, ::-1][:, : filters // 2]  # (size * size, filters / 2)
    kernel = np.concatenate([largest, -largest], axis=1).reshape(size, size, 1, filters)
    for stem in stems:
        stem.kernel.assign(kernel.astype(np.float32))


def build_untrained(
    recipe: Recipe, class_count: int, seed: int, images: npt.NDArray[np.uint8]
) -> keras.Model:
    """Returns the recipe's model for inference with the weights that training starts from.

    Args:
        images: training images, (n, 28, 28), 0-255, for the recipes with a whitened stem.
    """
    model = architecture.build(recipe, class_count)
    initialize_weights(model, seed)
    if recipe.whitened_stem:
        whiten_stem(model, images)
    return model
