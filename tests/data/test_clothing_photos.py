"""The clothing photos: where they are found, how they are downloaded, checked and labelled."""

import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from drawn_photos import scene, white

from wardrobe.data import clothing_photos, download
from wardrobe.data.clothing_photos import KINDS, PUBLISHED, compute_checksum


def draw_photo(path: Path, label: int, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scene(white(), label, (shade, 60, 150))[0].save(path)
    return path


@pytest.fixture(scope="session")
def drawn_splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the published photos: two of each kind in train, one in the others."""
    root = tmp_path_factory.mktemp("photos")
    for number, (split, shades) in enumerate(
        {"train": (20, 60), "validation": (90,), "test": (120,)}.items()
    ):
        for label, kind in enumerate(KINDS):
            for shade in shades:
                draw_photo(root / split / kind / f"{number}-{shade}.jpg", label, shade)
    return root


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

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sends_parts = True
        self.breaks_after: list[int] = []  # bytes, of each of the next answers
        self.ranges: list[str | None] = []  # header of each request

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        self.ranges.append(asked)
        start = int(asked[len("bytes=") : -1]) if asked and self.sends_parts else 0
        if start >= len(self.content):
            return request.send_error(416)
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        end = start + self.breaks_after.pop(0) if self.breaks_after else None
        request.wfile.write(self.content[start:end])


@pytest.fixture
def archive(
    drawn_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Archive]:
    """The archive of `drawn_splits` on a server on loopback, and an empty cache."""
    paths = [path for path in sorted(drawn_splits.rglob("*")) if path.is_file()]
    files = {f"top/{path.relative_to(drawn_splits)}": path.read_bytes() for path in paths}
    served = Archive(pack({"top/README.md": b"about", **files}))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    for split in PUBLISHED:
        here = [path for path in paths if path.is_relative_to(drawn_splits / split)]
        monkeypatch.setitem(PUBLISHED, split, compute_checksum(drawn_splits / split, here))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/photos.tar.gz"
        monkeypatch.setattr(clothing_photos, "URL", url)
        monkeypatch.setattr(clothing_photos, "cache_folder", lambda name: tmp_path / "cache" / name)
        monkeypatch.delenv("WARDROBE_PHOTOS", raising=False)
        yield served
        server.shutdown()


def list_relative(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_photos_are_downloaded_once_and_are_the_published_ones(
    archive: Archive, drawn_splits: Path, tmp_path: Path
) -> None:
    loaded = clothing_photos.load_photos()
    cached = tmp_path / "cache/clothing-photos"
    assert loaded.source == str(cached)
    assert list_relative(cached) == list_relative(drawn_splits), "README and the like stay out"
    assert [path.name for path in cached.parent.iterdir()] == ["clothing-photos"]
    assert loaded.checksums == {
        f"clothing-photos/{split}": PUBLISHED[split] for split in ("train", "validation")
    }
    assert clothing_photos.locate() == cached
    assert len(archive.ranges) == 1


def test_a_broken_connection_is_resumed_from_where_it_broke(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 1_000)
    archive.breaks_after = [5_000, 3_000]
    clothing_photos.locate()
    assert archive.ranges == [None, "bytes=5000-", "bytes=8000-"]


def test_an_interrupted_download_is_resumed_by_the_next_command(
    archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    part = tmp_path / "cache/clothing-photos.tar.gz"
    part.write_bytes(archive.content[:7_000])
    clothing_photos.locate()
    assert archive.ranges == ["bytes=7000-"]
    assert not part.exists()


def test_a_download_that_was_complete_is_not_repeated(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/clothing-photos.tar.gz").write_bytes(archive.content)
    clothing_photos.locate()
    assert archive.ranges == [f"bytes={len(archive.content)}-"]


def test_a_server_without_parts_sends_all_again(archive: Archive, tmp_path: Path) -> None:
    archive.sends_parts = False
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/clothing-photos.tar.gz").write_bytes(archive.content[:7_000])
    assert len(clothing_photos.load_photos().train) == 20


def test_an_archive_that_was_compressed_anew_meanwhile_is_downloaded_from_the_start(
    archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/clothing-photos.tar.gz").write_bytes(b"of another compression" * 200)
    assert len(clothing_photos.load_photos().train) == 20
    assert archive.ranges == ["bytes=4400-", None]
