"""The clothing photos: where they are found, how they are downloaded, checked and labelled."""

import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import refused, wardrobe_here
from drawn_photos import draw_splits, scene, white
from PIL import Image

from wardrobe import photo
from wardrobe.data import clothing_photos, download
from wardrobe.data.clothing_photos import KINDS, PUBLISHED, Photos, compute_checksum
from wardrobe.errors import DataError, DataMissingError, UsageError
from wardrobe.evaluation.photos import open_photos
from wardrobe.labels import CLASS_NAMES
from wardrobe.runs.locks import exclusive_lock


def draw_photo(path: Path, label: int, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scene(white(), label, (shade, 60, 150))[0].save(path)
    return path


@pytest.fixture(scope="session")
def drawn_splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the published photos: two of each kind in train, one in the others."""
    shades = {"train": (20, 60), "validation": (90,), "test": (120,)}
    return draw_splits(tmp_path_factory.mktemp("photos"), shades)


def list_files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file()]


def pack(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """Returns a .tar.gz archive of files and of symbolic links."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return packed.getvalue()


class Archive:
    """What the server sends, and what it was asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.content = pack(files)
        self.sends_parts = True
        self.breaks_after: list[int] = []  # bytes, of each of the next answers
        self.ranges: list[str | None] = []  # header of each request

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        self.ranges.append(asked)
        start = int(asked[len("bytes=") : -1]) if asked and self.sends_parts else 0
        if asked and start >= len(self.content):
            return request.send_error(416)
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        end = start + self.breaks_after.pop(0) if self.breaks_after else None
        request.wfile.write(self.content[start:end])


@pytest.fixture
def published(drawn_splits: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`drawn_splits`, which counts as the published photos."""
    for split in PUBLISHED:
        folder = drawn_splits / split
        monkeypatch.setitem(PUBLISHED, split, compute_checksum(folder, list_files(folder)))
    monkeypatch.delenv("WARDROBE_PHOTOS", raising=False)
    return drawn_splits


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the photos in an empty cache."""
    monkeypatch.setattr(clothing_photos, "cache_folder", lambda name: tmp_path / "cache" / name)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "clothing-photos"


@pytest.fixture
def archive(published: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """The archive of the published photos, on a server on loopback."""
    files = {
        f"top/{path.relative_to(published)}": path.read_bytes() for path in list_files(published)
    }
    served = Archive({"top/README.md": b"about", **files})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/photos.tar.gz"
        monkeypatch.setattr(clothing_photos, "URL", url)
        yield served
        server.shutdown()


def partial(cached: Path) -> Path:
    """Returns the path of a download that is not complete."""
    return cached.with_name("clothing-photos.tar.gz")


def test_the_published_photos_are_downloaded_once(
    archive: Archive, published: Path, cached: Path
) -> None:
    loaded = clothing_photos.load_photos()
    assert loaded.source == str(cached)
    assert loaded.checksums == {
        f"clothing-photos/{split}": PUBLISHED[split] for split in ("train", "validation")
    }
    assert (len(loaded.train), len(loaded.validation)) == (20, 10)
    relative = [
        [path.relative_to(root) for path in list_files(root)] for root in (cached, published)
    ]
    assert relative[0] == relative[1], "README.md and the like stay out"
    assert clothing_photos.locate() == cached
    assert len(archive.ranges) == 1
    assert [*cached.parent.iterdir()] == [cached], "a download left files behind"


def test_a_broken_connection_is_resumed_from_where_it_broke(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 1_000)
    archive.breaks_after = [5_000, 3_000]
    clothing_photos.locate()
    assert archive.ranges == [None, "bytes=5000-", "bytes=8000-"]


def test_a_connection_that_brings_nothing_more_is_an_error_and_keeps_what_there_is(
    archive: Archive, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 1_000)
    archive.breaks_after = [5_000, 0]
    with pytest.raises(DataMissingError, match=r"failed \(ChunkedEncodingError\); try again"):
        clothing_photos.locate()
    assert partial(cached).read_bytes() == archive.content[:5_000]
    clothing_photos.locate()
    assert archive.ranges == [None, "bytes=5000-", "bytes=5000-"]


def test_a_download_that_was_complete_is_not_repeated(archive: Archive, cached: Path) -> None:
    partial(cached).write_bytes(archive.content)
    assert clothing_photos.locate() == cached
    assert archive.ranges == [f"bytes={len(archive.content)}-"]


def test_a_server_without_parts_sends_all_again(archive: Archive, cached: Path) -> None:
    archive.sends_parts = False
    partial(cached).write_bytes(archive.content[:7_000])
    assert clothing_photos.locate() == cached
    assert archive.ranges == ["bytes=7000-"]


def test_parts_of_two_archives_are_downloaded_again(archive: Archive, cached: Path) -> None:
    partial(cached).write_bytes(b"of another compression" * 200)
    assert clothing_photos.locate() == cached
    assert archive.ranges == ["bytes=4400-", None]


@pytest.mark.parametrize(
    "content",
    [b"<html>sign in to this network</html>", pack({"top/train/hat/1.jpg": b"another photo"})],
    ids=["no archive", "other photos"],
)
def test_other_content_is_an_error_and_leaves_nothing(
    archive: Archive, cached: Path, content: bytes
) -> None:
    archive.content = content
    with pytest.raises(DataMissingError, match=r"does not have the published clothing photos"):
        clothing_photos.locate()
    assert [*cached.parent.iterdir()] == []


@pytest.mark.parametrize("end", [b"", bytes(20_000)], ids=["cut short", "overwritten"])
def test_a_damaged_archive_is_an_error(archive: Archive, cached: Path, end: bytes) -> None:
    archive.content = archive.content[:20_000] + end
    with pytest.raises(DataMissingError, match=r"does not have the published clothing photos"):
        clothing_photos.locate()
    assert [*cached.parent.iterdir()] == []


def test_members_outside_the_splits_are_not_extracted(
    archive: Archive, published: Path, cached: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.jpg"
    others = dict.fromkeys(("../outside.jpg", str(outside), "top/train/hat/../9.jpg"), b"evil")
    others |= {"top/train/../../../outside.jpg": b"evil", "top/train/gloves/1.jpg": b"evil"}
    others |= {"top/.github/train/hat/1.jpg": b"evil", "top/train/hat/run.sh": b"evil"}
    archive.content = pack({**others, **archive.files}, {"top/train/hat/link.jpg": str(outside)})
    clothing_photos.locate()
    assert len(list_files(cached)) == len(list_files(published))
    assert not outside.exists()
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == sorted(
        path.name for path in list_files(published)
    )


def test_a_cache_that_cannot_be_written_is_one_line(archive: Archive, cached: Path) -> None:
    cached.parent.rmdir()
    cached.parent.write_bytes(b"a file in place of the folder")
    with pytest.raises(DataError, match=r"cannot store the download; free some space, or give"):
        clothing_photos.locate()
    assert archive.ranges == []


def test_two_downloads_at_a_time_are_refused(archive: Archive, cached: Path) -> None:
    is_refused = pytest.raises(DataError, match=r"another process is downloading to .*; wait")
    with exclusive_lock(cached.parent, DataError("busy")), is_refused:
        clothing_photos.locate()
    assert archive.ranges == []


def test_without_network_the_error_is_one_line(tmp_path: Path) -> None:
    result = wardrobe_here("data", "--download-photos", cwd=tmp_path)
    refused(result, 1, "the clothing photos are not in", "failed (ProxyError)", "--photos-dir")


def test_a_photo_that_changed_in_the_cache_is_an_error(published: Path, cached: Path) -> None:
    shutil.copytree(published, cached)
    draw_photo(cached / "train/hat/20.jpg", 0, 200)
    with pytest.raises(DataError, match=r"published photos in train; delete this folder"):
        clothing_photos.load_photos()


def test_photos_dir_precedes_the_environment_which_precedes_the_cache(
    published: Path, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, environment = (shutil.copytree(published, tmp_path / name) for name in ("flag", "set"))
    shutil.copytree(published, cached)
    assert clothing_photos.find() == cached
    monkeypatch.setenv("WARDROBE_PHOTOS", str(environment))
    assert clothing_photos.find() == environment
    assert clothing_photos.find(flag) == flag
    monkeypatch.setenv("WARDROBE_PHOTOS", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"^\$WARDROBE_PHOTOS .*nowhere does not have the folders"):
        clothing_photos.find()
    with pytest.raises(UsageError, match=r"^--photos-dir .* does not have the folders train and"):
        clothing_photos.find(published / "train")


def test_photos_are_prepared_as_in_predict_and_labelled_by_folder(published: Path) -> None:
    loaded = clothing_photos.load_photos(published)
    paths = list_files(published / "train")
    assert loaded.train.kinds.tolist() == [path.parent.name for path in paths]
    for number in (0, 7, 19):
        np.testing.assert_array_equal(loaded.train.images[number], photo.prepare(paths[number]))
    assert loaded.validation.images.shape == (10, 28, 28)
    assert loaded.validation.images.dtype == np.uint8


def test_the_evaluation_opens_the_test_photos(published: Path) -> None:
    photos = open_photos("test", published)
    (path,) = (published / "test/shoes").iterdir()
    (image,) = photos.images[photos.kinds == "shoes"]
    np.testing.assert_array_equal(image, photo.prepare(path))
    validation = open_photos("validation", published)
    np.testing.assert_array_equal(
        validation.images, clothing_photos.load_photos(published).validation.images
    )


def test_targets_are_the_classes_that_count_as_correct() -> None:
    kinds = np.array(["pants", "shoes", "hat", "other", "Bag", "Sneaker"])
    targets = Photos(np.zeros((6, 28, 28), np.uint8), kinds).targets(CLASS_NAMES)
    names = (*CLASS_NAMES, "none")
    assert [{names[i] for i in np.flatnonzero(row)} for row in targets] == [
        *({"Trouser"}, {"Sandal", "Sneaker", "Ankle boot"}, {"none"}, {"none"}, {"Bag"}),
        {"Sneaker"},
    ]
    assert targets.dtype == np.float32
    assert targets.max() == 1
    nothing = Photos(np.zeros((0, 28, 28), np.uint8), kinds[:0])
    assert nothing.targets(CLASS_NAMES).shape == (0, 11)


def test_every_class_but_one_has_a_kind() -> None:
    accepted = [name for names in KINDS.values() for name in names]
    assert sorted([*accepted, "Bag"]) == sorted(CLASS_NAMES)


def test_another_data_set_of_the_same_layout_is_used_with_a_warning(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clothing_photos.load_photos(published)
    assert capsys.readouterr().err == ""
    own = shutil.copytree(published, tmp_path / "own")
    draw_photo(own / "train/Bag/1.png", 8, 30)
    loaded = clothing_photos.load_photos(own)
    assert len(loaded.train) == 21
    assert loaded.checksums["clothing-photos/train"] != PUBLISHED["train"]
    warned = capsys.readouterr().err
    assert warned == (
        f"wardrobe: {own} does not have the published photos in train; its own are used\n"
    )


def test_a_photo_that_cannot_be_read_is_skipped_and_named(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = shutil.copytree(published, tmp_path / "own")
    (own / "train/hat/60.jpg").write_bytes((own / "train/hat/20.jpg").read_bytes()[:500])
    assert len(clothing_photos.load_photos(own).train) == 19
    warned = capsys.readouterr().err
    assert f"{own / 'train/hat/60.jpg'} skipped: not an image, or corrupted" in warned
    assert f"{own}: 1 files skipped, 29 images used" in warned


def test_extra_photos_are_added_to_the_training_photos_alone(
    published: Path, tmp_path: Path
) -> None:
    for number, name in enumerate(["shoes", "T-Shirt", "ankle boot", "other", "BAG"]):
        draw_photo(tmp_path / "extra" / name / "deeper" / f"{number}.png", number, 200)
    draw_photo(tmp_path / "extra" / ".thumbnails" / "1.png", 0, 100)
    plain = clothing_photos.load_photos(published)
    loaded = clothing_photos.load_photos(published, tmp_path / "extra")
    assert sorted(loaded.train.kinds[20:]) == ["Ankle boot", "Bag", "other", "shoes", "t-shirt"]
    np.testing.assert_array_equal(loaded.train.images[:20], plain.train.images)
    np.testing.assert_array_equal(loaded.validation.images, plain.validation.images)
    assert loaded.checksums.keys() - plain.checksums.keys() == {"clothing-photos/extra"}
    draw_photo(tmp_path / "extra/shoes/more.png", 5, 250)
    more = clothing_photos.load_photos(published, tmp_path / "extra")
    assert more.checksums["clothing-photos/extra"] != loaded.checksums["clothing-photos/extra"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_extra_photos_that_score_the_model_are_left_out(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    draw_photo(tmp_path / "extra/hat/new.png", 2, 200)
    copied = tmp_path / "extra/hat/copied.jpg"
    (held_out,) = (published / split / "hat").iterdir()
    copied.write_bytes(held_out.read_bytes())
    loaded = clothing_photos.load_photos(published, tmp_path / "extra")
    assert len(loaded.train) == 21
    tiles = {image.tobytes() for image in loaded.train.images}
    assert photo.prepare(held_out).tobytes() not in tiles
    warned = capsys.readouterr().err
    assert f"{copied} is also in train, validation or test; it is not added" in warned


def test_a_folder_of_extra_photos_must_name_kinds(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"extra is not a folder; give one with subfolders such"):
        clothing_photos.load_photos(published, tmp_path / "extra")
    draw_photo(tmp_path / "extra/1.png", 0, 10)
    with pytest.raises(DataError, match=r"extra has no photo that can be used; add some to its"):
        clothing_photos.load_photos(published, tmp_path / "extra")
    draw_photo(tmp_path / "extra/gloves/1.png", 0, 10)
    with pytest.raises(UsageError, match=r"extra/gloves is not named .*; rename it to .*t-shirt"):
        clothing_photos.load_photos(published, tmp_path / "extra")


def test_wardrobe_data_says_where_the_photos_are(
    published: Path, tmp_path: Path, few_of_own: Path
) -> None:
    call = ("data", "--data", few_of_own)
    found = wardrobe_here(*call, "--photos-dir", published, "--json", cwd=tmp_path)
    photos = json.loads(found.stdout)["photos"]
    assert photos["source"] == str(published)
    assert photos["kinds"].keys() == KINDS.keys()
    assert photos["kinds"]["shoes"] == {"train": 2, "validation": 1}
    printed = wardrobe_here(*call, "--photos-dir", published, cwd=tmp_path).stdout
    assert f"photos    {published}\n" in printed
    assert f"{'shoes':<16}{2:>8}{1:>12}\n" in printed
    missing = wardrobe_here(*call, cwd=tmp_path)
    assert "photos    not found; add --download-photos to download them" in missing.stdout
    assert missing.stderr == "", "it tried to download them"


def test_files_that_cannot_be_read_are_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = draw_splits(tmp_path, {"train": (20,), "validation": (90,)})
    (root / "train/hat/broken.jpg").symlink_to("nowhere")
    (root / "train/hat/text.jpg").write_text("no image")
    loaded = clothing_photos.load_photos(root)
    assert len(loaded.train) == 10
    warned = capsys.readouterr().err
    assert "broken.jpg skipped" in warned
    assert "text.jpg skipped" in warned


@pytest.mark.parametrize("side", [160, 120])
def test_an_extra_photo_that_is_in_train_is_not_added_twice(
    published: Path, tmp_path: Path, side: int
) -> None:
    first = next((published / "train/pants").iterdir())
    copy = tmp_path / "extra/trouser/again.png"
    copy.parent.mkdir(parents=True)
    with Image.open(first) as image:
        image.resize((side, side)).save(copy)  # the same pixels in another file, or a thumbnail
    assert len(clothing_photos.load_photos(published, tmp_path / "extra").train) == 20
