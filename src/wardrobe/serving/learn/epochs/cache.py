"""A bounded cache of what is slow to compute from a file."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Cache(Generic[V]):
    """The values that were used last, each with a stamp, such as the time of its file."""

    def __init__(self, size: int) -> None:
        self._size, self._lock = size, threading.Lock()
        self._values: OrderedDict[Hashable, tuple[Hashable, V]] = OrderedDict()

    def get(self, key: Hashable, stamp: Hashable, compute: Callable[[], V]) -> V:
        """Returns the value of a key; computes it if it is not kept, or with another stamp."""
        with self._lock:
            found = self._values.get(key)
        if found is None or found[0] != stamp:
            found = stamp, compute()  # not locked: it is slow
        with self._lock:
            self._values[key] = found
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return found[1]
