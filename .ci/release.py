"""Builds wheel and sdist in dist/, checks both, and uses each extra in a fresh environment.

`python .ci/release.py build` only builds and checks, `python .ci/release.py try` only installs and
uses what dist/ holds; the release workflow does the second on other machines. What has no extra is
installed with pip, as a user does; the extras with uv, which takes a fifth of the time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import install  # beside this file

DIST = Path(__file__).parents[1] / "dist"
TRAIN = "train baseline --data synthetic --limit 300 --epochs 1"
USES = {  # extra → commands that need it
    "serve": ["serve --help"],
    "train": [TRAIN],
    "tune": ["tune baseline --trials 1 --data synthetic --limit 300"],
    "export": [TRAIN, "export latest --format openvino"],  # of photo: it would download data
    "tensorboard": [f"{TRAIN} --log-to tensorboard"],
    "mlflow": [f"{TRAIN} --log-to mlflow"],
    "jax": [TRAIN],
    "scale": ["predict photo.png --engine ray --out answers"],
}


def run(*command: str | Path, cwd: Path = DIST.parent, **variables: str) -> None:
    """Runs a command; a failed one ends the script."""
    print("+", *command, flush=True)
    subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **variables}, check=True)


def make_environment(folder: Path, *packages: str, with_pip: bool = False) -> Path:
    """Returns the folder of the commands of a new environment with these packages."""
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = commands / "python"
    if with_pip:
        run(python, "-m", "pip", "install", "--quiet", "--no-compile", *packages)
    else:
        run(*install.WITH_UV, python, *packages, **install.read_pip_settings())
    run(python, "-m", "pip", "check")
    return commands


def build(scratch: Path) -> None:
    """Writes wheel and sdist to dist/ and checks them."""
    shutil.rmtree(DIST, ignore_errors=True)
    commands = make_environment(scratch / "tools", "build", "twine", "check-wheel-contents")
    run(commands / "python", "-m", "build", "--outdir", DIST)  # the wheel is made from the sdist
    run(commands / "twine", "check", "--strict", *DIST.iterdir())
    run(commands / "check-wheel-contents", *DIST.glob("*.whl"))


def use(scratch: Path, package: Path, extra: str) -> None:
    """Installs a file of dist/ with an extra, none if empty, and runs commands that need it."""
    start = time.monotonic()
    name = f"{package}[{extra}]" if extra else str(package)
    folder = scratch / "environment"
    commands = make_environment(folder, name, with_pip=not extra)
    seconds = time.monotonic() - start
    packages = sum(1 for _ in folder.rglob("*.dist-info"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    print(f"{name}: {seconds:.0f} s, {packages} packages, {size:.0f} MB", flush=True)
    draw = "from PIL import Image; Image.new('RGB', (90, 120), 'white').save('photo.png')"
    run(commands / "python", "-c", draw, cwd=scratch)
    run(commands / "wardrobe", "predict", "photo.png", cwd=scratch)
    backend = "jax" if extra == "jax" else "tensorflow"
    for command in USES.get(extra, []):
        run(commands / "wardrobe", *command.split(), cwd=scratch, KERAS_BACKEND=backend)
    shutil.rmtree(folder)


def main() -> None:
    """Does what the arguments say."""
    if not install.install_uv():
        sys.exit(1)
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] != ["try"]:
            build(Path(folder))
        if sys.argv[1:] == ["build"]:
            return
        (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
        (metadata,) = (each for each in ZipFile(wheel).namelist() if each.endswith("/METADATA"))
        fields = Parser().parsestr(ZipFile(wheel).read(metadata).decode())
        extras = [each for each in fields.get_all("Provides-Extra", []) if each != "dev"]
        use(Path(folder), sdist, "")
        for extra in ["", *extras]:
            use(Path(folder), wheel, extra)


main()
