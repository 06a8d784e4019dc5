"""A run's network at its epochs, as the page asks the server for it."""

import asyncio
import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from conftest import Server, serving
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.data.load import SYNTHETIC_SEED
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.snapshots import Snapshot
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.runs import Run
from wardrobe.serving import studio
from wardrobe.serving.learn.epochs import Epochs, validation

PIXELS = synthetic.draw(10, seed=4)[0][7]  # (28, 28)
TYPE = {"content-type": studio.PIXELS_TYPE}


@pytest.fixture(scope="module")
def run(drawn_training: tuple[Run, object]) -> Run:
    return drawn_training[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, run: Run, own_run: Run) -> Iterator[Server]:
    """A server with `run`, `own_run` (sprint, an image folder) and broken runs in its `runs/`."""
    cwd = tmp_path_factory.mktemp("epochs")
    for name, each in (("drawn", run), ("own", own_run), ("broken", run), ("none", run)):
        leave = shutil.ignore_patterns("checkpoint", "plots", "*.keras")
        shutil.copytree(each.path, cwd / "runs" / name, ignore=leave)
    (cwd / "runs/broken/snapshots/epoch-0001.npz").write_bytes(b"damaged")
    dataset = {**run.info()["dataset"], "checksums": {"sha256": "of other images"}}
    Run(cwd / "runs/broken").update(data="/gone", dataset=dataset)
    shutil.rmtree(cwd / "runs/none/snapshots")
    with serving(cwd, "--compare-with", "runs/drawn") as started:
        yield started


def post(server: Server, path: str, body: bytes = PIXELS.tobytes(), **query: Any) -> Any:
    answer = requests.post(server.url + path, data=body, params=query, headers=TYPE)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(server: Server, path: str) -> requests.Response:
    answer = requests.get(f"{server.url}/api/runs/{path}")
    assert answer.status_code == 200, answer.text
    return answer


def test_an_epoch_is_described(server: Server, run: Run) -> None:
    epochs = [get(server, f"drawn/epochs/{epoch}").json() for epoch in (0, 1, 2)]
    assert [each["epoch"] for each in epochs] == [0, 1, 2]
    assert [each["scores"] for each in epochs] == [None, *run.history()]
    names = [each["name"] for each in epochs[0]["layers"]]
    assert names == ["conv1", "pool1", "conv2", "pool2", "dense"]
    kernels = [ActivationModel.find(run.onnx_path), Snapshot.open(run, run.snapshot_path(1))]
    for network, epoch in zip(kernels, (2, 1), strict=True):
        assert network is not None
        filters, kernel = epochs[epoch]["filters"], network.layers[0].kernel
        assert kernel is not None
        assert (filters["layer"], filters["side"], filters["count"]) == ("conv1", 3, 32)
        weights = np.frombuffer(base64.b64decode(filters["weights"]), np.int8).reshape(32, 3, 3)
        largest = filters["largest"]
        np.testing.assert_allclose(weights / 127 * largest, kernel[:, 0], atol=largest / 127)


def test_an_epoch_looks_at_an_image(server: Server, run: Run) -> None:
    looked = [post(server, f"/api/runs/drawn/epochs/{epoch}/look") for epoch in (0, 2)]
    final = Classifier.load(run).logits(PIXELS[None])[0]
    names = Classifier.load(run).class_names
    assert looked[1]["label"] == names[final.argmax()]
    assert looked[0]["confidence"] < 0.3 < looked[1]["confidence"], "it has learnt"
    odds = np.log(looked[1]["probabilities"][names[0]] / looked[1]["probabilities"][names[1]])
    assert odds == pytest.approx(final[0] - final[1], abs=0.05), "half precision, temperature 1"
    assert looked[0]["layers"].keys() == {"conv1", "pool1", "conv2", "pool2", "dense"}
    assert looked[0]["layers"] != looked[1]["layers"]
    assert not any(each["not_sure"] for each in looked)
    assert (
        post(server, "/api/runs/drawn/epochs/2/look", bytes(784))["reason"] == "the image is blank"
    )


def test_predictions_are_of_fixed_validation_images(server: Server, run: Run) -> None:
    first, last = (get(server, f"drawn/epochs/{epoch}/predictions").json() for epoch in (0, 2))
    images, labels = synthetic.draw(validation.MAX_IMAGES, SYNTHETIC_SEED)
    assert first["labels"] == last["labels"] == labels.tolist()
    expected = Classifier.load(run).logits(images).argmax(axis=1)
    assert np.mean(expected == last["predictions"]) > 0.99
    points = np.array([first["points"], last["points"]])  # (2, n, 2)
    assert np.abs(points).max(axis=(1, 2)).tolist() == [1, 1]
    assert points[1, :, 0].std() > points[1, :, 1].std(), "the first axis is the principal one"
    assert np.corrcoef(points[1].T)[0, 1] == pytest.approx(0, abs=1e-3)
    png = Image.open(io.BytesIO(get(server, "drawn/images.png").content))
    assert (png.mode, png.size) == ("L", (40 * 28, 25 * 28))
    tile = np.asarray(png)[28:56, 2 * 28 : 3 * 28]
    np.testing.assert_array_equal(tile, images[42])
    examples = requests.get(f"{server.url}/api/examples/validation").json()
    assert (examples["run"], len(examples["examples"])) == ("drawn", 10)
    for label, each in enumerate(examples["examples"]):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(each["png"].partition(",")[2]))))
        place = first["labels"].index(label)
        np.testing.assert_array_equal(shown, images[place])
        assert each["name"] == first["class_names"][label]
    own = get(server, "own/epochs/12/predictions").json()
    assert np.mean(np.equal(own["labels"], own["predictions"])) > 0.8
    assert len(own["points"]) == len(own["labels"]) < validation.MAX_IMAGES


