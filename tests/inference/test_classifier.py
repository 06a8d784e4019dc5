"""Classifier: the pretrained model, probabilities, abstention, and errors for other files."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import TensorProto, helper

from wardrobe import export
from wardrobe.data import load_data
from wardrobe.data.test_split import open_test_split
from wardrobe.errors import ModelError, RunError
from wardrobe.evaluation import scoring
from wardrobe.inference import engines
from wardrobe.inference.classifier import Classifier
from wardrobe.labels import CLASS_NAMES
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.runs import Run
from wardrobe.training import checkpoints

BLACK = np.zeros((28, 28), np.uint8)
GOOD = {"class_names": list(CLASS_NAMES), "temperature": 1.5, "familiarity_threshold": 0.2}


def save_tiny_model(
    path: Path,
    metadata: dict[str, Any],
    side: int = 28,
    classes: int = 10,
    output: str = "logits",
    batch: int | str = "batch",
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """Saves a tiny ONNX model whose logits are the mean pixel times 0, 1, 2, …"""
    flat = helper.make_node("Reshape", ["pixels", "shape"], ["flat"])
    dense = helper.make_node("MatMul", ["flat", "kernel"], [output])
    kernel = np.tile(
        np.arange(classes, dtype=helper.tensor_dtype_to_np_dtype(dtype)) / side**2 / 255,
        (side**2, 1),
    )
    graph = helper.make_graph(
        [flat, dense],
        "tiny",
        [helper.make_tensor_value_info("pixels", dtype, [batch, side, side, 1])],
        [helper.make_tensor_value_info(output, dtype, [batch, classes])],
        [onnx.numpy_helper.from_array(kernel, "kernel"),
         onnx.numpy_helper.from_array(np.array([-1, side**2]), "shape")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, engines.format_metadata(metadata))
    onnx.save(model, path)
    return path


def test_the_pretrained_model_has_the_accuracy_of_its_model_card(fashion_mnist_dir: Path) -> None:
    test = open_test_split(load_data("fashion-mnist", fashion_mnist_dir))
    classifier = Classifier.load()
    predictions = classifier.classify(test.images)
    correct = int((predictions.probabilities.argmax(axis=1) == test.labels).sum())
    card = (PRETRAINED / "README.md").read_text()
    assert f"| {correct / 100:.2f} % |" in card
    assert correct / len(test.labels) == classifier.metadata["accuracy"]
    assert f"| {100 * predictions.not_sure.mean():.2f} % |" in card


def test_probabilities_are_the_softmax_of_logits_over_temperature(tmp_path: Path) -> None:
    classifier = Classifier.load(save_tiny_model(tmp_path / "a.onnx", GOOD))
    images = np.full((3, 28, 28), 255, np.uint8)
    images[:, 0, 0] = (0, 1, 2)
    predictions = classifier.classify(images)
    logits = classifier.logits(images)
    np.testing.assert_allclose(logits[0], np.arange(10) * (1 - 1 / 784), rtol=1e-4)
    exponentials = np.exp(logits / 1.5)
    np.testing.assert_allclose(
        predictions.probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-5
    )
    assert predictions.labels == ["Ankle boot"] * 3
    np.testing.assert_allclose(
        predictions.familiarity, np.log(np.exp(logits).sum(axis=1)), rtol=1e-5
    )
    assert len(predictions) == 3


def test_a_text_in_metadata_is_read_as_text(tmp_path: Path) -> None:
    about = {**GOOD, "data": "2024", "recipe": "null", "split": "test", "seed": 2024}
    assert Classifier.load(save_tiny_model(tmp_path / "a.onnx", about)).metadata == about
    assert engines.parse_metadata(about) == about, "of a .tflite or .xml file"
    before_0_8 = {key: json.dumps(value) for key, value in about.items()}
    assert engines.parse_metadata(before_0_8) == about


def test_a_pickled_classifier_opens_its_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_tiny_model(Path("a.onnx"), GOOD)
    images = np.full((2, 28, 28), 9, np.uint8)
    for classifier in (Classifier.load(), Classifier.load(path, threads=1)):
        content = pickle.dumps(classifier)
        monkeypatch.chdir("/")  # the path is not relative
        for again in (pickle.loads(content), copy.deepcopy(classifier)):
            assert again.name == classifier.name
            np.testing.assert_array_equal(again.logits(images), classifier.logits(images))
        monkeypatch.chdir(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match=r"a\.onnx of the pickled model does not exist here"):
        pickle.loads(content)


def test_a_list_of_tiles_is_classified_and_anything_else_refused_in_a_line(tmp_path: Path) -> None:
    classifier, tile = Classifier.load(save_tiny_model(tmp_path / "a.onnx", GOOD)), BLACK
    assert len(classifier.classify([tile, tile])) == 2
    mistakes: list[tuple[Any, str]] = [
        (["a.jpg"], "shape (1,) and dtype <U5"),
        (tile, "shape (28, 28) and dtype uint8"),
        ([tile / 255], "shape (1, 28, 28) and dtype float64"),
        ([tile, tile[1:]], "different shapes"),
    ]
    for wrong, found in mistakes:
        expected = f"images of {found} cannot be classified; give (n, 28, 28) uint8, or a list"
        with pytest.raises(ModelError, match=re.escape(expected)):
            classifier.classify(wrong)


def test_unfamiliar_or_empty_images_are_not_sure_with_a_reason(tmp_path: Path) -> None:
    classifier = Classifier.load(
        save_tiny_model(tmp_path / "a.onnx", {**GOOD, "familiarity_threshold": 8.0})
    )
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, :20], images[1, :27] = 255, 255
    predictions = classifier.classify(images)
    assert predictions.not_sure.tolist() == [True, False, True]
    assert predictions.reason(1) is None
    assert predictions.reason(2) == "the image is blank"
    assert predictions.reason(0) == "unlike the 10 classes (familiarity 7.1, expected 8.0 or more)"
    near = replace(predictions, threshold=float(predictions.familiarity[0]) + 0.002)
    assert near.reason(0) == "unlike the 10 classes (familiarity 7.100, expected 7.102 or more)"


def test_batch_size_and_threads_do_not_change_the_logits(real_run: tuple[Run, Any]) -> None:
    classifier = Classifier.load(real_run[0])
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
    batched = classifier.logits(images)
    with ThreadPoolExecutor(8) as pool:
        single = np.concatenate(
            list(pool.map(lambda i: classifier.logits(images[i : i + 1]), range(300)))
        )
    np.testing.assert_allclose(single, batched, atol=1e-3)
    assert classifier.classify(images[:0]).labels == []


def test_tta_makes_logits_the_same_for_mirror_images(real_run: tuple[Run, Any]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    with_tta, plain = Classifier.load(PRETRAINED / "photo.onnx"), Classifier.load(real_run[0])
    np.testing.assert_allclose(
        with_tta.logits(images), with_tta.logits(images[:, :, ::-1]), atol=1e-4
    )
    assert np.abs(plain.logits(images) - plain.logits(images[:, :, ::-1])).max() > 0.1


def test_logits_match_keras(real_run: tuple[Run, Any]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    expected = scoring.make_logits_function(checkpoints.load_model(real_run[0]))(images)
    for source in (real_run[0], real_run[0].path, str(real_run[0].onnx_path)):
        np.testing.assert_allclose(
            Classifier.load(source).logits(images), expected, atol=export.MAX_LOGIT_DIFFERENCE
        )


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((28, 28), np.uint8), r"shape \(28, 28\)"),
        (np.zeros((1, 28, 28, 1), np.uint8), r"shape \(1, 28, 28, 1\)"),
        (np.zeros((1, 28, 28), np.float32), "dtype float32"),
    ],
)
def test_other_shapes_and_dtypes_are_an_error(tmp_path: Path, images: Any, words: str) -> None:
    classifier = Classifier.load(save_tiny_model(tmp_path / "a.onnx", GOOD))
    with pytest.raises(ModelError, match=words):
        classifier.classify(images)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"no model"), "is not a model that ONNX Runtime can read"),
        (lambda path: path.write_bytes(b""), "is not a model that ONNX Runtime can read"),
        (lambda path: path.mkdir(), "is not a run folder"),
        (lambda path: None, "does not exist"),
        (
            lambda path: save_tiny_model(path, {}),
            "lacks the metadata class_names, temperature, familiarity_threshold",
        ),
        (
            lambda path: save_tiny_model(path, {**GOOD, "temperature": "hot"}),
            "temperature 'hot', expected a number above 0",
        ),
        (
            lambda path: save_tiny_model(path, {**GOOD, "temperature": 0}),
            "temperature 0, expected a number above 0",
        ),
        (
            lambda path: save_tiny_model(path, {**GOOD, "class_names": "coat"}),
            "class_names 'coat', expected a list of names",
        ),
        (
            lambda path: save_tiny_model(path, {**GOOD, "familiarity_threshold": None}),
            "familiarity_threshold None",
        ),
        (lambda path: save_tiny_model(path, GOOD, classes=9), "has the output"),
        (lambda path: save_tiny_model(path, GOOD, side=32), "has the input"),
        (lambda path: save_tiny_model(path, GOOD, output="scores"), "has the output"),
        (lambda path: save_tiny_model(path, GOOD, batch=1), "has the input"),
        (
            lambda path: save_tiny_model(path, GOOD, dtype=TensorProto.DOUBLE),
            "has the input .*double",
        ),
    ],
)
def test_a_file_that_is_not_a_wardrobe_model_is_an_error(
    tmp_path: Path, make: Any, words: str
) -> None:
    make(tmp_path / "model.onnx")
    with pytest.raises((ModelError, RunError), match=words) as refused:
        Classifier.load(tmp_path / "model.onnx")
    assert "model.onnx" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_that_is_not_utf8_is_escaped_in_the_models_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xf6del.onnx")
    assert Classifier.load(save_tiny_model(path, GOOD)).name == rf"{tmp_path}/m\udcf6del.onnx"


def test_an_unfinished_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("{}")
    with pytest.raises(
        ModelError,
        match=r"has no model\.onnx: its training is not finished; resume it with: wardrobe train",
    ):
        Classifier.load(tmp_path / "run")


def test_classifying_imports_no_heavy_library() -> None:
    code = """if True:
        import sys, numpy, wardrobe
        pixels = wardrobe.photo.prepare(sys.argv[1])
        print(wardrobe.Classifier.load().classify(pixels[None]).labels)
        heavy = {"tensorflow", "keras", "scipy", "sklearn", "matplotlib", "onnx"}
        print(sorted(heavy & sys.modules.keys()))
    """
    image = ROOT / "docs/predictions.png"
    result = subprocess.run(
        [sys.executable, "-c", code, str(image)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    label, heavy = result.stdout.splitlines()
    assert label[2:-2] in CLASS_NAMES
    assert heavy == "[]"
