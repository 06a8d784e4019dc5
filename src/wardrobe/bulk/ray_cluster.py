"""Ray: started on this machine, or joined where it runs, and kept from telling more than is asked."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wardrobe.errors import WardrobeError
from wardrobe.inference.engines import count_cores
from wardrobe.terminal import console

LOCAL = "local"  # Ray's word for: start it on this machine
OBJECTS = 100_000_000  # bytes that Ray keeps for what goes between processes: numbers of parts and reports
ANSWERS_WITHIN = 10  # seconds, or there is no cluster
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anyone
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of a change to come
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else it warns of how Ray Data starts actors
}


@contextmanager
def connect(address: str, workers: int | None) -> Iterator[int]:
    """Starts Ray on this machine, or joins the cluster at an address, for the block; gives the number of workers.

    Raises:
        WardrobeError: no cluster is at the address.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    on_sigterm = signal.getsignal(signal.SIGTERM)  # which Ray changes as it starts
    with contextlib.redirect_stdout(sys.stderr):  # Ray tells of dead workers on stdout
        if address == LOCAL:
            here = {
                "num_cpus": max(workers or 0, count_cores()),
                "object_store_memory": OBJECTS,
                "include_dashboard": False,
            }
            with console.loading_quietly():
                ray.init(address=LOCAL, **here, **quiet)
        else:
            try:
                with console.loading_quietly():
                    ray.init(address=address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise _no_cluster(address, error) from error
        try:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)
            yield workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        finally:
            ray.shutdown()


def check_reachable(address: str) -> None:
    """Asks whether anything listens at HOST:PORT, for Ray itself waits for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), ANSWERS_WITHIN).close()
        except OSError as error:
            raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> WardrobeError:
    return WardrobeError(
        f"no Ray cluster answers at {address} ({str(error).splitlines()[0]}); start one with: ray start --head, or "
        f"leave --ray-address out for this machine alone"
    )
