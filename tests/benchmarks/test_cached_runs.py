"""Which finished runs a benchmark reuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import cached_runs
from wardrobe import runs
from wardrobe.data import Dataset, Split
from wardrobe.data.clothing_photos import ClothingPhotos, Photos
from wardrobe.errors import UsageError
from wardrobe.models import recipes
from wardrobe.workflows import api

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
    about = dataset.describe()
    return runs.create_run(RECIPE, tmp_path / "0", data=dataset.name, dataset=about, **FIELDS).path


def test_an_equal_run_is_reused_wherever_its_data_is(path: Path, dataset: Dataset) -> None:
    moved = replace(dataset, source="another folder")
    run = runs.Run(path)
    # Another commit with the same code, and a new kernel.
    run.update(git_commit="ab12", machine={**run.info()["machine"], "system": "Linux-7"})
    assert cached_runs.open_cached(path, RECIPE, moved, **FIELDS).path == path


def test_a_run_with_photos_is_reused_if_they_are_the_same_wherever_they_are(
    tmp_path: Path, dataset: Dataset
) -> None:
    none = Photos(dataset.train.images, np.zeros(0, str))
    first, moved, other = (
        replace(
            dataset,
            photos=ClothingPhotos(folder, {}, none, none),
            checksums=dataset.checksums | {"photos/train": checksum},
        )
        for folder, checksum in (("here", "9eb7"), ("there", "9eb7"), ("there", "04ff"))
    )
    about = {"data": dataset.name, "dataset": first.describe()}
    path = runs.create_run(RECIPE, tmp_path / "1", **about, **FIELDS).path
    assert cached_runs.open_cached(path, RECIPE, moved, **FIELDS).path == path
    with pytest.raises(UsageError, match="dataset checksums photos/train is 9eb7, expected 04ff"):
        cached_runs.open_cached(path, RECIPE, other, **FIELDS)


def test_the_photos_folder_is_that_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(api, "train", lambda recipe, **options: given.append(options))
    options: dict[str, Any] = {"data": "synthetic", "data_dir": None, "epochs": 1}
    cached_runs.train_or_resume(tmp_path / "2", "photo", photos_dir=tmp_path, **options)
    assert (given[0]["photos_dir"], given[0]["out"]) == (tmp_path, tmp_path / "2")


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"seed": 3}, "seed is 3, expected 0"),
        ({"limit": 100}, "limit is 100, expected None"),
        ({"data": "synthetic"}, "data is synthetic, expected fashion-mnist"),
        ({"machine": {}}, "cores None, now "),
        ({"versions": {"wardrobe": "0.1"}}, "ai-edge-litert None, now "),
        ({"resumed": [["cores 2, now 4"]]}, "resumed is"),
        ({"source_sha256": "0000", "git_commit": "ab12"}, "the source code of commit ab12, now"),
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
