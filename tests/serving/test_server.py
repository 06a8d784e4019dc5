"""The API as its clients use it: photos, both inference protocols, access control, errors."""

import asyncio
import base64
import io
import json
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
import uvicorn
from conftest import Server, read_metric, refused, serving, wait_until, wardrobe
from drawn_photos import scene, wood
from PIL import Image
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardrobe import __version__
from wardrobe.data import synthetic
from wardrobe.errors import BusyError
from wardrobe.inference.classifier import Answer, Classifier
from wardrobe.labels import CLASS_NAMES
from wardrobe.serving import studio, uploads
from wardrobe.serving.batching import Batcher
from wardrobe.serving.http.middleware import SECURITY_HEADERS
from wardrobe.serving.protocols import v2
from wardrobe.serving.routes import PAGE
from wardrobe.serving.server import create_app
from wardrobe.serving.settings import Limits, Settings

MODEL = "/v2/models/wardrobe"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def images() -> Any:
    return synthetic.draw(12, seed=5)[0]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for label in (1, 3, 7):
        scene(wood(), label, (60, 90, 150))[0].save(folder / f"{label}.jpg")
    (folder / "broken.jpg").write_bytes((folder / "1.jpg").read_bytes()[:300])
    return folder


def test_photos_get_the_answers_of_predict(server: Server, photos: Path, tmp_path: Path) -> None:
    files = [("any", (path.name, path.read_bytes())) for path in sorted(photos.iterdir())]
    answer = requests.post(server.url + "/api/classify", files=files)
    assert answer.status_code == 200
    printed = json.loads(wardrobe("predict", ".", "--json", cwd=photos).stdout)
    printed["predictions"] = [
        {**each, "path": Path(each["path"]).name} for each in printed["predictions"]
    ]
    printed["failed"] = [{**each, "path": Path(each["path"]).name} for each in printed["failed"]]
    assert answer.json() == printed
    alone = requests.post(server.url + "/api/classify", data=(photos / "3.jpg").read_bytes())
    assert alone.json()["predictions"] == [{**printed["predictions"][1], "path": "-"}]


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_infers(server: Server, images: Any, binary: bool) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wardrobe")
    metadata = client.get_model_metadata("wardrobe")
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 28, 28]}]
    tensor = triton.InferInput("pixels", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    names = ("probabilities", "logits", "label")
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = client.infer("wardrobe", [tensor], outputs=wanted, request_id="mine")
    classifier = Classifier.load()
    expected = classifier.classify(images)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(answer.as_numpy("logits"), classifier.logits(images), atol=1e-4)
    labels = answer.as_numpy("label").tolist()
    assert [each.decode() if binary else each for each in labels] == expected.labels
    assert answer.get_response()["id"] == "mine"


@pytest.mark.parametrize("datatype", ["FP32", "INT64"])
def test_pixels_of_any_datatype(server: Server, images: Any, datatype: str) -> None:
    values = images[:2, ..., None].astype({"FP32": np.float32, "INT64": np.int64}[datatype])
    tensor = {
        "name": "pixels",
        "datatype": datatype,
        "shape": list(values.shape),
        "data": values.ravel().tolist(),
    }
    answer = requests.post(
        f"{server.url}{MODEL}/infer", json={"inputs": [tensor], "outputs": [{"name": "label"}]}
    )
    labels = Classifier.load().classify(images[:2]).labels
    assert answer.json()["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [2], "data": labels}
    ]
    assert "id" not in answer.json()


def test_tensorflow_serving_predict_and_status(server: Server, images: Any) -> None:
    (status,) = requests.get(server.url + "/v1/models/wardrobe").json()["model_version_status"]
    assert (status["state"], status["status"]["error_code"]) == ("AVAILABLE", "OK")
    url, expected = (
        server.url + "/v1/models/wardrobe:predict",
        Classifier.load().classify(images).probabilities,
    )
    rows = requests.post(url, json={"instances": images.tolist()}).json()
    assert rows.keys() == {"predictions"}
    np.testing.assert_allclose(rows["predictions"], expected, atol=1e-6)
    named = requests.post(
        url, json={"instances": [{"pixels": image.tolist()} for image in images]}
    ).json()
    columns = requests.post(url, json={"inputs": {"pixels": images[..., None].tolist()}}).json()
    assert named["predictions"] == columns["outputs"] == rows["predictions"]


BLACK = [[0] * 28] * 28
INPUT = {"name": "pixels", "datatype": "UINT8", "shape": [1, 28, 28], "data": [BLACK]}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (f"{MODEL}/infer", "no JSON", 400, "the body is not JSON"),
        (f"{MODEL}/infer", "[" * 100_000, 400, "the body is not JSON"),
        (f"{MODEL}/infer", [], 400, "the body is a JSON list; expected an object"),
        (f"{MODEL}/infer", {"inputs": []}, 400, "inputs is not a list of one object"),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "name": "x"}]},
            400,
            "the input is named 'x'; expected 'pixels'",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "datatype": "BYTES"}]},
            400,
            "the datatype is 'BYTES'",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "shape": [2, 28, 28]}]},
            400,
            "784 numbers were given; expected 1568 for the shape",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "shape": [1, 784]}]},
            400,
            "the shape [1, 784]; expected [n, 28, 28]",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "data": [[[300] * 28] * 28]}]},
            400,
            "pixels outside 0 to 255",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "data": [["a"]]}]},
            400,
            "data has elements that are not numbers",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [{**INPUT, "data": [[1], [1, 2]]}]},
            400,
            "rows of different lengths",
        ),
        (
            f"{MODEL}/infer",
            {"inputs": [INPUT], "outputs": [{"name": "x"}]},
            400,
            "there is no output 'x'",
        ),
        (f"{MODEL}/infer", {"inputs": [INPUT], "id": 7}, 400, "id is 7; expected a string"),
        (
            "/v1/models/wardrobe:predict",
            {"instances": [BLACK], "inputs": [BLACK]},
            400,
            "give exactly one of instances and inputs",
        ),
        ("/v1/models/wardrobe:predict", {}, 400, "give exactly one of instances and inputs"),
        ("/v1/models/wardrobe:predict", {"instances": [[1, 2]]}, 400, "has the shape [1, 2]"),
        (
            "/v1/models/wardrobe:predict",
            {"instances": [BLACK], "signature_name": "x"},
            400,
            "signature_name is 'x'; expected serving_default",
        ),
        ("/api/classify", "", 400, "the body is empty"),
        ("/api/classify", "%PDF-1.7", 422, "a PDF"),
        ("/api/look?rectangle=1,2", "x", 400, "rectangle is '1,2'"),
        (
            "/api/unit?model=foto",
            "\0" * 784,
            404,
            "no model 'foto'; expected one of: 0 photo, 1 base",
        ),
        ("/nothing", "", 404, "there is no path /nothing"),
        ("/v2", "", 405, "/v2 does not accept POST"),
    ],
)
def test_an_invalid_request_gets_a_one_line_error(
    server: Server, path: str, body: Any, status: int, words: str
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = requests.post(server.url + path, data=content.encode())
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_the_drawn_examples_are_whole_centred_and_classified_correctly() -> None:
    examples = studio.draw_examples()
    pngs = [base64.b64decode(each["png"].partition(",")[2]) for each in examples]
    tiles = np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])
    for tile in tiles:
        for place in np.nonzero(tile):
            assert place.min() > 0
            assert place.max() < 27
            assert abs(place.min() + place.max() - 27) <= 1
    for model in ("photo", "baseline"):
        predictions = Classifier.load(model).classify(tiles)
        assert predictions.labels == [each["name"] for each in examples] == list(CLASS_NAMES)
        assert not predictions.not_sure.any()


