"""The server under hostile input: malformed, huge, truncated and random bodies, and a fuzzer."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from conftest import Server, serving

from wardrobe.data import synthetic
from wardrobe.inference.classifier import Classifier
from wardrobe.serving import studio

REQUESTS, THREADS = 2_000, 4
EXAMPLES = 25  # of the fuzzer for each route


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("endures"), "--no-allow-training") as started:
        yield started


def memory(server: Server) -> float:
    """Returns the server's resident memory in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def peak_memory(server: Server, reset: bool = False) -> float:
    """Returns the server's highest resident memory in MiB since the last reset."""
    if reset:
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def fill(unit: str, start: str = '{"instances":[') -> bytes:
    """Returns half a megabyte of JSON: a list that repeats a unit, which ends with a comma."""
    return (start + unit * (500_000 // len(unit)))[:-1].encode() + b"]}"


INFLATED = {  # kind → JSON that takes much more memory once it is parsed
    "one long string": fill('"a",', '{"instances":["' + "x" * 250_000 + '",'),
    "strings": fill('"é",'),
    "lists": fill("[],"),
    "deep lists": fill("[" * 60 + "]" * 60 + ","),
    "channels": fill("[0],"),
    "ragged lists": fill("[1],[1,2],"),
    "objects": fill('{"pixels":[]},'),
    "numbers": fill("0.5,"),
    "mixed": fill('1,"a",null,true,'),
    "keys": fill('"pixels":[],', '{"k":[{')[:-2] + b"}]}",
    "huge integer": fill("9" * 499_999 + ","),
    "nested name": fill("[[0]],", '{"inputs":[{"name":[').replace(b"]]]}", b"]]]}]}"),
}


TENSOR = b'{"inputs":[{"name":"pixels","datatype":"INT8","shape":[1],"data":['


@pytest.mark.parametrize("path", ["/v1/models/wardrobe:predict", "/v2/models/wardrobe/infer"])
def test_parsed_json_takes_a_bounded_multiple_of_its_size(server: Server, path: str) -> None:
    for kind, body in INFLATED.items():
        if path.startswith("/v2"):
            body = body.replace(b'{"instances":[', TENSOR)[:-1] + b"}]}"
        before = peak_memory(server, reset=True)
        answer = requests.post(server.url + path, data=body)
        assert answer.status_code == 400, kind
        assert len(answer.content) < 1_000, kind
        assert peak_memory(server) < before + 30, kind


def test_json_that_is_too_large_is_refused(server: Server) -> None:
    answer = requests.post(server.url + "/v1/models/wardrobe:predict", data=b" " * 8_000_001)
    assert answer.status_code == 413
    assert "8,000,001 bytes; expected at most 8,000,000" in answer.json()["error"]


def make_invalid_requests(seed: int, count: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Yields paths, bodies and headers of invalid requests."""
    rng = np.random.default_rng(seed)
    image = synthetic.draw(1)[0]
    good = json.dumps(
        {
            "inputs": [
                {
                    "name": "pixels",
                    "datatype": "UINT8",
                    "shape": [1, 28, 28],
                    "data": image.tolist(),
                }
            ]
        }
    )
    tile = studio.encode_png(image[0])
    paths = (
        "/api/classify",
        "/api/look",
        "/v2/models/wardrobe/infer",
        "/v1/models/wardrobe:predict",
    )
    for number in range(count):
        path, kind = paths[number % 4], number // 4 % 5
        if kind == 0:
            body = rng.bytes(int(rng.integers(0, 5_000)))
        elif kind == 1:
            body = good.encode()[: int(rng.integers(1, len(good) - 1))]
        elif kind == 2:
            body = tile[: int(rng.integers(1, len(tile) // 2))]
        elif kind == 3:
            body = good.replace("[1, 28, 28]", f"[{rng.integers(2, 10**9)}, 28, 28]").encode()
        else:
            body = (
                b"[" * int(rng.integers(1, 200_000))
                if number % 8 == 0
                else b"\xff\xd8\xff\xe0" + rng.bytes(2_000)
            )
        yield path, body, {"Inference-Header-Content-Length": "7"} if number % 3 == 0 else {}


def test_invalid_requests_do_no_harm(server: Server) -> None:
    images = synthetic.draw(10, seed=110)[0]
    expected = Classifier.load().classify(images).probabilities
    question = json.dumps({"instances": images.tolist()}).encode()
    is_done = threading.Event()
    correct: list[bool] = []
    statuses: list[int] = []

    def send_invalid(seed: int, count: int) -> None:
        connection = http.client.HTTPConnection(*server.address)
        for path, body, headers in make_invalid_requests(seed, count):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)

    def send_valid() -> None:
        connection = http.client.HTTPConnection(*server.address)
        while not is_done.is_set():
            connection.request("POST", "/v1/models/wardrobe:predict", question)
            rows = json.loads(connection.getresponse().read())["predictions"]
            correct.append(np.allclose(rows, expected, atol=1e-5))

    send_invalid(0, 500)  # loads what stays in memory
    before = memory(server)
    valid_thread = threading.Thread(target=send_valid)
    valid_thread.start()
    threads = [
        threading.Thread(target=send_invalid, args=(seed, REQUESTS // THREADS))
        for seed in range(1, THREADS + 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    is_done.set()
    valid_thread.join()
    assert len(statuses) == REQUESTS + 500
    assert all(400 <= status < 500 for status in statuses), set(statuses)
    assert correct and all(correct)
    assert memory(server) < before + 50
    assert server.process.poll() is None


def test_a_fuzzer_finds_no_failure(server: Server, tmp_path: Path) -> None:
    command = [
        *(
            str(Path(sys.executable).with_name("st")),
            "run",
            server.url + "/openapi.json",
            "--no-color",
        ),
        *("--max-examples", str(EXAMPLES), "--generation-deterministic"),
        # A busy machine may be slow.
        *("--suppress-health-check", "too_slow", "--request-timeout", "60"),
        # A schema cannot say that bytes are an image, or how many numbers a shape needs.
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
