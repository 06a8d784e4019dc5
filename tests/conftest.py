"""Shared: the real command line in a subprocess, the real data where it is found, and two small finished runs."""

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

OWN_CLASSES = {
    "boots": 9,
    "robe d'été": 3,
    "$5 & <b>trousers$": 1,
}  # folder name → label of the drawn wardrobe

Result = subprocess.CompletedProcess[str]
Cli = Callable[..., Result]


def wardrobe(
    *arguments: object, cwd: Path, data_dir: Path | None = None, home: Path | None = None
) -> Result:
    """Runs the installed command with no network, an empty cache, and the data only where `data_dir` says."""
    return subprocess.run(
        [str(WARDROBE), *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, data_dir, home),
        capture_output=True,
        text=True,
    )


def wardrobe_here(*arguments: object, cwd: Path, data_dir: Path | None = None) -> Result:
    """Runs the command line in this process, where Keras is loaded already: for what is not about how it starts."""
    from wardrobe import cli

    return _call_main(cli.main, *arguments, cwd=cwd, data_dir=data_dir)


def run_benchmark(*arguments: object, cwd: Path, data_dir: Path | None = None) -> Result:
    """Runs `python -m benchmarks` in this process, with its results below `cwd`."""
    from benchmarks.__main__ import app
    from wardrobe.cli import run_app

    given = (*arguments, "--out", cwd) if len(arguments) > 1 else arguments
    return _call_main(
        lambda: run_app(app, "python -m benchmarks"), *given, cwd=cwd, data_dir=data_dir
    )


def _call_main(
    main: Callable[[], object], *arguments: object, cwd: Path, data_dir: Path | None
) -> Result:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    handler, status = signal.getsignal(signal.SIGTERM), None
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WARDROBE_DATA", raising=False)
        for name, value in environment(cwd, data_dir).items():
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
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("WARDROBE_DATA", "COLUMNS")
    }
    found = {"WARDROBE_DATA": str(data_dir)} if data_dir else {}
    return {
        **kept,
        **OFFLINE,
        **found,
        "HOME": str(home),
        "KERAS_HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "RAY_worker_niceness": "0",  # else Ray's workers wait for the other tests
    }


def refused(result: Result, status: int, *words: str) -> None:
    """Checks that a call ended with one clear line that holds all of `words`, and nothing but such lines on stderr."""
    assert result.returncode == status, result.stdout + result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("wardrobe: error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert all(line.startswith("wardrobe: ") for line in result.stderr.splitlines()), result.stderr
    for word in words:
        assert word in errors[0]


@pytest.fixture(autouse=True)
def _what_is_started_can_be_interrupted() -> None:
    """Ctrl-C reaches the programs that a test starts, also where pytest was started in the background, without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def free_port() -> int:
    """Returns a port that no program listens on, from below those that the system gives to whoever asks for any."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", random.randrange(20_000, 32_768)))
            return int(tried.getsockname()[1])


