"""Initial weights from a trained network: all but the last layer's."""

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import export
from wardrobe.errors import ModelError
from wardrobe.models import layers
from wardrobe.models.recipes import Recipe

Weights = dict[str, list[npt.NDArray[np.float32]]]  # layer → kernel and bias


def read_weights(path: Path, recipe: Recipe) -> Weights:
    """Returns the weights of a model file for every layer of a recipe's network but the last.

    Args:
        path: .keras, or .onnx in float32.

    Raises:
        ModelError: the file cannot be read, or has another network.
    """
    found = export.read_onnx_layers(path) if path.suffix == ".onnx" else _read_keras(path)
    shapes = layers.compute_kernel_shapes(recipe, class_count=1)
    del shapes["logits"]
    names = {
        prefix + name: shape
        for prefix in layers.member_prefixes(recipe)
        for name, shape in shapes.items()
    }
    for name, shape in names.items():
        of_file = found[name][0].shape if name in found else "missing in float32"
        if of_file != shape:
            raise ModelError(
                f"--from {path} has another network than the recipe {recipe.name}: the kernel of "
                f"{name} is {of_file}, expected {shape}; leave RECIPE and --set out for its own"
            )
    return {name: found[name] for name in names}


def load_weights(model: keras.Model, weights: Weights) -> None:
    """Sets the layers of a model in training to what `read_weights` returned."""
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)


def _read_keras(path: Path) -> Weights:
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        reason = f"cannot be read ({type(error).__name__})"
        raise ModelError(f"--from {path} {reason}; give another model") from error
    return {layer.name: layer.get_weights() for layer in model.layers if hasattr(layer, "kernel")}
