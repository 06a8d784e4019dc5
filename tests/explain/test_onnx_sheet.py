"""`wardrobe explain PHOTO` where Wardrobe alone is installed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wardrobe import photo
from wardrobe.data import synthetic
from wardrobe.explain import onnx_sheet
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.classifier import Classifier, Predictions
from wardrobe.onnx_runtime import PRETRAINED, parse_model

BARE = """
import sys
for name in ("keras", "tensorflow", "matplotlib", "onnx", "scipy", "sklearn", "jinja2", "pooch"):
    sys.modules[name] = None  # as if it were not installed
from wardrobe.cli import main
main()
"""


def test_a_photo_is_explained_without_keras(tmp_path: Path) -> None:
    Image.fromarray(synthetic.draw_one(9, np.random.default_rng(0))).save(tmp_path / "boot.png")
    result = subprocess.run(
        [sys.executable, "-c", BARE, "explain", "boot.png", "--out", "new/x.png", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["model"], found["path"], found["label"]) == ("photo", "boot.png", "Ankle boot")
    assert "which a model file does not have; give a run of a recipe" in found["left_out"]
    assert found["left_out"] in result.stderr
    assert np.shape(found["occlusion"]) == (28, 28)
    assert np.max(found["occlusion"]) > 0
    assert [*found["layers"]] == ["conv1", "conv3", "conv4", "conv6"]
    assert found["nearest"][0]["label"] == "Ankle boot"
    with Image.open(tmp_path / found["sheet"]) as sheet:
        assert sheet.width == onnx_sheet.WIDTH


def test_the_sheet_says_what_the_answer_is_and_what_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        onnx_sheet._Sheet, "write", lambda self, x, y, text, *_, **__: written.append(text)
    )
    model, steps = Classifier.load("photo"), photo.prepare_steps(np.eye(28, dtype=np.uint8) * 255)
    answer = model.classify(steps.pixels[None])
    onnx_sheet.write_sheet("x", steps, model, answer, tmp_path / "x.png", "nothing is left out")
    assert "x: unlike the 10 classes" in written
    assert "the model's data: fashion-mnist and clothing-photos; nothing is left out" in written
    (legend,) = (each for each in written if each.startswith("red"))
    assert legend.startswith(f"red: supports {answer.labels[0]}, the most probable class; ")
    assert legend.endswith("Below: 4 of 6 convolutions")
    assert not any(each.endswith("%") for each in written)
    probabilities = np.array([[0.1, 0.42, 0.48], [0.06, 0.94, 0.0]])
    familiar = Predictions(("a", "b", "c"), probabilities, np.ones(2), 0.0, np.zeros(2, bool))
    assert [familiar.verdict(i) for i in (0, 1)] == ["uncertain between c and b", "b, 94 %"]


@pytest.mark.parametrize("name", ["photo", "baseline"])
def test_the_tensors_of_a_model_are_those_that_the_onnx_package_finds(name: str) -> None:
    path = PRETRAINED / f"{name}.onnx"
    tensors, features = onnx_sheet.find_tensors(parse_model(path.read_bytes()))
    model = ActivationModel.find(path)
    assert model is not None
    convolutions = {each.name: each.tensor for each in model.layers if each.name.startswith("conv")}
    assert tensors == convolutions
    assert features.endswith(("flatten_1/Reshape:0", "dense_1/Relu:0"))
