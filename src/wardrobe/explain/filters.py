"""What the filters of a network look like and respond to: arrays in, arrays out.

Throughout: images (n, 28, 28) uint8, 0-255. Of an ensemble, the first member is explained.
"""

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import batches
from wardrobe.models import architecture
from wardrobe.models.layers import compute_receptive_fields
from wardrobe.models.recipes import Recipe

Floats = npt.NDArray[np.floating]
Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

BATCH = 500  # images


def first_filters(model: keras.Model) -> Floats:
    """Returns the kernels of the first convolution, of one input channel: (filters, h, w)."""
    kernel = keras.ops.convert_to_numpy(architecture.find_convolutions(model)[0].kernel)
    return kernel[:, :, 0, :].transpose(2, 0, 1)  # (h, w, 1, filters) → (filters, h, w)


def feature_maps(model: keras.Model, images: Images) -> dict[str, Floats]:
    """Returns each convolution's activations after ReLU: layer name → (n, h, w, filters)."""
    names = [layer.name for layer in architecture.find_convolutions(model)]
    return architecture.build_intermediates(model, names).predict(images[..., None], verbose=0)


def strongest_inputs(model: keras.Model, depth: int, count: int) -> tuple[Indices, Floats]:
    """Returns which filters of one convolution each filter of the next depends on most.

    Args:
        depth: of the later convolution, 1 and up; it gets the maps of convolution `depth` - 1.
        count: inputs per filter.

    Returns:
        indices (filters, count) of the inputs with the largest kernels by sum of squares, largest
        first; their kernels (filters, count, height, width).
    """
    layer = architecture.find_convolutions(model)[depth]
    kernel = keras.ops.convert_to_numpy(layer.kernel)  # (h, w, in, out)
    strength = (kernel**2).sum(axis=(0, 1)).T  # (out, in)
    largest = np.argsort(-strength, axis=1, kind="stable")[:, :count]  # (out, count)
    kernels = [kernel[:, :, inputs, out].transpose(2, 0, 1) for out, inputs in enumerate(largest)]
    return largest, np.stack(kernels)


@dataclass(frozen=True)
class TopImages:
    """The images with the highest activation of some filters of a layer."""

    filters: Indices  # (f,)
    images: Indices  # (f, count) indices of images, highest activation first
    centres: npt.NDArray[np.float64]  # (f, count, 2) row and column of the place, in pixels
    size: int  # of the receptive field, pixels per side


def find_top_images(
    model: keras.Model, recipe: Recipe, images: Images, filters: int, count: int
) -> dict[str, TopImages]:
    """Returns the images with the highest activations, for the most varied filters of each layer.

    Args:
        filters: per convolution: those whose activation varies most over the images.
        count: images per filter.
    """
    names = [layer.name for layer in architecture.find_convolutions(model)]
    inner = architecture.build_intermediates(model, names)
    highest: dict[str, list[Floats]] = {name: [] for name in names}
    places: dict[str, list[Indices]] = {name: [] for name in names}
    for some in batches.slices(len(images), BATCH):
        maps = inner.predict_on_batch(images[some, ..., None])  # name → (n, h, w, f)
        for name in names:
            flat = maps[name].reshape(len(maps[name]), -1, maps[name].shape[-1])  # (n, h * w, f)
            highest[name].append(flat.max(axis=1))  # (n, f)
            places[name].append(flat.argmax(axis=1))  # (n, f), row * width + column
    fields = compute_receptive_fields(recipe)
    top = {}
    for name in names:
        activations, at = np.concatenate(highest[name]), np.concatenate(places[name])
        width = model.get_layer(name).output.shape[2]
        top[name] = _select_top(activations, at, width, fields[name], filters, count)
    return top


def _select_top(
    activations: Floats,
    places: Indices,
    width: int,
    field: tuple[float, int, int],
    filters: int,
    count: int,
) -> TopImages:
    """Selects from the highest activation in each image (n, all filters) and its flat index."""
    first, step, size = field
    chosen = np.sort(np.argsort(-activations.std(axis=0), kind="stable")[:filters])
    top = np.argsort(-activations[:, chosen], axis=0, kind="stable")[:count].T  # (f, count)
    at = places[top, chosen[:, None]]  # (f, count)
    centres = first + step * np.stack([at // width, at % width], axis=-1).astype(np.float64)
    return TopImages(chosen, top, centres, size)
