"""Ctrl-C and SIGTERM that cannot be lost.

Python discards an exception that is raised in a callback of its garbage collector. JAX has one, so
training, which runs for hours in such libraries, could miss a KeyboardInterrupt.
"""

import signal
from typing import Any, NoReturn

_signals: list[int] = []  # received


def install() -> None:
    """Lets SIGINT and SIGTERM raise KeyboardInterrupt, and `check` raise it again."""
    _signals.clear()
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # otherwise it is ignored
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)


def check() -> None:
    """Raises KeyboardInterrupt if a signal was received, and its exception lost.

    Raises:
        KeyboardInterrupt: a signal was received.
    """
    if _signals:
        raise KeyboardInterrupt


def exit_status() -> int:
    """Returns the status of an interrupted command: 143 after SIGTERM, otherwise 130 (SIGINT)."""
    return 128 + (_signals[0] if _signals else signal.SIGINT)


def _interrupt(number: int, _: Any) -> NoReturn:
    _signals.append(number)
    raise KeyboardInterrupt
