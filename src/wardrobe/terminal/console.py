"""What a person sees in the terminal besides results: warnings and notices. Light, for every command needs it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = (
    sys.executable,
    "-c",
    "from wardrobe.cli import main; main()",
)  # starts the command line in another process


def warn(text: str) -> None:
    """Prints one line on stderr, under the program's name."""
    print(f"wardrobe: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Returns `text` with line breaks, escapes and the like spelled out: a file's name must not act on a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def notice(title: str, text: str) -> None:
    """Prints a framed notice on stderr that no one can miss."""
    from rich.console import (
        Console,  # only here, where one is shown: it takes as long to load as all else
    )
    from rich.markup import escape
    from rich.panel import Panel

    Console(stderr=True).print(
        Panel(
            escape(text), title=f"[bold]{title}[/bold]", border_style="bold yellow", padding=(1, 2)
        )
    )


@contextmanager
def loading_quietly() -> Iterator[None]:
    """Keeps back what C++ parts of TensorFlow and JAX write while they load, before any of their log levels holds.

    Only where TF_CPP_MIN_LOG_LEVEL asks for quiet, as the command line does; shown on stderr after all if the block
    fails.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0":
        yield
        return
    import logging
    import tempfile

    sys.stdout.flush()
    sys.stderr.flush()
    streams = {number: os.dup(number) for number in (1, 2)}
    with tempfile.TemporaryFile() as kept:
        for number in streams:
            os.dup2(kept.fileno(), number)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(streams[2], kept.read())
            raise
        finally:
            for number, stream in streams.items():
                os.dup2(stream, number)
                os.close(stream)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
