"""What a result depends on besides its recipe: package versions, machine, source code.

The same seed gives the same weights, bit for bit, only if all of these are the same: with another
number of threads or other vector instructions, the same numbers are added in another order.
"""

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wardrobe import __version__

PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "numpy", "scipy", "scikit-learn"),
    *("jax", "jaxlib", "cleanlab", "onnx", "onnxruntime", "tf2onnx", "openvino", "nncf"),
    *("ai-edge-litert", "opencv-python-headless", "pillow", "matplotlib"),
)
SOURCE = Path(__file__).parents[1]  # the package
# Vector extensions of the processor that decide which kernels TensorFlow and oneDNN choose.
VECTOR_EXTENSIONS = re.compile(r"(avx|amx|sse4|fma|sve|asimd)\w*")
BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # those that compute in bfloat16; AVX2 alone is slow in it
# Environment variables that change the number of threads, or which kernels run.
SETTINGS = re.compile(
    r"KERAS_BACKEND|JAX_\w+|XLA_FLAGS|CUDA_VISIBLE_DEVICES|\w+_NUM_THREADS"
    r"|TF_(NUM_\w+_THREADS|ENABLE_ONEDNN_OPTS|XLA_FLAGS)|ONEDNN_MAX_CPU_ISA"
)
IGNORED_FIELDS = "system", "memory_gib"  # they do not affect results


def describe_provenance() -> dict[str, Any]:
    """Returns "versions", "machine", "git_commit" and "source_sha256" as they are now."""
    return {
        "versions": package_versions(),
        "machine": describe_machine(),
        "git_commit": git_commit(),
        "source_sha256": compute_source_checksum(),
    }


def list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns the changes that may make a new run differ, such as "numpy 2.3, now 2.4".

    Args:
        before, now: as `describe_provenance` returns them; further fields are ignored.
    """
    old, new = ({**info.get("versions", {}), **info.get("machine", {})} for info in (before, now))
    differences = [
        f"{name} {old.get(name)}, now {new.get(name)}"
        for name in sorted({*old, *new} - {*IGNORED_FIELDS})
        if old.get(name) != new.get(name)
    ]
    # The commit may differ where the code does not, and the code where the commit does not.
    if before.get("source_sha256") != now["source_sha256"]:
        differences.append(f"the source code of commit {before.get('git_commit')}, now other code")
    return differences


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages that affect a result."""
    from importlib import metadata  # here, because it loads slowly and `predict` does not need it

    versions = {"python": platform.python_version(), "wardrobe": __version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_machine() -> dict[str, Any]:
    """Returns the operating system, the processor with its vector extensions, cores and memory.

    "cores" counts those of the machine, "usable_cores" those that this process may use;
    "memory_gib" is in GiB; "settings" are the environment variables that change threads or kernels.
    """
    cpuinfo, fields = Path("/proc/cpuinfo"), {}
    if cpuinfo.exists():  # Linux: platform.processor() is empty or says only "x86_64"
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    processor = fields.get("model name") or platform.processor() or platform.machine()
    facts: dict[str, Any] = {"system": platform.platform(), "processor": processor}
    flags = fields.get("flags", "") or fields.get("Features", "")  # of x86, of Arm
    extensions = (flag for flag in flags.split() if VECTOR_EXTENSIONS.fullmatch(flag))
    facts["vector_extensions"] = sorted(extensions)
    facts["cores"] = os.cpu_count()
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux; a container may allow fewer cores
    facts["usable_cores"] = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    names = sorted(name for name in os.environ if SETTINGS.fullmatch(name))
    facts["settings"] = {name: os.environ[name] for name in names}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # bytes
        facts["memory_gib"] = round(memory / 2**30, 1)
    return facts


def compute_source_checksum() -> str:
    """Returns the SHA-256 of the package's Python files and the finder, their names included.

    The finder is a network that photos are prepared with. It decides their pixels as code does.
    """
    digest = hashlib.sha256()
    for path in sorted([*SOURCE.rglob("*.py"), *SOURCE.glob("pretrained/finder*.onnx")]):
        digest.update(f"{path.relative_to(SOURCE).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def git_commit() -> str | None:
    """Returns the commit of the source code; None if it is not in a git repository.

    "+changes" follows the commit if source files differ from it; result files do not count.
    """
    try:
        _run_git("ls-files", "--error-unmatch", Path(__file__).name)
        commit = _run_git("rev-parse", "HEAD")
        card = ":(top,exclude)src/wardrobe/pretrained/README.md"  # a result
        changes = _run_git("status", "--porcelain", "--", ":/src", ":/benchmarks", card)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes else "")


def _run_git(*arguments: str) -> str:
    # Without optional locks, `git status` does not rewrite the repository's index.
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
