"""model.onnx says what model.keras says, carries its names, and a file that does not agree is never left behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from wardrobe import data, export, models, training
from wardrobe.errors import WardrobeError
from wardrobe.runs import Run


def test_both_files_give_the_same_logits_on_all_test_images(
    real_run: tuple[Run, dict[str, Any]], fashion_mnist_dir: Path
) -> None:
    run = real_run[0]
    images = data.load_data("fashion-mnist", fashion_mnist_dir).open_test().images
    assert len(images) == 10_000
    keras_logits = training.load(run).predict(images[..., None], batch_size=1000, verbose=0)
    difference = np.abs(export.onnx_logits(run.onnx_path, images) - keras_logits).max()
    assert difference <= 1e-4
    assert run.info()["onnx_largest_logit_difference"] <= 1e-4


def test_the_file_says_what_it_is(real_run: tuple[Run, dict[str, Any]]) -> None:
    run = real_run[0]
    session = onnxruntime.InferenceSession(run.onnx_path)
    (pixels,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.shape, pixels.type) == ("pixels", ["batch", 28, 28, 1], "tensor(float)")
    assert (logits.name, logits.shape) == ("logits", ["batch", 10])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"])[9] == "Ankle boot"
    assert float(about["temperature"]) == run.metrics()["temperature"]
    assert (about["recipe"], about["data"]) == ("seed", "fashion-mnist")
    assert float(about["accuracy"]) == run.metrics()["accuracy"]


def test_the_views_of_a_recipe_are_in_the_file(tmp_path: Path, drawn_training: tuple[Run, object]) -> None:
    model = training.load(drawn_training[0])
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    expected = models.averaged(model, 6).predict(images[..., None], verbose=0)
    export.to_onnx(models.averaged(model, 6), tmp_path / "model.onnx", {}, images, expected)
    np.testing.assert_allclose(export.onnx_logits(tmp_path / "model.onnx", images), expected, atol=1e-4)
    assert np.abs(expected - model.predict(images[..., None], verbose=0)).max() > 0.01
    plain = drawn_training[0].onnx_path.stat().st_size
    assert (tmp_path / "model.onnx").stat().st_size < 1.2 * plain, "the weights are in it several times"


def test_an_export_that_differs_is_refused_and_not_left(drawn_training: tuple[Run, object], tmp_path: Path) -> None:
    model = training.load(drawn_training[0])
    images = np.zeros((2, 28, 28), np.uint8)
    said = model.predict(images[..., None], verbose=0) + 2e-4
    with pytest.raises(WardrobeError, match="differs from Keras by nan"):
        export.to_onnx(model, tmp_path / "model.onnx", {}, images, np.full_like(said, np.nan))
    with pytest.raises(WardrobeError, match=r"differs from Keras by 2\.0e-04"):
        export.to_onnx(model, tmp_path / "model.onnx", {}, images, said)
    assert list(tmp_path.iterdir()) == []
