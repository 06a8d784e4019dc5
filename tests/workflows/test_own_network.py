"""A network of one's own, from a Python file: the whole way, a resume, and errors of one line."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, refused, wardrobe_here
from PIL import Image

from wardrobe import runs
from wardrobe.data import Dataset, synthetic
from wardrobe.errors import UsageError
from wardrobe.explain.chapters import CHAPTERS, heat_maps
from wardrobe.inference import engines
from wardrobe.inference.activations import ActivationModel
from wardrobe.models import own_network
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import loop
from wardrobe.workflows import api, explain_run
from wardrobe.workflows.planning import recipe_files

START = """
import keras
from keras import layers
def build(class_count):
    pixels = keras.Input((28, 28, 1))
"""
LOGITS = 'layers.Dense(class_count, name="logits")'
TINY = f"""{START}
    x = layers.DepthwiseConv2D(5, 4, use_bias=False)(pixels)
    x = layers.Conv2D(8, 1, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Concatenate()([x, layers.AveragePooling2D(5, 4)(pixels)])
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return keras.Model(pixels, {LOGITS}(x))

RECIPE = {{"base": "strong", "name": "tiny", "epochs": 2, "batch_size": 32, "tta_views": 2}}
"""
FLAT = "layers.Flatten()(pixels)"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, few_of_own: Path) -> Run:
    """A run of TINY on 450 images of three classes. Only its copy of the file is left."""
    cwd = tmp_path_factory.mktemp("network")
    (cwd / "tiny.py").write_text(TINY)
    arguments = ("train", "--recipe", "tiny.py", "--data", few_of_own, "--out", "run")
    result = wardrobe_here(*arguments, cwd=cwd)
    assert result.returncode == 0, result.stderr
    assert "Drawing filters and feature maps: skipped" in result.stdout
    (cwd / "tiny.py").unlink()
    run = Run(cwd / "run")
    assert (run.path / "network.py").read_text() == TINY
    assert run.info()["recipe"]["network"] == "network.py"
    assert run.info()["forward_flops"] > 0
    return run


def test_the_whole_way(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cwd, code = trained.path.parent, trained.path / "network.py"
    code.rename(cwd / "kept")  # what follows does not run it
    of_layers = tuple(each for each in CHAPTERS if each.needs_layers)
    monkeypatch.setattr(explain_run, "CHAPTERS", (*of_layers, heat_maps.CHAPTER))
    result = wardrobe_here("explain", "run", cwd=cwd)
    assert result.returncode == 0, result.stderr
    assert "What each layer detects: skipped, it explains the layers of a recipe" in result.stdout
    assert trained.explanation()["figures"] == ["heat_maps"]
    images = synthetic.draw(20)[0]
    expected = engines.compute_logits(engines.open_engine(trained.onnx_path), images)
    for to in ("litert", "openvino"):
        result = wardrobe_here("export", "run", "--format", to, cwd=cwd)
        assert result.returncode == 0, result.stderr
        file = trained.path / engines.file_name("model", to, False)
        found = engines.compute_logits(engines.open_engine(file), images)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    Image.fromarray(images[0]).save(cwd / "tile.png")
    predicted = wardrobe_here("predict", "tile.png", "--model", "run", "--json", cwd=cwd)
    assert predicted.returncode == 0, predicted.stderr
    assert ActivationModel.find(trained.onnx_path) is None  # pages of a server show no layers
    explained = api.describe_image(cwd / "tile.png", trained, stream=io.StringIO())
    assert explained["left_out"].endswith("which a network of one's own does not have")
    (cwd / "kept").rename(code)


def test_a_killed_run_resumes_to_the_same_weights(
    trained: Run, drawn_data: Dataset, tmp_path: Path
) -> None:
    class Stopping(TrainingDisplay):
        def epoch(self, row: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    few = replace(drawn_data, train=drawn_data.train[:200], validation=drawn_data.validation[:100])
    recipe, weights = recipe_files.read(trained.path), []
    for name in ("whole", "cut"):
        run = runs.create_run(recipe, tmp_path / name, data="synthetic", seed=3)
        if name == "cut":
            with pytest.raises(KeyboardInterrupt):
                loop.fit(run.recipe(), few, run, 3, Stopping(io.StringIO()))
        model = loop.fit(run.recipe(), few, run, 3, TrainingDisplay(io.StringIO()))
        weights.append(model.get_weights())
    for whole, cut in zip(*weights, strict=True):
        np.testing.assert_array_equal(whole, cut)
    (run.path / "network.py").write_text(TINY + "\n")
    result = wardrobe_here("train", "--resume", run.path, cwd=tmp_path)
    refused(result, 1, "network.py is not the code that the training began with")


def test_the_example_builds() -> None:
    network = own_network.build(recipe_files.read(ROOT / "examples/network.py"), 10)
    assert network.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("def build(:", [], "net.py is not Python: invalid syntax (net.py, line 1)"),
        ("x = 1", [], "net.py has no function build; write: def build(class_count: int)"),
        (TINY + "RECIPE = dict(epochs=9)", [], "RECIPE is not a dict of plain values"),
        (TINY + "RECIPE = {'epoch': 9}", [], "net.py: epoch: a recipe has no such field"),
        (TINY + "RECIPE = {'ensemble_size': 2}", [], "net.py: ensemble_size=2 cannot be given"),
        (TINY + "RECIPE = {'network': 'a.py'}", [], "network: a recipe has no such field"),
        (TINY + "RECIPE = {'name': 'strong'}", [], "'strong' is that of a recipe that ships"),
        (TINY, ["--set", "whitened_stem=true"], "whitened_stem=true cannot be given"),
        (TINY, ["--from", "photo"], "--from photo is not possible with a network of one's own"),
    ],
)
def test_a_wrong_file_is_one_line_before_keras_is_loaded(
    tmp_path: Path, text: str, more: list[str], words: str
) -> None:
    (tmp_path / "net.py").write_text(text)
    result = wardrobe_here("train", "--recipe", "net.py", *more, cwd=tmp_path)
    refused(result, 2, words)
    assert "Starting Keras" not in result.stdout


def test_tune_refuses_a_network(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TINY)
    for more in ([], ["--range-test"]):
        result = wardrobe_here("tune", "--recipe", "net.py", *more, cwd=tmp_path)
        refused(result, 2, "wardrobe tune is not possible with a network of one's own")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    1 / 0", "net.py, line 6: ZeroDivisionError: division by zero"),
        ("    return 5", "build returned int, expected a keras.Model"),
        (f"    return keras.Sequential([layers.Flatten(), {LOGITS}])", "without an input"),
        (f"    return keras.Model(pixels, {FLAT})", "[(None, 784)], expected [(None, 28, 28, 1)]"),
        (
            f"    return keras.Model(pixels, layers.Dense(class_count)({FLAT}))",
            "the last layer is Dense 'dense",
        ),
        (
            f"    x = layers.Lambda(lambda x: x)({FLAT})\n"
            f"    return keras.Model(pixels, {LOGITS}(x))",
            "(Lambda), expected a layer of keras.layers",
        ),
        (
            f"    x = layers.Dense(4, dtype='mixed_bfloat16')({FLAT})\n"
            f"    return keras.Model(pixels, {LOGITS}(x))",
            "(Dense), expected float32, not mixed_bfloat16",
        ),
        (
            f"    x = layers.Dense(4, activation=lambda x: x)({FLAT})\n"
            f"    return keras.Model(pixels, {LOGITS}(x))",
            "a layer cannot be copied",
        ),
        (
            f"    def own(x):\n        return x\n    x = layers.Dense(4, activation=own)({FLAT})\n"
            f"    return keras.Model(pixels, {LOGITS}(x))",
            "a layer cannot be copied",
        ),
        (
            f"    return keras.Model(pixels, keras.ops.softmax({LOGITS}({FLAT})))",
            "the last layer is Dense 'logits'; end build with",
        ),
        (
            "    x = layers.Flatten()(layers.RandomFlip()(pixels))\n"
            f"    return keras.Model(pixels, {LOGITS}(x))",
            "(RandomFlip), expected no random layer but Dropout",
        ),
    ],
)
def test_a_network_that_cannot_be_used_is_one_line(tmp_path: Path, body: str, words: str) -> None:
    file = tmp_path / "net.py"
    file.write_text(START + body)
    with pytest.raises(UsageError) as found:
        own_network.build(recipe_files.read(file), 10)
    assert words in str(found.value)
    assert str(file) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_sequential_network_gets_the_same_layers_and_weights(tmp_path: Path) -> None:
    code = f"    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), {LOGITS}])"
    (tmp_path / "net.py").write_text(START + code)
    network: Any = own_network.build(recipe_files.read(tmp_path / "net.py"), 3)
    assert [layer.name for layer in network.layers][:2] == ["pixels", "scale"]
    pixels = np.full((1, 28, 28, 1), 255, np.float32)
    kernel = network.get_layer("logits").get_weights()[0]
    np.testing.assert_allclose(network(pixels), kernel.sum(axis=0)[None], atol=1e-4)
