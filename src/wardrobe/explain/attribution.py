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
from wardrobe.models.layers import SIDE, compute_receptive_fields, member_prefixes
from wardrobe.models.recipes import Recipe

BATCH = 500  # images


def heat_maps(
    model: keras.Model | None,
    recipe: Recipe | None,
    logits: Logits,
    images: Images,
    classes: Classes,
) -> dict[str, Floats]:
    """Returns the heat maps by name: those of `CAMS`, if there is a Keras model, and occlusion.

    `CAMS` need the receptive fields of a recipe, which a network of one's own does not have.
    """
    maps = {"occlusion": occlusion.heat_maps(logits, images, classes)}
    if model is None or recipe is None or recipe.network is not None:
        return maps
    return {**class_activation_maps(model, recipe, images, classes), **maps}


def hires_cam(activations: Floats, gradient: Floats) -> Floats:
    """Returns where there is evidence for the class: activation × gradient, summed over filters.

    Each position has its own weight. Evidence against the class is set to 0.

    Args:
        activations: of a convolution, (n, h, w, filters).
        gradient: of the class's logit with respect to them, (n, h, w, filters).

    Returns:
        (n, h, w), 0 and up.

    Source: HiResCAM, Draelos and Carin 2020, arXiv 2011.08891.
    """
    return np.maximum((activations * gradient).sum(axis=-1), 0)


def grad_cam(activations: Floats, gradient: Floats) -> Floats:
    """Returns where there is evidence for the class, with one weight per filter for all positions.

    The weight is the mean of the gradient over the positions. It is exact for networks that end
    in global average pooling. With Flatten, each position has its own weights, and the mean
    discards their differences. Arguments and result are those of `hires_cam`.

    Source: Grad-CAM, Selvaraju et al. 2017, arXiv 1610.02391.
    """
    weights = gradient.mean(axis=(1, 2), keepdims=True)  # (n, 1, 1, filters)
    return np.maximum((activations * weights).sum(axis=-1), 0)


CAMS = {"HiResCAM": hires_cam, "Grad-CAM": grad_cam}  # class activation maps


def class_activation_maps(
    model: keras.Model, recipe: Recipe, images: Images, classes: Classes
) -> dict[str, Floats]:
    """Returns the maps of `CAMS` by name, from the last convolution: 0 and up.

    For an ensemble: the mean over its members. The receptive fields place the maps on the image.
    """
    maps: dict[str, list[Floats]] = {name: [] for name in CAMS}
    for some in batches.slices(len(images), BATCH):
        members = [
            _differentiate(model, prefix, images[some], classes[some])
            for prefix in member_prefixes(recipe)
        ]
        for name, cam in CAMS.items():
            maps[name].append(np.mean([cam(*each) for each in members], axis=0))  # (some, h, w)
    first, step, _ = list(compute_receptive_fields(recipe).values())[-1]
    return {name: _enlarge(np.concatenate(each), first, step) for name, each in maps.items()}


def _differentiate(
    model: keras.Model, prefix: str, images: Images, classes: Classes
) -> tuple[Floats, Floats]:
    """Returns activations and gradient of one member's last convolution: (n, h, w, filters)."""
    last = architecture.find_convolutions(model, prefix)[-1]
    before = keras.Model(model.input, last.output)  # pixels → (n, h, w, filters)
    after = keras.Model(last.output, model.get_layer(f"{prefix}logits").output)
    chosen = np.eye(model.output_shape[-1], dtype=np.float32)[classes]  # (n, k) one-hot
    activations = keras.ops.convert_to_numpy(before(images[..., None].astype(np.float32)))
    logit = gradients.compile_gradient(lambda maps, chosen: keras.ops.sum(after(maps) * chosen, 1))
    return activations, logit(activations, chosen)[1]


def _enlarge(maps: Floats, first: float, step: float) -> Floats:
    """Interpolates maps (n, h, h), whose units are at pixels first, first + step, …, linearly.

    Beyond the outermost units the map fades to 0 within one step, as no unit is centred there.
    """
    places = first + step * np.arange(-1, maps.shape[1] + 1)  # pixels, one more at either end
    units = np.pad(np.eye(maps.shape[1]), ((0, 0), (1, 1)))  # 0 one step beyond either end
    pixels = np.arange(SIDE)
    spread = np.stack([np.interp(pixels, places, unit) for unit in units], axis=1)  # (28, h)
    return spread @ maps @ spread.T  # (n, 28, 28): rows, then columns