def test_a_blank_image_is_reported_as_blank(server: Server) -> None:
    blank = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(blank, "PNG")
    answer = requests.post(server.url + "/api/look?heat=false", data=blank.getvalue())
    assert answer.status_code == 200
    assert answer.json()["steps"]["found_by"] == "blank image"
    tile = np.frombuffer(base64.b64decode(answer.json()["pixels"]), np.uint8).reshape(1, 28, 28)
    described = requests.get(server.url + "/api/models").json()["models"]
    for name, each, model in zip(
        ("photo", "baseline"), answer.json()["models"], described, strict=True
    ):
        expected = Classifier.load(name).classify(tile)
        assert each["reason"] == "the image is blank"
        assert each["familiarity"] == pytest.approx(expected.familiarity[0], abs=1e-3)
        assert model["metadata"]["familiarity_threshold"] == expected.threshold


def test_an_image_of_too_many_pixels_is_refused_by_its_header(
    server: Server, tmp_path: Path
) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    answer = requests.post(server.url + "/api/classify", data=(tmp_path / "bomb.png").read_bytes())
    assert answer.status_code == 422
    assert "too many" in answer.json()["error"]


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    def pieces() -> Iterator[bytes]:  # chunked, without a Content-Length
        for _ in range(21):
            yield b"x" * 1_000_000

    for body in (b"x" * 20_000_001, pieces()):
        answer = requests.post(server.url + "/api/classify", data=body)
        assert answer.status_code == 413
        assert "expected at most 20,000,000 bytes" in answer.json()["error"]


