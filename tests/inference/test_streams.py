"""Photos from https:// addresses and from a camera."""

import http.server
import io
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import trustme
from conftest import wardrobe_here
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.inference import streams


def draw_png() -> bytes:
    """A white page with a drawn garment, 280 x 280."""
    tile = synthetic.draw(1, seed=0)[0][0]
    buffer = io.BytesIO()
    Image.fromarray(255 - tile).resize((280, 280)).save(buffer, "PNG")
    return buffer.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the picture at /x.png, half of it at /half.png, and redirects."""

    def do_GET(self) -> None:
        content = draw_png()
        where = {"/to-https": "/x.png", "/to-http": "http://127.0.0.1:1/", "/to-file": "file:///"}
        if self.path in where:
            self.send_response(302)
            self.send_header("Location", where[self.path])
            self.end_headers()
            return
        self.send_response(200 if ".png" in self.path else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path == "/half.png" else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An https server; SSL_CERT_FILE names the authority that signed its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path_factory.mktemp("https") / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(trusted))
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_is_classified_like_the_file(address: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(draw_png())
    paths = "x.png", f"{address}/x.png?width=280", f"{address}/to-https"
    lines = wardrobe_here("predict", *paths, cwd=tmp_path).stdout.splitlines()
    answers = [line.split(path)[1].split() for line, path in zip(lines, paths, strict=True)]
    assert answers[0] == answers[1] == answers[2] != []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing", "the server answered 404"),
        ("/half.png", "bytes are missing"),
        ("/to-http", "unknown url type: http"),
        ("/to-file", "not allowed"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_failure(
    address: str, path: str, reason: str, tmp_path: Path
) -> None:
    found = wardrobe_here("predict", address + path, cwd=tmp_path)
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 2
    assert reason in found.stderr


def test_what_is_too_large_or_too_slow_or_not_trusted_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> str:
        return str(streams.read(f"{address}/x.png"))

    monkeypatch.setattr(streams, "MAX_BYTES", 100)
    assert "more than 100 bytes" in read()
    monkeypatch.undo()
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=iter([0, 31]).__next__))
    assert "not complete after 30 s" in read()
    monkeypatch.undo()
    monkeypatch.setenv("SSL_CERT_FILE", "")
    assert "CERTIFICATE_VERIFY_FAILED" in read()


@pytest.mark.parametrize("path", ["http://127.0.0.1/x.png", "file:///etc/hosts", "ftp://h/x"])
def test_other_addresses_are_refused(path: str, tmp_path: Path) -> None:
    assert "not an https:// address" in wardrobe_here("predict", path, cwd=tmp_path).stderr


def test_a_camera_gives_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = cv2.imdecode(np.frombuffer(draw_png(), np.uint8), cv2.IMREAD_COLOR)

    class Camera:
        opened: ClassVar[list[int]] = []

        def __init__(self, number: int) -> None:
            self.opened.append(number)

        def isOpened(self) -> bool:  # noqa: N802
            return self.opened[-1] < 2

        def read(self) -> tuple[bool, Any]:
            return True, frame

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    (tmp_path / "x.png").write_bytes(draw_png())
    found = wardrobe_here("predict", "x.png", "camera:1", "camera:2", "--camera", cwd=tmp_path)
    assert Camera.opened == [1, 2, 0]
    file, one, zero = found.stdout.splitlines()
    assert file.split()[1:] == one.split()[1:] == zero.split()[1:]
    assert "camera:2: no camera gives a picture" in found.stderr


def test_no_image_is_wrong_usage(tmp_path: Path) -> None:
    found = wardrobe_here("predict", cwd=tmp_path)
    assert found.returncode == 2
    assert "no image is given" in found.stderr
