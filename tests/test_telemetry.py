"""No command connects to another host or writes outside its own folders.

strace traces each command and its children, because Python cannot see the sockets and files of the
C++ libraries that it loads.
"""

import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import requests
from conftest import WARDROBE
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.inference.engines import FORMATS
from wardrobe.onnx_runtime import PRETRAINED

CALLS = (
    "connect,sendto,sendmsg,sendmmsg,openat,mkdirat,renameat,?open,?creat,?mkdir,?rename,?renameat2"
)
STRACE = [
    "strace",
    "-D",
    "-ff",
    "-y",
    "-qq",
    "--seccomp-bpf",
    "-e",
    "signal=none",
    "-e",
    f"trace={CALLS}",
]
INHERITED = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    *(n for n in os.environ if n.endswith("_THREADS")),
)

# Folders below the home folder in which a command may write: its libraries' caches and settings.
HOME_FOLDERS = (".keras", ".ray", ".cache/wardrobe", ".cache/matplotlib", ".config/matplotlib")

INTERNET = re.compile(r'sin6?_port=htons\((\d+)\).*?inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')
RESOLVER = re.compile(
    r'sun_path="[^"]*resolve', re.IGNORECASE
)  # systemd's resolver, which needs no socket of the command
OPENED = re.compile(r"(?:creat\(|open.*O_(?:WRONLY|RDWR|CREAT)).* = \d+<(.*)>(?:\(deleted\))?$")
MOVED = re.compile(r'(?:mkdir|rename).*"([^"]*)"[^"]*= 0$')  # the last path is the new one

DRIVER = """
import json, sys
from wardrobe import cli

for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
"""


class Watch:
    """Runs commands under strace, with their own home and temporary folders."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.cwd, self._home, self._traces = (folder / name for name in ("cwd", "home", "traces"))
        for path in (self.cwd, self._home, self._traces):
            path.mkdir()
        self._temporary = temporary

    def start(self, command: Sequence[object]) -> subprocess.Popen[str]:
        """Starts a command without variables that turn telemetry off, such as CI."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return subprocess.Popen(
            [*STRACE, "-o", str(self._traces / "trace"), *map(str, command)],
            cwd=self.cwd,
            env={**inherited, "HOME": str(self._home), "TMPDIR": str(self._temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: object) -> None:
        process = self.start(command)
        _, errors = process.communicate()
        assert process.returncode == 0, errors

    def check(self) -> None:
        """Fails if a system call left this machine or wrote outside the command's own folders."""
        lines = [
            line
            for path in self._traces.iterdir()
            for line in path.read_text(errors="replace").splitlines()
        ]
        assert any("openat(" in line for line in lines), "strace saw nothing"
        foreign = [line for line in lines if self._is_foreign(line)]
        assert not foreign, "\n".join(foreign)

    def _is_foreign(self, line: str) -> bool:
        written = OPENED.match(line) or MOVED.match(line)
        if written:
            return not self._is_own(self.cwd / written[1])
        return bool(RESOLVER.search(line)) or any(
            port == "53" or not ipaddress.ip_address(host.removeprefix("::ffff:")).is_loopback
            for port, host in INTERNET.findall(line)
        )

    def _is_own(self, path: Path) -> bool:
        own = (self.cwd, self._temporary, *(self._home / each for each in HOME_FOLDERS))
        return (
            any(path.is_relative_to(each) or each.is_relative_to(path) for each in own)
            or any(path.is_relative_to(each) for each in ("/dev", "/proc"))
            or "__pycache__" in path.parts
        )


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    if subprocess.run([*STRACE, "-o", str(tmp_path / "check"), "true"], timeout=60).returncode:
        pytest.skip("strace may not trace here: give the container --cap-add SYS_PTRACE")
    with TemporaryDirectory() as temporary:  # a short path, because Ray puts sockets there
        yield Watch(tmp_path, Path(temporary))


@pytest.fixture
def shoe(watch: Watch) -> Path:
    path = watch.cwd / "shoe.png"
    Image.fromarray(synthetic.draw_one(9, np.random.default_rng(0))).save(path)
    return path


def test_predict_contacts_no_host(watch: Watch, shoe: Path) -> None:
    """With a model of the Hugging Face Hub, once it is in the cache, none either."""
    folder, commit = watch.cwd / "hub/models--me--coats", "0" * 40
    for name, content in {
        "refs/main": commit.encode(),
        f"snapshots/{commit}/model.onnx": (PRETRAINED / "baseline.onnx").read_bytes(),
    }.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
    offline = "HF_HUB_OFFLINE=1", f"HF_HOME={watch.cwd}"
    watch.run("env", *offline, WARDROBE, "predict", shoe, "--model", "hf://me/coats")
    watch.run(WARDROBE, "predict", shoe)
    watch.check()


def test_predict_prints_no_warning_if_the_home_folder_is_not_writable(
    watch: Watch, shoe: Path
) -> None:
    environment = {
        **os.environ,
        "HOME": str(shoe / "home"),
    }  # a path below a file cannot be created
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    result = subprocess.run(
        [str(WARDROBE), "predict", str(shoe)], env=environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_serve_contacts_no_host(watch: Watch, shoe: Path) -> None:
    process = watch.start([WARDROBE, "serve", "--port", 0])
    assert process.stdout
    url = process.stdout.readline().split()[2].rstrip("/")
    response = requests.post(f"{url}/api/classify", data=shoe.read_bytes())
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert (response.status_code, process.returncode) == (200, 0), errors
    watch.check()


def test_predict_on_ray_contacts_no_host(watch: Watch, shoe: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'wardrobe-cnn[scale]'")
    watch.run(WARDROBE, "predict", shoe, "--engine", "ray", "--out", "answers")
    watch.check()


def test_what_loads_keras_contacts_no_host(watch: Watch, shoe: Path, few_of_own: Path) -> None:
    own = ["sprint", "--data", str(few_of_own), "--epochs"]
    trackers = ["--log-to", "tensorboard", "--log-to", "mlflow"]
    commands = [
        ["train", *own, "12", "--out", "run", *trackers],  # 12: accurate enough to export
        ["tune", *own, "1", "--fields", "dropout", "--trials", "1", "--out", "tuned"],
        ["evaluate", "run"],
        *(
            ["export", "run", "--format", to, "--int8"] for to in FORMATS
        ),  # loads all of float32, too
        ["explain", "run", str(shoe)],
        ["explain", "run", "--layer", "logits"],
    ]
    watch.run(sys.executable, "-c", DRIVER, json.dumps(commands))
    watch.check()
