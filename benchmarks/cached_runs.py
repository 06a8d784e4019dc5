"""Runs that a benchmark makes once: started again after a break, it keeps those that are done and resumes the other."""

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
    """Returns the run in `path`, done and scored on test: as it lies there, resumed, or made.

    Args: as in `jobs.train`.

    Raises:
        UsageError: the run there was made with other options or versions, or was last scored on another split.
    """
    run = find_cached(path, recipes.with_epochs(recipes.get(recipe), epochs), limit=limit)
    if run is None:
        return api.train(
            recipe,
            data=data,
            data_dir=data_dir,
            epochs=epochs,
            limit=limit,
            seed=seed,
            out=path,
            stream=stream,
        )
    if run.info()["status"] != runs.DONE:
        return api.resume(path, stream=stream)
    if run.metrics()["split"] != TEST:
        raise UsageError(
            f"{path} was last scored on another split; score it on test: wardrobe evaluate {path}"
        )
    print(f"{path} is done; kept", file=stream or sys.stdout)
    return run


def find_cached(path: Path, recipe: Recipe, **info: Any) -> Run | None:
    """Returns the run in `path`; None where there is none.

    Raises:
        UsageError: it was made with another recipe, with other versions, or its run.json does not say `info`.
    """
    if not path.exists():
        return None
    run = runs.find_run(path)
    said = run.info()
    expected = {**info, "versions": runs.package_versions()}
    if run.recipe() != recipe or any(
        key not in said or said[key] != each for key, each in expected.items()
    ):
        raise UsageError(
            f"{path} was made with other options or versions; remove {path.parent} to measure anew"
        )
    return run


def provenance(done: Sequence[Run]) -> dict[str, Any]:
    """Returns what the runs' own run.json say of their data, machine, versions and source.

    Raises:
        UsageError: they do not agree, so that no one table can speak for all.
    """
    infos = [run.info() for run in done]
    shared = {}
    for key in ("data", "machine", "versions", "git_commit"):
        if any(info[key] != infos[0][key] for info in infos):
            raise UsageError(
                f"the benchmark's runs differ in {key}; remove {done[0].path.parent} to measure anew"
            )
        shared[key] = infos[0][key]
    return {"finished": max(info["finished"] for info in infos), **shared}
