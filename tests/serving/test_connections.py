"""Connections of clients that are slow, endless, many, gone or not HTTP, and a bounded shutdown."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import uvicorn
from conftest import Server, environment, read_metric, serving, wait_until

from wardrobe import photo
from wardrobe.data import synthetic
from wardrobe.inference.classifier import Classifier
from wardrobe.serving.http import connections
from wardrobe.serving.http.middleware import SECURITY_HEADERS
from wardrobe.serving.protocols import tensorflow_serving
from wardrobe.serving.server import create_app

PREDICT = "/v1/models/wardrobe:predict"
START = b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = 400  # of garbage


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("connections"), "--compare-with", "none") as started:
        yield started
    assert started.stderr == ""


@contextmanager
def served_here() -> Iterator[tuple[str, connections.Server]]:
    """Serves the application in a thread of this process; yields its URL and the server."""
    config = uvicorn.Config(
        create_app(Classifier.load()), log_level="critical", http=connections.Connection
    )
    is_ready = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        served = connections.Server(config, is_ready.set)
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]})
        thread.start()
        is_ready.wait()
        try:
            yield f"http://127.0.0.1:{port}", served
        finally:
            served.should_exit = True
            thread.join()


def connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=60)


def send_photo(url: str, content: bytes) -> socket.socket:
    connection = connect(url)
    connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(content) + content)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Returns what a server sends until it closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65_536):
            received += piece
    return received


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (START + b"X: ", b"a"),
        (START, b"A: b\r\n"),
        (b"GET /", b"a"),
        (b"", b"G"),
        (CHUNKED + b"0\r\n", b"A: b\r\n"),
        (CHUNKED + b"1;", b"a"),
    ],
    ids=["header", "headers", "path", "method", "trailers", "chunk extension"],
)
def test_a_head_without_end_is_refused(server: Server, start: bytes, rest: bytes) -> None:
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(start)
        with suppress(ConnectionError):  # the server closes it before all is sent
            for _ in range(40):
                connection.sendall(rest * (10_000 // len(rest)))
        received = read_all(connection)
    # Unread data resets a connection, which may drop the response.
    assert received[:13] in (b"HTTP/1.1 431 ", b"HTTP/1.1 400 ", b"")
    assert requests.get(server.url + "/v2").status_code == 200


@pytest.mark.parametrize("headers", [{"X": "a" * 64_000}, {f"X{i}": "a" for i in range(100)}])
def test_a_head_that_is_too_large_gets_431(server: Server, headers: dict[str, str]) -> None:
    answer = requests.get(server.url + "/v2", headers=headers)
    assert answer.status_code == 431
    assert "expected at most 64,000 bytes and 100 headers" in answer.json()["error"]
    assert answer.headers.items() >= SECURITY_HEADERS.items()


def test_too_many_pipelined_requests_are_refused(server: Server) -> None:
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall((START + b"\r\n") * 200)
        assert b"HTTP/1.1 429 " in read_all(connection)


def test_garbage_is_answered_with_an_error_or_not_at_all(server: Server) -> None:
    rng = np.random.default_rng(0)
    good = START + b"Content-Length: 4\r\nConnection: close\r\n\r\nbody"
    alphabet = [b"\r\n", b"\0", b" ", b":", b"\xff", b"HTTP/", b"chunked", b"-1", b"9" * 30, b"/"]
    answers = set()
    for number in range(REQUESTS):
        content = bytearray(rng.bytes(int(rng.integers(1, 300))) if number % 8 == 0 else good)
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(len(content)))
            length = int(rng.integers(4))
            content[at : at + length] = alphabet[int(rng.integers(len(alphabet)))]
        with socket.create_connection(server.address, timeout=60) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            answers.add(read_all(connection)[9:12])
    assert b"400" in answers
    assert b"500" not in answers
    assert requests.get(server.url + "/v2").status_code == 200
    assert server.metric("wardrobe_requests_in_flight") == 1, "the metrics request itself"


@pytest.mark.parametrize("sent", [b"", START, START + b"\r\n", START + b"\r\n" + START])
def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.5)
    with served_here() as (url, served), connect(url) as connection:
        connection.sendall(sent)
        assert read_all(connection).count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")
        wait_until(lambda: not served.server_state.connections)


def test_the_connection_that_is_idle_for_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    release = threading.Event()
    monkeypatch.setattr(photo, "prepare_or_reason", lambda _: release.wait(60) and "no photo")
    with served_here() as (url, served), ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(connect(url))
        assert requests.get(url + "/v2").status_code == 200
        wait_until(lambda: len(served.server_state.connections) <= 4)
        busy = [stack.enter_context(send_photo(url, b"x")) for _ in range(4)]
        wait_until(lambda: sum(not each.is_idle() for each in served.server_state.connections) == 4)  # type: ignore[union-attr]
        refused = requests.get(url + "/v2")
        assert refused.status_code == 503
        assert "4 connections are open" in refused.json()["error"]
        release.set()
        assert all(each.recv(100).startswith(b"HTTP/1.1 422") for each in busy)


def test_nothing_is_computed_for_a_client_that_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bytes] = []
    release = threading.Event()

    def decode(content: bytes) -> str:
        started.append(content)
        release.wait(60)
        return "no photo"

    monkeypatch.setattr(photo, "prepare_or_reason", decode)
    with served_here() as (url, _):
        first = [send_photo(url, b"first") for _ in range(2)]  # one per thread
        wait_until(lambda: len(started) == 2)
        send_photo(url, b"left").close()
        wait_until(lambda: read_metric(url, 'wardrobe_requests_total{.*status="499"}') == 1)
        release.set()
        for connection in (*first, send_photo(url, b"last")):
            with connection:
                assert connection.recv(100).startswith(b"HTTP/1.1 422")
    assert started == [b"first", b"first", b"last"]


def test_a_large_body_is_parsed_beside_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    parse, release = tensorflow_serving.parse_predict_request, threading.Event()
    is_parsing = threading.Event()

    def wait_and_parse(body: bytes) -> Any:
        is_parsing.set()
        assert release.wait(60)
        return parse(body)

    monkeypatch.setattr(tensorflow_serving, "parse_predict_request", wait_and_parse)
    images = synthetic.draw(60, seed=5)[0]
    answers: list[requests.Response] = []
    with served_here() as (url, _):
        body = {"instances": images.tolist()}
        ask = threading.Thread(
            target=lambda: answers.append(requests.post(url + PREDICT, json=body))
        )
        ask.start()
        assert is_parsing.wait(60)
        assert requests.get(url + "/v2/health/live").json() == {"live": True}
        release.set()
        ask.join()
    expected = Classifier.load().classify(images).probabilities
    np.testing.assert_allclose(answers[0].json()["predictions"], expected, atol=1e-6)


BLOCKED = """
import sys, time
from wardrobe import photo
from wardrobe.serving import server
from wardrobe.serving.http import connections
photo.prepare_or_reason = lambda _: time.sleep(1000)
connections.SHUTDOWN_SECONDS = server.SHUTDOWN_SECONDS = 0.5
from wardrobe.cli import main
sys.argv = ["wardrobe", "serve", "--port", "0", "--compare-with", "none"]
main()
"""


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "disconnected"])
def test_a_photo_that_never_ends_does_not_stop_the_shutdown(tmp_path: Path, waits: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        url = process.stdout.readline().split()[2].rstrip("/")
        connection = send_photo(url, b"x")
        wait_until(lambda: read_metric(url, "wardrobe_requests_in_flight") == 2)
        if not waits:
            connection.close()
            wait_until(lambda: read_metric(url, "wardrobe_requests_in_flight") == 1)
        process.send_signal(signal.SIGTERM)
        if waits:
            head, _, body = read_all(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert json.loads(body) == {"error": "the server stops; retry in 5 s"}
        connection.close()
        errors = process.communicate()[1]
    lost = "wardrobe: error: 1 requests had no answer 0.5 s after the signal to stop"
    assert errors.startswith(lost if waits else "") and errors.count("\n") == int(waits)
    assert process.returncode == int(waits)