def test_followers_see_a_dozen_images_of_the_network_in_training(
    own_run: Run, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(own_run.path, run.path)

    async def look() -> Any:
        epochs = Epochs([])
        info = (run.path / "run.json").rename(tmp_path / "run.json")
        try:
            for _ in range(2):  # it has only just been started: its data cannot be opened yet
                await epochs.look_live(run)
                await asyncio.sleep(0.02)
            info.rename(run.path / "run.json")
            while not (finished := await epochs.look_live(run) or {})["images"]:
                await asyncio.sleep(0.02)  # the data is being opened
            with np.load(run.snapshot_path(0)) as file:
                np.savez_compressed(run.live_path, *file.values(), epoch=1, step=3)
            training = await epochs.look_live(run)
            shutil.rmtree(run.snapshots_folder)
            run.live_path.unlink()
            return finished, training, await epochs.look_live(run)
        finally:
            epochs.close()

    finished, training, nothing = asyncio.run(look())
    assert (finished["epoch"], finished["step"], nothing) == (12, None, None)
    assert (training["epoch"], training["step"]) == (1, 3)
    assert finished["filters"]["layer"] == "stem1"
    assert [each["label"] for each in finished["images"]][:3] == [0, 1, 2]
    for shown in (finished, training):
        assert len(shown["images"]) == 12
        assert all(
            sum(each["probabilities"]) == pytest.approx(1, abs=1e-3) for each in shown["images"]
        )
    sure = [
        [max(each["probabilities"]) for each in shown["images"]] for shown in (training, finished)
    ]
    assert np.mean(sure[0]) < np.mean(sure[1])


@pytest.mark.parametrize("file_format", ["webp", "gif"])
def test_the_filters_over_the_epochs_are_an_animation(server: Server, file_format: str) -> None:
    answer = get(server, f"drawn/filters.{file_format}")
    assert answer.headers["content-type"] == f"image/{file_format}"
    film = Image.open(io.BytesIO(answer.content))
    assert (film.format or "").lower() == file_format
    assert getattr(film, "n_frames", 1) == 3  # epochs 0, 1 and 2
    frames = []
    for number in range(3):
        film.seek(number)
        frames.append(np.asarray(film.convert("RGB"), np.int64))
    assert np.abs(frames[0][-60:] - frames[2][-60:]).max() > 30, "the filters change"


def check_convolution(unit: dict[str, Any], network: ActivationModel, place: Any) -> None:
    """Compares a convolution's arithmetic with NumPy's, and with the activations."""
    layer, filter_, row, column = place
    patch, kernel = np.array(unit["patch"]), np.array(unit["kernel"])
    found = next(each for each in network.layers if each.name == layer)
    assert found.kernel is not None and found.bias is not None
    np.testing.assert_array_equal(kernel, found.kernel[filter_])
    assert unit["bias"] == float(found.bias[filter_])
    assert unit["sum"] == pytest.approx((patch * kernel).sum() + unit["bias"], abs=1e-12)
    assert unit["output"] == max(unit["sum"], 0)
    activations = network.activations(PIXELS)
    assert unit["output"] == pytest.approx(activations[layer][filter_, row, column], abs=1e-5)
    inputs = (PIXELS / 255)[None] if unit["input"] == "pixels" else activations[unit["input"]]
    around = np.pad(inputs, [(0, 0), (9, 9), (9, 9)])
    top, left, side = unit["top"] + 9, unit["left"] + 9, len(kernel[0])
    expected = around[:, top : top + side, left : left + side]
    np.testing.assert_allclose(patch, expected, atol=1e-7)


UNITS = [
    ("drawn", "conv1", "pixels", (3, 4, 5), (4, 5)),
    ("drawn", "conv2", "pool1", (63, 10, 0), (10, 0)),
    ("drawn", "dense", "pool2", (90, 0, 0), (0, 0)),
    ("own", "stem1", "pixels", (2, 0, 13), (-1, 25)),  # stride 2, one zero on each side
    ("own", "conv1", "stem1", (31, 6, 6), (12, 12)),  # 2x2, stride 2
]


@pytest.mark.parametrize(("name", "layer", "before", "unit", "place"), UNITS)
def test_the_arithmetic_of_a_convolution(
    server: Server,
    run: Run,
    own_run: Run,
    name: str,
    layer: str,
    before: str,
    unit: Any,
    place: Any,
) -> None:
    query = dict(zip(("filter", "row", "column"), unit, strict=True))
    answer = post(server, f"/api/runs/{name}/epochs/1/unit", layer=layer, **query)
    kind = "dense" if layer == "dense" else "convolution"
    assert (answer["kind"], answer["input"]) == (kind, before)
    assert (answer["top"], answer["left"]) == place
    assert answer["file"] == "epoch-0001.npz"
    of = {"drawn": run, "own": own_run}[name]
    check_convolution(answer, Snapshot.open(of, of.snapshot_path(1)), (layer, *unit))


def test_the_arithmetic_of_a_served_int8_model_is_that_of_its_float32_file(server: Server) -> None:
    network = ActivationModel.find(PRETRAINED / "photo.onnx")
    assert network is not None
    answer = post(server, "/api/unit", model=0, layer="conv2", filter=7, row=0, column=27)
    assert (answer["file"], answer["top"], answer["left"]) == ("photo.onnx", -1, 26)
    assert np.array(answer["patch"])[:, 0].tolist() == [[0, 0, 0]] * 32, "padding"
    check_convolution(answer, network, ("conv2", 7, 0, 27))


def test_the_arithmetic_of_a_pooling_and_of_the_logits(server: Server, run: Run) -> None:
    network = Snapshot.open(run, run.snapshot_path(2))
    activations = network.activations(PIXELS)
    path, ties = "/api/runs/drawn/epochs/2/unit", 0
    for row, column in ((0, 0), (4, 7), (6, 6)):
        unit = post(server, path, layer="pool1", filter=9, row=row, column=column)
        patch = activations["conv1"][9, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert (unit["kind"], unit["top"], unit["left"]) == ("pooling", 2 * row, 2 * column)
        np.testing.assert_array_equal(unit["patch"], patch)
        assert unit["output"] == patch.max() == activations["pool1"][9, row, column]
        assert unit["chosen"] == [patch.argmax() // 2, patch.argmax() % 2]
        ties += patch.min() == patch.max()
    assert ties, "of equal values the first is chosen"
    unit = post(server, path, layer="logits")
    logits = network.predict(PIXELS[None])[0][0]
    np.testing.assert_allclose(unit["logits"], logits, atol=1e-5)
    shares = np.exp(unit["logits"]) / np.exp(unit["logits"]).sum()
    np.testing.assert_allclose(unit["probabilities"], shares, atol=1e-9)
    served, looked = post(server, "/api/unit", layer="logits"), post(server, "/api/look")
    assert served["file"] == "photo-int8.onnx"
    assert served["temperature"] == Classifier.load().metadata["temperature"]
    assert max(served["probabilities"]) == pytest.approx(looked["models"][0]["confidence"])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/unit?model=7&layer=conv1", 404, "no model '7'; expected one of: 0 photo, 1 runs"),
        ("/api/unit?layer=conv9", 400, "layer is 'conv9'; expected one of: conv1, conv2, pool1"),
        ("/api/unit", 400, "layer is None; expected one of"),
        ("/api/unit?layer=conv1&filter=32", 400, "filter is '32'; expected a number from 0 to 31"),
        ("/api/unit?layer=conv1&row=-1", 400, "row is '-1'; expected a number from 0 to 27"),
        ("/api/unit?layer=pool1&column=14", 400, "column is '14'; expected a number from 0 to 13"),
        (
            "/api/runs/drawn/epochs/3/look",
            404,
            "no network of the epoch '3'; its epochs are 0, 1, 2",
        ),
        ("/api/runs/drawn/epochs/live/look", 404, "it is written while the run is trained"),
        ("/api/runs/drawn/epochs/..%2F1/look", 404, "there is no path"),
        ("/api/runs/other/epochs/1/look", 404, "there is no run 'other'"),
        ("/api/runs/..%2Fruns/epochs/1/look", 404, "there is no path"),
        ("/api/runs/%2E%2E/epochs/1/look", 404, "there is no run '..'"),
        ("/api/runs/broken/epochs/1/look", 409, "is not a snapshot of this run"),
    ],
)
def test_what_does_not_exist_is_refused_in_a_line(
    server: Server, path: str, status: int, words: str
) -> None:
    answer = requests.post(server.url + path, data=PIXELS.tobytes(), headers=TYPE)
    assert answer.status_code == status
    assert words in answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("broken/images.png", 409, "the data of runs/broken is not in /gone"),
        ("broken/epochs/2/predictions", 409, "the data of runs/broken is not in /gone"),
        ("none/filters.gif", 404, "runs/none has no snapshots"),
        ("broken/filters.gif", 409, "epoch-0001.npz has no filters"),
    ],
)
def test_a_run_without_data_or_snapshots_says_so(
    server: Server, path: str, status: int, words: str
) -> None:
    answer = requests.get(f"{server.url}/api/runs/{path}")
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
