"""Which process this is, of several that train together.

The options say so, or the environment that Keras, Ray, Kubeflow, torchrun, Slurm or Kubernetes set.
JAX can detect Slurm itself, but the supervisor has to know too, and it loads no JAX.
"""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from wardrobe.errors import UsageError

SLURM_PORTS = range(61_440, 65_536)  # a job takes one by its number, as in JAX
BACKEND = "KERAS_BACKEND"
SUPERVISED = "WARDROBE_SUPERVISED"  # set for the process that supervisor.py starts

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Process:
    """One of several processes that train together.

    Attributes:
        coordinator: address of process 0, "HOST:PORT", the same for all.
        num_processes: 2 or more.
        process_id: 0 is the first, which keeps the run folder.
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
    environment: Environment = os.environ,
) -> Process | None:
    """Returns which process this is; None if it trains alone.

    Args:
        coordinator, num_processes, process_id: the options; None is read from `environment`.

    Raises:
        UsageError: a value is missing or out of range, or KERAS_BACKEND is not jax.
    """
    detected = _detect_launcher(environment)
    coordinator = detected[0] if coordinator is None else coordinator
    num_processes = detected[1] if num_processes is None else num_processes
    process_id = detected[2] if process_id is None else process_id
    if coordinator is not None and process_id is None:
        process_id = _read_number(environment, "JOB_COMPLETION_INDEX")  # Kubernetes, Indexed job
    if coordinator is None and num_processes in (None, 1) and process_id in (None, 0):
        return None
    if coordinator is None or num_processes is None or process_id is None:
        names = "--coordinator", "--num-processes", "--process-id"
        values = coordinator, num_processes, process_id
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        problem = f"{', '.join(missing)} missing"
        raise UsageError(
            f"{problem}: to train in several processes, give all three options to each process"
        )
    if num_processes == 1 and process_id == 0:
        return None
    if not 0 <= process_id < num_processes:
        given = f"--process-id {process_id} of --num-processes {num_processes}"
        raise UsageError(f"{given}; give 0 to {max(num_processes - 1, 0)}")
    _check_address(coordinator)
    backend = environment.get(BACKEND, "jax")
    if backend != "jax":
        raise UsageError(f"{BACKEND} is {backend}; set it to jax to train in several processes")
    return Process(coordinator, num_processes, process_id)


def is_supervised() -> bool:
    """Returns whether supervisor.py started this process."""
    return SUPERVISED in os.environ


def exit_with_supervisor() -> None:
    """Ends this process when its supervisor ends, even if the supervisor is killed.

    Standard input is a pipe from the supervisor, which the system closes at its end.
    """

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock Python needs when it exits
            pass
        os._exit(1)  # not sys.exit: it would only end this thread

    threading.Thread(target=wait, daemon=True).start()  # daemon: must not keep the process alive


def exit_process(status: int) -> NoReturn:
    """Exits. A supervised process exits at once: JAX would wait for lost processes."""
    if is_supervised():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _detect_launcher(environment: Environment) -> tuple[str | None, int | None, int | None]:
    """Returns (coordinator, num_processes, process_id) from the first launcher found."""
    for find_address, count, index in _LAUNCHERS:
        address = find_address(environment)
        values = _read_number(environment, count), _read_number(environment, index)
        if address is not None and None not in values:
            return address, *values
    return None, None, None


def _find_keras_address(environment: Environment) -> str | None:
    return environment.get("KERAS_DISTRIBUTION_JOB_ADDRESSES", "").split(",")[0] or None


def _find_torch_address(environment: Environment) -> str | None:
    """Returns the address that Ray Train, Kubeflow and torchrun set."""
    host, port = environment.get("MASTER_ADDR"), environment.get("MASTER_PORT")
    return f"{host}:{port}" if host and port else None


def _find_slurm_address(environment: Environment) -> str | None:
    """Returns the first host of a job step, "n1" of "n1,n2" or "n01" of "n[01-04]", and a port."""
    hosts, job = environment.get("SLURM_STEP_NODELIST"), environment.get("SLURM_JOB_ID", "")
    if not hosts or not job.isdecimal():
        return None
    name, _, numbers = hosts.split(",")[0].partition("[")
    first = numbers.rstrip("]").split("-")[0]  # "01" of "[01-04]"
    return f"{name}{first}:{SLURM_PORTS[int(job) % len(SLURM_PORTS)]}"


# Where to find the coordinator, and the variables with the number of processes and the process id.
_LAUNCHERS = (
    (_find_keras_address, "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID"),
    (_find_torch_address, "WORLD_SIZE", "RANK"),
    (_find_slurm_address, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


def _read_number(environment: Environment, name: str) -> int | None:
    value = environment.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        problem = f"the environment variable {name} is {value!r}, expected a number"
        raise UsageError(f"{problem}; unset it, or give the options")
    return int(value)


def _check_address(coordinator: str) -> None:
    """Refuses a malformed address, and a host whose own name resolves to the loopback interface."""
    host, _, port = coordinator.rpartition(":")  # the last colon: IPv6 has others
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        given = f"--coordinator {coordinator} is not an address"
        raise UsageError(f"{given}; give HOST:PORT of process 0, such as 10.0.0.1:9000")
    try:
        is_remote = not socket.gethostbyname(host.strip("[]")).startswith("127.")
        own = socket.gethostbyname(socket.gethostname())
    except OSError:
        return  # the name may be registered while process 0 starts; connecting reports it otherwise
    if is_remote and own.startswith("127."):
        problem = f"the name of this host, {socket.gethostname()}, resolves to {own}"
        raise UsageError(f"{problem}, which no other host can reach; put its address in /etc/hosts")
