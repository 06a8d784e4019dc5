"""Images that are not files: standard input, a pipe, an https:// address, a camera."""

import contextlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from wardrobe import __version__
from wardrobe.photo.listing import Failure
from wardrobe.terminal import console

STDIN = "-"
URL = "https://"
CAMERA = "camera:"  # and the number of the camera
MAX_BYTES = 100_000_000
URL_SECONDS = 30  # for the whole image
WARM_UP = 10  # frames in which a camera sets its exposure
# What urllib may do. It has no handler for http:// and file://, so no redirect leads there.
HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)


def is_stream(path: str) -> bool:
    """Returns whether `path` is standard input, an https:// address or a camera."""
    return path == STDIN or path.startswith((URL, CAMERA))


def read(path: str) -> bytes | Failure:
    """Returns the content of a stream or a pipe, or why it cannot be read."""
    if path.startswith(CAMERA):
        return _take_picture(path)
    if path == STDIN and sys.stdin is None:
        return Failure(path, "standard input is closed")
    try:
        content = _download(path) if path.startswith(URL) else _read_pipe(path)
    except urllib.error.HTTPError as error:
        return Failure(path, f"the server answered {error.code} {error.reason}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Failure(path, f"cannot be read: {getattr(error, 'reason', None) or error}")
    if len(content) > MAX_BYTES:
        return Failure(path, f"more than {MAX_BYTES:,} bytes; give a file")
    return content


def _read_pipe(path: str) -> bytes:
    stdin = contextlib.nullcontext(sys.stdin.buffer) if path == STDIN else None
    with stdin or Path(path).open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _download(address: str) -> bytes:
    opener = urllib.request.OpenerDirector()
    for handler in HANDLERS:
        opener.add_handler(handler())
    request = urllib.request.Request(address, headers={"User-Agent": f"wardrobe/{__version__}"})
    deadline, content = time.monotonic() + URL_SECONDS, bytearray()
    with opener.open(request, timeout=URL_SECONDS) as response:
        while len(content) <= MAX_BYTES and (chunk := response.read1(1 << 20)):
            content += chunk
            if time.monotonic() > deadline:
                raise TimeoutError(f"not complete after {URL_SECONDS} s")
    if response.length:  # what the server promised and did not send
        raise OSError(f"{response.length:,} bytes are missing")
    return bytes(content)


def _take_picture(path: str) -> bytes | Failure:
    """Returns a picture of a camera as a PNG."""
    number = path.removeprefix(CAMERA)
    if not number.isdecimal():
        return Failure(path, f"not a camera; give {CAMERA}0, or {CAMERA}1 for the second one")
    import cv2

    with console.suppress_native_logs():  # OpenCV says on stderr what it tried
        camera = cv2.VideoCapture(int(number))
        try:
            frames = [camera.read() for _ in range(WARM_UP)] if camera.isOpened() else []
        finally:
            camera.release()
    if not frames or not frames[-1][0]:
        devices = "/dev/video*" if os.name == "posix" else "its settings"
        return Failure(path, f"no camera gives a picture; see whether there is one ({devices})")
    return cv2.imencode(".png", frames[-1][1])[1].tobytes()
