"""Fixtures and helpers: the command line, the server, the real data and finished runs."""

import contextlib
import fcntl
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from wardrobe.data import Dataset, Split, synthetic
from wardrobe.labels import CLASS_NAMES
from wardrobe.runs import Run

ROOT = Path(__file__).parents[1]
WARDROBE = Path(sys.executable).with_name("wardrobe")
OFFLINE = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"
)

# Folder name → label of the synthetic data; the names have characters special to HTML and TeX.
OWN_CLASSES = {"boots": 9, "robe d'été": 3, "$5 & <b>trousers$": 1}

Result = subprocess.CompletedProcess[str]
Cli = Callable[..., Result]


def wardrobe(
    *arguments: object, cwd: Path, data_dir: Path | None = None, home: Path | None = None
) -> Result:
    """Runs the installed command without network and with an empty cache.

    Args:
        data_dir: folder of the real data; without it, the command finds none.
        home: home folder; the default is `cwd`.
    """
    return subprocess.run(
        [str(WARDROBE), *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, data_dir, home),
        capture_output=True,
        text=True,
    )


def wardrobe_here(
    *arguments: object, cwd: Path, data_dir: Path | None = None, home: Path | None = None
) -> Result:
    """Runs the command line in this process, which is faster because Keras is already loaded."""
    from wardrobe import cli

    return _call_main(cli.main, *arguments, cwd=cwd, data_dir=data_dir, home=home)


def python_here(code: str, cwd: Path) -> Result:
    """Runs Python code as a script of its own would run, in this process."""
    return _call_main(lambda: exec(code, {"__name__": "__main__"}), cwd=cwd, data_dir=None)


def explain_here(run: str, cwd: Path) -> Result:
    """Runs `wardrobe explain` in this process, on few images, with one short cross-validation."""
    from wardrobe.evaluation import out_of_distribution
    from wardrobe.explain import activation_maximization, label_errors
    from wardrobe.explain.chapters import adversarial, corruptions, faithfulness
    from wardrobe.models import recipes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_errors, "SEEDS", (0,))
        patch.setattr(label_errors, "FOLDS", 2)
        patch.setattr(recipes, "MIN_STEPS", 1)
        patch.setattr(activation_maximization, "STEPS", 5)
        patch.setattr(faithfulness, "IMAGES", 24)
        patch.setattr(faithfulness, "RANDOMIZED_IMAGES", 4)
        patch.setattr(out_of_distribution, "COUNT", 60)
        patch.setattr(corruptions, "IMAGES", 24)
        patch.setattr(adversarial, "IMAGES", 12)
        return wardrobe_here("explain", run, cwd=cwd)


def run_benchmark(*arguments: object, cwd: Path, data_dir: Path | None = None) -> Result:
    """Runs `python -m benchmarks` in this process, with its results below `cwd`."""
    from benchmarks.__main__ import app
    from wardrobe.cli import run_app

    with_out = (*arguments, "--out", cwd) if len(arguments) > 1 else arguments
    return _call_main(
        lambda: run_app(app, "python -m benchmarks"), *with_out, cwd=cwd, data_dir=data_dir
    )


def _call_main(
    main: Callable[[], object],
    *arguments: object,
    cwd: Path,
    data_dir: Path | None,
    home: Path | None = None,
) -> Result:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    handler, status = signal.getsignal(signal.SIGTERM), None
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WARDROBE_DATA", "WARDROBE_PHOTOS"):
            patch.delenv(name, raising=False)
        for name, value in environment(cwd, data_dir, home).items():
            patch.setenv(name, value)
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["wardrobe", *map(str, arguments)])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            main()
        except SystemExit as end:
            status = end.code
    signal.signal(signal.SIGTERM, handler)
    for stream in (out, err):
        stream.seek(0)
    return Result([*map(str, arguments)], int(status or 0), out.read(), err.read())


def environment(
    cwd: Path, data_dir: Path | None = None, home: Path | None = None
) -> dict[str, str]:
    home = home or cwd
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("WARDROBE_DATA", "WARDROBE_PHOTOS", "COLUMNS")
    }
    data = {"WARDROBE_DATA": str(data_dir)} if data_dir else {}
    return {
        **inherited,
        **OFFLINE,
        **data,
        "HOME": str(home),
        "KERAS_HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "RAY_worker_niceness": "0",  # otherwise Ray's workers give way to the other tests
    }


def refused(result: Result, status: int, *words: str) -> None:
    """Asserts that a command failed with exactly one error line, which contains all `words`.

    Everything else on stderr must start with `wardrobe: ` too.
    """
    assert result.returncode == status, result.stdout + result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("wardrobe: error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert all(line.startswith("wardrobe: ") for line in result.stderr.splitlines()), result.stderr
    for word in words:
        assert word in errors[0]


@pytest.fixture(autouse=True)
def _let_child_processes_receive_sigint() -> None:
    """Lets child processes receive Ctrl-C; a pytest in the background would make them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def free_port() -> int:
    """Returns a free port, below the range from which the system assigns ports.

    Each xdist worker has a range of its own, so that none takes the port of another.
    """
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        with contextlib.suppress(OSError), socket.socket() as candidate:
            candidate.bind(("127.0.0.1", random.randrange(first, first + 1_000)))
            return int(candidate.getsockname()[1])


def is_running(process: int) -> bool:
    """Returns whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> Any:
    """Waits until a condition is true and returns its value. Only pytest's timeout limits the wait.

    Args:
        process: fails the test if it exits first.
    """
    while not (found := condition()):
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)
    return found


