"""A person's own images: any size, mode and number of classes; what is broken is named and the rest used."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import OWN_CLASSES, refused, wardrobe
from PIL import Image

from wardrobe import data, folder
from wardrobe.errors import DataError, UsageError
from wardrobe.runs import Run


def classes(root: Path, **counts: int) -> Path:
    """Makes a folder with so many grey images in each class."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (28, 28), 10 * number + 5).save(root / name / f"{number}.png")
    return root


def test_a_28x28_grey_image_comes_back_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(folder.read_image(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("size", [(28, 28), (300, 100), (1, 1), (5, 900)])
def test_every_mode_and_size_becomes_28x28(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.new(mode, size).save(path)
    pixels = folder.read_image(path)
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8


def test_16_bit_grey_keeps_its_tones(tmp_path: Path) -> None:
    tones = np.full((28, 28), 0x8000, np.uint16)
    Image.fromarray(tones).save(tmp_path / "a.png")
    assert (folder.read_image(tmp_path / "a.png") == 0x80).all()


def test_transparent_is_white_and_the_photo_is_turned_upright(tmp_path: Path) -> None:
    Image.new("RGBA", (28, 28), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (folder.read_image(tmp_path / "clear.png") == 255).all()
    half = Image.new("L", (28, 28))
    half.paste(255, (0, 0, 28, 14))  # light above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn a quarter clockwise
    half.save(tmp_path / "turned.png", exif=exif)
    turned = folder.read_image(tmp_path / "turned.png")
    assert turned[:, 14:].min() == 255  # light on the right
    assert turned[:, :14].max() == 0


def test_the_shape_is_kept_and_the_edge_tone_fills_the_square(tmp_path: Path) -> None:
    wide = Image.new("L", (200, 100), 90)
    wide.paste(250, (60, 30, 140, 70))
    wide.save(tmp_path / "a.png")
    pixels = folder.read_image(tmp_path / "a.png")
    assert pixels[0, 0] == pixels[-1, -1] == 90
    rows, columns = np.nonzero(pixels > 170)
    assert np.ptp(columns) > 1.7 * np.ptp(rows)


def test_broken_files_are_named_counted_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = classes(tmp_path, coats=4, hats=4)
    (root / "coats" / "broken.png").write_bytes(b"no picture")
    (root / "hats" / "short.png").write_bytes((root / "hats" / "0.png").read_bytes()[:40])
    os.mkfifo(root / "hats" / "pipe.png")  # reading it would wait for ever
    found = folder.read(root)
    assert found.class_names == ("coats", "hats")
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    warned = capsys.readouterr().err
    assert str(root / "coats" / "broken.png") in warned
    assert str(root / "hats" / "short.png") in warned
    assert "1 files skipped in all, 4 images used" in warned


def test_copies_are_used_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = classes(tmp_path, coats=4, hats=4)
    for number in range(20):
        (root / "hats" / f"copy-{number}.png").write_bytes((root / "hats" / "1.png").read_bytes())
    assert folder.read(root).labels.tolist() == [0] * 4 + [1] * 4
    assert "20 images are copies of others" in capsys.readouterr().err


def test_a_decompression_bomb_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = classes(tmp_path, coats=3, hats=3)
    Image.new("1", (12_000, 12_000)).save(root / "hats" / "bomb.png")
    assert len(folder.read(root).images) == 6
    assert (
        "bomb.png is no image that can be used (Image size (144000000 pixels) exceeds limit" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has 0 sub-folders, expected at least 2"),
        ({"coats": 5}, "has 1 sub-folders, expected at least 2"),
        ({"coats": 5, "hats": 0}, "hats has 0 readable images, expected at least 3"),
        ({"coats": 5, "hats": 2}, "hats has 2 readable images, expected at least 3"),
    ],
)
def test_a_folder_that_cannot_be_learnt_from_is_refused(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        folder.read(classes(tmp_path, **counts))


def test_something_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither 'auto', 'fashion-mnist', 'synthetic' nor a folder"):
        data.load_data(str(tmp_path / "fashion_mnist"))


def test_every_class_stands_in_every_split(tmp_path: Path) -> None:
    dataset = data.load_data(str(classes(tmp_path, coats=3, hats=20)))
    for split in (dataset.train, dataset.validation, dataset.open_test()):
        assert set(split.labels) == {0, 1}
    assert len(dataset.train) + len(dataset.validation) + dataset.test_size == 23


def test_the_splits_share_no_image(drawn_folder: Path) -> None:
    dataset = data.load_data(str(drawn_folder))
    splits = [
        {image.tobytes() for image in each.images} for each in (dataset.train, dataset.validation, dataset.open_test())
    ]
    assert sum(len(each) for each in splits) == len(set.union(*splits)) == 1_800


def test_a_changed_image_changes_the_sum(tmp_path: Path) -> None:
    root = classes(tmp_path, coats=3, hats=3)
    before = folder.read(root).sha256
    assert folder.read(root).sha256 == before
    Image.new("L", (28, 28), 200).save(root / "hats" / "0.png")
    assert folder.read(root).sha256 != before


def test_own_classes_are_trained_and_their_names_travel(tmp_path: Path, drawn_folder: Path) -> None:
    result = wardrobe("train", "--data", drawn_folder, "--epochs", 3, "--run", "own", "--json", cwd=tmp_path)
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


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    refused(wardrobe("train", "--data", "nothing", cwd=tmp_path), 1, "nothing has 0 sub-folders")
    assert not (tmp_path / "runs").exists()
