"""`wardrobe serve` under good and bad requests for a long time: answers, memory, connections.

Good requests come in turn with bad ones, over several connections. Every good one must be answered
correctly, every bad one with an error or not at all. At its end, the process must hold as much as
at its start. Linux only: it reads /proc.
"""

import gzip
import json
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from benchmarks import results
from benchmarks.speed import predict, serve
from wardrobe import photo
from wardrobe.data import synthetic
from wardrobe.errors import UsageError
from wardrobe.inference.classifier import Classifier
from wardrobe.serving.http.connections import IDLE_SECONDS
from wardrobe.serving.protocols import arrays, v2

THREADS = 4  # of clients
SLOW = 100  # connections of a thread that stay open before their request is whole
WARM_UP = 300  # bad requests of a thread before memory is measured the first time
TIMEOUT = 90.0  # seconds for an answer
PREDICT, CLASSIFY = "/v1/models/wardrobe:predict", "/api/classify"
JSON, JPEG = "application/json", "image/jpeg"
CLOSED, TIMED_OUT = "closed", "000"  # without a response

Make = Callable[[np.random.Generator], bytes]  # returns what a client sends


@dataclass
class Tally:
    """What the clients saw."""

    bad: dict[str, Counter[str]] = field(default_factory=dict)  # kind → status → count
    good: Counter[str] = field(default_factory=Counter)  # kind → count
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def measure_soak(minutes: float, folder: Path, stream: TextIO) -> dict[str, Any]:
    """Sends good and bad requests, and measures the server before and after.

    Args:
        minutes: duration, without the warm-up.
        folder: for results/soak.json and RESULTS.md.

    Raises:
        UsageError: `minutes` is not positive.
    """
    if minutes <= 0:
        raise UsageError(f"--minutes {minutes} is too short; give more than 0")
    with tempfile.TemporaryDirectory() as here, serve.start_wardrobe(Path(here), 1) as (port, pid):
        good, bad = _make_good(Path(here)), _make_bad()
        _run_clients(port, good, bad, 0.0, Tally())
        before, tally = _read_process(pid), Tally()
        print(f"at the start: {before}", file=stream, flush=True)
        _run_clients(port, good, bad, 60 * minutes, tally)
        deadline = time.monotonic() + 2 * IDLE_SECONDS
        while _read_process(pid)["connections"] > before["connections"] and (
            time.monotonic() < deadline
        ):
            time.sleep(1)
        after = _read_process(pid)
        print(f"at the end: {after}", file=stream, flush=True)
    measured = {
        "benchmark": "soak",
        "command": results.format_command("soak", minutes=minutes),
        **results.provenance(),
        "minutes": minutes,
        "good": dict(tally.good),
        "wrong": tally.wrong[:20],
        "before": before,
        "after": after,
        "rows": [
            {"request": kind, "count": n.total(), "statuses": dict(n)}
            for kind, n in tally.bad.items()
        ],
    }
    results.write_results(measured, folder)
    return measured


def _read_process(pid: int) -> dict[str, int]:
    """Returns memory now and at most in MiB, threads and sockets of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    sockets = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            sockets += str(each.readlink()).startswith("socket:")

    def read(name: str) -> int:
        return int(status.split(f"{name}:")[1].split()[0])

    return {
        "memory_mib": read("VmRSS") // 1024,
        "peak_mib": read("VmHWM") // 1024,
        "threads": read("Threads"),
        "connections": sockets,
    }


def _run_clients(
    port: int, good: Sequence["Good"], bad: dict[str, Make], seconds: float, tally: Tally
) -> None:
    """Sends requests from several threads for some time, and each WARM_UP bad ones at least."""
    end = time.monotonic() + seconds

    def run(seed: int) -> None:
        rng, slow = np.random.default_rng(seed), deque[socket.socket]()
        kinds, number = list(bad.items()), 0
        while number < WARM_UP or time.monotonic() < end:
            kind, make = kinds[number % len(kinds)]
            status = _send_bad(port, kind, make(rng), slow)
            with tally.lock:
                tally.bad.setdefault(kind, Counter())[status] += 1
                if status[0] in "23" or status in ("500", TIMED_OUT):
                    tally.wrong.append(f"{kind}: {status}")
            number += 1
            if number % 3 == 0:
                each = good[number // 3 % len(good)]
                is_right = each.is_right(_exchange(port, each.request))
                with tally.lock:
                    tally.good[each.name] += 1
                    if not is_right:
                        tally.wrong.append(each.name)
        for connection in slow:
            connection.close()

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send_bad(port: int, kind: str, content: bytes, slow: deque[socket.socket]) -> str:
    """Sends a bad request; returns the status of the response."""
    if kind.startswith("unfinished"):
        connection = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        with suppress(ConnectionError):
            connection.sendall(content)
        slow.append(connection)
        if len(slow) > SLOW:
            slow.popleft().close()
        return CLOSED
    if kind == "disconnect":
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(content)
        return CLOSED
    is_open_ended = kind in ("garbage", "half upload")
    return _exchange(port, content, is_open_ended)[9:12].decode("latin-1") or CLOSED


def _exchange(port: int, content: bytes, is_open_ended: bool = False) -> bytes:
    """Returns what the server sends until it closes the connection.

    Args:
        is_open_ended: whether the server would wait for more; then the client ends its side.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        with suppress(ConnectionError):
            connection.sendall(content)
            if is_open_ended:
                connection.shutdown(socket.SHUT_WR)
        try:
            while piece := connection.recv(65_536):
                received += piece
        except TimeoutError:
            return f"HTTP/1.1 {TIMED_OUT}".encode()
        except ConnectionError:
            pass
    return received


