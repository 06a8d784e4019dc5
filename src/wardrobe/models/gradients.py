"""Gradients with respect to a network's input or inner layers, on each backend of Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.errors import UsageError

Floats = npt.NDArray[np.floating]


def gradient_of_sum(function: Callable[..., Any]) -> Callable[..., tuple[Floats, Floats]]:
    """Returns the function that gives what `function` gives, and the gradient of its sum.

    It is compiled at its first call, and again for inputs of another shape.

    Args:
        function: of a float32 tensor, and of others that no gradient is asked for, made of Keras's operations.

    Returns:
        of the same arrays: the values, of the function's shape, and the gradient with respect to the first array, of
        its shape; both float32.

    Raises:
        UsageError: Keras runs on a backend other than TensorFlow and JAX.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        both = _in_tensorflow(function)
    elif backend == "jax":
        both = _in_jax(function)
    else:
        raise UsageError(
            f"Keras runs on {backend!r}; looking inside needs KERAS_BACKEND=tensorflow or jax"
        )

    def of(inputs: Floats, *others: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        values, gradient = both(
            keras.ops.convert_to_tensor(inputs, "float32"),
            *map(keras.ops.convert_to_tensor, others),
        )
        return keras.ops.convert_to_numpy(values), keras.ops.convert_to_numpy(gradient)

    return of


def _in_tensorflow(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    def both(inputs: Any, *others: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            values = function(inputs, *others)
        return values, tape.gradient(values, inputs)

    return tf.function(both, reduce_retracing=True)


def _in_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    def both(inputs: Any, *others: Any) -> Any:
        values, pull = jax.vjp(lambda each: function(each, *others), inputs)
        return values, pull(keras.ops.ones_like(values))[0]

    return jax.jit(both)
