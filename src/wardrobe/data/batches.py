"""Arrays in the form that each backend of Keras trains on fastest.

Under TensorFlow, `model.fit` wraps arrays into a tf.data pipeline with an autotuning thread. At the
end of an epoch that thread may sleep for as long as the epoch took, and training waits for it. The
pipelines here have autotuning off. Other backends get the arrays themselves.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt


def from_arrays(
    images: npt.NDArray[np.uint8], targets: npt.NDArray[Any], batch_size: int
) -> dict[str, Any]:
    """Returns the arguments of `fit` or `evaluate` for these arrays, in order."""
    if keras.backend.backend() != "tensorflow":
        return {"x": images, "y": targets, "batch_size": batch_size}
    return {"x": _make_dataset((images, targets), batch_size)}


def from_images(images: npt.NDArray[np.uint8], batch_size: int) -> dict[str, Any]:
    """Returns the arguments of `predict` for these images, in order."""
    if keras.backend.backend() != "tensorflow":
        return {"x": images, "batch_size": batch_size}
    return {"x": _make_dataset(images, batch_size)}


def slices(count: int, size: int) -> Iterator[slice]:
    """Yields consecutive slices of at most `size` that cover `count` items."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _make_dataset(arrays: Any, batch_size: int) -> Any:
    import tensorflow as tf

    return _without_autotune(tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size))


def _without_autotune(dataset: Any) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False  # saves up to a third of an epoch: see the docstring
    return dataset.with_options(options)
