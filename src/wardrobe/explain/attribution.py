"""Why this answer: heat maps of an image and the training images most like it. Arrays in, arrays out; plots draw them.

Throughout: images (n, 28, 28), 0-255; classes (n,) int, of which the answer is to be explained; maps (n, 28, 28) float,
higher where the image speaks for its class.
"""

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.data import batches
from wardrobe.inference import occlusion
from wardrobe.inference.occlusion import Classes, Floats, Images, Logits
from wardrobe.models import architecture, gradients
from wardrobe.models.architecture import SIDE
from wardrobe.models.recipes import Recipe

BATCH = 500  # images


def heat_maps(
    model: keras.Model | None,
    recipe: Recipe | None,
    logits: Logits,
    images: Images,
    classes: Classes,
) -> dict[str, Floats]:
    """Returns the heat maps that a model can have: name → (n, 28, 28); Grad-CAM asks for a Keras model."""
    maps = {"occlusion": occlusion.heat_maps(logits, images, classes)}
    if model is None or recipe is None:
        return maps
    return {"Grad-CAM": grad_cam(model, recipe, images, classes), **maps}


def grad_cam(
    model: keras.Model, recipe: Recipe, images: Images, classes: Classes, averaged: bool = False
) -> Floats:
    """Returns where the last convolution found what speaks for the class: maps, 0 and up.

    The sum over its filters of activation times gradient of the class's logit, place by place; of several columns, the
    mean. A map is laid over the image by where the convolution's units look, not just stretched.

    Args:
        averaged: the gradient of each filter is averaged over the image first, as in the paper of 2017, which suits
            networks that end in global pooling. After Flatten each place has weights of its own, which that mixes up.

    Source: Selvaraju et al. 2017, arXiv 1610.02391; place by place: HiResCAM, Draelos and Carin 2020, arXiv 2011.08891.
    """
    prefixes = architecture.member_prefixes(recipe)
    maps = [
        np.mean(
            [_cam(model, prefix, images[some], classes[some], averaged) for prefix in prefixes],
            axis=0,
        )
        for some in batches.slices(len(images), BATCH)
    ]
    first, step, _ = list(architecture.compute_receptive_fields(recipe).values())[-1]
    return _laid_over_image(np.concatenate(maps), first, step)


def _cam(
    model: keras.Model, prefix: str, images: Images, classes: Classes, averaged: bool
) -> Floats:
    """Returns the map of one column's last convolution, as small as it is: (n, height, width)."""
    last = architecture.find_convolutions(model, prefix)[-1]
    before = keras.Model(model.input, last.output)
    after = keras.Model(last.output, model.get_layer(f"{prefix}logits").output)
    chosen = np.eye(model.output_shape[-1], dtype=np.float32)[classes]
    activations = keras.ops.convert_to_numpy(before(images[..., None].astype(np.float32)))
    logit = gradients.compile_gradient(
        lambda each, chosen: keras.ops.sum(after(each) * chosen, axis=1)
    )
    _, gradient = logit(activations, chosen)
    weights = gradient.mean(axis=(1, 2), keepdims=True) if averaged else gradient
    return np.maximum((activations * weights).sum(axis=-1), 0)


def _laid_over_image(maps: Floats, first: float, step: float) -> Floats:
    """Returns maps (n, h, h), whose units lie at pixels first, first + step, …, at every pixel: linear in between.

    Beyond the outermost units they fade within a step: no unit has what lies there in its middle.
    """
    places = first + step * np.arange(-1, maps.shape[1] + 1)
    each_unit = np.pad(np.eye(maps.shape[1]), ((0, 0), (1, 1)))
    spread = np.stack(
        [np.interp(np.arange(SIDE), places, unit) for unit in each_unit], axis=1
    )  # (28, h)
    return spread @ maps @ spread.T


def penultimate_features(model: keras.Model, images: Images) -> Floats:
    """Returns what the last layer makes its logits of, of several columns the first's: (n, features) float32."""
    last = architecture.find_logits_layer(model)
    before = keras.Model(model.input, last.input)
    return before.predict(**batches.from_images(images[..., None], BATCH), verbose=0)


def find_nearest(features: Floats, of: Floats, count: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns for each row of `of` the rows of `features` at the smallest angle to it, the nearest first.

    Args:
        features: (n, f), 0 and up, as from `penultimate`; of: (m, f).

    Returns:
        indices (m, count); cosines (m, count), 0-1.
    """
    cosines = _unit_length(of) @ _unit_length(features).T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return best, np.take_along_axis(cosines, best, axis=1)


def _unit_length(features: Floats) -> Floats:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
