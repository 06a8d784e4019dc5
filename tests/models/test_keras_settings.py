"""Which settings of Keras are used: the backend alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import python_here, refused, wardrobe

BUILD = """
from wardrobe.models import keras_settings
with keras_settings.loading_keras():
    from wardrobe.models import architecture, recipes
    from wardrobe.training.finder import unet
import keras
keras.utils.set_random_seed(0)
model = architecture.build(recipes.get("sprint"), 10)
finder = unet.build((4, 8))
shapes = [list(each.shape) for each in model.weights + finder.weights]
print({"shapes": shapes, "dtypes": sorted({each.dtype for each in model.weights + finder.weights}),
       "sum": float(sum(abs(each).sum() for each in model.get_weights())),
       "epochs": keras.config.max_epochs()})
"""


def test_networks_do_not_depend_on_keras_json_or_the_environment(tmp_path: Path) -> None:
    plain = python_here(BUILD, tmp_path).stdout
    config = {
        "image_data_format": "channels_first",
        "floatx": "float16",
        "epsilon": 1e-3,
        "nnx_enabled": True,
    }
    (tmp_path / "keras.json").write_text(json.dumps(config))
    variables = {"KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1"}
    command = [sys.executable, "-c", BUILD]
    built = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
    assert built.stdout == plain != ""
    (line,) = built.stderr.splitlines()
    words = "KERAS_MAX_EPOCHS", "nnx_enabled", "channels_first", "floatx float16", "epsilon 0.001"
    for word in (str(tmp_path / "keras.json"), "not used", *words):
        assert word in line


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"backend": "theano"}', ["keras.json sets the backend 'theano'", "KERAS_BACKEND="]),
        ("[]", ["keras.json is not a JSON object", "repair or remove"]),
        ('{"floatx": "bfloat16"}', ["floatx 'bfloat16', which Keras refuses"]),
        ('{"epsilon": 1}', ["epsilon 1, which Keras refuses"]),
    ],
)
def test_a_keras_json_that_cannot_be_used_is_one_line(
    tmp_path: Path, few_of_own: Path, config: str, words: list[str]
) -> None:
    (tmp_path / "keras.json").write_text(config)
    result = wardrobe("train", "sprint", "--data", few_of_own, cwd=tmp_path)
    refused(result, 2, *words)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_a_backend_that_does_not_train_is_one_line(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    result = wardrobe("train", "sprint", "--data", few_of_own, cwd=tmp_path)
    refused(result, 2, f"KERAS_BACKEND sets the backend '{backend}'", "expected tensorflow or jax")
