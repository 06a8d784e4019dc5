"""A network of one's own: the Keras model that a Python file builds. Its code is run."""

import runpy
import traceback
import warnings
from typing import Any

import keras

from wardrobe.errors import UsageError
from wardrobe.models.layers import SIDE
from wardrobe.models.recipes import FLOAT32, Recipe

RESERVED = "pixels", "scale"  # names of layers that `build` adds
# Random layers that draw once a batch, so that a resumed training can repeat it.
RANDOM = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.GaussianNoise)


def build(recipe: Recipe, class_count: int) -> keras.Model:
    """Runs the recipe's file, and returns the untrained network that its function `build` returns.

    Input and output are those of `architecture.build`: pixels 0-255, which a layer `scale` takes to
    0-1, and logits. All other layers are copies of the file's, with its initial weights.

    Raises:
        UsageError: the code fails, or its network cannot be used; the message says why.
    """
    file = str(recipe.network)
    own = _run(file, class_count)
    if problem := _find_problem(own, class_count):
        raise UsageError(f"{file}: build returned {problem}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of a lambda: model.keras would not open
            network = _add_scale(_flatten(own), recipe.name)
    except (TypeError, ValueError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise UsageError(
            f"{file}: a layer cannot be copied ({reason}); give layers no functions of your own"
        ) from error
    last = network.layers[-1]
    is_last = last.name == "logits" and last.output is network.output
    is_linear = getattr(last, "activation", None) is keras.activations.linear
    if not (isinstance(last, keras.layers.Dense) and is_last and is_linear):
        raise UsageError(
            f"{file}: the last layer is {type(last).__name__} {last.name!r}; end build with "
            'keras.layers.Dense(class_count, name="logits"), without activation'
        )
    return network


def _run(file: str, class_count: int) -> Any:
    """Returns what the file's `build` returns."""
    try:
        return runpy.run_path(file)["build"](class_count)
    except Exception as error:  # of any code
        frames = traceback.extract_tb(error.__traceback__)
        lines = [each.lineno for each in frames if each.filename == file]
        where = f"{file}, line {lines[-1]}" if lines else file
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise UsageError(f"{where}: {type(error).__name__}: {reason}; correct it") from error


def _find_problem(own: Any, class_count: int) -> str | None:
    """Returns what `build` returned, and what was expected; None if it can be used."""
    if not isinstance(own, keras.Model):
        return f"{type(own).__name__}, expected a keras.Model"
    try:
        shapes = tuple([each.shape for each in some] for some in (own.inputs, own.outputs))
    except AttributeError:  # a subclass, or a Sequential without an input
        return "a model without an input; return keras.Model(inputs, outputs)"
    expected = [(None, SIDE, SIDE, 1)], [(None, class_count)]
    if shapes != expected:
        return f"a model {shapes[0]} → {shapes[1]}, expected {expected[0]} → {expected[1]}"
    layers = [
        layer for layer in _flatten(own).layers if not isinstance(layer, keras.layers.InputLayer)
    ]
    for layer in layers:
        what = f"the layer {layer.name!r} ({type(layer).__name__}), expected"
        is_keras = type(layer).__module__.startswith("keras.")
        if not is_keras or isinstance(layer, (keras.Model, keras.layers.Lambda)):
            return f"{what} a layer of keras.layers, with which model.keras opens without this file"
        if layer.dtype_policy.name != FLOAT32:
            return f"{what} float32, not {layer.dtype_policy.name}"
        if layer.name in RESERVED:
            return f"{what} another name, as Wardrobe has a layer {layer.name!r}"
        if len(layer.variables) > len(layer.weights) and not isinstance(layer, RANDOM):
            return f"{what} no random layer but Dropout, which a resumed training can repeat"
    return None


def _flatten(own: keras.Model) -> keras.Model:
    """Returns the same layers as a Functional model; `clone_model` cannot add to a Sequential."""
    return keras.Model(own.inputs[0], own.outputs[0])


def _add_scale(flat: keras.Model, name: str) -> keras.Model:
    """Returns a copy of a Functional model that takes pixels 0-255."""
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    scaled = keras.layers.Rescaling(1 / 255, name="scale")(pixels)  # 0-1

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        given = inputs, options
        inputs, options = keras.tree.map_structure(lambda x: scaled if x is pixels else x, given)
        return layer(*inputs, **options)

    copy = keras.models.clone_model(
        flat,
        input_tensors=pixels,
        clone_function=lambda layer: layer.__class__.from_config(layer.get_config()),
        call_function=call,
    )
    for layer in copy.layers:
        if layer.weights:
            layer.set_weights(flat.get_layer(layer.name).get_weights())
    return keras.Model(copy.input, copy.output, name=name)
