"""Training runs that a benchmark makes once: it reuses finished runs and resumes others."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from wardrobe import runs
from wardrobe.data import TEST
from wardrobe.errors import UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.workflows import api


def train_or_resume(
    path: Path,
    recipe: str,
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None = None,
    seed: int = 0,
    stream: TextIO | None = None,
) -> Run:
    """Returns the run in `path`, trained and scored on the test split: reused, resumed or new.

    Args: as in `wardrobe.workflows.api.train`.

    Raises:
        UsageError: the run in `path` has other options or versions, or its last score is on
            another split.
    """
    run = find_cached(path, recipes.with_epochs(recipes.get(recipe), epochs), limit=limit)
    if run is None:
        options: dict[str, Any] = {"epochs": epochs, "limit": limit, "seed": seed}
        return api.train(recipe, data=data, data_dir=data_dir, out=path, stream=stream, **options)
    if run.info()["status"] != runs.DONE:
        return api.resume(path, stream=stream)
    if run.metrics()["split"] != TEST:
        raise UsageError(
            f"{path} was last scored on another split; score it on test: wardrobe evaluate {path}"
        )
    print(f"{path} is done; reused", file=stream or sys.stdout)
    return run


def find_cached(path: Path, recipe: Recipe, **expected: Any) -> Run | None:
    """Returns the run in `path`, or None if there is none.

    Raises:
        UsageError: its recipe, its versions or a field of `expected` in run.json differ.
    """
    if not path.exists():
        return None
    run = runs.find_run(path)
    info = run.info()
    expected["versions"] = runs.package_versions()
    is_same = all(key in info and info[key] == value for key, value in expected.items())
    if run.recipe() != recipe or not is_same:
        raise UsageError(
            f"{path} was made with other options or versions; remove {path.parent} to start over"
        )
    return run


def provenance(done: Sequence[Run]) -> dict[str, Any]:
    """Returns data, machine, versions and commit, as in the run.json of all runs.

    Raises:
        UsageError: they differ between runs, so no one table can describe them.
    """
    infos = [run.info() for run in done]
    shared = {}
    for key in ("data", "machine", "versions", "git_commit"):
        if any(info[key] != infos[0][key] for info in infos):
            raise UsageError(
                f"the runs of this benchmark differ in {key}; remove {done[0].path.parent} "
                "to start over"
            )
        shared[key] = infos[0][key]
    return {"finished": max(info["finished"] for info in infos), **shared}
