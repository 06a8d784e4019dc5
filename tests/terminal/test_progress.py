"""The live display of training."""

import contextlib
import io
import os
import re
import signal

import pytest
from rich.console import Console

from wardrobe.terminal import console, interrupts, progress


def test_the_live_display_shows_bars_a_table_and_escaped_paths() -> None:
    screen = io.StringIO()
    display = progress.LiveDisplay(
        Console(file=screen, force_terminal=True, width=100, highlight=False)
    )
    display.start("seed on [old] photos", epochs=2, done=1, steps=50)
    display.step(25, loss=0.5, accuracy=0.9)
    display.epoch(
        {
            "epoch": 2,
            "seconds": 3,
            "loss": 0.25,
            "accuracy": 0.91,
            "val_loss": 0.3,
            "val_accuracy": 0.89,
        }
    )
    display.close()
    display.stage("Report: runs/[/x]/report.html")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    for text in (
        "[old]",
        "epoch 2/2",
        "25/50",
        "75/100",
        "0.2500",
        "91.00 %",
        "89.00 %",
        "runs/[/x]/report.html",
    ):
        assert text in shown


def test_a_signal_whose_exception_was_lost_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_signals", [])
    handler, display = signal.getsignal(signal.SIGTERM), progress.TrainingDisplay(io.StringIO())
    try:
        interrupts.install()
        display.stage("training")
        with contextlib.suppress(KeyboardInterrupt):  # as a callback of the garbage collector does
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            display.step(1, 0.5, 0.9)
        with pytest.raises(KeyboardInterrupt):
            display.stage("next")
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert display.stream.getvalue() == "training\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "shown"), [(ImportError, "I0000 log\n"), (KeyboardInterrupt, "")]
)
def test_logs_of_libraries_are_shown_only_if_loading_them_fails(
    error: type[BaseException],
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with pytest.raises(error), console.suppress_native_logs():
        os.write(2, b"I0000 log\n")
        raise error
    assert capfd.readouterr().err == shown
