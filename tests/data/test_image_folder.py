"""Image folders: any image size, mode and number of classes; broken files are skipped and named."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import OWN_CLASSES, refused, wardrobe, wardrobe_here
from PIL import Image

from wardrobe import photo
from wardrobe.data import image_folder, load_data
from wardrobe.data.test_split import open_test_split
from wardrobe.errors import DataError, UsageError
from wardrobe.runs import Run


def make_classes(root: Path, **counts: int) -> Path:
    """Makes a folder with the given number of grey images in each class, no two of them equal."""
    for shade, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (28, 28), 10 * number + shade + 5).save(root / name / f"{number}.png")
    return root


def test_images_get_the_same_preparation_as_photos_in_predict(tmp_path: Path) -> None:
    root = make_classes(tmp_path, coats=3, hats=3)
    photographed = Image.new("RGB", (90, 120), "white")
    photographed.paste((20, 60, 120), (20, 10, 70, 110))
    photographed.save(root / "coats" / "z.jpg")
    images = image_folder.read_image_folder(root).images
    np.testing.assert_array_equal(images[3], photo.prepare(root / "coats" / "z.jpg"))
    assert images[3].any()


def test_broken_files_are_skipped_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_classes(tmp_path, coats=4, hats=4)
    (root / "coats" / "broken.png").write_bytes(b"no picture")
    (root / "hats" / "short.png").write_bytes((root / "hats" / "0.png").read_bytes()[:40])
    os.mkfifo(root / "hats" / "pipe.png")  # reading it would block forever
    found = image_folder.read_image_folder(root)
    assert found.class_names == ("coats", "hats")
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    warned = capsys.readouterr().err
    assert str(root / "coats" / "broken.png") in warned
    assert str(root / "hats" / "short.png") in warned
    assert f"{root}: 2 files skipped, 8 images used" in warned


def test_duplicates_are_used_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_classes(tmp_path, coats=4, hats=4)
    for number in range(20):
        (root / "hats" / f"copy-{number}.png").write_bytes((root / "hats" / "1.png").read_bytes())
    Image.open(root / "hats" / "1.png").save(root / "hats" / "converted.bmp")
    assert image_folder.read_image_folder(root).labels.tolist() == [0] * 4 + [1] * 4
    assert "21 duplicates at 28x28 pixels" in capsys.readouterr().err


def test_an_image_in_two_classes_is_named_and_used_in_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_classes(tmp_path, coats=20, hats=20)
    contradictions = [root / "coats" / f"{number}.png" for number in range(7)]
    for path in contradictions:
        Image.open(path).save(root / "hats" / f"copy-of-{path.stem}.bmp")
    dataset = load_data(str(root))
    used = dataset.train + dataset.validation + open_test_split(dataset)
    assert np.bincount(used.labels).tolist() == [13, 20]
    contradictory = {photo.prepare(path).tobytes() for path in contradictions}
    assert contradictory.isdisjoint(image.tobytes() for image in used.images)
    warned = capsys.readouterr().err
    first, second = contradictions[0], root / "hats" / "copy-of-0.bmp"
    assert f"{first} and {second} are the same image in two classes" in warned
    assert warned.count("are the same image in two classes") == 5
    assert "7 images are in several classes; none of them is used" in warned


def test_a_folder_that_was_copied_as_another_class_is_refused(tmp_path: Path) -> None:
    root = make_classes(tmp_path, coats=4, hats=4)
    shutil.copytree(root / "hats", root / "jackets")
    with pytest.raises(DataError, match="hats has 0 usable images"):
        image_folder.read_image_folder(root)


def test_a_decompression_bomb_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_classes(tmp_path, coats=3, hats=3)
    Image.new("1", (12_000, 12_000)).save(root / "hats" / "bomb.png")
    assert len(image_folder.read_image_folder(root).images) == 6
    assert (
        "bomb.png skipped: too many pixels, expected at most 50,000,000" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has 0 subfolders, expected at least 2"),
        ({"coats": 5}, "has 1 subfolders, expected at least 2"),
        ({"coats": 5, "hats": 0}, "hats has 0 usable images, expected at least 3"),
        ({"coats": 5, "hats": 2}, "hats has 2 usable images, expected at least 3"),
    ],
)
def test_too_few_classes_or_images_is_an_error(
    tmp_path: Path, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        image_folder.read_image_folder(make_classes(tmp_path, **counts))


def test_data_must_be_a_known_name_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="neither 'auto', 'fashion-mnist', 'synthetic' nor a folder"
    ):
        load_data(str(tmp_path / "fashion_mnist"))


def test_every_split_contains_every_class(tmp_path: Path) -> None:
    dataset = load_data(str(make_classes(tmp_path, coats=3, hats=20)))
    for split in (dataset.train, dataset.validation, open_test_split(dataset)):
        assert set(split.labels) == {0, 1}
    assert len(dataset.train) + len(dataset.validation) + dataset.test_size == 23


def test_the_splits_share_no_image(drawn_folder: Path) -> None:
    dataset = load_data(str(drawn_folder))
    splits = [
        {image.tobytes() for image in each.images}
        for each in (dataset.train, dataset.validation, open_test_split(dataset))
    ]
    assert sum(len(each) for each in splits) == len(set.union(*splits)) == 1_800


def test_a_changed_image_changes_the_checksum(tmp_path: Path) -> None:
    root = make_classes(tmp_path, coats=3, hats=3)
    before = image_folder.read_image_folder(root).sha256
    assert image_folder.read_image_folder(root).sha256 == before
    Image.new("L", (28, 28), 200).save(root / "hats" / "0.png")
    assert image_folder.read_image_folder(root).sha256 != before


def test_custom_class_names_reach_metrics_model_and_report(
    tmp_path: Path, drawn_folder: Path
) -> None:
    result = wardrobe_here(
        "train", "--data", drawn_folder, "--epochs", 3, "--out", "own", "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    printed, run = json.loads(result.stdout), Run(tmp_path / "own")
    names = sorted(OWN_CLASSES)
    assert printed["class_names"] == list(printed["per_class"]) == names
    assert printed["accuracy"] > 0.9
    assert printed["data"] == str(drawn_folder)
    session = onnxruntime.InferenceSession(run.onnx_path)
    assert session.get_outputs()[0].shape == ["batch", 3]
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == names
    page = run.report_path.read_text()
    assert "robe d&#39;été" in page
    assert "$5 &amp; &lt;b&gt;trousers$" in page
    assert "Ankle boot" not in page


def test_an_empty_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    refused(wardrobe("train", "--data", "nothing", cwd=tmp_path), 1, "nothing has 0 subfolders")
    assert not (tmp_path / "runs").exists()
