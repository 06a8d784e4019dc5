"""Fashion-MNIST: where its files are found, how they are verified and downloaded, fixed splits."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardrobe.data import Dataset, load_data
from wardrobe.data.fashion_mnist import files as fashion_mnist
from wardrobe.data.fashion_mnist import forms
from wardrobe.data.fashion_mnist.files import File
from wardrobe.data.load import stratified_split
from wardrobe.errors import DataError, DataMissingError, UsageError

NAME = "train-images-idx3-ubyte.gz"
PIXELS = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)
PUBLISHED = {
    "train": (PIXELS, np.array([3, 9], np.uint8)),
    "test": (255 - PIXELS, np.array([0, 4], np.uint8)),
}  # split → images and labels of the test's files


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mirror on loopback, listed after a dead one.

    It has small files in the published format; FILES holds their checksums.
    """
    served = tmp_path / "mirror"
    served.mkdir()
    contents = {}
    for split, (images, labels) in PUBLISHED.items():
        header = b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x1c\x00\x00\x00\x1c"
        contents[f"{split}_images"] = header + images.tobytes()
        contents[f"{split}_labels"] = b"\x00\x00\x08\x01\x00\x00\x00\x02" + labels.tobytes()
    files = {}
    for key, file in fashion_mnist.FILES.items():
        content = contents[key]
        packed = gzip.compress(content, mtime=0)
        (served / file.name).write_bytes(packed)
        files[key] = File(
            file.name, hashlib.md5(packed).hexdigest(), hashlib.md5(content).hexdigest()
        )
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=served)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        mirrors = (f"http://127.0.0.1:{port}/nothing/", f"http://127.0.0.1:{port}/")
        monkeypatch.setattr(fashion_mnist, "MIRRORS", mirrors)
        monkeypatch.setattr(fashion_mnist, "FILES", files)
        monkeypatch.setattr(fashion_mnist, "cache_folder", lambda: tmp_path / "cache")
        monkeypatch.delenv("WARDROBE_DATA", raising=False)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
        monkeypatch.chdir(tmp_path)
        yield served
        server.shutdown()


def test_files_are_downloaded_from_the_next_mirror_and_cached(mirror: Path, tmp_path: Path) -> None:
    copies = fashion_mnist.find()
    assert {copy.path.parent for copy in copies.values()} == {tmp_path / "cache"}
    assert forms.parse_images(copies["train_images"].content).shape == (2, 28, 28)
    assert forms.parse_labels(copies["train_labels"].content).tolist() == [3, 9]
    for file in mirror.iterdir():
        file.unlink()
    assert fashion_mnist.find() == copies  # from the cache
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(
        copy.path.name for copy in copies.values()
    )


