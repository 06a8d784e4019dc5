"""Makes a run folder. A page's server may have prepared it: images, and what was asked for."""

import contextlib
import dataclasses
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe.errors import RunError, UsageError
from wardrobe.models.recipes import Recipe
from wardrobe.runs.files import check_writable, write_json
from wardrobe.runs.provenance import describe_provenance
from wardrobe.runs.run import CONTROL, LATEST, NETWORK, ROOT, RUNNING, Run

IMAGES = "images"  # a run's own data: one folder per class
JOB, LOG = "job.json", "job.log"  # of a training that a page started


def create_run(recipe: Recipe, path: Path | None, **fields: Any) -> Run:
    """Makes a run folder and its run.json: status, recipe, `fields`, versions, machine, commit.

    Args:
        recipe: what is trained.
        path: the folder to make; if None, `runs/<recipe>-<date>-<time>`.
        fields: more fields of run.json, such as `data` and `seed`; for a function, what it returns
            for the run's folder.

    Raises:
        RunError: `path` exists, with more in it than that; see `check_new_folder`.
    """
    now = datetime.now(UTC)
    facts: dict[str, Any] = {
        "status": RUNNING,
        "started": now.isoformat(timespec="seconds"),
        "recipe": dataclasses.asdict(recipe),
        **describe_provenance(),
    }
    if path is None:
        path = make_numbered_folder(f"{recipe.name}-{now.astimezone():%Y%m%d-%H%M%S}")
    else:
        check_new_folder(path)
        path.mkdir(parents=True, exist_ok=_is_prepared(path))
    facts |= {name: value(path) if callable(value) else value for name, value in fields.items()}
    try:
        if recipe.network is not None:
            code = Path(recipe.network).read_bytes()
            facts["recipe"] |= {"network": NETWORK}
            facts["network_sha256"] = hashlib.sha256(code).hexdigest()
            (path / NETWORK).write_bytes(code)
        write_json(path / "run.json", facts)
    except BaseException:
        (path / NETWORK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it has images
            path.rmdir()  # an empty folder would refuse the same command
        raise
    return Run(path)


def check_new_folder(path: Path | None) -> None:
    """Checks that a run can be created at `path`, or, if it is None, below runs/.

    A folder may exist that has only `images`, the data of the new run, and what the server wrote.

    Raises:
        RunError: `path` exists, or is not writable.
        UsageError: its name is "latest", which is reserved for the newest run.
    """
    if path is not None and path.name == LATEST:
        raise UsageError(f"--out {path}: 'latest' means the newest run; choose another name")
    if path is not None and path.exists() and not _is_prepared(path):
        hint = f", or resume the run: {Run(path).resume_line}" if Run(path).exists() else ""
        raise RunError(f"{path} already exists; give --out a new folder{hint}")
    check_writable(path or ROOT)


def _is_prepared(path: Path) -> bool:
    """Returns whether a folder has nothing but what a new run may find there."""
    names = {each.name for each in path.iterdir()} if path.is_dir() else set()
    visible = {name for name in names if not name.startswith(".")}  # hidden: being written
    return bool(names) and visible <= {IMAGES, JOB, LOG, CONTROL}


def make_numbered_folder(name: str) -> Path:
    """Makes runs/NAME, or NAME-2, NAME-3, … if other runs were started in the same second."""
    path, number = ROOT / name, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = ROOT / f"{name}-{number}"
        else:
            return path
