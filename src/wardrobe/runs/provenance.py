"""What a result depends on besides its recipe: package versions, machine, commit."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    *("wardrobe", "keras", "tensorflow", "tensorflow-cpu", "numpy", "scipy", "scikit-learn"),
    *("onnx", "onnxruntime", "tf2onnx", "pillow", "matplotlib"),
)


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages that affect a result."""
    from importlib import metadata  # here, because it loads slowly and `predict` does not need it

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_machine() -> dict[str, Any]:
    """Returns the operating system, the processor, the number of cores and the memory in GiB."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():  # Linux: platform.processor() is empty or says only "x86_64"
        names = (x for x in cpuinfo.read_text().splitlines() if x.startswith("model name"))
        processor = next(names, f": {processor}").partition(": ")[2]
    facts: dict[str, Any] = {"system": platform.platform(), "processor": processor}
    facts["cores"] = os.cpu_count()
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # bytes
        facts["memory_gib"] = round(memory / 2**30, 1)
    return facts


def git_commit() -> str | None:
    """Returns the commit of the source code; None if it is not in a git repository.

    "+changes" follows the commit if files differ from it.
    """
    try:
        _run_git("ls-files", "--error-unmatch", Path(__file__).name)
        commit, changes = _run_git("rev-parse", "HEAD"), _run_git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes else "")


def _run_git(*arguments: str) -> str:
    # Without optional locks, `git status` does not rewrite the repository's index.
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
