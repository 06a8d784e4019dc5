"""Training of the garment finder, on drawn photos."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_photos import scene, tiles, wood
from PIL import Image

from wardrobe.data import Split, synthetic
from wardrobe.errors import WardrobeError
from wardrobe.inference import engines
from wardrobe.training.finder import __main__ as command
from wardrobe.training.finder import augment, fit, teacher
from wardrobe.training.finder.recipe import FINDER, FinderRecipe
from wardrobe.training.finder.teacher import Examples

SMALL = replace(FINDER, filters=(4, 8), epochs=2, batch_size=4)
ALWAYS_CROPS = replace(FINDER, crop_probability=1, tile_probability=0)
ALWAYS_TILES = replace(FINDER, tile_probability=1)
TILES = Split(*synthetic.draw(40))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for split, floor in (("train", wood()), ("validation", tiles())):
        (root / split / "dress").mkdir(parents=True)
        for label in (0, 1, 3, 4, 6):
            scene(floor, label)[0].save(root / split / "dress" / f"{label}.jpg")
    return root


def test_training_writes_a_finder_with_its_scores(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "MAX_IOU_LOSS", 1)  # a network of four steps is near no decision
    command.train(photos, TILES, tmp_path, 0, SMALL)
    facts = json.loads((tmp_path / "finder.json").read_text())
    assert facts["recipe"]["filters"] == [4, 8]
    assert facts["with_masks"] == {"train": 5, "validation": 5}
    with (tmp_path / "history.csv").open() as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == 2 and losses[1] < losses[0]
    engine = engines.open_engine(tmp_path / "finder-int8.onnx")
    assert engine.metadata["recipe"] == "finder"
    assert engine.run(np.zeros((2, 96, 96, 3), np.float32)).shape == (2, 96, 96)
    with Image.open(tmp_path / "masks.png") as sheet:
        assert sheet.width == 6 * 256
    assert {path.name for path in tmp_path.iterdir()} == {
        *("finder.json", "history.csv", "model.keras", "finder-int8.onnx", "masks.png")
    }


def test_a_file_that_disagrees_with_keras_is_not_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "MAX_IOU_LOSS", -2)  # no file can be as good
    with pytest.raises(WardrobeError, match=r"finder-int8.onnx has an IoU of .* was not kept"):
        command.train(photos, TILES, tmp_path, 0, replace(SMALL, epochs=1))
    assert not (tmp_path / "finder-int8.onnx").exists()


def test_photo_and_mask_are_warped_together() -> None:
    same_background = replace(FINDER, plain_probability=0)
    mask = np.zeros((teacher.SIDE, teacher.SIDE), np.uint8)
    mask[30:90, 40:80] = 255
    photo = np.repeat(mask[..., None], 3, axis=2)
    for number in range(20):
        tones, share = augment.augment(same_background, np.random.default_rng(number), photo, mask)
        threshold = (tones.max() + tones.min()) / 2
        found = tones.mean(2) > threshold
        if number == 0:
            assert 0.05 < share.mean() < 0.5
        assert np.mean(found == (share > 0.5)) > 0.97


@pytest.mark.parametrize("number", range(4))
def test_a_composed_photo_shows_the_garment_of_its_mask_on_other_ground(number: int) -> None:
    rng = np.random.default_rng(number)
    photos = np.zeros((2, teacher.SIDE, teacher.SIDE, 3), np.uint8)
    photos[:, :, :] = (0, 200, 0)  # floors are green, garments red
    masks = np.zeros(photos.shape[:3], np.uint8)
    masks[:, 40:90, 30:100] = 255
    photos[masks > 0] = (200, 0, 0)
    examples = teacher.Examples(photos, masks)
    for recipe in (ALWAYS_CROPS, ALWAYS_TILES):
        photo, mask = augment.compose(recipe, rng, examples, TILES.images, 0)
        assert photo.shape == photos[0].shape and mask.shape == masks[0].shape
        assert 0.05 < (mask > 127).mean() < 0.6
    photo, mask = augment.compose(ALWAYS_CROPS, rng, examples, TILES.images, 0)
    assert (photo[mask > 250][:, 0] > 150).mean() > 0.9


def test_masks_that_the_finder_disagrees_with_are_dropped(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = teacher.make_examples(sorted((photos / "train").rglob("*.jpg")))
    fed: list[int] = []

    def count(recipe: FinderRecipe, examples: Examples, *others: Any) -> Any:
        fed.append(len(examples))
        return augment.make_batch(recipe, examples, *others)

    monkeypatch.setattr(fit, "make_batch", count)
    monkeypatch.setattr(fit, "compute_iou", lambda masks, _: np.linspace(0.3, 0.9, len(masks)))
    recipe = replace(SMALL, clean_after=1, clean_below=0.5)
    fit.fit(recipe, examples, examples, TILES.images, 0)
    assert set(fed) == {5, 3}


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    module = [sys.executable, "-m", "wardrobe.training.finder", "--photos-dir", str(tmp_path)]
    result = subprocess.run(module, capture_output=True, text=True)
    assert result.returncode == 2
    assert "does not have the folders train and validation" in result.stderr.splitlines()[-1]
