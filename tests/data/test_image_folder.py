"""Image folders: any image size, mode and number of classes; broken files are skipped and named."""

import html
import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import OWN_CLASSES, refused, wardrobe, wardrobe_here
from PIL import Image, ImageDraw

from wardrobe import photo
from wardrobe.data import Split, image_folder, load_data, synthetic
from wardrobe.data.test_split import open_test_split
from wardrobe.errors import DataError, UsageError
from wardrobe.inference.predict import find_images
from wardrobe.photo import copies
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


def test_class_names_are_printable_and_the_same_on_every_machine(tmp_path: Path) -> None:
    names = [os.fsdecode(b"f\xfcr"), "a\nb", "\u202ec", "हिं\u200dदी", " <b>=1+1, %s$x^2$"]
    composed, decomposed = (
        [*names, unicodedata.normalize(form, "é가"), "f"] for form in ("NFC", "NFD")
    )
    first, second = (
        image_folder.read_image_folder(
            make_classes(tmp_path / str(number), **dict.fromkeys(each, 3))
        )
        for number, each in enumerate((composed, decomposed))
    )
    expected = {r"f\udcfcr", r"a\nb", r"\u202ec", *names[3:], "é가", "f"}
    assert set(first.class_names) == expected
    assert (first.class_names, first.checksums) == (second.class_names, second.checksums)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_class_folders_with_one_name_are_refused(tmp_path: Path) -> None:
    root = make_classes(tmp_path, **dict.fromkeys(["\u00e9", "e\u0301"], 3))
    with pytest.raises(DataError, match="has the name of another class folder"):
        image_folder.read_image_folder(root)


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
        "bomb.png skipped: 12000x12000 is too many pixels, expected at most 50,000,000"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has 0 subfolders, expected at least 2"),
        ({"coats": 5}, "has 1 subfolders, expected at least 2"),
        ({"coats": 5, "hats": 0}, "has 1 subfolders, expected at least 2"),
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


def test_the_splits_share_no_image(few_of_own: Path) -> None:
    dataset = load_data(str(few_of_own))
    splits = [
        {image.tobytes() for image in each.images}
        for each in (dataset.train, dataset.validation, open_test_split(dataset))
    ]
    assert sum(len(each) for each in splits) == len(set.union(*splits)) == 450


def test_a_changed_image_changes_the_checksum(tmp_path: Path) -> None:
    root = make_classes(tmp_path, coats=3, hats=3)
    before = image_folder.read_image_folder(root).checksums
    assert image_folder.read_image_folder(root).checksums == before
    Image.new("L", (28, 28), 200).save(root / "hats" / "0.png")
    assert image_folder.read_image_folder(root).checksums != before