def test_a_body_that_does_not_arrive_times_out(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--body-timeout", 1, "--compare-with", "none") as server,
        socket.create_connection(server.address) as slow,
    ):
        slow.sendall(
            b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nbeginning"
        )
        assert requests.get(server.url + "/v2/health/live").json() == {"live": True}
        slow.settimeout(40)
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert server.metric("wardrobe_requests_in_flight") == 1, "the metrics request itself"


def test_a_client_that_disconnects_is_only_logged(tmp_path: Path) -> None:
    with serving(tmp_path, "--access-log", "--compare-with", "none") as server:

        def wait_until_in_flight(count: int) -> None:
            wait_until(lambda: server.metric("wardrobe_requests_in_flight") == count)

        for content, in_flight in (
            (b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf", 2),
            (b"\x16\x03\x01\r\n\r\n", 1),
        ):
            with socket.create_connection(server.address) as connection:
                connection.sendall(content)
                wait_until_in_flight(in_flight)
            wait_until_in_flight(1)  # the question itself
    (line,) = (
        each for each in map(json.loads, server.stderr.splitlines()) if each["method"] == "POST"
    )
    assert line["status"] == 499


def test_a_malformed_form_gets_400_and_no_log_line(tmp_path: Path) -> None:
    with serving(tmp_path, "--compare-with", "none") as server:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = requests.post(
            server.url + "/api/classify", data=b"--x\r\nConten[t: y\r\n\r\nz\r\n--x--", headers=kind
        )
        assert answer.status_code == 400
    assert server.stderr == ""


def test_every_response_has_security_headers(server: Server) -> None:
    for path in ("/", "/studio.js", "/v2", "/nothing", "/api/models"):
        headers = requests.get(server.url + path).headers
        assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == (
            "nosniff",
            "no-referrer",
        )
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_path_traversal_is_refused(server: Server) -> None:
    for path in ("/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//etc/passwd"):
        with socket.create_connection(server.address) as plain:
            plain.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            assert plain.makefile("rb").readline().startswith(b"HTTP/1.1 404 ")


def test_the_token_is_required_except_for_health_checks_and_the_page(tmp_path: Path) -> None:
    with serving(
        tmp_path, "--token", "geheim", "--compare-with", "none", "--cors", "https://shop.example"
    ) as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "geheim-not"}):
            answer = requests.get(server.url + "/api/models", headers=headers)
            assert answer.status_code == 401
            assert "Authorization: Bearer TOKEN" in answer.json()["error"]
        right = {"Authorization": "Bearer geheim", "Origin": "https://shop.example"}
        answer = requests.get(server.url + "/api/models", headers=right)
        assert [each["name"] for each in answer.json()["models"]] == ["photo"]
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        first = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        first["Access-Control-Request-Headers"] = "authorization"
        assert requests.options(server.url + "/api/classify", headers=first).status_code == 200
        first["Origin"] = "https://evil.example"
        assert requests.options(server.url + "/api/classify", headers=first).status_code == 400
        for path in ("/v2/health/ready", "/", "/studio.js", "/docs"):
            assert requests.get(server.url + path).status_code == 200


def test_other_machines_need_a_token_or_no_auth(tmp_path: Path) -> None:
    refused(
        wardrobe("serve", "--host", "0.0.0.0", cwd=tmp_path),
        2,
        "is open to other machines",
        "--token",
        "--no-auth",
    )
    with serving(tmp_path, "--host", "0.0.0.0", "--no-auth", "--compare-with", "none") as server:
        assert requests.get(server.url + "/v2", headers={"Host": "shop.example"}).status_code == 200


