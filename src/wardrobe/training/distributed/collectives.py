"""Training in several processes as if they were one: JAX's collectives, for Keras's data parallelism.

The one module that knows how processes meet, and what they tell each other. In a process that trains alone every
function gives back what it was given.

Each batch is shared out evenly, and JAX computes with the whole of it: gradients and the means of batch normalisation
are those of one process. Keras 3 does so over JAX alone (keras issue 20585).
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

Batch = tuple[npt.NDArray[Any], npt.NDArray[Any]]

JOIN_SECONDS = 120  # in which all processes must have come
LOSS_WORDS = (
    "Gloo",
    "NCCL",
    "UNAVAILABLE",
    "heartbeat",
    "Connection",
)  # words by which JAX says that another is gone
SILENCE_SECONDS = 20  # after which a process counts as lost
LEAVE_SECONDS = 300  # in which all must have ended

_member: Process | None = None
_distribution: Any = None  # keras.distribution.DataParallel


def join(member: Process) -> None:
    """Meets the other processes; from here on this module speaks for all of them.

    Raises:
        UsageError: they did not come in time.
    """
    global _member, _distribution
    import jax
    from jax.experimental import multihost_utils

    try:
        with console.loading_quietly():
            jax.distributed.initialize(
                member.coordinator,
                member.num_processes,
                member.process_id,
                cluster_detection_method="deactivate",
                initialization_timeout=JOIN_SECONDS,
                heartbeat_timeout_seconds=SILENCE_SECONDS,
                shutdown_timeout_seconds=LEAVE_SECONDS,
            )
            multihost_utils.sync_global_devices("all are there")
    except RuntimeError as error:
        raise UsageError(
            f"{member} met no other at {member.coordinator} in {JOIN_SECONDS} s; start the same command on every host, "
            f"each with its own --process-id ({str(error).splitlines()[0]})"
        ) from error
    _member = member
    _distribution = keras.distribution.DataParallel(auto_shard_dataset=False)


def leave() -> None:
    """Waits until all processes are here, and parts from them."""
    global _member, _distribution
    if _member is None:
        return
    import jax

    _member = _distribution = None
    jax.distributed.shutdown()  # type: ignore[no-untyped-call]


def is_distributed() -> bool:
    """Tells whether this process trains with others."""
    return _member is not None


def is_process_loss(error: BaseException) -> bool:
    """Tells whether an error came because another process is gone: of JAX, which at times has it as a ValueError."""
    if _member is None:
        return False
    import jax

    raised_by_jax = isinstance(error, jax.errors.JaxRuntimeError | ValueError)
    return raised_by_jax and any(word in str(error) for word in LOSS_WORDS)


@contextmanager
def report_lost_process(go_on: str) -> Iterator[None]:
    """Says in a line, which ends with `go_on`, that another process was lost while the block ran.

    Raises:
        RunError: it was.
    """
    try:
        yield
    except Exception as error:
        if not is_process_loss(error):
            raise
        raise RunError(f"another process of this training is lost; {go_on}") from error


def distribution_scope() -> Any:
    """Returns the context in which a model is made and trained that all processes share."""
    return nullcontext() if _distribution is None else _distribution.scope()


def check_batch_size(batch_size: int) -> None:
    """Raises UsageError where a batch of so many images cannot be shared out evenly."""
    devices = 1 if _distribution is None else _distribution.num_model_replicas
    if batch_size % devices:
        raise UsageError(
            f"a batch of {batch_size} images cannot be shared out evenly among {devices} devices; train on a number "
            "of them that divides it, so that the result does not depend on how many there are"
        )


def shard(batch: Batch, batch_size: int) -> Batch:
    """Returns this process's part of images and targets, in their order: of each batch an even share.

    A last batch that cannot be shared out evenly is filled up with its own first rows: there are as many steps as in
    one process.
    """
    if _member is None:
        return batch
    count, devices = len(batch[0]), _distribution.num_model_replicas
    each = (
        np.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size)
    )
    even = (np.resize(rows, -(-len(rows) // devices) * devices) for rows in each)
    own = np.concatenate(
        [rows.reshape(_member.num_processes, -1)[_member.process_id] for rows in even]
    )
    return batch[0][own], batch[1][own]


def per_process_batch_size(batch_size: int) -> int:
    """Returns how many images of a batch this process trains on."""
    return batch_size if _member is None else batch_size // _member.num_processes


def broadcast_object(value: Any) -> Any:
    """Returns process 0's `value`, anything that JSON holds."""
    if _member is None:
        return value
    text = json.dumps(value if _member.is_first else None).encode()
    size = int(_from_first(np.array(len(text))))
    sent = np.frombuffer(text if _member.is_first else bytes(size), np.uint8)
    return json.loads(_from_first(sent).tobytes())


def broadcast(arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Returns process 0's arrays; the others give some of the same shapes."""
    return arrays if _member is None else [_from_first(array) for array in arrays]


def local_indices(count: int) -> npt.NDArray[np.int64]:
    """Returns the indices of this process's part of `count` things, one after the other; see `gathered`."""
    if _member is None:
        return np.arange(count)
    length = -(-count // _member.num_processes)
    return np.arange(_member.process_id * length, (_member.process_id + 1) * length) % count


def all_gather(mine: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Returns the rows of all processes, one after the other; each gives as many, so that some may come twice."""
    if _member is None:
        return mine
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(mine, tiled=True))


def check_equal(what: str, sums: Any) -> None:
    """Raises RunError, in every process, where one has other `sums` than process 0."""
    if _member is None:
        return
    same = all_gather(np.array([sums == broadcast_object(sums)], np.float32))
    if not same.all():
        others = ", ".join(str(i) for i in np.flatnonzero(same == 0))
        raise RunError(f"process {others} has other {what} than process 0; give all hosts the same")


def _from_first(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(array))
