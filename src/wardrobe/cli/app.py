"""The command `wardrobe`: its Typer app, how a command prints, and how it ends.

A command imports other packages inside its function, so that `--help` imports nothing heavy.
"""

import io
import json
import os
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer
from typer import Option

from wardrobe import __version__
from wardrobe.errors import InterruptedRunError, SomeFailedError, WardrobeError
from wardrobe.terminal import console, interrupts

if TYPE_CHECKING:
    from rich.panel import Panel
    from rich.table import Table

INTERRUPTED = 130  # what Typer returns after Ctrl-C: 128 + SIGINT
EXTRAS = {
    "optuna": "tune",
    "jax": "jax",
    "tensorboard": "tensorboard",
    **dict.fromkeys(("mlflow", "alembic", "sqlalchemy"), "mlflow"),
    "huggingface_hub": "hub",
    **dict.fromkeys(("starlette", "uvicorn", "prometheus_client", "orjson"), "serve"),
    **dict.fromkeys(("ai_edge_litert", "openvino", "nncf"), "export"),
    **dict.fromkeys(("ray", "pyarrow", "fsspec"), "scale"),
}  # package → the extra that installs it; all others are in "train"


# The panels of `wardrobe --help`.
TRAINING, INFERENCE, LOOKUP = "Train", "Use a model", "Look up"

app = typer.Typer(
    name="wardrobe",
    help="Train, explain and use convolutional networks that classify clothing.",
    epilog="Add to any command: --quiet for no progress, --debug for the traceback of an error.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _handle_global_options(
    context: typer.Context,
    version: Annotated[bool, Option("--version", help="Print the version")] = False,
) -> None:
    if version:
        print(f"wardrobe {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> NoReturn:
    """Runs the command `wardrobe` and exits."""
    run_app(app, "wardrobe")


def run_app(app: typer.Typer, name: str) -> NoReturn:
    """Runs a command line and exits: 0 done, 1 failed, 2 wrong usage, 130 or 143 interrupted.

    An error is one line on stderr, and with --json {"error": that line} on stdout. With --debug, it
    is a traceback. With --quiet, there is no progress, only results, warnings and errors.
    """
    _make_streams_robust()
    arguments = [word for word in sys.argv[1:] if word not in ("--debug", "--quiet")]
    debug, console.quiet = "--debug" in sys.argv[1:], "--quiet" in sys.argv[1:]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if debug else "3")
    warnings.filterwarnings("ignore", module="PIL")  # odd metadata; an unreadable image is an error
    interrupts.install()  # SIGTERM ends as tidily as Ctrl-C
    try:
        if app(arguments, prog_name=name, standalone_mode=False) != INTERRUPTED:
            _discard_unread_output()  # Python's own flush at exit would complain
            sys.exit(0)
        text, status = "interrupted", interrupts.exit_status()
        has_output = False
    except Exception as error:
        _discard_unread_output()
        if debug:
            raise
        text, status = describe_error(error)
        has_output = isinstance(error, SomeFailedError)
    text = " ".join(text.splitlines())
    console.warn(f"error: {text}")
    if "--json" in arguments and not has_output:
        print_json({"error": text})
        _discard_unread_output()
    from wardrobe.training.distributed import launch

    launch.exit_process(status)


def print_json(value: dict[str, Any]) -> None:
    """Prints one JSON object on stdout, in ASCII, which every encoding of stdout has."""
    print(json.dumps(value))


def print_whole(renderable: "Panel | Table") -> None:
    """Prints a panel or a table at its full width, even if the terminal is narrower."""
    from rich.console import Console

    width = Console().measure(renderable, options=Console(width=10_000).options).maximum
    Console(width=max(Console().width, width)).print(renderable)


def progress_stream(as_json: bool) -> TextIO:
    """Returns the stream for progress: stderr if stdout is for JSON; with --quiet none is shown."""
    if console.quiet:
        return io.StringIO()
    return sys.stderr if as_json else sys.stdout


def _make_streams_robust() -> None:
    """Replaces a closed stream by /dev/null; escapes characters that its encoding lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def _discard_unread_output() -> None:
    """Flushes stdout, quietly if its reader is gone, as in `wardrobe runs | head`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def describe_error(error: Exception) -> tuple[str, int]:
    """Returns the message and the exit status of an exception."""
    if isinstance(error, InterruptedRunError):
        return str(error), interrupts.exit_status()
    if isinstance(error, WardrobeError):
        return str(error), error.exit_status
    if hasattr(error, "format_message"):  # wrong usage; Typer's class for it is not public
        return f"{error.format_message().rstrip('.')}; see wardrobe --help", 2
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        install = f"pip install 'wardrobe-cnn[{EXTRAS.get(package, 'train')}]'"
        return f"the package {package} is not installed; run: {install}", 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        return f"{where}{reason}; free some space, or choose a path that you can read and write", 1
    return f"{type(error).__name__}: {error}; add --debug for the traceback", 1
