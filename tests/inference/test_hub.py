"""The Hugging Face Hub: upload and download over HTTP, to a stand-in for the hub."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from conftest import free_port, refused, wait_until, wardrobe_here
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wardrobe.onnx_runtime import PRETRAINED

huggingface_hub = pytest.importorskip("huggingface_hub", reason="pip install 'wardrobe-cnn[hub]'")
COMMIT, TOKEN = "a" * 40, "hf_right"


class Hub:
    """What the stand-in has: path → content, and the files that were downloaded."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent: list[str] = []

    async def create(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"error": "Invalid credentials"}, 401)
        return JSONResponse({"url": f"{request.base_url}me/coats", "name": "me/coats"})

    async def validate(self, _: Request) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    async def preupload(self, request: Request) -> Response:
        files = (await request.json())["files"]
        modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
        return JSONResponse({"files": modes})

    async def commit(self, request: Request) -> Response:
        for line in (await request.body()).splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                self.files[value["path"]] = base64.b64decode(value["content"])
        url = f"{request.base_url}me/coats/commit/{COMMIT}"
        return JSONResponse({"commitUrl": url, "commitOid": COMMIT, "success": True})

    async def resolve(self, request: Request) -> Response:
        name, path = request.path_params["name"], request.path_params["path"]
        code = "RepoNotFound" if name != "coats" else "EntryNotFound"
        if name == "coats" and request.path_params["revision"] != "main":
            code = "RevisionNotFound"
        elif name == "coats" and path in self.files:
            content = self.files[path]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            if request.method == "GET":
                self.sent.append(path)
            return Response(content, headers={"ETag": etag, "X-Repo-Commit": COMMIT})
        return JSONResponse({}, 404, headers={"X-Error-Code": code})


@pytest.fixture(scope="module")
def stand_in() -> Iterator[tuple[Hub, str]]:
    hub, port, api = Hub(), free_port(), "/api/models/me/coats"
    routes = [
        Route("/api/repos/create", hub.create, methods=["POST"]),
        Route("/api/validate-yaml", hub.validate, methods=["POST"]),
        Route(f"{api}/preupload/main", hub.preupload, methods=["POST"]),
        Route(f"{api}/commit/main", hub.commit, methods=["POST"]),
        Route("/{owner}/{name}/resolve/{revision}/{path:path}", hub.resolve),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield hub, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


SCRIPT = """
import sys
import time
from pathlib import Path
from wardrobe.inference import hub
from wardrobe.inference.classifier import Classifier

time.sleep = lambda _: None  # huggingface_hub tries a hub that is not there for 24 s
for argument in sys.argv[1:]:
    try:
        if argument.startswith("hf://"):
            print(Classifier.load(argument).path)
        else:
            print(hub.upload(Path(argument), Classifier.load(argument).metadata, "coats"))
    except hub.ModelError as error:
        print(error)
"""


def call(cwd: Path, url: str, *models: object, **more: str) -> list[str]:
    """Uploads files and loads addresses in another process: huggingface_hub reads settings once."""
    environment = {**os.environ, "HF_HOME": str(cwd / "hf"), "HF_ENDPOINT": url, **more}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        environment.pop(name, None)
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *map(str, models)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_a_model_is_uploaded_with_its_card_downloaded_once_and_works_offline(
    stand_in: tuple[Hub, str], tmp_path: Path
) -> None:
    hub, url = stand_in
    model = PRETRAINED / "baseline.onnx"
    (refusal,) = call(tmp_path, url, model)
    assert "token is missing" in refusal
    uploaded = call(tmp_path, url, model, HF_TOKEN=TOKEN)
    assert uploaded == [f"{url}/me/coats/commit/{COMMIT}"]
    assert hub.files["model.onnx"] == model.read_bytes()
    config = json.loads(hub.files["config.json"])
    assert config["id2label"]["9"] == "Ankle boot"
    card = huggingface_hub.ModelCard(hub.files["README.md"].decode())
    (result,) = card.data.eval_results
    assert (card.data.license, result.dataset_split) == ("mit", config["split"])
    assert result.metric_value == config["accuracy"]
    assert f"on {config['n']:,} {config['split']} images" in card.text

    addresses = "hf://me/coats", "hf://me/coats@main", "hf://me/none", "hf://me/coats@old"
    path, again, *problems = call(tmp_path, url, *addresses, "hf://a/b/c")
    assert path == again and Path(path).read_bytes() == model.read_bytes()
    assert hub.sent == ["model.onnx"]
    for problem, words in zip(
        problems, ("no such repository", "no such revision", "hf://a/b/c: "), strict=True
    ):
        assert words in problem
    assert call(tmp_path, url, "hf://me/coats", HF_HUB_OFFLINE="1") == [path]
    closed = f"http://127.0.0.1:{free_port()}"
    cached, problem = call(tmp_path, closed, "hf://me/coats", "hf://me/other")
    assert cached == path and "cannot be reached" in problem


def test_only_onnx_goes_to_the_hub(tmp_path: Path) -> None:
    result = wardrobe_here("export", "--to-hub", "me/x", "--format", "litert", cwd=tmp_path)
    refused(result, 2, "--format litert", "--to-hub")