def is_running(process: int) -> bool:
    """Tells whether a process is there and has not ended; one that has may wait for its parent to ask how."""
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
    """`wardrobe serve` in a process of its own.

    Attributes:
        url: without a slash at the end.
        address: host and port.
        stderr: what it said, once it has ended.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url, self.stderr = process, url, ""
        self.address = "127.0.0.1", int(url.rpartition(":")[2])

    def metric(self, name: str) -> float:
        return read_metric(self.url, name)


def read_metric(url: str, name: str) -> float:
    """Returns a metric of the server at `url`, the sum over its labels."""
    with urlopen(url + "/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[{{ ]", line))


@contextlib.contextmanager
def serving(cwd: Path, *arguments: object) -> Iterator[Server]:
    """Starts `wardrobe serve` on a free port; ends it with SIGTERM, to which it must exit with 0 and no word."""
    command = [str(WARDROBE), "serve", "--port", "0", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would fill and stop it
        process = subprocess.Popen(
            command, cwd=cwd, env=environment(cwd), stdout=subprocess.PIPE, stderr=said, text=True
        )
        assert process.stdout
        first = process.stdout.readline()
        if not first:
            process.wait()
            said.seek(0)
            raise AssertionError(said.read())
        address = first.split()[2].partition("/#")[0].rstrip("/")
        server = Server(process, address.replace("0.0.0.0", "127.0.0.1"))
        try:
            yield server
        finally:  # also where the test fails: no server outlives it
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            said.seek(0)
            server.stderr = said.read()
        assert process.returncode == 0, server.stderr


@pytest.fixture(scope="session")
def fashion_mnist_dir() -> Path:
    """The folder of the real Fashion-MNIST files; tests that need it are skipped where there is none."""
    folder = Path(os.environ.get("WARDROBE_DATA") or ROOT.parent / "shared/data/fashion-mnist")
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(
            f"the real Fashion-MNIST files are not in {folder}; name their folder with WARDROBE_DATA"
        )
    return folder


def once(
    tmp_path_factory: pytest.TempPathFactory, name: str, call: Callable[[Path], Result]
) -> tuple[Path, Result]:
    """Returns a folder and the call that filled it: made by the first of xdist's workers, kept for the others."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, said = root / name, root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            made = call(folder)
            assert made.returncode == 0, made.stderr
            said.write_text(
                json.dumps({"args": made.args, "stdout": made.stdout, "stderr": made.stderr})
            )
    return folder, Result(returncode=0, **json.loads(said.read_text()))


@pytest.fixture(scope="session")
def real_run(
    tmp_path_factory: pytest.TempPathFactory, fashion_mnist_dir: Path
) -> tuple[Run, dict[str, Any]]:
    """A finished run on 2,000 real images, and what `train --json` printed. Not to be changed."""
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
    """A finished run with no data and no network, and the call that made it. Not to be changed."""
    arguments = ("train", "--limit", 4000, "--epochs", 2, "--out", "run")
    cwd, result = once(tmp_path_factory, "drawn", lambda cwd: wardrobe(*arguments, cwd=cwd))
    return Run(cwd / "run"), result


@pytest.fixture(scope="session")
def drawn_data() -> Dataset:
    """A small synthetic wardrobe: 3,000 drawn images to train on, 1,000 to validate with, 200 to test with."""
    drawn = Split(*synthetic.draw(4_200))
    train, validation, test = drawn[:3000], drawn[3000:4000], drawn[4000:]
    return Dataset(
        "synthetic", "drawn by code", CLASS_NAMES, {}, train, validation, len(test), lambda: test
    )


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own data: 1,800 drawn images in three classes; the names have what trips markup, maths and paths."""
    root = tmp_path_factory.mktemp("own") / "vêtements [old]"
    for name, label in OWN_CLASSES.items():
        (root / name).mkdir(parents=True)
        for number in range(600):
            image = synthetic.draw_one(label, np.random.default_rng((label, number)))
            Image.fromarray(image).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def few_of_own(tmp_path_factory: pytest.TempPathFactory, drawn_folder: Path) -> Path:
    """The same with 150 images a class, for what looks at each image hundreds of times."""
    root = tmp_path_factory.mktemp("few") / drawn_folder.name
    for path in drawn_folder.iterdir():
        (root / path.name).mkdir(parents=True)
        for image in sorted(path.iterdir())[:150]:
            shutil.copy(image, root / path.name)
    return root


@pytest.fixture(scope="session")
def own_run(tmp_path_factory: pytest.TempPathFactory, few_of_own: Path) -> Run:
    """A run of `sprint` on a person's own folder with three classes, looked into. Not to be changed."""

    def made(cwd: Path) -> Any:
        shutil.copytree(few_of_own, cwd / "own")
        trained = wardrobe_here(
            "train", "sprint", "--data", "own", "--epochs", 12, "--out", "run", cwd=cwd
        )
        assert trained.returncode == 0, trained.stderr
        return wardrobe_here("explain", "run", cwd=cwd)

    cwd, result = once(tmp_path_factory, "explained", made)
    assert "Warning" not in result.stderr, result.stderr
    return Run(cwd / "run")