def test_a_port_in_use_is_a_one_line_error(server: Server, tmp_path: Path) -> None:
    port = server.address[1]
    refused(
        wardrobe("serve", "--port", port, cwd=tmp_path),
        2,
        f"--port {port} is not available",
        "--port 0 for a free one",
    )
    refused(
        wardrobe("serve", "--model", "nothing.onnx", cwd=tmp_path), 1, "nothing.onnx does not exist"
    )


def test_openapi_describes_every_route_and_limit(server: Server) -> None:
    described = requests.get(server.url + "/openapi.json").json()
    methods = {path: {each.upper() for each in item} for path, item in described["paths"].items()}
    routes = [route for route in create_app(Classifier.load()).routes if isinstance(route, Route)]
    served = {each.path: (each.methods or set()) - {"HEAD"} for each in routes}
    assert methods == {
        path: served[path] for path in served.keys() - PAGE.keys() - {"/openapi.json", "/docs"}
    }
    page = requests.get(server.url + "/docs").text
    for path, each in methods.items():
        assert all(f"<h2>{method} {path}</h2>" in page for method in each)
    example = f"curl -F image=@photo.jpg &#x27;{server.url}/api/classify&#x27;"
    assert example in page
    assert page.count("://") == page.count(f"{server.url}/"), "it names no other host"
    assert "<script" not in page
    assert described["info"]["version"] == __version__
    assert '"VERSION"' not in json.dumps(described)
    form = described["paths"]["/api/classify"]["post"]["requestBody"]["content"][uploads.FORM]
    assert form["schema"]["properties"]["image"]["maxItems"] == uploads.MAX_FILES
    schemas = described["components"]["schemas"]
    answer = Answer({"Bag": 1.0}, familiarity=5.0, reason=None).to_json()
    assert (
        schemas["Prediction"]["required"] == list(schemas["Prediction"]["properties"]) == [*answer]
    )
    tensor = schemas["InferRequest"]["properties"]["inputs"]["items"]
    assert tensor["properties"]["datatype"]["enum"] == list(v2.DTYPES)