def make_photos(folder: Path, count: int) -> Path:
    """Makes a folder of photos, no two of them alike, also not those of another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = list(os.fsencode(str(folder)))
    for number in range(count):
        pattern = np.random.default_rng([number, *seed]).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(pattern).resize((240, 240)).save(folder / f"{number}.jpg")
    return folder


def make_splits(root: Path, **counts: int) -> Path:
    for split, count in counts.items():
        for name in ("coats", "hats"):
            make_photos(root / split / name, count)
    return root


def read_tiles(folder: Path) -> set[bytes]:
    return {photo.prepare(path).tobytes() for path in folder.rglob("*.jpg")}


def to_tiles(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def test_folders_of_splits_are_the_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_splits(tmp_path / "own", Train=5, valid=3, TEST=4)
    (root / "labels").mkdir()
    (root / "Train/sashes").mkdir()
    dataset = load_data(str(root))
    assert dataset.class_names == ("coats", "hats")
    assert to_tiles(dataset.train) == read_tiles(root / "Train")
    assert to_tiles(dataset.validation) == read_tiles(root / "valid")
    assert to_tiles(open_test_split(dataset)) == read_tiles(root / "TEST")
    assert dataset.checksums.keys() == {"sha256/Train", "sha256/valid", "sha256/TEST"}
    warned = capsys.readouterr().err
    assert f"{root}: ignored labels (no image)\n" in warned
    assert f"{root / 'Train'}: ignored sashes (no image)\n" in warned
    result = wardrobe_here("data", "--data", root, cwd=tmp_path)
    assert "10 train from Train/, 6 validation from valid/, 8 test from TEST/" in result.stdout


@pytest.mark.parametrize(
    ("given", "validation", "test"),
    [({"test": 3}, "train", "test"), ({"val": 3}, "val", "train"), ({}, "train", "train")],
)
def test_a_missing_split_is_carved_from_train(
    tmp_path: Path, given: dict[str, int], validation: str, test: str
) -> None:
    root = make_splits(tmp_path, train=10, **given)
    dataset = load_data(str(root))
    folders = {"train": "train", "validation": validation, "test": test}
    assert dataset.describe()["split_folders"] == folders
    for split, folder in ((dataset.validation, validation), (open_test_split(dataset), test)):
        assert set(split.labels) == {0, 1}
        assert to_tiles(split) <= read_tiles(root / folder)
        assert to_tiles(split).isdisjoint(to_tiles(dataset.train))
        assert folder == "train" or len(split) == 6


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        (
            ["train/a", "train/b", "test/a", "test/c"],
            "has other classes in test than in train: b, c",
        ),
        (["train/a", "train/b", "test"], "has images in test outside of classes, such as 0.jpg"),
        (["train", "a", "b"], "has a, b beside train"),
        (["train/a", "train/b", "."], "has images beside train, such as 0.jpg"),
        (["val/a", "val/b", "valid/a", "valid/b"], "has several folders for one split: val, valid"),
        (["test/a", "test/b"], "has test, but no train"),
        (["men/a", "women/a"], "has images only deeper, such as men/a/0.jpg"),
        (["train/men/a", "train/women/a"], "has images only deeper, such as train/men/a/0.jpg"),
    ],
)
def test_an_unclear_layout_is_refused(tmp_path: Path, folders: list[str], problem: str) -> None:
    root = tmp_path / "own"
    for folder in folders:
        make_photos(root / folder, 3)
    result = wardrobe_here("data", "--data", root, cwd=tmp_path)
    refused(result, 1, f"{root} {problem}; expected one subfolder per class, or the folders train")


def test_what_is_no_photo_of_the_person_is_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "own"
    expected = {*make_photos(root / "coats", 3).iterdir(), *make_photos(root / "hats", 3).iterdir()}
    others = ("runs", "Trained", "coats/@eaDir/0.jpg", "__MACOSX/hats", "#recycle", ".cache")
    for folder in (*others, "hats/.ipynb_checkpoints", "$RECYCLE.BIN/S-1", "lost+found"):
        make_photos(root / folder, 3)
    (root / "Trained/run.json").write_text("{}")
    (root / "hats/._0.jpg").write_bytes(b"\0\5\x16\7")
    (root / "hats/Thumbs.db").write_bytes(b"\xd0\xcf")
    (root / "empty").mkdir()
    images = image_folder.read_image_folder(root)
    assert images.class_names == ("coats", "hats")
    assert len(images.images) == 6
    warned = capsys.readouterr().err
    for line in ("empty (no image), ", "Trained (run folder), ", "and 3 more"):
        assert line in warned
    assert set(map(Path, map(str, find_images([str(root)])))) == expected
    assert "ignored" in capsys.readouterr().err


def test_links_to_folders_are_followed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "own"
    make_photos(root / "hats", 3)
    make_photos(tmp_path / "disk/coats", 3)
    make_photos(tmp_path / "disk/more", 2)
    links = {"coats": "disk/coats", "loop": "own", "out": ".", "again": "own/hats"}
    links |= {"coats/all": "own/hats", "hats/more": "disk/more"}
    for name, target in links.items():
        (root / name).symlink_to(tmp_path / target, target_is_directory=True)
    found = image_folder.read_image_folder(root)
    assert found.class_names == ("coats", "hats")
    assert found.labels.tolist() == [0] * 3 + [1] * 5
    assert len([*find_images([str(root)])]) == 8
    assert "loop (link to a folder that is listed already)" in capsys.readouterr().err


def test_names_without_an_extension_are_recognised_by_content(tmp_path: Path) -> None:
    for name in ("coats", "hats"):
        for path in make_photos(tmp_path / name, 4).iterdir():
            path.rename(path.with_suffix(".5 final" if path.stem == "0" else ""))
        (tmp_path / name / "README").write_text("Python, not a photo")
        os.mkfifo(tmp_path / name / "pipe")
        (tmp_path / name / "3").rename(tmp_path / name / "3.HIF")
    assert len(image_folder.read_image_folder(tmp_path).images) == 8
    assert len([*find_images([str(tmp_path)])]) == 8


def save_copies(path: Path) -> None:
    """Saves a thumbnail, and the photo at another quality and size."""
    with Image.open(path) as image:
        image.resize((96, 96)).save(path.with_name(f"{path.stem}-thumbnail.jpg"))
        image.save(path.with_name(f"{path.stem}-again.jpg"), quality=30)
        image.resize((200, 210)).save(path.with_name(f"{path.stem}-resized.webp"))


def test_copies_of_a_photo_are_in_one_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("coats", "hats"):
        for path in sorted(make_photos(tmp_path / name, 6).iterdir()):
            save_copies(path)
    found = image_folder.read_image_folder(tmp_path)
    assert len(np.unique(found.groups)) == 12
    assert len(found.groups) > 30, "copies with other pixels are kept"
    group = {image.tobytes(): each for image, each in zip(found.images, found.groups, strict=True)}
    dataset = load_data(str(tmp_path))
    splits = [
        {group[image.tobytes()] for image in each.images}
        for each in (dataset.train, dataset.validation, open_test_split(dataset))
    ]
    assert sum(len(each) for each in splits) == 12
    assert "of another size or quality" in capsys.readouterr().err


def test_copies_of_test_photos_are_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_splits(tmp_path, train=6, test=2)
    copied = root / "train/coats/copied.jpg"
    with Image.open(root / "test/coats/1.jpg") as image:
        image.resize((90, 90)).save(copied)
    dataset = load_data(str(root))
    assert dataset.test_size == 4
    assert len(dataset.train) + len(dataset.validation) == 12
    assert f"such as {copied} and {root / 'test/coats/1.jpg'}" in capsys.readouterr().err


@pytest.mark.parametrize("is_marked", [True, False])
def test_drawings_of_one_shape_are_no_copies_in_a_folder_of_tiles(
    tmp_path: Path, is_marked: bool
) -> None:
    for name, shape in (
        ("circle", ImageDraw.ImageDraw.ellipse),
        ("box", ImageDraw.ImageDraw.rectangle),
    ):
        (tmp_path / name).mkdir()
        for number in range(6):
            image = Image.new("L", (28, 28))
            shape(ImageDraw.Draw(image), (6, 6, 20, 20), fill=200 + number)
            image.save(tmp_path / name / f"{number}.png")
    if is_marked:
        (tmp_path / image_folder.TILES).touch()
        assert len(set(image_folder.read_image_folder(tmp_path).groups)) == 12
    else:
        with pytest.raises(DataError, match="usable images, expected"):
            image_folder.read_image_folder(tmp_path)


def test_different_garments_are_not_taken_for_copies() -> None:
    drawn = synthetic.draw(500, seed=1)[0]
    thumbnails = np.stack([copies.shrink(np.stack([image] * 3, axis=-1)) for image in drawn])
    np.testing.assert_array_equal(copies.group_copies(thumbnails), np.arange(len(drawn)))


def test_custom_class_names_reach_metrics_model_and_report(own_run: Run) -> None:
    scores, names = own_run.metrics(), sorted(OWN_CLASSES)
    assert scores["class_names"] == list(scores["per_class"]) == names
    assert scores["data"] == own_run.info()["data"]
    session = onnxruntime.InferenceSession(own_run.onnx_path)
    assert session.get_outputs()[0].shape == ["batch", 3]
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == names
    page = own_run.report_path.read_text()
    assert "robe d&#39;été" in page
    assert "$5 &amp; &lt;b&gt;trousers$" in page
    assert "Ankle boot" not in page
    data, suggested = scores["data"], html.unescape(page)
    assert f"wardrobe train sprint --data {data} --set conv_filters=16<" in suggested
    assert f"conv_filters=(16,)), data={data!r})" in suggested


def test_an_empty_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    refused(wardrobe("train", "--data", "nothing", cwd=tmp_path), 1, "nothing has 0 subfolders")
    assert not (tmp_path / "runs").exists()