class Server:
    """`wardrobe serve` in its own process.

    Attributes:
        url: without a trailing slash.
        address: host and port.
        stderr: its output there, after it has exited.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url, self.stderr = process, url, ""
        self.is_killed = False
        self.address = "127.0.0.1", int(url.rpartition(":")[2])

    def metric(self, name: str) -> float:
        return read_metric(self.url, name)

    def kill(self) -> None:
        """Ends it with SIGKILL, so that it cannot do anything about it."""
        self.is_killed = True
        self.process.kill()
        self.process.wait()


def read_metric(url: str, name: str) -> float:
    """Returns a metric of the server at `url`, the sum over its labels."""
    with urlopen(url + "/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[{{ ]", line))


@contextlib.contextmanager
def serving(cwd: Path, *arguments: object) -> Iterator[Server]:
    """Starts `wardrobe serve` on a free port and stops it with SIGTERM; its status must be 0."""
    command = [str(WARDROBE), "serve", "--port", "0", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as stderr:  # an unread pipe would fill and block it
        process = subprocess.Popen(
            command, cwd=cwd, env=environment(cwd), stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        assert process.stdout
        first = process.stdout.readline()
        if not first:
            process.wait()
            stderr.seek(0)
            raise AssertionError(stderr.read())
        address = first.split()[2].partition("/#")[0].rstrip("/")
        server = Server(process, address)
        try:
            yield server
        finally:  # also if the test fails: no server outlives it
            process.send_signal(signal.SIGTERM)
            process.communicate()
            stderr.seek(0)
            server.stderr = stderr.read()
        assert server.is_killed or process.returncode == 0, server.stderr


@pytest.fixture(scope="session")
def fashion_mnist_dir() -> Path:
    """The folder of the real Fashion-MNIST files; without it, tests that need it are skipped."""
    folder = Path(os.environ.get("WARDROBE_DATA") or ROOT.parent / "shared/data/fashion-mnist")
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(
            f"the real Fashion-MNIST files are not in {folder}; set WARDROBE_DATA to their folder"
        )
    return folder


def once(
    tmp_path_factory: pytest.TempPathFactory, name: str, call: Callable[[Path], Result]
) -> tuple[Path, Result]:
    """Returns a folder and the command that filled it; all xdist workers share one execution."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, record = root / name, root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            result = call(folder)
            assert result.returncode == 0, result.stderr
            record.write_text(
                json.dumps({"args": result.args, "stdout": result.stdout, "stderr": result.stderr})
            )
    return folder, Result(returncode=0, **json.loads(record.read_text()))


@pytest.fixture(scope="session")
def real_run(
    tmp_path_factory: pytest.TempPathFactory, fashion_mnist_dir: Path
) -> tuple[Run, dict[str, Any]]:
    """A finished run on 2,000 real images, and what `train --json` printed. Read-only."""
    arguments = ("train", "--limit", 2000, "--epochs", 2, "--json")
    cwd, result = once(
        tmp_path_factory,
        "real",
        lambda cwd: wardrobe(*arguments, cwd=cwd, data_dir=fashion_mnist_dir),
    )
    assert "Warning" not in result.stderr
    printed = json.loads(result.stdout)
    return Run(cwd / printed["run"]), printed


@pytest.fixture(scope="session")
def drawn_training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Result]:
    """A finished run on synthetic data, and the result of its command. Read-only."""
    arguments = ("train", "--limit", 4000, "--epochs", 2, "--out", "run")
    cwd, result = once(tmp_path_factory, "drawn", lambda cwd: wardrobe(*arguments, cwd=cwd))
    return Run(cwd / "run"), result


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Synthetic data: 3,000 training, 1,000 validation and 200 test images."""

    def draw(cwd: Path) -> Result:
        np.savez(cwd / "drawn.npz", *synthetic.draw(4_200))
        return Result([], 0, "", "")

    with np.load(once(tmp_path_factory, "drawn-data", draw)[0] / "drawn.npz") as arrays:
        drawn = Split(*arrays.values())
    train, validation, test = drawn[:3000], drawn[3000:4000], drawn[4000:]
    return Dataset(
        "synthetic", "drawn by code", CLASS_NAMES, {}, train, validation, len(test), lambda: test
    )


@pytest.fixture(scope="session")
def few_of_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's image folder: 450 synthetic images in three classes, with special characters."""

    def draw(cwd: Path) -> Result:
        for name, label in OWN_CLASSES.items():
            folder = cwd / "vêtements [old]" / name
            folder.mkdir(parents=True)
            for number in sorted(range(600), key=str)[:150]:  # tests expect their scores
                image = synthetic.draw_one(label, np.random.default_rng((label, number)))
                Image.fromarray(image).save(folder / f"{number}.png")
        return Result([], 0, "", "")

    return once(tmp_path_factory, "few", draw)[0] / "vêtements [old]"


@pytest.fixture(scope="session")
def own_run(tmp_path_factory: pytest.TempPathFactory, few_of_own: Path) -> Run:
    """A run of `sprint` on `few_of_own`, after `wardrobe explain`. Read-only."""

    def train_and_explain(cwd: Path) -> Any:
        shutil.copytree(few_of_own, cwd / "own")
        trained = wardrobe_here(
            "train", "sprint", "--data", "own", "--set", "epochs=12", "--out", "run", cwd=cwd
        )
        assert trained.returncode == 0, trained.stderr
        return explain_here("run", cwd)

    cwd, result = once(tmp_path_factory, "explained", train_and_explain)
    assert "Warning" not in result.stderr, result.stderr
    return Run(cwd / "run")
