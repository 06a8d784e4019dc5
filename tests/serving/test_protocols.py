"""The details of both protocols: ranges of pixels, versions, null fields, compression, methods."""

import gzip
import json
import math
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import requests
import tritonclient.http as triton
from conftest import Server, serving

from wardrobe.data import synthetic
from wardrobe.inference import engines
from wardrobe.inference.classifier import Classifier
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.serving.protocols import v2

MODEL, PREDICT = "/v2/models/wardrobe", "/v1/models/wardrobe:predict"
BLACK = {"name": "pixels", "datatype": "UINT8", "shape": [1, 28, 28], "data": [0] * 784}
FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("protocols"), "--compare-with", "none") as started:
        yield started


@pytest.fixture(scope="module")
def images() -> Any:
    return synthetic.draw(12, seed=5)[0]


@pytest.fixture(scope="module")
def logits(images: Any) -> Any:
    return Classifier.load().logits(images)


def infer(server: Server, pixels: Any, datatype: str, binary: bool = False) -> requests.Response:
    """Sends pixels (n, 28, 28); the answer has only the logits."""
    tensor: dict[str, Any] = {"name": "pixels", "datatype": datatype, "shape": list(pixels.shape)}
    headers, content = {}, b""
    if binary and datatype == "BF16":
        content = (pixels.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    elif binary:
        content = pixels.astype(FLOATS[datatype]).tobytes()
    else:
        tensor["data"] = pixels.ravel().tolist()
    if binary:
        tensor["parameters"] = {"binary_data_size": len(content)}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "logits"}]}).encode()
    if binary:
        headers[v2.JSON_LENGTH] = str(len(body))
    return requests.post(f"{server.url}{MODEL}/infer", data=body + content, headers=headers)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", [*FLOATS, "BF16"])
@pytest.mark.parametrize("scale", [1, 255])
def test_floats_may_be_scaled(
    server: Server, images: Any, logits: Any, datatype: str, binary: bool, scale: int
) -> None:
    with_black = np.concatenate([images, np.zeros_like(images[:1])])  # fits both ranges
    answer = infer(server, with_black / scale, datatype, binary).json()
    found = np.reshape(answer["outputs"][0]["data"], (len(images) + 1, -1))[:-1]
    if datatype == "BF16" and binary:  # 8 bits of a fraction are a grey value too few
        assert (found.argmax(axis=1) == logits.argmax(axis=1)).mean() > 0.9
    else:
        np.testing.assert_allclose(found, logits, atol=1e-4)
    scaled = {"pixels_multiplied_by": 255}
    assert answer.get("parameters") == (None if scale == 1 else scaled)


def test_tensorflow_clients_may_scale(server: Server, images: Any) -> None:
    pixels = images[..., None]
    raw, scaled = (
        requests.post(server.url + PREDICT, json={"instances": each.tolist()}).json()
        for each in (pixels, pixels / 255)
    )
    assert raw == scaled


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * 2 - 1, "pixels outside 0 to 255 (-1 to 1)"),
        (lambda x: (x - 0.286) / 0.353, "pixels outside 0 to 255 (-0.81"),
        (lambda x: x / 0.353, "pixels of at most 2.83286, whose range is not clear"),
        (lambda x: x * 1.5, "pixels of at most 1.5, whose range is not clear"),
        (lambda x: x / 255, "pixels of at most 0.00392157, whose range is not clear"),
        (lambda x: (x > 0.5) * 1.0, "pixels of at most 1, whose range is not clear"),
        (lambda x: (x > 0.5) * 1, "pixels of at most 1, whose range is not clear"),
        (lambda x: np.stack([x[0] * 255, x[1]]), "mixes ranges: image 1 has pixels of 0 to 1"),
        (lambda x: x * 300, "pixels outside 0 to 255 (0 to 300)"),
    ],
)
def test_an_unclear_range_is_refused(server: Server, images: Any, change: Any, words: str) -> None:
    pixels = change(images[:2] / images[:2].max())
    instances = requests.post(server.url + PREDICT, json={"instances": pixels.tolist()})
    for answer in (instances, infer(server, pixels, "FP64")):
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_pixels_that_are_not_finite_are_refused(server: Server, value: float) -> None:
    pixels = np.full((1, 28, 28), value)
    answer = infer(server, pixels, "FP16", binary=True)
    assert (answer.status_code, "outside 0 to 255" in answer.text) == (400, True)
    for answer in (
        infer(server, pixels, "FP32"),
        requests.post(server.url + PREDICT, data=json.dumps({"instances": pixels.tolist()})),
    ):
        assert (answer.status_code, "NaN or Infinity" in answer.text) == (400, True)


def test_a_declared_integer_is_a_grey_value(server: Server, images: Any) -> None:
    dark = (images[:2] > 127).astype(np.uint8)
    answer = infer(server, dark, "UINT8").json()
    expected = Classifier.load().logits(dark)
    np.testing.assert_allclose(answer["outputs"][0]["data"], expected.ravel(), atol=1e-4)


