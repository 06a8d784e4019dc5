"""Arrays in the form that each backend of Keras trains on fastest.

Under TensorFlow, `model.fit` wraps arrays into a tf.data pipeline with an autotuning thread. At the
end of an epoch that thread may sleep for as long as the epoch took, and training waits for it. The
pipelines here have autotuning off. Other backends get the arrays themselves.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Batch = tuple[npt.NDArray[Any], npt.NDArray[Any]]

PREFETCH = 16  # batches prepared in advance


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
    return {"x": _make_dataset((images,), batch_size)}


def slices(count: int, size: int) -> Iterator[slice]:
    """Yields consecutive slices of at most `size` that cover `count` items."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def from_function(batch: Callable[[int], Batch], count: int) -> dict[str, Any]:
    """Returns the argument of `fit` for the batches `batch(0)` to `batch(count - 1)`, in float32.

    A thread prepares them while the model trains.
    """
    if keras.backend.backend() != "tensorflow":
        return {"x": _FunctionDataset(batch, count)}
    import tensorflow as tf

    images, targets = batch(0)  # for the shapes; drawn again later, from its own stream
    specs = [tf.TensorSpec((None, *each.shape[1:]), tf.float32) for each in (images, targets)]

    def make_batch(number: Any) -> Any:
        arrays = tf.numpy_function(lambda i: batch(int(i)), [number], [tf.float32, tf.float32])
        pairs = zip(arrays, specs, strict=True)
        return tuple(tf.ensure_shape(array, spec.shape) for array, spec in pairs)

    return {"x": _without_autotune(tf.data.Dataset.range(count).map(make_batch).prefetch(PREFETCH))}


def _make_dataset(arrays: tuple[npt.NDArray[Any], ...], batch_size: int) -> Any:
    """Returns tuples of batches. NumPy cuts them: image by image takes tf.data 0.1 s an epoch."""
    import tensorflow as tf

    cut = len(arrays[0]) // batch_size * batch_size
    full = tuple(each[:cut].reshape(-1, batch_size, *each.shape[1:]) for each in arrays)
    # One smaller batch or none. Its dataset leaves the batch size open, so that the graph of a step
    # is the same for every number of images.
    rest = tuple(each[None, cut:][: cut < len(each)] for each in arrays)
    make = tf.data.Dataset.from_tensor_slices
    return _without_autotune(make(full).concatenate(make(rest)))


def _without_autotune(dataset: Any) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False  # saves up to a third of an epoch: see the docstring
    return dataset.with_options(options)


class _FunctionDataset(keras.utils.PyDataset):
    def __init__(self, batch: Callable[[int], Batch], count: int) -> None:
        super().__init__(workers=1, max_queue_size=PREFETCH)  # one thread: batches in order
        self.batch, self.count = batch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Batch:
        return self.batch(number)
