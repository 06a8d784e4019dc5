"""Warnings and notices on stderr. Every command imports this module, so it imports little."""

import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

# Starts the command line in another process.
COMMAND = sys.executable, "-m", "wardrobe"

quiet = False  # whether progress is hidden; the command line sets it

# Unicode categories and bidirectional classes of what could control a terminal or reorder a line,
# and of bytes of a file name that are not UTF-8. The joiners of emoji and of Indic scripts stay.
ESCAPED = {"Cc", "Cs", "Zl", "Zp", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def warn(text: str) -> None:
    """Prints one line on stderr, after the program's name."""
    print(f"wardrobe: {make_printable(text)}", file=sys.stderr, flush=True)


def make_printable(text: str) -> str:
    r"""Returns `text` as one line of valid Unicode, with escapes such as \n, and \udcfc for a byte.

    A file name must not control a terminal, and may have bytes that are not UTF-8.
    """
    if text.isprintable():
        return text
    classes = unicodedata.category, unicodedata.bidirectional
    return "".join(
        repr(each)[1:-1] if any(find(each) in ESCAPED for find in classes) else each
        for each in text
    )


def notice(title: str, text: str) -> None:
    """Prints a framed notice on stderr."""
    # Imported here, because rich takes as long to load as everything else together.
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel

    title = f"[bold]{title}[/bold]"
    panel = Panel(escape(text), title=title, border_style="bold yellow", padding=(1, 2))
    Console(stderr=True).print(panel)


@contextmanager
def suppress_native_logs() -> Iterator[None]:
    """Hides what the C++ code of TensorFlow and JAX writes while it loads.

    Their log levels do not apply yet at that time. If the block fails, the hidden output goes to
    stderr. Without TF_CPP_MIN_LOG_LEVEL, which the command line sets, nothing is hidden.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0":
        yield
        return
    import logging
    import tempfile

    sys.stdout.flush()
    sys.stderr.flush()
    originals = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    with tempfile.TemporaryFile() as hidden:
        for descriptor in originals:
            os.dup2(hidden.fileno(), descriptor)
        try:
            yield
        except Exception:  # not Ctrl-C
            hidden.seek(0)
            os.write(originals[2], hidden.read())
            raise
        finally:
            for descriptor, original in originals.items():
                os.dup2(original, descriptor)
                os.close(original)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
