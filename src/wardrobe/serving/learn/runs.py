"""The run folders directly below `runs/` of the working directory."""

import contextlib
from pathlib import Path

from wardrobe.errors import NotFoundError
from wardrobe.runs import ROOT, Run


def list_folders() -> list[Path]:
    """Returns the folders directly below `runs/`, no links and none that is hidden."""
    with contextlib.suppress(FileNotFoundError):
        each = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
        return [path for path in each if path.is_dir() and not path.is_symlink()]
    return []


def find_named_run(name: str) -> Run:
    """Returns the run whose folder has this name. No text of a request is used as a path.

    Raises:
        NotFoundError: there is no such folder.
    """
    for path in list_folders():
        if path.name == name:
            return Run(path)
    raise NotFoundError(f"there is no run {name[:80]!r} in {ROOT.resolve()}; see /api/runs")
