"""The run that a path names: a folder directly below `runs/` of the working directory."""

import os

from wardrobe.errors import NotFoundError
from wardrobe.runs import ROOT, Run


def find_named_run(name: str) -> Run:
    """Returns the run whose folder has this name. No text of a request is used as a path.

    Raises:
        NotFoundError: there is no such folder.
    """
    if ROOT.is_dir() and not name.startswith("."):
        with os.scandir(ROOT) as entries:
            for entry in entries:
                if entry.name == name and entry.is_dir(follow_symlinks=False):
                    return Run(ROOT / entry.name)
    raise NotFoundError(f"there is no run {name[:80]!r} in {ROOT.resolve()}; see /api/runs")
