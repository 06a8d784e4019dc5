"""What a person sees in the terminal besides results: warnings and notices. Light, for every command needs it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def warn(text: str) -> None:
    """Prints one line on stderr, under the program's name."""
    print(f"wardrobe: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Returns `text` with line breaks, escapes and the like spelled out: a file's name must not act on a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def notice(title: str, text: str) -> None:
    """Prints a framed notice on stderr that no one can miss."""
    from rich.console import Console  # only here, where one is shown: it takes as long to load as all else
    from rich.markup import escape
    from rich.panel import Panel

    Console(stderr=True).print(
        Panel(escape(text), title=f"[bold]{title}[/bold]", border_style="bold yellow", padding=(1, 2))
    )


@contextmanager
def loading_quietly() -> Iterator[None]:
    """Keeps back what TensorFlow's C++ parts write on stderr while they load, before any of their log levels holds.

    Only where TF_CPP_MIN_LOG_LEVEL asks for quiet, as the command line does; shown after all if the block fails.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0":
        yield
        return
    import logging
    import tempfile

    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
