"""Fashion-MNIST: where its files are found, how they are verified and downloaded, fixed splits."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from wardrobe.data import fashion_mnist, load_data
from wardrobe.data.fashion_mnist import File
from wardrobe.data.load import stratified_split
from wardrobe.errors import DataError, DataMissingError, UsageError

NAME = "train-images-idx3-ubyte.gz"


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
    images, labels = np.arange(2 * 784, dtype=np.uint8), np.array([3, 9], np.uint8)
    contents = {
        "images": b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x1c\x00\x00\x00\x1c"
        + images.tobytes(),
        "labels": b"\x00\x00\x08\x01\x00\x00\x00\x02" + labels.tobytes(),
    }
    files = {}
    for key, file in fashion_mnist.FILES.items():
        packed = gzip.compress(contents[key.split("_")[1]], mtime=0)
        (served / file.name).write_bytes(packed)
        files[key] = File(file.name, hashlib.md5(packed).hexdigest())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=served)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        mirrors = (f"http://127.0.0.1:{port}/nothing/", f"http://127.0.0.1:{port}/")
        monkeypatch.setattr(fashion_mnist, "MIRRORS", mirrors)
        monkeypatch.setattr(fashion_mnist, "FILES", files)
        monkeypatch.setattr(fashion_mnist, "cache_folder", lambda: tmp_path / "cache")
        monkeypatch.delenv("WARDROBE_DATA", raising=False)
        yield served
        server.shutdown()


def test_files_are_downloaded_from_the_next_mirror_and_cached(mirror: Path, tmp_path: Path) -> None:
    paths = fashion_mnist.locate()
    assert {path.parent for path in paths.values()} == {tmp_path / "cache"}
    assert fashion_mnist.read_images(paths["train_images"]).shape == (2, 28, 28)
    assert fashion_mnist.read_labels(paths["train_labels"]).tolist() == [3, 9]
    for file in mirror.iterdir():
        file.unlink()
    assert fashion_mnist.locate() == paths  # from the cache
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(
        path.name for path in paths.values()
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
    fashion_mnist.locate()
    monkeypatch.setenv("WARDROBE_DATA", str(folders["environment"]))
    assert fashion_mnist.locate(folders["flag"])["test_images"].parent == folders["flag"]
    assert fashion_mnist.locate()["test_images"].parent == folders["environment"]


def test_a_cached_file_with_a_wrong_checksum_is_reported_renamed_and_replaced(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cached = fashion_mnist.locate()["train_images"]
    good = cached.read_bytes()
    cached.write_bytes(good[:-100])
    assert fashion_mnist.locate()["train_images"].read_bytes() == good
    assert cached.with_name(NAME + ".wrong-checksum").read_bytes() == good[:-100]
    warned = capsys.readouterr().err
    assert str(cached) in warned
    assert "renamed to" in warned


def test_a_wrong_file_in_the_users_folder_is_reported_and_not_changed(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / NAME).write_bytes(b"an old release")
    assert fashion_mnist.locate(own)["train_images"].parent == tmp_path / "cache"
    assert (own / NAME).read_bytes() == b"an old release"
    assert f"{own / NAME} has MD5" in capsys.readouterr().err


def test_a_download_with_a_wrong_checksum_is_rejected(mirror: Path, tmp_path: Path) -> None:
    (mirror / NAME).write_bytes(b"<html>sign in to this network</html>")
    with pytest.raises(DataMissingError, match=NAME):
        fashion_mnist.locate()
    assert not (tmp_path / "cache" / NAME).exists()


@pytest.mark.usefixtures("mirror")
def test_auto_fails_if_the_users_file_is_wrong_and_no_mirror_responds(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    (mirror / NAME).write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"truncated or an old release.*replace that file"):
        load_data("auto", mirror)


def test_a_data_dir_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        fashion_mnist.locate(tmp_path / "nothing")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b"short", mtime=0),
        gzip.compress(b"\x00\x00\x08\x03" + b"\x01" * 40, mtime=0),
    ],
    ids=["empty", "not gzip", "short", "wrong sizes"],
)
def test_a_file_in_another_format_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    with pytest.raises(DataError, match=NAME):
        fashion_mnist.read_images(path)


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


def test_a_validation_split_smaller_than_held_out_stays_whole(drawn_folder: Path) -> None:
    whole, other = (load_data(str(drawn_folder), held_out=held_out) for held_out in (None, 1_000))
    assert (len(other.train), len(other.validation)) == (len(whole.train), len(whole.validation))


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_an_error(limit: int) -> None:
    with pytest.raises(UsageError, match=f"--limit {limit}"):
        load_data("synthetic", limit=limit)