def test_triton_client_asks_for_the_version(server: Server, images: Any) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    tensor = triton.InferInput("pixels", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    assert client.is_model_ready("wardrobe", "1")
    assert not client.is_model_ready("wardrobe", "2")
    metadata = client.get_model_metadata("wardrobe", "1")
    assert metadata == client.get_model_metadata("wardrobe")
    assert (metadata["versions"], metadata["platform"]) == (["1"], "onnxruntime_onnx")
    assert "0 to 255" in metadata["parameters"]["pixels"]
    answer = client.infer("wardrobe", [tensor], model_version="1").get_response()
    assert answer["model_version"] == "1"
    with pytest.raises(triton.InferenceServerException, match="has no version '2'"):
        client.infer("wardrobe", [tensor], model_version="2")
    top = triton.InferRequestedOutput("probabilities", class_count=3)
    with pytest.raises(triton.InferenceServerException, match="classification is not supported"):
        client.infer("wardrobe", [tensor], outputs=[top])


@pytest.mark.parametrize("binary", [True, False])
def test_an_answer_says_that_it_is_not_sure(server: Server, images: Any, binary: bool) -> None:
    pixels = np.concatenate([images, np.zeros((1, 28, 28), np.uint8), 255 - images[:1]])
    expected = Classifier.load().classify(pixels)
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    tensor = triton.InferInput("pixels", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels)
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary)
        for name in ("not_sure", "familiarity", "label")
    ]
    answer = client.infer("wardrobe", [tensor], outputs=outputs)
    assert answer.as_numpy("not_sure").tolist() == expected.not_sure.tolist()
    assert answer.as_numpy("not_sure")[-2:].all()
    np.testing.assert_allclose(answer.as_numpy("familiarity"), expected.familiarity, rtol=1e-4)
    metadata = client.get_model_metadata("wardrobe")
    parameters = metadata["parameters"]
    assert parameters["class_names"] == [*expected.class_names]
    assert parameters["familiarity_threshold"] == expected.threshold
    shapes = {each["name"]: (each["datatype"], each["shape"]) for each in metadata["outputs"]}
    assert shapes["not_sure"] == ("BOOL", [-1])
    for each in client.infer("wardrobe", [tensor]).get_response()["outputs"]:
        datatype, shape = shapes[each["name"]]
        assert (each["datatype"], each["shape"]) == (datatype, [len(pixels), *shape[1:]])


def test_a_number_of_classes_is_refused(server: Server) -> None:
    output = {"name": "label", "parameters": {"class_count": 3}}
    request = {"inputs": [BLACK], "outputs": [output]}
    answer = requests.post(f"{server.url}{MODEL}/infer", json=request)
    assert (answer.status_code, "class_count is not supported" in answer.text) == (400, True)


def test_every_engine_has_a_platform() -> None:
    assert v2.PLATFORMS.keys() == engines.ENGINES.keys()


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_tensorflow_serving_has_status_metadata_and_predict(server: Server, version: str) -> None:
    model = f"{server.url}/v1/models/wardrobe{version}"
    status = {"error_code": "OK", "error_message": ""}
    assert requests.get(model).json() == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": status}]
    }
    metadata = requests.get(model + "/metadata").json()
    assert metadata["model_spec"] == {"name": "wardrobe", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    sizes = [{"size": size, "name": ""} for size in ("-1", "28", "28")]
    assert signature["inputs"]["pixels"] == {
        "dtype": "DT_UINT8",
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": "pixels:0",
    }
    assert [*signature["outputs"]] == ["probabilities"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    answer = requests.post(model + ":predict", data=BODY)
    assert [len(row) for row in answer.json()["predictions"]] == [10]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (MODEL + "/versions/2/infer", 404, "the model 'wardrobe' has no version '2'; expected"),
        ("/v1/models/wardrobe/versions/7:predict", 404, "has no version '7'"),
        ("/v1/models/wardrobe/labels/stable:predict", 404, "has no label 'stable'"),
        ("/v1/models/wardrobe/labels/stable/metadata", 404, "has no label 'stable'"),
        ("/v1/models/other/versions/1:predict", 404, "there is no model 'other'"),
        ("/v2/models/other", 404, "there is no model 'other'"),
        ("/v1/models/wardrobe:classify", 400, "the model 'wardrobe' cannot classify"),
        ("/v1/models/wardrobe/versions/1:regress", 400, "the model 'wardrobe' cannot regress"),
        (MODEL + "/config", 404, "there is no path /v2/models/wardrobe/config"),
    ],
)
def test_unknown_models_versions_and_methods(
    server: Server, path: str, status: int, words: str
) -> None:
    answer = requests.post(server.url + path, data=BODY)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize("shape", [[0, 5, 2**63, 9], [0, 28], [1, 28, 28.0], [True, 28, 28], None])
def test_other_shapes_are_refused(server: Server, shape: Any) -> None:
    tensor = {**BLACK, "shape": shape, "data": []}
    answer = requests.post(f"{server.url}{MODEL}/infer", json={"inputs": [tensor]})
    assert (answer.status_code, "the input has the shape" in answer.text) == (400, True)


