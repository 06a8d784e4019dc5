"""Training runs that a benchmark makes once: it reuses finished runs and resumes others.

A run is reused only if nothing that it depends on has changed, so that no table mixes code or data.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from wardrobe import runs
from wardrobe.data import TEST, Dataset, load_training_data
from wardrobe.errors import UsageError
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.workflows import api
from wardrobe.workflows.planning import plan

MAX_DIFFERENCES = 3  # listed in an error
MISSING = "missing"


def train_or_resume(
    path: Path,
    recipe: str,
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None = None,
    photos_dir: Path | None = None,
    seed: int = 0,
    stream: TextIO | None = None,
) -> Run:
    """Returns the run in `path`, trained and scored on the test split: reused, resumed or new.

    Args: as in `wardrobe.workflows.api.train`.

    Raises:
        UsageError: the run in `path` differs from the one that would be made now, or its last
            score is on another split or with other test-time augmentation.
    """
    chosen = plan.choose_recipe(recipe, {}, epochs, None, data)
    if not path.exists():
        options: dict[str, Any] = {"data": data, "data_dir": data_dir, "photos_dir": photos_dir}
        return api.train(chosen, out=path, limit=limit, seed=seed, stream=stream, **options)
    dataset = load_training_data(chosen, data, data_dir, limit, photos_dir)
    run = open_cached(path, chosen, dataset, limit=limit, seed=seed)
    if run.info()["status"] != runs.DONE:
        return api.resume(path, data_dir=data_dir, stream=stream)
    scored = {key: run.metrics()[key] for key in ("split", "tta_views")}
    if scored != {"split": TEST, "tta_views": chosen.tta_views}:
        raise UsageError(
            f"{path} was last scored on another split or with another number of views; score it "
            f"on test: wardrobe evaluate {path}"
        )
    print(f"{path} is done; reused", file=stream or sys.stdout)
    return run


def open_cached(path: Path, recipe: Recipe, dataset: Dataset, **fields: Any) -> Run:
    """Returns the run in `path`, after checking that a new run would be made in the same way.

    Args:
        recipe, dataset: of that new run.
        fields: more fields of run.json, such as `seed`.

    Raises:
        UsageError: recipe, data, a field, versions, machine or code differ.
    """
    run = runs.find_run(path)
    info = run.info()
    expected = {
        **fields,
        "data": dataset.name,
        "dataset": dataset.describe(),
        "recipe": asdict(recipe),
        "resumed": MISSING,  # the run was never resumed elsewhere
    }
    expected = json.loads(json.dumps(expected))  # as in run.json, where a tuple is a list
    differences = [
        *_list_differences({key: info.get(key, MISSING) for key in expected}, expected),
        *runs.list_differences(info, runs.describe_provenance()),
    ]
    if differences:
        more = len(differences) - MAX_DIFFERENCES
        listed = "; ".join(differences[:MAX_DIFFERENCES]) + (f"; {more} more" if more > 0 else "")
        raise UsageError(
            f"{path} cannot be reused: {listed}; remove it to train it again, or {path.parent} to "
            "start over"
        )
    return run


def provenance(done: Sequence[Run]) -> dict[str, Any]:
    """Returns time, data, machine, versions and commit of the run that finished last.

    Args:
        done: runs that were made now or compared with now, so that they differ in none of these.
    """
    last = max((run.info() for run in done), key=lambda info: info["finished"])
    return {key: last[key] for key in ("finished", "data", "machine", "versions", "git_commit")}


def _list_differences(found: Any, expected: Any, name: str = "") -> Iterator[str]:
    """Yields a description of each difference between two JSON values, but for "source".

    It is the folder of the data, which may have moved.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*expected, *found]):
            if key == "source":
                continue
            values = found.get(key, MISSING), expected.get(key, MISSING)
            yield from _list_differences(*values, f"{name} {key}".strip())
    elif found != expected:
        yield f"{name} is {found}, expected {expected}"
