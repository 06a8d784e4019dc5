"""Several worker processes on one port, because Python computes on one core per process.

uvicorn's supervisor (`uvicorn.supervisors.Multiprocess`) does not fit: its workers outlive it if it
is killed, it does not say when all are ready, and it runs uvicorn's `Server` instead of ours.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Semaphore

from prometheus_client import multiprocess

from wardrobe.errors import WardrobeError
from wardrobe.serving.metrics import SHARED_FOLDER
from wardrobe.terminal import console

Callback = Callable[[], object]
Sockets = Sequence[socket.socket]
Serve = Callable[[Sockets, Callback], None]

POLL_SECONDS = 0.2  # between two checks that starting workers are alive
RESTART_SECONDS = 1.0  # before a worker that exited is restarted, so that a crash loop stays slow


def run_workers(serve: Serve, listening: Sockets, count: int, on_ready: Callback) -> None:
    """Runs `serve` in `count` processes until Ctrl-C or SIGTERM; each then finishes its requests.

    A worker that exits is restarted. All workers exit if this process is killed.

    Args:
        serve: takes `listening` and a function to call once it is ready; returns after SIGTERM.
            It must be picklable.
        on_ready: called once all workers are ready.

    Raises:
        WardrobeError: a worker exited before it was ready.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
    ready = context.Semaphore(0)

    def start_worker() -> BaseProcess:
        process = context.Process(target=_run_worker, args=(serve, listening, ready))
        process.start()
        return process

    workers: list[BaseProcess] = []
    with tempfile.TemporaryDirectory(prefix="wardrobe-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder  # before the workers import prometheus_client
        try:
            workers += [start_worker() for _ in range(count)]
            for _ in workers:
                while not ready.acquire(timeout=POLL_SECONDS):
                    _check_alive(workers)
            on_ready()
            while True:
                _restart_exited(workers, start_worker)
        except KeyboardInterrupt:
            # Each worker answers the connections that wait at its own copies, then closes them.
            for each in listening:
                each.close()
        finally:
            for worker in workers:
                worker.terminate()  # SIGTERM: requests in flight finish
            for worker in workers:
                worker.join()  # limited in time by connections.Server
            del os.environ[SHARED_FOLDER]
        if any(worker.exitcode == 1 for worker in workers):  # not: killed while it started
            raise WardrobeError("a worker stopped before it had answered all requests")


def _check_alive(workers: list[BaseProcess]) -> None:
    for worker in workers:
        if worker.exitcode is not None:
            status = f"a worker exited with status {worker.exitcode} before it was ready"
            raise WardrobeError(f"{status}; try fewer --workers")


def _restart_exited(workers: list[BaseProcess], start_worker: Callable[[], BaseProcess]) -> None:
    """Waits until a worker exits, then replaces it in the list."""
    multiprocessing.connection.wait([worker.sentinel for worker in workers])
    time.sleep(RESTART_SECONDS)
    for i, worker in enumerate(workers):
        if not worker.is_alive():
            console.warn(f"worker {worker.pid} exited with status {worker.exitcode}; restarting it")
            multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
            workers[i] = start_worker()


def _run_worker(serve: Serve, listening: Sockets, ready: Semaphore) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        serve(listening, ready.release)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # returns when the parent exits, however it ends
    os.kill(os.getpid(), signal.SIGTERM)