def test_data_dir_precedes_the_environment_which_precedes_the_cache(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {}
    for name in ("flag", "environment"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for file in mirror.iterdir():
            (folders[name] / file.name).write_bytes(file.read_bytes())
    fashion_mnist.find()
    monkeypatch.setenv("WARDROBE_DATA", str(folders["environment"]))
    assert fashion_mnist.find(folders["flag"])["test_images"].path.parent == folders["flag"]
    assert fashion_mnist.find()["test_images"].path.parent == folders["environment"]


def test_a_cached_file_with_a_wrong_checksum_is_reported_renamed_and_replaced(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cached = fashion_mnist.find()["train_images"].path
    good = cached.read_bytes()
    cached.write_bytes(good[:-100])
    assert fashion_mnist.find()["train_images"].path.read_bytes() == good
    assert cached.with_name(NAME + ".wrong-checksum").read_bytes() == good[:-100]
    warned = capsys.readouterr().err
    assert str(cached) in warned
    assert "is renamed to" in warned


def test_a_wrong_file_in_the_users_folder_is_reported_and_not_changed(
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / NAME).write_bytes(b"an old release")
    monkeypatch.setenv("WARDROBE_DATA", str(own))
    assert fashion_mnist.find()["train_images"].path.parent == tmp_path / "cache"
    assert (own / NAME).read_bytes() == b"an old release"
    assert f"the content of {own / NAME} has MD5" in capsys.readouterr().err


def test_a_download_with_a_wrong_checksum_is_rejected(mirror: Path, tmp_path: Path) -> None:
    (mirror / NAME).write_bytes(b"<html>sign in to this network</html>")
    with pytest.raises(DataMissingError, match=NAME):
        fashion_mnist.find()
    assert not (tmp_path / "cache" / NAME).exists()


def write_idx(folder: Path, mirror: Path, name: str) -> None:
    """Writes each file unpacked; `name` has its parts, such as train-images, idx3 and ubyte."""
    for file in mirror.iterdir():
        parts = file.name.removesuffix(".gz").rsplit("-", 2)
        (folder / name.format(*parts)).write_bytes(gzip.decompress(file.read_bytes()))


def write_gzipped(folder: Path, mirror: Path) -> None:
    for file in mirror.iterdir():
        content = gzip.decompress(file.read_bytes())
        (folder / file.name.replace(".gz", ".GZ")).write_bytes(gzip.compress(content, 1, mtime=7))


def write_csv(folder: Path, mirror: Path, header: str = "label" + ",pixel" * 784) -> None:
    for split, (images, labels) in PUBLISHED.items():
        table = np.column_stack([labels, images.reshape(2, -1)])
        path = folder / f"fashion-mnist_{split}.csv"
        np.savetxt(path, table, "%d", ",", header=header, comments="")


def write_npz(folder: Path, mirror: Path, scale: int = 1) -> None:
    arrays: dict[str, Any] = {}
    for split, (images, labels) in PUBLISHED.items():
        arrays[f"x_{split}"] = images[..., None] if scale == 1 else np.float32(images / scale)
        arrays[f"y_{split}"] = labels.astype(np.int64)[:, None]
    np.savez(folder / "fmnist.npz", allow_pickle=False, **arrays)


def write_parquet(folder: Path, mirror: Path) -> None:
    import cv2
    import pyarrow
    from pyarrow import parquet

    for split, (images, labels) in PUBLISHED.items():
        encoded = [{"bytes": cv2.imencode(".png", each)[1].tobytes()} for each in images]
        table = pyarrow.table({"image": encoded, "label": labels.astype(np.int64)})
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("below", "write"),
    [
        ("FashionMNIST/raw", partial(write_idx, name="{}-{}-{}")),
        (".", partial(write_idx, name="{}.{}-{}")),
        (".", write_gzipped),
        (".", write_csv),
        (".", partial(write_csv, header="")),
        (".", write_npz),
        (".", partial(write_npz, scale=255)),
        ("fashion_mnist", write_parquet),
    ],
    ids=["raw", "dotted", "gzipped", "csv", "no header", "npz", "scaled npz", "parquet"],
)
def test_every_form_gives_the_published_content(
    mirror: Path, tmp_path: Path, below: str, write: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "own" / below
    folder.mkdir(parents=True)
    write(folder, mirror)
    published = {key: copy.content for key, copy in fashion_mnist.find(mirror).items()}
    for place in (tmp_path / "own", next(folder.iterdir())):  # a folder, or one file of it
        assert fashion_mnist.is_copy(place)
        found = fashion_mnist.find(place)
        assert {key: copy.content for key, copy in found.items()} == published
        assert {copy.path.parent for copy in found.values()} == {folder}


@pytest.mark.parametrize("place", ["keras/datasets/fashion-mnist", "data/FashionMNIST/raw"])
def test_copies_of_keras_and_torchvision_are_used(mirror: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    write_gzipped(tmp_path / place, mirror)
    for file in mirror.iterdir():
        file.unlink()
    assert {copy.path.parent.name for copy in fashion_mnist.find().values()} == {Path(place).name}


@pytest.mark.parametrize("name", ["auto", "fashion-mnist"])
def test_a_data_dir_without_a_usable_copy_is_an_error(
    mirror: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: it has no files; expected"):
        load_data(name, folder)
    write_csv(folder, mirror)
    rows = (folder / "fashion-mnist_train.csv").read_text().splitlines()
    (folder / "fashion-mnist_train.csv").write_text("\n".join([rows[0], rows[2], rows[1]]))
    (folder / "notes.csv").write_text("a,b")
    (folder / "fashion-mnist_test.csv").unlink()
    with pytest.raises(DataError, match=r"fashion-mnist_train.csv has MD5 .* in another order"):
        load_data(name, folder)


@pytest.mark.parametrize("content", [b"", b"not gzip", b"\x1f\x8b cut short"])
def test_a_damaged_file_in_the_data_dir_is_an_error(mirror: Path, content: bytes) -> None:
    (mirror / NAME).write_bytes(content)
    with pytest.raises(DataError, match=rf"{NAME} (has MD5|cannot be read).*replace that file"):
        load_data("auto", mirror)


def test_a_data_dir_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder or file"):
        fashion_mnist.find(tmp_path / "nothing")


def test_a_folder_of_classes_is_no_copy(mirror: Path, tmp_path: Path) -> None:
    for name in ("shirts", "trousers"):
        (tmp_path / "own" / name).mkdir(parents=True)
    write_csv(tmp_path / "own", mirror)
    assert not fashion_mnist.is_copy(tmp_path / "own")


def test_the_split_is_stratified_and_fixed(fashion_mnist_dir: Path) -> None:
    dataset = load_data("fashion-mnist", fashion_mnist_dir)
    assert (len(dataset.train), len(dataset.validation), dataset.test_size) == (
        55_000,
        5_000,
        10_000,
    )
    assert np.bincount(dataset.train.labels).tolist() == [5_500] * 10
    assert np.bincount(dataset.validation.labels).tolist() == [500] * 10
    # If the split changes, results are no longer comparable with the published ones.
    assert (
        hashlib.sha256(dataset.validation.images.tobytes()).hexdigest()[:16] == "8f2c40d7e14094b8"
    )
    assert hashlib.sha256(dataset.train.images.tobytes()).hexdigest()[:16] == "5b832c92301c7192"


def test_a_split_is_disjoint_and_complete() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 3])
    kept, held_out = stratified_split(labels, 10)
    assert sorted([*kept, *held_out]) == list(range(83))
    assert np.bincount(labels[held_out]).tolist() == [6, 4, 1]


def test_limit_keeps_the_first_training_images_and_the_other_splits_whole(
    fashion_mnist_dir: Path,
) -> None:
    whole, seven = (load_data("fashion-mnist", fashion_mnist_dir, limit) for limit in (None, 7))
    np.testing.assert_array_equal(seven.train.images, whole.train.images[:7])
    assert len(seven.validation) == 5_000


def test_validation_images_that_are_not_held_out_join_the_training_split(
    fashion_mnist_dir: Path,
) -> None:
    whole, more = (
        load_data("fashion-mnist", fashion_mnist_dir, held_out=held_out)
        for held_out in (None, 1_000)
    )
    assert (len(more.train), len(more.validation), more.test_size) == (59_000, 1_000, 10_000)
    np.testing.assert_array_equal(more.validation.images, whole.validation.images[:1_000])
    np.testing.assert_array_equal(more.train.images[:55_000], whole.train.images)
    np.testing.assert_array_equal(more.train.labels[55_000:], whole.validation.labels[1_000:])
    assert more.checksums == whole.checksums


def test_a_validation_split_smaller_than_held_out_stays_whole(few_of_own: Path) -> None:
    whole, other = (load_data(str(few_of_own), held_out=held_out) for held_out in (None, 1_000))
    assert (len(other.train), len(other.validation)) == (len(whole.train), len(whole.validation))


def test_a_folder_is_not_taken_for_a_data_set_by_its_name(drawn_data: Dataset) -> None:
    names = ["fashion-mnist", "synthetic", "/home/me/photos", "/me/fashion-mnist", "/me/synthetic"]
    found = [replace(drawn_data, name=name).public_name for name in names]
    assert found == ["fashion-mnist", "synthetic", "photos", "fashion-mnist/", "synthetic/"]


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_an_error(limit: int) -> None:
    with pytest.raises(UsageError, match=f"--limit {limit}"):
        load_data("synthetic", limit=limit)
