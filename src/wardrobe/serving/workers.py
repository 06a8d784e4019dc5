"""Several processes that answer on one port, because Python computes on one core per process.

uvicorn's own supervisor (`uvicorn.supervisors.Multiprocess`) would not make it shorter: its workers
outlive a supervisor that is killed, it does not say when all of them answer, and it always runs
uvicorn's `Server`, not the one in server.py.
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
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Semaphore

from prometheus_client import multiprocess

from wardrobe.errors import WardrobeError
from wardrobe.serving.middleware import METRICS_FOLDER
from wardrobe.terminal import console

Tell = Callable[[], object]

LOOK = 0.2  # seconds between two looks whether the processes are there
PAUSE = 1.0  # seconds before a process that ended by itself is replaced


def run_workers(
    serve: Callable[[socket.socket, Tell], None], listening: socket.socket, count: int, ready: Tell
) -> None:
    """Runs `serve` in `count` processes until Ctrl-C or SIGTERM, then has each end what is in flight.

    A process that ends before is replaced; all end where this one is killed.

    Args:
        serve: is given `listening` and what it calls when it answers; returns after SIGTERM. Can be pickled.
        ready: called when all answer.

    Raises:
        WardrobeError: a process ended before it could answer.
    """
    context = multiprocessing.get_context("spawn")  # no thread or lock of this process comes along
    answers = context.Semaphore(0)

    def begun() -> BaseProcess:
        process = context.Process(target=_serve, args=(serve, listening, answers))
        process.start()
        return process

    with tempfile.TemporaryDirectory(prefix="wardrobe-metrics-") as counts:
        os.environ[METRICS_FOLDER] = counts
        processes: list[BaseProcess] = []
        try:
            processes += [begun() for _ in range(count)]
            for _ in processes:
                while not answers.acquire(timeout=LOOK):
                    _all_there(processes)
            ready()
            while True:
                multiprocessing.connection.wait([each.sentinel for each in processes])
                time.sleep(PAUSE)
                for ended in [each for each in processes if not each.is_alive()]:
                    console.warn(
                        f"process {ended.pid} ended with {ended.exitcode}; another takes its place"
                    )
                    multiprocess.mark_process_dead(ended.pid)  # type: ignore[no-untyped-call]
                    processes[processes.index(ended)] = begun()
        except KeyboardInterrupt:
            listening.close()  # each process answers who waits at its own copy, then closes that
        finally:
            for each in processes:
                each.terminate()
            for each in processes:
                each.join()
            del os.environ[METRICS_FOLDER]


def _all_there(processes: list[BaseProcess]) -> None:
    for each in processes:
        if each.exitcode is not None:
            raise WardrobeError(
                f"a process ended with {each.exitcode} before it could answer; try fewer --workers"
            )


def _serve(
    serve: Callable[[socket.socket, Tell], None], listening: socket.socket, answers: Semaphore
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        serve(listening, answers.release)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
