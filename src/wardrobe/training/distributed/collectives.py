"""What several processes exchange, with JAX's collectives, to train one model.

In a process that trains alone, every function returns what it was given. Each process trains on its
part of a batch, and JAX computes with the whole: the gradients, and the means of batch
normalization, are those of a single process. Keras 3 supports this on JAX only (keras issue 20585).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wardrobe.errors import RunError, UsageError
from wardrobe.terminal import console
from wardrobe.training.distributed.launch import Process

Array = npt.NDArray[Any]
Batch = tuple[Array, Array]

JOIN_SECONDS = 120  # within which all processes must have started
HEARTBEAT_SECONDS = 20  # without a sign of life, after which a process counts as lost
LEAVE_SECONDS = 300  # within which all processes must have ended
# Words in JAX's errors if another process is lost.
LOSS_WORDS = "Gloo", "NCCL", "UNAVAILABLE", "heartbeat", "Connection"

_process: Process | None = None
_distribution: Any = None  # keras.distribution.DataParallel


def join(process: Process) -> None:
    """Connects to the other processes. From here on, this module works with all of them.

    Raises:
        UsageError: they did not start in time.
    """
    global _process, _distribution
    import jax
    from jax.experimental import multihost_utils

    try:
        with console.suppress_native_logs():
            jax.distributed.initialize(
                process.coordinator,
                process.num_processes,
                process.process_id,
                cluster_detection_method="deactivate",  # launch.py has detected it
                initialization_timeout=JOIN_SECONDS,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=LEAVE_SECONDS,
            )
            multihost_utils.sync_global_devices("joined")  # fails here, not in the first epoch
    except RuntimeError as error:
        raise UsageError(
            f"{process} met no other at {process.coordinator} within {JOIN_SECONDS} s; start the "
            "same command on every host, each with its own --process-id "
            f"({str(error).splitlines()[0]})"
        ) from error
    _process = process
    _distribution = keras.distribution.DataParallel(auto_shard_dataset=False)


def leave() -> None:
    """Waits for all processes, then disconnects."""
    global _process, _distribution
    if _process is None:
        return
    import jax

    _process = _distribution = None
    jax.distributed.shutdown()


def is_distributed() -> bool:
    """Returns whether this process trains with others."""
    return _process is not None


def count_processes() -> int:
    """Returns how many processes train together; 1 if this one trains alone."""
    return 1 if _process is None else _process.num_processes


def is_process_loss(error: BaseException) -> bool:
    """Returns whether an error means that another process is lost."""
    if _process is None:
        return False
    import jax

    # JAX raises some of them as ValueError.
    is_raised_by_jax = isinstance(error, jax.errors.JaxRuntimeError | ValueError)
    return is_raised_by_jax and any(word in str(error) for word in LOSS_WORDS)


@contextmanager
def report_lost_process(hint: str) -> Iterator[None]:
    """Turns JAX's errors about a lost process into one line that ends with `hint`.

    Raises:
        RunError: another process was lost while the block ran.
    """
    try:
        yield
    except Exception as error:
        if not is_process_loss(error):
            raise
        raise RunError(f"another process of this training is lost; {hint}") from error


def distribution_scope() -> Any:
    """Returns the context in which the shared model is built and trained."""
    return nullcontext() if _distribution is None else _distribution.scope()


def check_batch_size(batch_size: int) -> None:
    """Checks that the devices can divide a batch evenly.

    Raises:
        UsageError: they cannot.
    """
    devices = 1 if _distribution is None else _distribution.num_model_replicas
    if batch_size % devices:
        raise UsageError(
            f"a batch of {batch_size} images cannot be divided evenly among {devices} devices; "
            f"use a number of devices that divides {batch_size}"
        )


def shard(batch: Batch, batch_size: int) -> Batch:
    """Returns this process's part of an epoch's images and targets: an equal part of each batch.

    If the last batch cannot be divided evenly, its first rows are repeated, so that there are as
    many steps as in a single process.
    """
    if _process is None:
        return batch
    count, devices = len(batch[0]), _distribution.num_model_replicas
    steps = [np.arange(i, min(i + batch_size, count)) for i in range(0, count, batch_size)]
    even = [np.resize(rows, -(-len(rows) // devices) * devices) for rows in steps]
    parts = [rows.reshape(_process.num_processes, -1)[_process.process_id] for rows in even]
    own = np.concatenate(parts)
    return batch[0][own], batch[1][own]


def per_process_batch_size(batch_size: int) -> int:
    """Returns how many images of each batch this process trains on."""
    return batch_size if _process is None else batch_size // _process.num_processes


def broadcast_object(value: Any) -> Any:
    """Returns process 0's `value`, which JSON can hold."""
    if _process is None:
        return value
    text = json.dumps(value if _process.is_first else None).encode()
    size = int(_broadcast_array(np.array(len(text))))  # all arrays must have the same shape
    sent = np.frombuffer(text if _process.is_first else bytes(size), np.uint8)
    return json.loads(_broadcast_array(sent).tobytes())  # in process 0 too: tuples become lists


def broadcast(arrays: list[Array]) -> list[Array]:
    """Returns process 0's arrays; the others pass arrays of the same shapes."""
    return arrays if _process is None else [_broadcast_array(array) for array in arrays]


def local_indices(count: int) -> npt.NDArray[np.int64]:
    """Returns the indices of this process's contiguous part of `count` items; see `all_gather`."""
    if _process is None:
        return np.arange(count)
    length = -(-count // _process.num_processes)  # rounded up: all parts are equally long
    start = _process.process_id * length
    return np.arange(start, start + length) % count  # the last parts wrap around


def all_gather(part: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Returns the rows of all processes, in order. All parts have the same length."""
    if _process is None:
        return part
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(part, tiled=True))


def check_equal(name: str, checksums: Any) -> None:
    """Checks that every process has the checksums of process 0.

    Raises:
        RunError: one has others; it is raised in every process.
    """
    if _process is None:
        return
    is_equal = all_gather(np.array([checksums == broadcast_object(checksums)], np.float32))
    if not is_equal.all():
        others = ", ".join(str(i) for i in np.flatnonzero(is_equal == 0))
        raise RunError(
            f"process {others} has different {name} from process 0; give all hosts the same {name}"
        )


def _broadcast_array(array: Array) -> Array:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(array))
