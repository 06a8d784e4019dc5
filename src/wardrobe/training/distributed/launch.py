"""Which of several processes that train together this is.

From the options, or from the environment that Keras, Ray, Kubeflow, Slurm and Kubernetes set. Loads no Keras.
"""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from wardrobe.errors import UsageError

SLURM_PORTS = (
    61_440,
    4_096,
)  # the first port of those that jobs share, and how many: one a job, by its number
BACKEND = "KERAS_BACKEND"
SUPERVISED = (
    "WARDROBE_SUPERVISED"  # set for a process that training/distributed/supervisor.py has started
)


@dataclass(frozen=True)
class Process:
    """One process of a training.

    Attributes:
        coordinator: address and port of process 0, "HOST:PORT", the same for all.
        num_processes: how many train together, 2 or more.
        process_id: which one this is, 0 the first; process 0 keeps the run folder.
    """

    coordinator: str
    num_processes: int
    process_id: int

    @property
    def is_first(self) -> bool:
        return self.process_id == 0

    def __str__(self) -> str:
        return f"process {self.process_id} of {self.num_processes}"


def detect_process(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    environment: Mapping[str, str] = os.environ,
) -> Process | None:
    """Returns this process's part in a training of several; None where it trains alone.

    Args:
        coordinator, num_processes, process_id: as the options gave them; what is None is taken from `environment`.

    Raises:
        UsageError: something is missing or out of range, or another backend than JAX is asked for.
    """
    coordinator, num_processes, process_id = _completed(
        coordinator, num_processes, process_id, environment
    )
    if coordinator is None and num_processes in (None, 1) and process_id in (None, 0):
        return None
    missing = [
        option
        for option, value in (
            ("--coordinator", coordinator),
            ("--num-processes", num_processes),
            ("--process-id", process_id),
        )
        if value is None
    ]
    if coordinator is None or num_processes is None or process_id is None:
        raise UsageError(
            f"{', '.join(missing)} missing: to train in several processes, each needs all three options"
        )
    if num_processes == 1 and process_id == 0:
        return None
    if not 0 <= process_id < num_processes:
        raise UsageError(
            f"--process-id {process_id} of --num-processes {num_processes}; give 0 to {max(num_processes - 1, 0)}"
        )
    _check_address(coordinator)
    backend = environment.get(BACKEND, "jax")
    if backend != "jax":
        raise UsageError(
            f"{BACKEND} is {backend}, and several processes train over JAX; set it to jax"
        )
    return Process(coordinator, num_processes, process_id)


def is_supervised() -> bool:
    """Tells whether training/distributed/supervisor.py has started this process."""
    return SUPERVISED in os.environ


def exit_with_supervisor() -> None:
    """Lets this process end when training/distributed/supervisor.py's does, even by a kill, which closes its end of standard input."""

    def wait() -> None:
        while os.read(0, 1):  # not by sys.stdin, whose lock Python wants at its end
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def exit_process(status: int) -> NoReturn:
    """Exits; one of several processes at once, for at Python's usual end JAX would wait for those that are lost."""
    if is_supervised():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _completed(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    environment: Mapping[str, str],
) -> tuple[str | None, int | None, int | None]:
    """Returns the three, what was not given taken from the first launcher that the environment tells of."""
    for address, count, index in _LAUNCHERS:
        found = address(environment), _number(environment, count), _number(environment, index)
        if all(each is not None for each in found):
            coordinator = found[0] if coordinator is None else coordinator
            num_processes = found[1] if num_processes is None else num_processes
            process_id = found[2] if process_id is None else process_id
            break
    if (
        coordinator is not None and process_id is None
    ):  # of a Kubernetes job with completionMode: Indexed
        process_id = _number(environment, "JOB_COMPLETION_INDEX")
    return coordinator, num_processes, process_id


def _keras_address(environment: Mapping[str, str]) -> str | None:
    return environment.get("KERAS_DISTRIBUTION_JOB_ADDRESSES", "").split(",")[0] or None


def _master_address(environment: Mapping[str, str]) -> str | None:
    """Returns the address that Ray Train, Kubeflow and torchrun give."""
    host, port = environment.get("MASTER_ADDR"), environment.get("MASTER_PORT")
    return f"{host}:{port}" if host and port else None


def _slurm_address(environment: Mapping[str, str]) -> str | None:
    """Returns the first host of a job step, "n1" of "n1,n2" and "n01" of "n[01-04]", and a port of the job's own."""
    hosts, job = environment.get("SLURM_STEP_NODELIST"), environment.get("SLURM_JOB_ID", "")
    if not hosts or not job.isdecimal():
        return None
    name, _, numbers = hosts.split(",")[0].partition("[")
    first, among = SLURM_PORTS
    return f"{name}{numbers.rstrip(']').split('-')[0]}:{first + int(job) % among}"


# address, variable with the number of processes, variable with this one's
_LAUNCHERS = (
    (_keras_address, "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID"),
    (_master_address, "WORLD_SIZE", "RANK"),
    (_slurm_address, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        raise UsageError(
            f"{name} is {value!r} in the environment, expected a number; unset it, or give the options"
        )
    return int(value)


def _check_address(coordinator: str) -> None:
    """Refuses an address that is none, and a host whose own name would lead the others to themselves."""
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(
            f"--coordinator {coordinator} is no address; give HOST:PORT of process 0, such as 10.0.0.1:9000"
        )
    try:
        away = not socket.gethostbyname(host.strip("[]")).startswith("127.")
        own = socket.gethostbyname(socket.gethostname())
    except OSError:
        return  # the name may come to be known while process 0 starts; whoever connects will tell
    if away and own.startswith("127."):
        raise UsageError(
            f"this host's name, {socket.gethostname()}, leads to {own}, where no other host can reach it; write its "
            "address into /etc/hosts"
        )
