"""Training runs that a benchmark makes once: it reuses finished runs and resumes others.

A run is reused only if nothing that it depends on has changed, so that no table mixes code or data.
"""

import json
import operator
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from benchmarks import results
from wardrobe import runs
from wardrobe.data import TEST, Dataset, load_data
from wardrobe.errors import UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal import console
from wardrobe.workflows import api

PACKAGE = Path(runs.__file__).parents[1]  # the code that a run depends on
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
    seed: int = 0,
    stream: TextIO | None = None,
) -> Run:
    """Returns the run in `path`, trained and scored on the test split: reused, resumed or new.

    Args: as in `wardrobe.workflows.api.train`.

    Raises:
        UsageError: the run in `path` differs from the one that would be made now, or its last
            score is on another split or with other test-time augmentation.
    """
    chosen = recipes.with_epochs(recipes.get(recipe), epochs)
    if not path.exists():
        options: dict[str, Any] = {"data": data, "data_dir": data_dir, "limit": limit, "seed": seed}
        return api.train(chosen, out=path, stream=stream, **options)
    dataset = load_data(data, data_dir, limit, chosen.held_out)
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
    with console.suppress_native_logs():  # Keras sets variables that are in `machine`
        import wardrobe.workflows.train_run  # noqa: F401
    run = runs.find_run(path)
    info, now = run.info(), results.provenance()
    source = info.get("dataset", {}).get("source")  # the files may have moved
    expected = {
        **fields,
        "data": dataset.name,
        "dataset": {**dataset.describe(), "source": source},
        "recipe": asdict(recipe),
        "versions": now["versions"],
        "machine": now["machine"],
        "resumed": MISSING,  # the run was never resumed elsewhere
    }
    expected = json.loads(json.dumps(expected))  # as in run.json, where a tuple is a list
    differences = [*_list_differences({key: info.get(key, MISSING) for key in expected}, expected)]
    if not _is_same_code(info["git_commit"], now["git_commit"]):
        differences.append(f"git_commit is {info['git_commit']}, expected {now['git_commit']}")
    if differences:
        more = len(differences) - MAX_DIFFERENCES
        listed = "; ".join(differences[:MAX_DIFFERENCES]) + (f"; {more} more" if more > 0 else "")
        raise UsageError(
            f"{path} cannot be reused: {listed}; remove it to train it again, or {path.parent} to "
            "start over"
        )
    return run


def provenance(done: Sequence[Run]) -> dict[str, Any]:
    """Returns data, machine, versions and commit, as in the run.json of all runs.

    Raises:
        UsageError: they differ between runs, so no one table can describe them.
    """
    infos = [run.info() for run in done]
    last = max(infos, key=lambda info: info["finished"])
    shared = {key: last[key] for key in ("data", "machine", "versions", "git_commit")}
    for run, info in zip(done, infos, strict=True):
        for key, value in shared.items():
            is_same = _is_same_code if key == "git_commit" else operator.eq
            if not is_same(info[key], value):
                raise UsageError(
                    f"{run.path} differs in {key} from the last run of this benchmark; remove it "
                    "to train it again"
                )
    return {"finished": last["finished"], **shared}


def _list_differences(found: Any, expected: Any, name: str = "") -> Iterator[str]:
    """Yields a description of each difference between two JSON values."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*expected, *found]):
            values = found.get(key, MISSING), expected.get(key, MISSING)
            yield from _list_differences(*values, f"{name} {key}".strip())
    elif found != expected:
        yield f"{name} is {found}, expected {expected}"


def _is_same_code(commit: str | None, other: str | None) -> bool:
    """Returns whether the package is the same at two commits, which may differ elsewhere.

    Uncommitted changes ("+changes") count as the same only on the same commit.
    """
    if commit == other or commit is None or other is None:
        return commit == other
    trees = [_read_tree(each) for each in (commit, other)]
    return trees[0] is not None and trees[0] == trees[1]


def _read_tree(commit: str) -> str | None:
    """Returns git's checksum of src/wardrobe at a commit; None if git does not have it."""
    command = ["git", "-C", str(PACKAGE), "rev-parse", "--verify", "--quiet", f"{commit}:./"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or None
