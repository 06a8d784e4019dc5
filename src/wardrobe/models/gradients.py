"""Gradients with respect to a network's input or inner layers, on TensorFlow and JAX."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.errors import UsageError

Floats = npt.NDArray[np.floating]


def compile_gradient(function: Callable[..., Any]) -> Callable[..., tuple[Floats, Floats]]:
    """Returns a function that computes `function` and the gradient of the sum of its values.

    The function is compiled at its first call, and again for inputs of another shape.

    Args:
        function: takes a float32 tensor, and further tensors without a gradient. It is made of
            Keras operations.

    Returns:
        A function of arrays that returns two float32 arrays: the values of `function`, and the
        gradient with respect to the first array, of its shape.

    Raises:
        UsageError: the backend of Keras is neither TensorFlow nor JAX.
    """
    backend = keras.backend.backend()
    if backend not in _COMPILERS:
        raise UsageError(f"KERAS_BACKEND is {backend}; for gradients, set it to tensorflow or jax")
    compiled = _COMPILERS[backend](function)

    def compute(inputs: Floats, *others: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        tensors = map(keras.ops.convert_to_tensor, others)
        values, gradient = compiled(keras.ops.convert_to_tensor(inputs, "float32"), *tensors)
        return keras.ops.convert_to_numpy(values), keras.ops.convert_to_numpy(gradient)

    return compute


def _compile_with_tensorflow(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf  # inside: only the chosen backend is imported

    def compute(inputs: Any, *others: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)  # a tensor; only variables are watched by default
            values = function(inputs, *others)
        return values, tape.gradient(values, inputs)  # of the sum of `values`

    return tf.function(compute, reduce_retracing=True)  # a last batch is often smaller


def _compile_with_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    def compute(inputs: Any, *others: Any) -> Any:
        values, pullback = jax.vjp(lambda each: function(each, *others), inputs)
        return values, pullback(keras.ops.ones_like(values))[0]  # ones: the gradient of the sum

    return jax.jit(compute)


_COMPILERS = {"tensorflow": _compile_with_tensorflow, "jax": _compile_with_jax}