def _post(path: str, body: bytes, content_type: str = JSON, *headers: str) -> bytes:
    """Returns a POST request that asks the server to close the connection."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(frozen=True)
class Good:
    """A request and the probabilities (n, 10) that answer it."""

    name: str
    request: bytes
    expected: npt.NDArray[np.floating]

    def is_right(self, response: bytes) -> bool:
        """Returns whether the response has the expected probabilities."""
        head, _, body = response.partition(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            return False
        if b"application/octet-stream" in head:  # JSON, then the binary tensor
            found = np.frombuffer(body[-4 * self.expected.size :], "<f4")
        else:
            answer = json.loads(body)
            rows = (
                answer.get("predictions")
                if "outputs" not in answer
                else answer["outputs"][0]["data"]
            )
            if rows and isinstance(rows[0], dict):  # a photo: class → probability, sorted
                rows = sorted(rows[0]["probabilities"].values())
                return bool(np.allclose(rows, np.sort(self.expected[0]), atol=1e-5))
            found = np.array(rows)
        return bool(np.allclose(found.ravel(), self.expected.ravel(), atol=1e-5))


def _make_good(here: Path) -> list[Good]:
    classifier, images = Classifier.load(), synthetic.draw(4, seed=5)[0]
    tiles = classifier.classify(images).probabilities
    jpeg = predict.write_photo(here).read_bytes()
    photos = classifier.classify(photo.prepare(jpeg)[None]).probabilities
    tensor: dict[str, Any] = {
        "name": arrays.INPUT,
        "datatype": "UINT8",
        "shape": list(images.shape),
    }
    outputs: list[dict[str, Any]] = [{"name": v2.PROBABILITIES}]
    plain = json.dumps(
        {"inputs": [{**tensor, "data": images.ravel().tolist()}], "outputs": outputs}
    )
    binary = {**tensor, "parameters": {"binary_data_size": images.size}}
    outputs = [{"name": v2.PROBABILITIES, "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [binary], "outputs": outputs}).encode()
    rows = json.dumps({"instances": images.tolist()}).encode()
    length = f"{v2.JSON_LENGTH}: {len(header)}"
    octets = "application/octet-stream"
    return [
        Good("V2 JSON", _post(serve.INFER, plain.encode()), tiles),
        Good("V2 binary", _post(serve.INFER, header + images.tobytes(), octets, length), tiles),
        Good("TensorFlow Serving", _post(PREDICT, rows), tiles),
        Good("JPEG", _post(CLASSIFY, jpeg, JPEG), photos),
    ]


def _make_bad() -> dict[str, Make]:
    """Returns kind → function that makes a request of it."""
    rows = json.dumps({"instances": synthetic.draw(1)[0].tolist()}).encode()
    start = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\n"
    bomb = gzip.compress(bytes(40_000_000))
    evil = "Origin: https://evil.example"

    def cut(rng: np.random.Generator) -> bytes:
        return rows[: int(rng.integers(1, len(rows) - 1))]

    def ask(method: str, path: str, *headers: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    return {
        "garbage": lambda rng: rng.bytes(int(rng.integers(1, 2_000))) + b"\r\n\r\n",
        "truncated JSON": lambda rng: _post(PREDICT, cut(rng)),
        "deep nesting": lambda rng: _post(PREDICT, b"[" * int(rng.integers(1, 200_000))),
        "long string": lambda _: _post(
            PREDICT, b'{"instances":["' + b"x" * 20_000 + b'"' + b',"a"' * 5_000 + b"]}"
        ),
        "zip bomb": lambda _: _post(PREDICT, bomb, JSON, "Content-Encoding: gzip"),
        "wrong shape": lambda rng: _post(
            PREDICT, b'{"instances":[%s]}' % str([1] * int(rng.integers(783))).encode()
        ),
        "NaN": lambda _: _post(PREDICT, rows.replace(b"[0,", b"[NaN,", 1).replace(b"0", b"NaN", 1)),
        "decompression bomb": lambda rng: _post(CLASSIFY, _make_huge_png(rng), "image/png"),
        "broken image": lambda rng: _post(CLASSIFY, b"\xff\xd8\xff" + rng.bytes(5_000), JPEG),
        "half upload": lambda rng: _post(CLASSIFY, rng.bytes(50_000), JPEG)[:-20_000],
        "unfinished headers": lambda _: start + b"X-A: b",
        "unfinished body": lambda _: start + b"Content-Length: 9000\r\n\r\nbeginning",
        "disconnect": lambda _: _post(CLASSIFY, bomb, JPEG),
        "other origin": lambda _: _post(PREDICT, rows, "text/plain", evil),
        "wrong host": lambda _: ask("GET", "/v2").replace(b"localhost", b"evil.example"),
        "wrong method": lambda _: ask("DELETE", PREDICT),
        "no such path": lambda _: ask("GET", "/../../etc/passwd"),
        "huge header": lambda rng: ask(
            "GET", "/v2", f"X: {'a' * int(rng.integers(64_000, 90_000))}"
        ),
        "many headers": lambda _: ask("GET", "/v2", *(f"X{i}: a" for i in range(200))),
    }


def _make_huge_png(rng: np.random.Generator) -> bytes:
    """Returns the beginning of a PNG of billions of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    side = int(rng.integers(20_000, 2**31 - 1))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1_000)))
