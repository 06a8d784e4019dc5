"""Batches: those of an epoch in the form that the backend takes quickest, and slices of arrays.

Under TensorFlow, `model.fit` given arrays wraps them into a tf.data pipeline that tunes itself in a thread; at the end
of an epoch that thread may sleep for as long as the epoch took, and training waits for it (docs/log.md). The pipelines
here do not tune themselves. Other backends get what Keras makes of the arrays.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Batch = tuple[npt.NDArray[Any], npt.NDArray[Any]]

AHEAD = 16  # batches that are made while others are trained


def from_arrays(
    images: npt.NDArray[np.uint8], targets: npt.NDArray[Any], batch_size: int
) -> dict[str, Any]:
    """Returns the arguments of `fit` or `evaluate` that give it these arrays, in their order."""
    if keras.backend.backend() != "tensorflow":
        return {"x": images, "y": targets, "batch_size": batch_size}
    return {"x": _slices((images, targets), batch_size)}


def from_images(images: npt.NDArray[np.uint8], batch_size: int) -> dict[str, Any]:
    """Returns the arguments of `predict` that give it these images, in their order."""
    if keras.backend.backend() != "tensorflow":
        return {"x": images, "batch_size": batch_size}
    return {"x": _slices(images, batch_size)}


def slices(count: int, size: int) -> Iterator[slice]:
    """Yields the slices, of `size` or fewer, that go through `count` things in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def from_function(batch: Callable[[int], Batch], count: int) -> dict[str, Any]:
    """Returns the argument of `fit` that gives it `batch(0)`, `batch(1)`, …, `batch(count - 1)`, each float32.

    They are made in a thread beside the training step.
    """
    if keras.backend.backend() != "tensorflow":
        return {"x": _Made(batch, count)}
    import tensorflow as tf

    images, targets = batch(0)
    shapes = [tf.TensorSpec((None, *array.shape[1:]), tf.float32) for array in (images, targets)]

    def one(number: Any) -> Any:
        arrays = tf.numpy_function(lambda i: batch(int(i)), [number], [tf.float32, tf.float32])
        return tuple(
            tf.ensure_shape(array, spec.shape) for array, spec in zip(arrays, shapes, strict=True)
        )

    return {"x": _untuned(tf.data.Dataset.range(count).map(one).prefetch(AHEAD))}


def _slices(arrays: Any, batch_size: int) -> Any:
    import tensorflow as tf

    return _untuned(tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size))


def _untuned(dataset: Any) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


class _Made(keras.utils.PyDataset):
    def __init__(self, batch: Callable[[int], Batch], count: int) -> None:
        super().__init__(workers=1, max_queue_size=AHEAD)
        self.batch, self.count = batch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Batch:
        return self.batch(number)
