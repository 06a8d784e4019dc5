"""Gradients with respect to a network's input or inner layers, on each backend of Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.errors import UsageError

Floats = npt.NDArray[np.floating]


def of_sum(function: Callable[[Any], Any], inputs: Floats) -> tuple[Floats, Floats]:
    """Returns what `function` gives for `inputs`, and the gradient of its sum with respect to them.

    Args:
        function: of a float32 tensor like `inputs`, made of Keras's layers and operations.
        inputs: float, any shape.

    Returns:
        the values, of the function's shape; the gradient, of the inputs' shape; both float32.

    Raises:
        UsageError: Keras runs on a backend other than TensorFlow and JAX.
    """
    backend = keras.backend.backend()
    tensor = keras.ops.convert_to_tensor(inputs, "float32")
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensor)
            values = function(tensor)
        gradient = tape.gradient(values, tensor)
    elif backend == "jax":
        import jax

        values, pull = jax.vjp(function, tensor)
        (gradient,) = pull(keras.ops.ones_like(values))
    else:
        raise UsageError(f"Keras runs on {backend!r}; looking inside needs KERAS_BACKEND=tensorflow or jax")
    return keras.ops.convert_to_numpy(values), keras.ops.convert_to_numpy(gradient)