def test_the_access_log_has_a_line_per_request(tmp_path: Path) -> None:
    with serving(tmp_path, "--access-log", "--compare-with", "none") as server:
        answer = requests.get(server.url + "/v2")
        assert requests.post(server.url + "/nothing", data="1234").status_code == 404
    lines = [json.loads(line) for line in server.stderr.splitlines()]
    assert [(each["path"], each["status"]) for each in lines] == [("/v2", 200), ("/nothing", 404)]
    assert lines[0]["id"] == answer.headers["x-request-id"]
    assert lines[0].keys() >= {"time", "client", "method", "milliseconds", "bytes_out"}
    assert [each["bytes_in"] for each in lines] == [None, 4]


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_in_flight_finish_before_the_server_stops(
    tmp_path: Path, images: Any, workers: int
) -> None:
    answered: list[int] = []
    lost: list[str] = []
    is_ending, is_closed = threading.Event(), threading.Event()
    body = json.dumps({"instances": images.tolist()}).encode()
    head = "POST /v1/models/wardrobe:predict HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"

    def ask(address: tuple[str, int]) -> None:
        while True:
            try:
                connection = socket.create_connection(address)
            except ConnectionError:
                is_closed.set()
                return
            may_be_lost = is_ending.is_set()  # a socket that is closing may reset new connections
            with connection:
                first_bytes = b""
                try:
                    connection.sendall(head.encode() + body)
                    first_bytes = connection.recv(100)
                except ConnectionError:
                    pass
                if first_bytes:
                    answered.append(int(first_bytes.split()[1]))
                elif not may_be_lost:
                    lost.append("no answer")

    with serving(tmp_path, "--compare-with", "none", "--workers", workers) as server:
        threads = [threading.Thread(target=ask, args=(server.address,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 50)
        with socket.create_connection(server.address) as slow:
            is_ending.set()
            server.process.send_signal(signal.SIGTERM)
            assert is_closed.wait(60)
            slow.sendall(head.encode() + body)
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
        for thread in threads:
            thread.join()
        assert server.process.wait(30) == 0
    assert set(answered) == {200}
    assert lost == []


@contextmanager
def served_here(app: ASGIApp) -> Iterator[str]:
    """Serves an application in a thread of this process; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2"), ("POST", "/v2"), ("GET", "/studio.js"), ("HEAD", "/studio.js")],
)
def test_a_request_is_counted_before_its_response_ends(method: str, path: str) -> None:
    app, is_over = create_app(Classifier.load()), threading.Event()

    async def stalling(scope: Scope, receive: Receive, send: Send) -> None:
        """Suspends a request once its whole response has been sent."""

        async def send_and_stall(message: Message) -> None:
            await send(message)
            is_whole = message["type"] == "http.response.body" or method == "HEAD"
            while scope["path"] == path and is_whole and not is_over.is_set():
                await asyncio.sleep(0.01)

        await app(scope, receive, send_and_stall if scope["type"] == "http" else send)

    with served_here(stalling) as url:
        try:
            assert requests.request(method, url + path).status_code in (200, 405)
            assert read_metric(url, "wardrobe_requests_in_flight") == 1, (
                "the metrics request itself"
            )
            assert read_metric(url, "wardrobe_requests_total") == 2, (
                "this request and the metrics request before"
            )
        finally:
            is_over.set()


def test_a_request_that_raises_an_exception_is_counted(
    monkeypatch: pytest.MonkeyPatch, images: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Batcher, "logits", broken)
    with served_here(create_app(Classifier.load(), settings=Settings(access_log=True))) as url:
        question = {"instances": images.tolist()}
        answer = requests.post(url + "/v1/models/wardrobe:predict", json=question)
        assert answer.status_code == 500
        assert answer.json() == {"error": "the server failed; its log says where"}
        assert answer.headers.items() >= SECURITY_HEADERS.items()
        (line,) = [
            json.loads(each) for each in capfd.readouterr().err.splitlines() if each[0] == "{"
        ]
        assert (line["status"], line["id"]) == (500, answer.headers["x-request-id"])
        assert read_metric(url, 'wardrobe_requests_total{.*status="500"}') == 1


def test_concurrent_requests_are_batched(monkeypatch: pytest.MonkeyPatch, images: Any) -> None:
    classifier, is_released = Classifier.load(), threading.Event()
    expected, compute = classifier.classify(images).labels, classifier.logits

    def wait_and_compute(pixels: Any) -> Any:
        is_released.wait(60)
        return compute(pixels)

    monkeypatch.setattr(Classifier, "logits", lambda _, pixels: wait_and_compute(pixels))

    def ask(number: int) -> str:
        tensor = {**INPUT, "data": images[number : number + 1].tolist()}
        body = {"inputs": [tensor], "outputs": [{"name": "label"}]}
        answer = requests.post(f"{url}{MODEL}/infer", json=body)
        return str(answer.json()["outputs"][0]["data"][0])

    with served_here(create_app(classifier)) as url, ThreadPoolExecutor(12) as pool:
        first = pool.submit(ask, 0)
        wait_until(lambda: read_metric(url, "wardrobe_batch_images_count") == 1)
        others = pool.map(ask, range(1, 12))
        wait_until(lambda: read_metric(url, "wardrobe_waiting_images") == 12)
        is_released.set()
        assert [first.result(), *others] == expected
        assert read_metric(url, "wardrobe_batch_images_count") == 2, (
            "the first request, then all the others together"
        )


def test_a_busy_server_answers_503_with_retry_after(
    monkeypatch: pytest.MonkeyPatch, images: Any
) -> None:
    async def busy(*_: Any) -> None:
        raise BusyError("5,000 images are waiting")

    question, path = {"instances": images.tolist()}, "/v1/models/wardrobe:predict"
    with served_here(create_app(Classifier.load())) as url:
        monkeypatch.setattr(Batcher, "logits", busy)
        answer = requests.post(url + path, json=question)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "5,000 images are waiting"}
    with served_here(
        create_app(Classifier.load(), settings=Settings(limits=Limits(all_body_bytes=1_000)))
    ) as url:
        answer = requests.post(url + path, json=question)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "the bodies in flight exceed 1,000 bytes" in answer.json()["error"]
