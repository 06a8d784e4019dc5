"""Prepares images in a process of its own, so that an image that ends or blocks it is one failure.

No exception handler catches a crash in a decoder, an endless loop in C, or a kill for memory.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.photo.listing import Failure

IMAGE_SECONDS = 120  # for one image; the largest that `photo` accepts take about a tenth
MAX_MEMORY = 3_000_000_000  # bytes of the process; `photo` accepts images that take 600 MB

Content = str | bytes | Failure  # a path, a file's bytes, or why there are none
Pixels = npt.NDArray[np.uint8] | str  # (28, 28), or why there are none


class Preparer:
    """Prepares images in a child process, which is started when it is needed.

    Raises:
        RuntimeError: the child process ends before it prepares anything.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, contents: Sequence[Content]) -> list[Pixels]:
        """Returns the model's input for each image, or why there is none."""
        pixels: list[Pixels] = []
        while len(pixels) < len(contents):
            done, end = self._prepare_until_it_ends(contents[len(pixels) :])
            pixels += done
            if end:  # the next image, or something else, ended the process: once more, alone
                done, end = self._prepare_until_it_ends([contents[len(pixels)]])
                pixels += done or [f"cannot be prepared ({end})"]
        return pixels

    def _prepare_until_it_ends(self, contents: Sequence[Content]) -> tuple[list[Pixels], str]:
        """Returns what the process prepared before it ended; and why it ended, "" if it lives."""
        pixels: list[Pixels] = []
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            for content in contents:
                pickle.dump(content, process.stdin)
                process.stdin.flush()
                pixels.append(pickle.load(process.stdout))
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            self._process = None
            self._stop()
            return pixels, _describe_end(process.returncode)
        return pixels, ""

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._stop = weakref.finalize(self, process.communicate)  # its input ends: it does
        try:
            pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, pickle.UnpicklingError):
            self._stop()
            raise RuntimeError(
                f"preparing images failed at its start: {_describe_end(process.returncode)}"
            ) from None
        self._process = process
        return process


def _describe_end(status: int) -> str:
    """Says how a process ended."""
    if status >= 0:
        return f"its process ended with exit status {status}"
    name = signal.Signals(-status).name
    if name == "SIGALRM":
        return f"it took more than {IMAGE_SECONDS} s"
    return f"its process ended with {name}"


def prepare(content: Content) -> Pixels:
    """Returns the model's input for an image, or why there is none. Never raises."""
    if isinstance(content, Failure):
        return content.error
    # Opening a pipe would block.
    if isinstance(content, str) and not os.path.isfile(content):  # noqa: PTH113
        return "not a file, or a broken link" if os.path.lexists(content) else "does not exist"
    try:
        return photo.prepare_or_reason(content)
    except Exception as error:
        return f"cannot be prepared ({first_line(error)})"


def first_line(error: Exception) -> str:
    """Returns the type and the first line of an exception."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _serve() -> None:
    """Prepares the images that come on stdin, until it ends."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the replies
    cv2.setNumThreads(1)  # every core has a worker
    set_alarm = _limit_memory_and_time()

    def reply(pixels: Pixels) -> None:
        pickle.dump(pixels, replies)
        replies.flush()

    reply("ready")
    with contextlib.suppress(EOFError):
        while True:
            content: Content = pickle.load(requests)
            set_alarm(IMAGE_SECONDS)
            pixels = prepare(content)
            set_alarm(0)
            reply(pixels)


def _limit_memory_and_time() -> Callable[[int], object]:
    """Limits this process. Returns what sets the time, after which the kernel ends it."""
    if sys.platform == "win32":  # has neither limit
        return lambda seconds: None
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(ValueError):  # the hard limit is lower
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, hard))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # also ends a loop in C
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    return signal.alarm


if __name__ == "__main__":
    _serve()
