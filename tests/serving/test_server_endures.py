"""The server under what comes from the internet: broken, huge, cut and random bodies, and what a fuzzer makes up."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Server, serving

from wardrobe.data import synthetic
from wardrobe.inference.classifier import Classifier
from wardrobe.serving import studio

BROKEN, ASKERS = 4_000, 4
CASES = 40  # of the fuzzer for each route


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("endures")) as started:
        yield started


def memory(server: Server) -> float:
    """Returns the server's resident memory in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def broken_bodies(seed: int, count: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Yields paths, bodies and headers of requests that cannot be answered as asked."""
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
    tile = studio.png(image[0])
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


def test_broken_bodies_break_nothing(server: Server) -> None:
    images = synthetic.draw(10, studio.EXAMPLES_SEED)[0]
    expected = Classifier.load().classify(images).probabilities
    question = json.dumps({"instances": images.tolist()}).encode()
    over = threading.Event()
    right: list[bool] = []
    statuses: list[int] = []

    def break_it(seed: int, count: int) -> None:
        connection = http.client.HTTPConnection(*server.address)
        for path, body, headers in broken_bodies(seed, count):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)

    def ask_well() -> None:
        connection = http.client.HTTPConnection(*server.address)
        while not over.is_set():
            connection.request("POST", "/v1/models/wardrobe:predict", question)
            rows = json.loads(connection.getresponse().read())["predictions"]
            right.append(np.allclose(rows, expected, atol=1e-5))

    break_it(0, 500)  # what the first of each kind loads stays
    before = memory(server)
    well = threading.Thread(target=ask_well)
    well.start()
    askers = [
        threading.Thread(target=break_it, args=(seed, BROKEN // ASKERS))
        for seed in range(1, ASKERS + 1)
    ]
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join()
    over.set()
    well.join()
    assert len(statuses) == BROKEN + 500
    assert all(400 <= status < 500 for status in statuses), set(statuses)
    assert len(right) > 20
    assert all(right)
    assert memory(server) < before + 50
    assert server.process.poll() is None


def test_a_fuzzer_finds_nothing(server: Server, tmp_path: Path) -> None:
    command = [
        *(
            str(Path(sys.executable).with_name("st")),
            "run",
            server.url + "/openapi.json",
            "--no-color",
        ),
        *("--max-examples", str(CASES), "--generation-deterministic"),
        # A busy machine may be slow.
        *("--suppress-health-check", "too_slow", "--request-timeout", "60"),
        # That bytes are a picture, or as many numbers as a shape says, no schema can tell.
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
