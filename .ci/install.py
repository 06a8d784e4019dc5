"""Installs a lock file and then the project, editable, in the environment that runs it.

uv does it in a fifth of pip's time. It reads none of pip's settings, so those of the machine are
handed on. Where uv is not available, or fails, pip installs. Both refuse a file whose checksum is
not in the lock.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = str(ROOT / "requirements/uv.txt")
# What is used is compiled when it is first used, which is quicker than to compile all of it now.
WITH_PIP = (
    sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
    "--no-compile",
)  # fmt: skip
# The newest version decides, as for pip, not which index has a package first. A Python follows.
WITH_UV = (
    sys.executable, "-m", "uv", "pip", "install", "--quiet",
    "--index-strategy", "unsafe-best-match", "--python",
)  # fmt: skip
UV_VARIABLES = {  # pip's setting → uv's variable
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "no-index": "UV_NO_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


def install_uv() -> bool:
    """Returns whether the pinned uv is installed, in the environment that runs this."""
    pinned = ("--only-binary", ":all:", "--require-hashes", "--requirement", UV)
    return subprocess.run([*WITH_PIP, *pinned]).returncode == 0


def read_pip_settings() -> dict[str, str]:
    """Returns what pip's files and variables set, in an environment for uv."""
    printed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for section in ("global.", "install.", ":env:."):  # the later ones win
        for line in printed.splitlines():
            key, _, value = line.removeprefix(section).partition("=")
            if line.startswith(section) and key in UV_VARIABLES:
                separator = "," if key == "find-links" else " "
                found[UV_VARIABLES[key]] = separator.join(ast.literal_eval(value).split())
    return {**found, **os.environ}


def install(command: tuple[str, ...], lock: str, environment: dict[str, str] | None = None) -> bool:
    """Returns whether both installations succeeded."""
    project = ("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    return all(
        subprocess.run([*command, *what], env=environment).returncode == 0
        for what in (("--require-hashes", "--requirement", lock), project)
    )


def main(lock: str) -> None:
    """Installs a lock and the project with uv, or pip if that fails; exits with 1 if both fail."""
    with_uv = (*WITH_UV, sys.executable)
    if install_uv() and install(with_uv, lock, read_pip_settings()):
        return
    print("uv cannot install here; pip does, which takes longer", file=sys.stderr, flush=True)
    if not install(WITH_PIP, lock):
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
