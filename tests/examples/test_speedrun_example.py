"""The recipe `sprint` in one file is that recipe, and runs."""

import ast
import re
import runpy
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT

from wardrobe.data import load, synthetic
from wardrobe.models import architecture, initializers, recipes
from wardrobe.training import muon, schedules

EXAMPLE = ROOT / "examples/speedrun.py"
SPRINT = recipes.get("sprint")


@pytest.fixture(autouse=True)
def _drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = synthetic.draw(1200, 0)
    parts = (images[:1000], labels[:1000]), (images[1000:], labels[1000:])
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: parts)


def test_the_file_is_the_recipe() -> None:
    found = runpy.run_path(str(EXAMPLE))
    settings = [found[name] for name in ("EPOCHS", "BATCH", "PEAK_RATE", "ITERATIONS")]
    rate, iterations = SPRINT.learning_rate, SPRINT.muon_iterations
    assert settings == [SPRINT.epochs, SPRINT.batch_size, rate, iterations]
    (images, labels), validation, _ = found["load_data"]()
    drawn, drawn_labels = keras.datasets.fashion_mnist.load_data()[0]
    kept, out = load.stratified_split(drawn_labels, len(drawn) // 12)
    np.testing.assert_array_equal(images, drawn[kept])
    np.testing.assert_array_equal(validation[0], drawn[out])
    made, expected = found["build"](images), architecture.build(SPRINT, 10)
    assert [each.shape for each in made.weights] == [each.shape for each in expected.weights]
    initializers.whiten_stem(expected, images)
    np.testing.assert_allclose(made.layers[1].kernel, expected.get_layer("stem1").kernel, atol=1e-3)
    matrix = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    step = muon.orthogonalize(matrix, iterations)
    np.testing.assert_allclose(found["orthogonalize"](matrix), step, atol=1e-5)
    for number in (0, 2, 8):
        rates = found["WarmupLinear"](9)(number), schedules.WarmupLinear(rate, 9)(number)
        assert float(rates[0]) == pytest.approx(float(rates[1]))
    first, second = (found["Batches"](images, labels, np.random.default_rng(0)) for _ in range(2))
    second.on_epoch_end()
    mirrored = {image.tobytes() for image in images[:, :, ::-1]}
    sides = [
        [each.tobytes() in mirrored for each in one.epoch[0][..., 0]] for one in (first, second)
    ]
    assert sum(map(sum, sides)) == len(images), "each image is mirrored in one of two epochs"


def test_the_file_trains_and_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "1", "--test"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    line = r"mean of 1: [\d.]+ s, accuracy ([\d.]+)% ([\d.]+)%"
    scores = re.search(line, capsys.readouterr().out)
    assert scores and 20 < float(scores[2]) <= 100  # guessing reaches 10


def test_the_file_is_short_and_needs_only_keras_and_numpy() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 200
    nodes = list(ast.walk(ast.parse(source)))
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    modules |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert modules == {"keras", "numpy", "sys", "time"}
