"""How many requests the server answers, and how quickly, beside MLServer with the same model, in turn."""

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks import results
from benchmarks.speed import predict as predict_benchmark
from wardrobe.data import synthetic
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.inference.classifier import resolve_model
from wardrobe.inference.engines import count_cores
from wardrobe.serving.protocols import arrays, v2
from wardrobe.terminal import console

INFER = "/v2/models/wardrobe/infer"
ONE, MANY, MLSERVER = "wardrobe", f"wardrobe --workers {count_cores()}", "MLServer"
STARTING = 120.0  # seconds that a server may take until it is ready

# MLServer has no runtime of its own for ONNX; this is the one that its documentation has one write.
RUNTIME = """
import numpy as np, onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Onnx(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        pixels = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)[..., None]
        (logits,) = self.session.run(["logits"], {"pixels": pixels})
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


@dataclass(frozen=True)
class Question:
    """What is asked again and again."""

    name: str
    path: str
    kind: str
    body: bytes
    servers: tuple[str, ...]


def serve(
    seconds: float,
    rounds: int,
    connections: Sequence[int],
    mlserver: Path | None,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measures each question at each number of connections, the servers in turn, `rounds` times; medians count.

    Args:
        seconds: of each measurement.
        mlserver: a virtual environment with mlserver and onnxruntime; None: Wardrobe is measured alone.
        folder: gets results/serve.json and RESULTS.md.

    Raises:
        UsageError: a number is below 1, or the environment has no MLServer.
    """
    predict_benchmark.check_counts(seconds=seconds, rounds=rounds, connections=min(connections))
    if mlserver is not None and not (mlserver / "bin/mlserver").is_file():
        raise UsageError(f"--mlserver {mlserver} has no bin/mlserver; make it: python -m venv {mlserver}, then in it "
                         "pip install mlserver onnxruntime")  # fmt: skip
    names = (ONE, MANY, MLSERVER) if mlserver is not None else (ONE, MANY)
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        starts = {
            ONE: lambda: _wardrobe(here, 1),
            MANY: lambda: _wardrobe(here, count_cores()),
            MLSERVER: lambda: _mlserver(here, mlserver),
        }
        asked = _questions(here)
        measured: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        for number in range(rounds):
            for server in names:
                with starts[server]() as port:
                    for question in (each for each in asked if server in each.servers):
                        for count in connections:
                            say(
                                f"round {number + 1}, {server}: {question.name}, {count} connections"
                            )
                            found = _measured(here, question, port, count, seconds)
                            measured.setdefault((question.name, server, count), []).append(found)
    figures = {
        "benchmark": "serve",
        "command": results.format_command(
            "serve",
            seconds=seconds,
            rounds=rounds,
            connections=",".join(map(str, connections)),
            mlserver=mlserver,
        ),
        **results.provenance(),
        "rounds": rounds,
        "seconds": seconds,
        "mlserver": _version(mlserver) if mlserver is not None else None,
        "rows": [
            _row(question, server, count, found)
            for (question, server, count), found in measured.items()
        ],
    }
    results.write_results(figures, folder)
    return figures


def _row(
    question: str, server: str, connections: int, found: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    medians = {
        key: statistics.median(each[key] for each in found) for key in ("rate", "p50", "p99")
    }
    sums = {key: sum(each[key] for each in found) for key in ("refused", "lost")}
    return {"question": question, "server": server, "connections": connections, **medians, **sums}


def _questions(here: Path) -> list[Question]:
    photo = predict_benchmark.drawn_photo(here).read_bytes()
    image = synthetic.draw(1)[0]
    given = {"name": arrays.INPUT, "datatype": "UINT8", "shape": [1, 28, 28]}
    wanted = [{"name": v2.PROBABILITIES}]
    as_json = json.dumps(
        {"inputs": [{**given, "data": image.ravel().tolist()}], "outputs": wanted}
    ).encode()
    return [
        Question("a JPEG to its answer", "/api/classify", "image/jpeg", photo, (ONE, MANY)),
        Question(
            "a tensor to its answer, V2 in JSON",
            INFER,
            "application/json",
            as_json,
            (ONE, MANY, MLSERVER),
        ),
    ]


def _measured(
    here: Path, question: Question, port: int, connections: int, seconds: float
) -> dict[str, Any]:
    """Asks from a process of its own, a short while to warm up first."""
    body = here / "body"
    body.write_bytes(question.body)
    asking = [
        sys.executable,
        "-m",
        "benchmarks.speed.load_generator",
        str(port),
        question.path,
        question.kind,
        str(body),
        str(connections),
    ]
    found: dict[str, Any] = {}
    for span in (min(1.0, seconds), seconds):
        done = subprocess.run([*asking, str(span)], capture_output=True, text=True)
        if done.returncode:
            raise WardrobeError(f"the questions ended with {done.returncode}: {done.stderr[-300:]}")
        found = json.loads(done.stdout)
    if found["p50"] is None:
        raise WardrobeError(
            f"{question.name}: no answer came in {seconds:g} s; give more --seconds"
        )
    return found


@contextmanager
def _wardrobe(here: Path, workers: int) -> Iterator[int]:
    port = _free_port()
    command = [*console.COMMAND, "serve"]
    with _running(
        [*command, "--compare-with", "none", "--workers", str(workers), "--port", str(port)],
        here,
        port,
    ):
        yield port


@contextmanager
def _mlserver(here: Path, environment: Path | None) -> Iterator[int]:
    assert environment is not None
    home = here / "mlserver"
    home.mkdir(exist_ok=True)
    port = _free_port()
    # Without workers of its own: with them it answers fewer (docs/log.md).
    settings = {
        "http_port": port,
        "grpc_port": _free_port(),
        "metrics_port": _free_port(),
        "parallel_workers": 0,
    }
    model = {
        "name": "wardrobe",
        "implementation": "runtime.Onnx",
        "max_batch_size": 64,
        "max_batch_time": 0.003,
        "parameters": {"uri": str(resolve_model(None))},
    }
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    (home / "runtime.py").write_text(RUNTIME)
    with _running([str(environment.resolve() / "bin/mlserver"), "start", "."], home, port):
        yield port


@contextmanager
def _running(command: Sequence[str], cwd: Path, port: int) -> Iterator[None]:
    """Runs a server in a process of its own, from when it is ready on."""
    with (cwd / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
        try:
            until = time.monotonic() + STARTING
            while not _is_ready(port):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise WardrobeError(
                        f"{Path(command[0]).name} did not get ready: {log.read()[-300:]}"
                    )
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/v2/models/wardrobe/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _version(environment: Path) -> str:
    said = subprocess.run(
        [str(environment / "bin/mlserver"), "--version"], capture_output=True, text=True
    ).stdout
    return said.split()[-1] if said.split() else "unknown"
