"""steps.csv: loss and accuracy while an epoch runs. Training appends to it, the server follows it.

It is the one file of a run that is not replaced in one step, so that a row costs next to nothing.
"""

import math
import os
from pathlib import Path

from wardrobe.runs.files import atomic_write

FIELDS = "epoch", "step", "seconds", "loss", "accuracy"

# epoch, from 1; batches done in it; seconds since it began; means since the row before
StepRow = tuple[int, int, float, float, float]


class StepsReader:
    """Follows a steps.csv while it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = 0  # inode; a resumed training replaces the file
        self._position = 0  # bytes that have been read

    def read_new(self) -> list[StepRow]:
        """Returns the rows since the last call. After a training was resumed: all rows again.

        Empty if there is no file. Rows that are damaged, or whose loss is not finite, are left out.
        """
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            return []
        with stream:
            file = os.fstat(stream.fileno()).st_ino
            if file != self._file:
                self._file, self._position = file, 0
            stream.seek(self._position)
            complete, newline, _ = stream.read().rpartition(b"\n")  # the last row may be half
        self._position += len(complete + newline)
        rows = (_parse(line) for line in complete.decode("ascii", "replace").splitlines())
        return [row for row in rows if row is not None]


class StepsWriter:
    """Appends to a steps.csv."""

    def __init__(self, path: Path, epochs_done: int) -> None:
        """Keeps the rows of the epochs done. Those of an unfinished epoch are trained again."""
        kept = [row for row in StepsReader(path).read_new() if row[0] <= epochs_done]
        with atomic_write(path) as temporary:
            lines = [",".join(FIELDS), *(_format(row) for row in kept)]
            temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
        self._stream = path.open("a", encoding="ascii", buffering=1)  # a line is written at once

    def append(self, row: StepRow) -> None:
        """Appends a row, which readers see at once."""
        self._stream.write(_format(row) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def _format(row: StepRow) -> str:
    epoch, step, seconds, loss, accuracy = row
    return f"{epoch},{step},{seconds:.3f},{loss:.5f},{accuracy:.5f}"


def _parse(line: str) -> StepRow | None:
    """Returns the row of a line; None for the header and damaged lines."""
    try:
        epoch, step, *numbers = line.split(",")
        seconds, loss, accuracy = map(float, numbers)
        row = int(epoch), int(step), seconds, loss, accuracy
    except ValueError:
        return None
    return row if all(map(math.isfinite, row)) else None
