"""Recipe → Keras Functional model. Every layer has a name, so that other packages can find it."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.models import own_network
from wardrobe.models.batch_norm import BatchNorm, fold_batch_norm
from wardrobe.models.layers import SIDE, iterate_convolutions, member_prefixes
from wardrobe.models.recipes import BFLOAT16, FLOAT32, Recipe


def build(
    recipe: Recipe, class_count: int, precision: str = FLOAT32, for_training: bool = False
) -> keras.Model:
    """Builds the untrained network of a recipe.

    Input:  (n, 28, 28, 1) float32, raw pixels 0-255. A layer of the model scales them to 0-1.
    Output: (n, class_count) float32, logits. An ensemble returns the mean of its members' logits.
    Layers: pixels, scale, stem1, …, conv1, pool1, conv2, …, flatten, dense, logits, as far as the
            recipe has them. Each member of an ensemble has its own: member1_conv1, and so on.

    Args:
        precision: of the layers' arithmetic, "float32" or "bfloat16". Weights and logits are always
            float32.
        for_training: changes two things, which `to_inference` changes back. If the recipe has batch
            normalization, convolutions have neither bias nor activation, and conv1_norm and
            conv1_relu follow. An ensemble returns the logits of each member: (n, members, classes).

    Raises:
        UsageError: the network is of a file, and its code fails; see `own_network.build`.
    """
    if recipe.network is not None:
        return own_network.build(recipe, class_count)
    policy = "mixed_bfloat16" if precision == BFLOAT16 else FLOAT32  # weights stay float32
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    scaled = keras.layers.Rescaling(1 / 255, name="scale", dtype=policy)(pixels)  # 0-1
    has_norm = for_training and recipe.batch_norm
    members = [
        _build_member(recipe, scaled, class_count, policy, has_norm, prefix)
        for prefix in member_prefixes(recipe)
    ]
    if len(members) == 1:
        logits = members[0]
    elif for_training:
        logits = keras.ops.stack(members, axis=1)  # (n, members, classes)
    else:
        logits = keras.layers.Average(name="logits", dtype=FLOAT32)(members)
    model = keras.Model(pixels, logits, name=recipe.name)
    if recipe.whitened_stem:
        for layer in find_first_convolutions(model):
            layer.trainable = False  # whiten_stem sets it once
    return model


def _build_member(
    recipe: Recipe, scaled: Any, class_count: int, policy: str, has_norm: bool, prefix: str
) -> Any:
    """Returns the logits of one network, whose layer names begin with `prefix`."""
    x = scaled
    activation = {"activation": None if has_norm else "relu", "use_bias": not has_norm}
    for short_name, filters, size, strides, padding, pool in iterate_convolutions(recipe):
        name = prefix + short_name
        options = {"name": name, "dtype": policy, **activation}
        x = keras.layers.Conv2D(filters, size, strides, padding, **options)(x)
        if pool:
            x = keras.layers.MaxPooling2D(2, name=prefix + pool, dtype=policy)(x)
        if has_norm:
            # After the pooling, where it costs a quarter. The result is the same, because
            # normalization without a scale, and ReLU, do not change which value is the largest.
            x = BatchNorm(name=f"{name}_norm", dtype=policy)(x)
            x = keras.layers.ReLU(name=f"{name}_relu", dtype=policy)(x)
    x = keras.layers.Flatten(name=f"{prefix}flatten", dtype=policy)(x)  # (n, features)
    if recipe.dropout:
        x = keras.layers.Dropout(recipe.dropout, name=f"{prefix}flatten_dropout", dtype=policy)(x)
    if recipe.dense_units:
        name = f"{prefix}dense"
        x = keras.layers.Dense(recipe.dense_units, activation="relu", name=name, dtype=policy)(x)
        if recipe.dropout:
            x = keras.layers.Dropout(recipe.dropout, name=f"{name}_dropout", dtype=policy)(x)
    return keras.layers.Dense(class_count, name=f"{prefix}logits", dtype=FLOAT32)(x)  # (n, classes)


def to_inference(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Returns a trained model's network for inference: float32, one answer per image.

    Batch normalization becomes part of the convolutions; an ensemble returns its mean logits. A
    network of one's own keeps its layers.
    """
    if recipe.network is not None:
        return keras.Model(model.input, model.output, name=model.name)  # without the optimizer
    network = build(recipe, model.output_shape[-1])
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            layer.set_weights(fold_batch_norm(model, layer.name))
    return network


def inference_weights(model: keras.Model) -> list[npt.NDArray[np.float32]]:
    """Returns the weights of `to_inference(model, recipe)`, without building that network."""
    layers = (layer for layer in model.layers if hasattr(layer, "kernel"))  # in the same order
    return [weights for layer in layers for weights in fold_batch_norm(model, layer.name)]


def find_convolutions(model: keras.Model, prefix: str = "member1_") -> list[keras.layers.Conv2D]:
    """Returns the convolutions, first to last; of an ensemble, those whose name has the prefix."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return [layer for layer in layers if layer.name.startswith(prefix)] or layers


def find_first_convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    """Returns each member's convolution over the image itself."""
    scaled = model.get_layer("scale").output
    return [layer for layer in find_convolutions(model, prefix="") if layer.input is scaled]


def find_logits_layer(model: keras.Model) -> keras.layers.Dense:
    """Returns the layer that computes the logits; of an ensemble, the first member's."""
    dense = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    return next(layer for layer in dense if layer.name.endswith("logits"))


def extract_first_member(model: keras.Model) -> keras.Model:
    """Returns the first member of an ensemble in training; any other model itself."""
    if len(model.output_shape) == 2:  # (n, classes), not (n, members, classes)
        return model
    return keras.Model(model.input, find_logits_layer(model).output)


def build_intermediates(model: keras.Model, names: list[str]) -> keras.Model:
    """Returns a model with the same input that returns the named layers' outputs by name."""
    return keras.Model(model.input, {name: model.get_layer(name).output for name in names})


def describe_layers(model: keras.Model) -> list[dict[str, Any]]:
    """Returns what the report shows of each layer, as JSON has it, first to last.

    Returns:
        "name"; "type", its Keras class; "inputs", the layers whose output it gets; "output", its
        shape without the batch; "weights", their shapes; "is_trained"; "window" and "strides" in
        pixels, and "activation", or None.
    """
    flatten = keras.tree.flatten  # a layer may have several inputs and outputs
    sources = {id(each): layer.name for layer in model.layers for each in flatten(layer.output)}
    return [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "inputs": [sources[id(each)] for each in flatten(layer.input) if id(each) in sources],
            "output": list(flatten(layer.output)[0].shape[1:]),
            "weights": [list(weights.shape) for weights in layer.weights],
            "is_trained": bool(layer.trainable_weights),
            "window": getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None),
            "strides": getattr(layer, "strides", None),
            "activation": getattr(getattr(layer, "activation", None), "__name__", None),
        }
        for layer in model.layers
    ]


def count_forward_flops(model: keras.Model) -> int:
    """Returns the floating-point operations of one image's forward pass, two per multiply-add.

    Counts kernels, of convolutions and dense layers. Activations, pooling and biases add less than
    2 % to the shipped recipes.
    """
    flops = 0
    for layer in model.layers:
        for kernel in (each for each in layer.weights if len(each.shape) > 1):
            positions = np.prod(layer.output.shape[1:-1])  # height * width; 1 for a dense layer
            flops += 2 * int(positions) * int(np.prod(kernel.shape))
    return flops
