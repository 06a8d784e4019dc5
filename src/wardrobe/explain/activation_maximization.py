"""Synthetic images that activate a filter, by gradient ascent."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from wardrobe.models import gradients
from wardrobe.models.layers import SIDE, compute_receptive_fields
from wardrobe.models.recipes import Recipe

Floats = npt.NDArray[np.floating]

COMPONENTS = 100  # principal components that an image is composed of
STEPS = 60  # steps of gradient ascent
STEP_SIZE = 0.1  # of the largest distance from the mean


def maximize_activation(
    model: keras.Model,
    recipe: Recipe,
    layer: str,
    filters: Sequence[int],
    prior: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint8]:
    """Returns a synthetic image for each filter of a convolution, or unit of a dense layer.

    Gradient ascent on the activation before ReLU, in the middle of the filter's map. The image is
    the mean of `prior` plus a weighted sum of its principal components, so that a person can read
    it. Only the receptive field of the filter is optimised and returned.

    Args:
        prior: images (n, 28, 28), 0-255, that the synthetic ones should resemble.

    Returns:
        (f, side, side) uint8; the brightest pixel of each is 255.

    Source: activation maximisation, Erhan et al. 2009; with a prior learnt from images, Nguyen et
    al. 2016, arXiv 1605.09304.
    """
    window = _middle_window(model, recipe, layer)
    side = window.stop - window.start  # pixels
    patches = prior[:, window, window].reshape(len(prior), -1) / 255  # (n, side²), 0-1
    mean, patterns = _fit_patterns(patches)  # (side²,), (components, side²)
    activate = gradients.compile_gradient(_make_activation(model, layer, filters))
    radius = np.sqrt(len(patterns))  # typical length of the weights of a real image
    weights = np.zeros((len(filters), len(patterns)))  # the mean image: no noise to start from
    images = np.repeat(prior.mean(axis=0)[None], len(filters), axis=0)
    for _ in range(STEPS):
        images[:, window, window] = _compose(mean, weights, patterns, side)
        _, gradient = activate(images[..., None])
        ascent = gradient[:, window, window, 0].reshape(len(filters), -1) @ patterns.T
        length = np.maximum(np.linalg.norm(ascent, axis=1, keepdims=True), 1e-12)
        weights += radius * STEP_SIZE * ascent / length
        # Back onto the sphere of that radius: beyond it, images no longer resemble the data.
        weights /= np.maximum(np.linalg.norm(weights, axis=1, keepdims=True) / radius, 1)
    found = _compose(mean, weights, patterns, side)
    brightest = np.maximum(found.max(axis=(1, 2), keepdims=True), 1)  # 1: no division by 0
    return np.round(255 * found / brightest).astype(np.uint8)


def _fit_patterns(patches: Floats) -> tuple[Floats, Floats]:
    """Returns the mean (pixels,) and the scaled components (components, pixels) of patches."""
    pca = PCA(min(COMPONENTS, *patches.shape), svd_solver="full").fit(patches)
    deviation = np.sqrt(pca.explained_variance_)  # (components,)
    # The root raises fine patterns over their part in the data; otherwise only brightness counts.
    return pca.mean_, pca.components_ * np.sqrt(deviation * deviation.mean())[:, None]


def _compose(mean: Floats, weights: Floats, patterns: Floats, side: int) -> Floats:
    """Returns the images of weights (f, components): (f, side, side), 0-255."""
    return np.clip(mean + weights @ patterns, 0, 1).reshape(-1, side, side) * 255


def _middle_window(model: keras.Model, recipe: Recipe, layer: str) -> slice:
    """Returns the rows (and columns) that the middle unit of a convolution sees; else all."""
    fields = compute_receptive_fields(recipe)
    if layer not in fields:
        return slice(0, SIDE)
    first, step, size = fields[layer]
    middle = first + step * (model.get_layer(layer).output.shape[1] // 2)
    return slice(max(0, round(middle - (size - 1) / 2)), min(SIDE, round(middle + (size + 1) / 2)))


def _make_activation(model: keras.Model, name: str, filters: Sequence[int]) -> Callable[[Any], Any]:
    """Returns a function from one image per filter to that filter's activation before ReLU."""
    layer = model.get_layer(name)
    before = keras.Model(model.input, layer.input)  # up to the layer, without its ReLU
    chosen = np.eye(layer.kernel.shape[-1], dtype=np.float32)[list(filters)]  # (f, all filters)

    def activation(images: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            outputs = keras.ops.matmul(before(images), layer.kernel)
        else:
            maps = layer.convolution_op(before(images), layer.kernel)
            middle = maps.shape[1] // 2
            outputs = maps[:, middle, middle]  # (f, all filters)
        return keras.ops.sum(outputs * chosen, axis=1)  # (f,): each image for its own filter

    return activation
