"""Throughput and latency of `wardrobe serve`, compared with MLServer and the same model."""

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from benchmarks import results
from benchmarks.speed import predict
from wardrobe.data import synthetic
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.inference.classifier import resolve_model
from wardrobe.inference.engines import count_cores
from wardrobe.serving.protocols import arrays, v2
from wardrobe.terminal import console

INFER = "/v2/models/wardrobe/infer"
READY = "/v2/models/wardrobe/ready"
ONE, MANY, MLSERVER = "wardrobe", f"wardrobe --workers {count_cores()}", "MLServer"
START_TIMEOUT = 120.0  # seconds until a server must be ready
WARM_UP = 1.0  # seconds of load before each measurement

# MLServer has no runtime for ONNX. This one follows its documentation of custom runtimes.
RUNTIME = """
import numpy as np, onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Onnx(MLModel):
    async def load(self):
        path = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        pixels = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)[..., None]
        (logits,) = self.session.run(["logits"], {"pixels": pixels})
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])
"""

StartServer = Callable[[], AbstractContextManager[tuple[int, int]]]  # yields port, process id
Key = tuple[str, str, int]  # request, server, connections


@dataclass(frozen=True)
class Request:
    """A request that the load generator repeats."""

    name: str
    path: str
    content_type: str
    body: bytes
    servers: tuple[str, ...]  # those that answer it


def measure_server(
    seconds: float,
    rounds: int,
    connections: Sequence[int],
    mlserver: Path | None,
    folder: Path,
    stream: TextIO,
) -> dict[str, Any]:
    """Measures each request at each number of connections, on the servers in turn.

    Args:
        seconds: duration of each measurement.
        rounds: repetitions; medians are reported.
        mlserver: virtual environment with mlserver and onnxruntime. None: only Wardrobe.
        folder: for results/serve.json and RESULTS.md.

    Raises:
        UsageError: a number is below 1, or the environment lacks MLServer.
    """
    predict.check_counts(seconds=seconds, rounds=rounds, connections=min(connections))
    if mlserver is not None and not (mlserver / "bin/mlserver").is_file():
        raise UsageError(
            f"--mlserver {mlserver} has no bin/mlserver; create it: python -m venv {mlserver} && "
            f"{mlserver}/bin/pip install mlserver onnxruntime"
        )
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        starts: dict[str, StartServer] = {
            ONE: lambda: start_wardrobe(here, 1),
            MANY: lambda: start_wardrobe(here, count_cores()),
        }
        if mlserver is not None:
            starts[MLSERVER] = lambda: _start_mlserver(here, mlserver)
        rows = _measure_rounds(here, starts, rounds, connections, seconds, stream)
    options = {"seconds": seconds, "rounds": rounds, "connections": ",".join(map(str, connections))}
    measured = {
        "benchmark": "serve",
        "command": results.format_command("serve", **options, mlserver=mlserver),
        **results.provenance(),
        "rounds": rounds,
        "seconds": seconds,
        "mlserver": _read_version(mlserver) if mlserver is not None else None,
        "rows": rows,
    }
    results.write_results(measured, folder)
    return measured


def _measure_rounds(
    here: Path,
    starts: dict[str, StartServer],
    rounds: int,
    connections: Sequence[int],
    seconds: float,
    stream: TextIO,
) -> list[dict[str, Any]]:
    """Returns one row per request, server and number of connections."""
    requests = _make_requests(here)
    measured: dict[Key, list[dict[str, Any]]] = {}
    for number in range(rounds):
        for server, start in starts.items():
            with start() as (port, _):
                for request in requests:
                    for count in connections if server in request.servers else ():
                        text = f"{server}: {request.name}, {count} connections"
                        print(f"round {number + 1}, {text}", file=stream, flush=True)
                        load = _generate_load(here, request, port, count, seconds)
                        measured.setdefault((request.name, server, count), []).append(load)
    return [_make_row(key, loads) for key, loads in measured.items()]


def _make_row(key: Key, loads: Sequence[dict[str, Any]]) -> dict[str, Any]:
    request, server, connections = key
    return {
        "request": request,
        "server": server,
        "connections": connections,
        **{
            name: statistics.median(load[name] for load in loads) for name in ("rate", "p50", "p99")
        },
        **{name: sum(load[name] for load in loads) for name in ("refused", "lost")},
    }


def _make_requests(here: Path) -> list[Request]:
    photo = predict.write_photo(here).read_bytes()
    pixels = synthetic.draw(1)[0].ravel().tolist()
    tensor = {"name": arrays.INPUT, "datatype": "UINT8", "shape": [1, 28, 28], "data": pixels}
    payload = {"inputs": [tensor], "outputs": [{"name": v2.PROBABILITIES}]}
    body, all_servers = json.dumps(payload).encode(), (ONE, MANY, MLSERVER)
    return [
        Request("JPEG photo", "/api/classify", "image/jpeg", photo, (ONE, MANY)),
        Request("tensor, V2 in JSON", INFER, "application/json", body, all_servers),
    ]


def _generate_load(
    here: Path, request: Request, port: int, connections: int, seconds: float
) -> dict[str, Any]:
    """Runs the load generator in its own process, first for a short warm-up."""
    body = here / "body"
    body.write_bytes(request.body)
    command = [sys.executable, "-m", "benchmarks.speed.load_generator"]
    command += [str(port), request.path, request.content_type, str(body), str(connections)]
    predict.run_command([*command, str(min(WARM_UP, seconds))])
    load: dict[str, Any] = json.loads(predict.run_command([*command, str(seconds)]))
    if load["p50"] is None:
        raise WardrobeError(
            f"{request.name}: no response within {seconds:g} s; give more --seconds"
        )
    return load


@contextmanager
def start_wardrobe(here: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Starts `wardrobe serve`; yields its port and its process id."""
    port = _find_free_port()
    command = [*console.COMMAND, "serve", "--compare-with", "none"]
    command += ["--workers", str(workers), "--port", str(port)]
    with _run_server(command, here, port) as pid:
        yield port, pid


@contextmanager
def _start_mlserver(here: Path, environment: Path) -> Iterator[tuple[int, int]]:
    home = here / "mlserver"
    home.mkdir(exist_ok=True)
    port = _find_free_port()
    settings = {
        "http_port": port,
        "grpc_port": _find_free_port(),
        "metrics_port": _find_free_port(),
        "parallel_workers": 0,  # with parallel workers, it answers fewer requests per second
    }
    model = {
        "name": "wardrobe",
        "implementation": "runtime.Onnx",
        "max_batch_size": 64,
        "max_batch_time": 0.003,  # seconds
        "parameters": {"uri": str(resolve_model(None))},
    }
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    (home / "runtime.py").write_text(RUNTIME)
    with _run_server(
        [str(environment.resolve() / "bin/mlserver"), "start", "."], home, port
    ) as pid:
        yield port, pid


@contextmanager
def _run_server(command: Sequence[str], cwd: Path, port: int) -> Iterator[int]:
    """Starts a server, waits until it is ready, yields its process id, and stops it at the end."""
    with (cwd / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not _is_ready(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    name, text = Path(command[0]).name, log.read()[-300:]
                    raise WardrobeError(f"{name} did not become ready: {text}")
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def _is_ready(port: int) -> bool:
    try:
        without_proxy = build_opener(ProxyHandler({}))
        with without_proxy.open(f"http://127.0.0.1:{port}{READY}", timeout=1) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _read_version(environment: Path) -> str:
    command = [str(environment / "bin/mlserver"), "--version"]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    return printed.split()[-1] if printed.split() else "unknown"