def test_null_is_as_absent(server: Server) -> None:
    output = {"name": "label", "parameters": {"binary_data": None}}
    inputs = [{**BLACK, "parameters": None}]
    request = {"id": None, "parameters": None, "inputs": inputs}
    url = f"{server.url}{MODEL}/infer"
    everything = requests.post(url, json={**request, "outputs": None}).json()
    assert everything == requests.post(url, json={"inputs": [BLACK]}).json()
    binary = {**request, "parameters": {"binary_data_output": True}, "outputs": [output]}
    assert v2.JSON_LENGTH in requests.post(url, json=binary).headers
    for parameters in (None, {"binary_data": None, "classification": None}):
        outputs = [{"name": "label", "parameters": parameters}]
        answer = requests.post(url, json={**request, "outputs": outputs}).json()
        assert answer["outputs"] == everything["outputs"][2:3]
    tensor = {**BLACK, "data": None}
    assert "the input has no values" in requests.post(url, json={"inputs": [tensor]}).text
    predict = {"signature_name": None, "inputs": None, "instances": [[[0] * 28] * 28]}
    assert requests.post(server.url + PREDICT, json=predict).status_code == 200


def test_logits_that_are_not_finite_are_sent(tmp_path: Path) -> None:
    model = onnx.load(PRETRAINED / "baseline.onnx")
    bias = next(each for each in model.graph.initializer if list(each.dims) == [10])
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(10, np.inf, np.float32), bias.name))
    onnx.save(model, tmp_path / "inf.onnx")
    with serving(tmp_path, "--model", "inf.onnx") as server:
        predictions = requests.post(server.url + PREDICT, data=BODY)
        inferred = requests.post(f"{server.url}{MODEL}/infer", json={"inputs": [BLACK]})
    # TensorFlow Serving writes NaN, JSON has no such value.
    assert predictions.text == f'{{"predictions":[[{",".join(["NaN"] * 10)}]]}}'
    assert inferred.json()["outputs"][0]["data"] == [None] * 10
    assert server.stderr == ""


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_triton_client_compresses_requests(
    server: Server, images: Any, logits: Any, coding: str, binary: bool
) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    tensor = triton.InferInput("pixels", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    answer = client.infer("wardrobe", [tensor], request_compression_algorithm=coding)
    np.testing.assert_allclose(answer.as_numpy("logits"), logits, atol=1e-4)


BODY = json.dumps({"instances": [[[0] * 28] * 28]}).encode()
BOMB = gzip.compress(bytes(30_000_000))
# Without the time, which would give the tests another name in each process of pytest-xdist.
GZIPPED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("coding", "body", "status", "words"),
    [
        ("GZip", GZIPPED, 200, "predictions"),
        ("identity, x-gzip", GZIPPED, 200, "predictions"),
        ("identity", BODY, 200, "predictions"),
        ("br", BODY, 415, "the Content-Encoding is 'br'; expected gzip or deflate"),
        ("gzip, deflate", BODY, 415, "the Content-Encoding is 'gzip, deflate'"),
        ("gzip", BODY, 400, "the body is not gzip data"),
        ("deflate", GZIPPED, 400, "the body is not deflate data"),
        ("gzip", GZIPPED[:-1], 400, "the body's gzip data breaks off"),
        ("deflate", zlib.compress(BODY) + b"x", 400, "the body's deflate data continues"),
        ("gzip", BOMB, 413, "expected at most 20,000,000 bytes"),
        ("gzip", BOMB[:25_000], 413, "expected at most 20,000,000 bytes"),
    ],
)
def test_compressed_bodies_are_read_within_the_limits(
    server: Server, coding: str, body: bytes, status: int, words: str
) -> None:
    answer = requests.post(server.url + PREDICT, data=body, headers={"Content-Encoding": coding})
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert answer.headers.get("accept-encoding") == ("gzip, deflate" if status == 415 else None)


def test_an_endless_gzip_header_is_refused(server: Server) -> None:
    def pieces() -> Iterator[bytes]:  # a file name, which adds nothing to the body
        yield b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
        for _ in range(21):
            yield b"x" * 1_000_000

    answer = requests.post(
        server.url + PREDICT, data=pieces(), headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health_checks_of_load_balancers(server: Server, method: str, path: str) -> None:
    with socket.create_connection(server.address) as plain:
        plain.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        assert plain.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v2/health/live", "GET, HEAD, OPTIONS"),
        (MODEL, "GET, HEAD, OPTIONS"),
        ("/v1/models/wardrobe/metadata", "GET, HEAD, OPTIONS"),
        (MODEL + "/infer", "POST"),
        (PREDICT, "POST"),
    ],
)
def test_methods(server: Server, path: str, allowed: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"):
        answer = requests.request(method, server.url + path)
        if method in allowed.split(", "):
            assert answer.status_code == (400 if method == "POST" else 200)  # without a body
        else:
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        if method == "OPTIONS":
            assert answer.headers["allow"] == allowed
        if method == "HEAD":
            assert answer.content == b""
