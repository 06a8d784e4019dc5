"""Which finished runs a benchmark reuses."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import cached_runs
from wardrobe import runs
from wardrobe.data import Dataset, Split
from wardrobe.errors import UsageError
from wardrobe.models import recipes

RECIPE = recipes.get("baseline")
FIELDS = {"seed": 0, "limit": None}


@pytest.fixture
def dataset() -> Dataset:
    empty = Split(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64))
    checksums = {"labels": "25c8"}
    names = ("coat", "bag")
    return Dataset("fashion-mnist", "a folder", names, checksums, empty, empty, 9, lambda: empty)


@pytest.fixture
def path(tmp_path: Path, dataset: Dataset) -> Path:
    import wardrobe.workflows.train_run  # noqa: F401  # as in each process that trains

    about = dataset.describe()
    return runs.create_run(RECIPE, tmp_path / "0", data=dataset.name, dataset=about, **FIELDS).path


def test_an_equal_run_is_reused_wherever_its_data_is(path: Path, dataset: Dataset) -> None:
    moved = replace(dataset, source="another folder")
    assert cached_runs.open_cached(path, RECIPE, moved, **FIELDS).path == path


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"seed": 3}, "seed is 3, expected 0"),
        ({"limit": 100}, "limit is 100, expected None"),
        ({"data": "synthetic"}, "data is synthetic, expected fashion-mnist"),
        ({"machine": {"cores": 999}}, "machine system is missing"),
        ({"versions": {}}, "versions python is missing"),
        ({"resumed": [["cores 2, now 4"]]}, "resumed is"),
        ({"git_commit": "0000"}, "git_commit is 0000"),
    ],
)
def test_a_run_that_was_made_otherwise_is_refused(
    path: Path, dataset: Dataset, changed: dict[str, Any], difference: str
) -> None:
    runs.Run(path).update(**changed)
    with pytest.raises(UsageError, match=f"{path} cannot be reused: {difference}") as refusal:
        cached_runs.open_cached(path, RECIPE, dataset, **FIELDS)
    assert str(refusal.value).endswith(
        f"; remove it to train it again, or {path.parent} to start over"
    )


def test_other_files_classes_or_hyperparameters_are_refused(path: Path, dataset: Dataset) -> None:
    other = replace(dataset, checksums={"labels": "ffff"})
    with pytest.raises(UsageError, match="dataset checksums labels is 25c8, expected ffff"):
        cached_runs.open_cached(path, RECIPE, other, **FIELDS)
    with pytest.raises(UsageError, match="dataset class_names is"):
        cached_runs.open_cached(path, RECIPE, replace(dataset, class_names=("a", "b")), **FIELDS)
    with pytest.raises(UsageError, match=r"recipe dropout is 0\.0, expected 0\.5"):
        cached_runs.open_cached(path, replace(RECIPE, dropout=0.5), dataset, **FIELDS)


def test_a_commit_that_leaves_the_package_alone_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(cached_runs, "PACKAGE", package)

    def commit(file: Path, text: str) -> str:
        file.write_text(text)
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        git("add", ".")
        git(*name, "commit", "--quiet", "--message", text)
        return git("rev-parse", "HEAD")

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    first = commit(package / "code.py", "one")
    unrelated = commit(tmp_path / "README.md", "two")
    related = commit(package / "code.py", "three")
    assert cached_runs._is_same_code(first, unrelated)
    assert not cached_runs._is_same_code(unrelated, related)
    assert not cached_runs._is_same_code(first, f"{unrelated}+changes")
    assert not cached_runs._is_same_code(first, None)
