"""Starts Ray on this machine, or joins a cluster. Keeps Ray's own messages away from the user."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from wardrobe.errors import WardrobeError
from wardrobe.inference.engines import count_cores
from wardrobe.terminal import console

LOCAL = "local"  # the address with which Ray starts on this machine
OBJECT_STORE_BYTES = 100_000_000  # enough: only parts and reports go between processes
CONNECT_SECONDS = 10
SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a FutureWarning
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # silences warnings about Ray Data's actors
}


@contextmanager
def connect(address: str, workers: int | None) -> Iterator[int]:
    """Starts Ray on this machine, or joins a cluster, for the block. Yields the number of workers.

    Args:
        address: HOST:PORT, "auto" or LOCAL.
        workers: number of workers; None: one per core of the cluster.

    Raises:
        WardrobeError: there is no cluster at the address.
    """
    ray = _import_ray(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    on_sigterm = signal.getsignal(signal.SIGTERM)  # Ray replaces it
    with contextlib.redirect_stdout(sys.stderr):  # Ray reports dead workers on stdout
        if address == LOCAL:
            with console.suppress_native_logs():
                _start_ray(workers, quiet)
        else:
            try:
                with console.suppress_native_logs():
                    ray.init(address=address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise _no_cluster(address, error) from error
        try:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)
            yield workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        finally:
            ray.shutdown()


def _import_ray(address: str) -> Any:
    """Imports ray, which reads these settings from the environment at import."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # even if the user has set it
    if address == LOCAL:
        # Ray's setting for a machine without a cluster: its ports are open on 127.0.0.1 alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    return ray


def _start_ray(workers: int | None, quiet: Mapping[str, Any]) -> None:
    """Starts Ray on this machine."""
    import ray
    from ray._private import services

    # Without the dashboard, the API server only serves the usage statistics. It asks the cloud's
    # metadata servers where it runs, even if these are disabled, and Ray has no setting for that.
    with mock.patch.object(services, "start_api_server", return_value=(None, None)):
        ray.init(
            address=LOCAL,
            num_cpus=max(workers or 0, count_cores()),  # logical: more workers than cores may run
            object_store_memory=OBJECT_STORE_BYTES,  # Ray would take 30 % of the memory
            include_dashboard=False,
            **quiet,
        )


def check_reachable(address: str) -> None:
    """Raises WardrobeError if nothing listens at HOST:PORT. Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except OSError as error:
            raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> WardrobeError:
    reason = str(error).splitlines()[0]
    return WardrobeError(
        f"no Ray cluster answers at {address} ({reason}); start one with: ray start --head, or "
        "leave out --ray-address to use only this machine"
    )
