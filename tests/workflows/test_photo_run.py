"""A run of the recipe `photo` knows the photos that it was trained on."""

import io
import shutil
from pathlib import Path

import pytest
from conftest import wardrobe_here
from drawn_photos import draw_photo, draw_splits

from wardrobe.data import load_training_data
from wardrobe.errors import RunError, UsageError
from wardrobe.models import recipes
from wardrobe.workflows import api, opening, train_run

BASELINE, PHOTO = recipes.get("baseline"), recipes.get("photo")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    return draw_splits(tmp_path / "photos", {"train": (20, 60), "validation": (90,)})


def test_a_run_records_its_photos_and_refuses_changed_ones(
    drawn: Path, tmp_path: Path, fashion_mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "train", lambda *_: None)
    extra = draw_photo(tmp_path / "extra" / "bag" / "1.jpg", 8, 250).parents[1]
    run = api.train(
        "photo",
        data="fashion-mnist",
        data_dir=fashion_mnist_dir,
        photos_dir=drawn,
        extra_photos=extra,
        out=tmp_path / "run",
        stream=io.StringIO(),
    )
    info = run.info()
    recorded = info["dataset"]["checksums"]
    assert {"clothing-photos/train", "clothing-photos/validation", "clothing-photos/extra"} < {
        *recorded
    }
    assert info["dataset"]["photos"]["splits"] == {"train": 21, "validation": 10}
    assert f"--extra-photos {extra}" in info["reproduce"]
    dataset = opening.load_run_data(run, None)  # where they were
    assert dataset.photos is not None
    assert dataset.photos.train.kinds[-1] == "Bag"
    draw_photo(drawn / "train" / "hat" / "20.jpg", 8, 21)
    with pytest.raises(RunError, match=rf"the data in {drawn} is not what .* was trained on"):
        opening.load_run_data(run, None)


def test_photos_that_were_moved_are_opened_at_their_new_place(
    drawn: Path, tmp_path: Path, fashion_mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "train", lambda *_: None)
    places = {"photos_dir": drawn, "data_dir": fashion_mnist_dir, "out": tmp_path / "run"}
    run = api.train("photo", data="fashion-mnist", stream=io.StringIO(), **places)  # type: ignore[arg-type]
    shutil.move(drawn, tmp_path / "new")
    dataset = opening.load_run_data(run, None, photos_dir=tmp_path / "new")
    assert dataset.photos is not None
    assert dataset.photos.source == str(tmp_path / "new")


def test_photos_for_a_recipe_without_are_refused(drawn: Path, tmp_path: Path) -> None:
    result = wardrobe_here(
        "train", "baseline", "--photos-dir", drawn, "--data", "synthetic", cwd=tmp_path
    )
    assert result.returncode == 2
    assert "--photos-dir is for the recipe photo, not baseline; leave it out" in result.stderr
    with pytest.raises(UsageError, match="--extra-photos is for the recipe photo"):
        load_training_data(BASELINE, "synthetic", limit=1, extra_photos=tmp_path)


def test_photos_do_not_mix_with_images_of_other_classes(drawn: Path, few_of_own: Path) -> None:
    with pytest.raises(UsageError, match=r"ten classes, but --data .* has others; train another"):
        load_training_data(PHOTO, str(few_of_own), photos_dir=drawn)
