"""`wardrobe explain PHOTO` where Wardrobe alone is installed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.explain import onnx_sheet
from wardrobe.inference.activations import ActivationModel
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


@pytest.mark.parametrize("name", ["photo", "baseline"])
def test_the_tensors_of_a_model_are_those_that_the_onnx_package_finds(name: str) -> None:
    path = PRETRAINED / f"{name}.onnx"
    tensors, features = onnx_sheet.find_tensors(parse_model(path.read_bytes()))
    model = ActivationModel.find(path)
    assert model is not None
    convolutions = {each.name: each.tensor for each in model.layers if each.name.startswith("conv")}
    assert tensors == convolutions
    assert features.endswith(("flatten_1/Reshape:0", "dense_1/Relu:0"))
