"""Heat maps: which pixels led to a prediction. Arrays in, arrays out.

Throughout: images (n, 28, 28), 0-255; classes (n,) int, the predictions to explain; maps
(n, 28, 28) float, higher where the image supports the class.
"""

import keras
import numpy as np

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
    """Returns the heat maps by name; "Grad-CAM" only with a Keras model and its recipe."""
    maps = {"occlusion": occlusion.heat_maps(logits, images, classes)}
    if model is None or recipe is None:
        return maps
    return {"Grad-CAM": grad_cam(model, recipe, images, classes), **maps}


def grad_cam(
    model: keras.Model, recipe: Recipe, images: Images, classes: Classes, averaged: bool = False
) -> Floats:
    """Returns where the last convolution found evidence for the class: maps, 0 and up.

    Activation times gradient of the class's logit, summed over filters at each place; of an
    ensemble, the mean over its members. The receptive fields place the map on the image.

    Args:
        averaged: average the gradient of each filter over the image first, as in the paper of
            2017. That suits networks that end in global pooling; with Flatten, each place has
            weights of its own, which averaging loses.

    Source: Selvaraju et al. 2017, arXiv 1610.02391; place by place: HiResCAM, Draelos and Carin
    2020, arXiv 2011.08891.
    """
    prefixes = architecture.member_prefixes(recipe)
    maps = []
    for some in batches.slices(len(images), BATCH):
        members = [
            _cam(model, prefix, images[some], classes[some], averaged) for prefix in prefixes
        ]
        maps.append(np.mean(members, axis=0))  # (some, h, w)
    first, step, _ = list(architecture.compute_receptive_fields(recipe).values())[-1]
    return _enlarge(np.concatenate(maps), first, step)


def _cam(
    model: keras.Model, prefix: str, images: Images, classes: Classes, averaged: bool
) -> Floats:
    """Returns the map of one member, at the resolution of its last convolution: (n, h, w)."""
    last = architecture.find_convolutions(model, prefix)[-1]
    before = keras.Model(model.input, last.output)  # pixels → (n, h, w, filters)
    after = keras.Model(last.output, model.get_layer(f"{prefix}logits").output)
    chosen = np.eye(model.output_shape[-1], dtype=np.float32)[classes]  # (n, k) one-hot
    activations = keras.ops.convert_to_numpy(before(images[..., None].astype(np.float32)))
    logit = gradients.compile_gradient(lambda maps, chosen: keras.ops.sum(after(maps) * chosen, 1))
    _, gradient = logit(activations, chosen)  # (n, h, w, filters)
    weights = gradient.mean(axis=(1, 2), keepdims=True) if averaged else gradient
    return np.maximum((activations * weights).sum(axis=-1), 0)


def _enlarge(maps: Floats, first: float, step: float) -> Floats:
    """Interpolates maps (n, h, h), whose units are at pixels first, first + step, …, linearly.

    Beyond the outermost units the map fades to 0 within one step, as no unit is centred there.
    """
    places = first + step * np.arange(-1, maps.shape[1] + 1)  # pixels, one more at either end
    units = np.pad(np.eye(maps.shape[1]), ((0, 0), (1, 1)))  # 0 one step beyond either end
    pixels = np.arange(SIDE)
    spread = np.stack([np.interp(pixels, places, unit) for unit in units], axis=1)  # (28, h)
    return spread @ maps @ spread.T  # (n, 28, 28): rows, then columns
