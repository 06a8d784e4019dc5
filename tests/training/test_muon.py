"""Muon orthogonalizes the updates of dense and convolution kernels; the rest gets Adam."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from wardrobe.models import recipes
from wardrobe.training import loop, muon


def test_singular_values_are_near_1_for_every_shape() -> None:
    rng = np.random.default_rng(0)
    for shape in ((288, 32), (32, 288), (16, 16)):
        matrix = rng.standard_normal(shape).astype(np.float32)
        made = keras.ops.convert_to_numpy(muon.orthogonalize(matrix, 5))
        u, _, v = np.linalg.svd(matrix, full_matrices=False)
        values = np.diag(u.T @ made @ v.T)  # along the matrix's own singular vectors
        assert values.min() > 0.3
        assert values.max() < 1.3


@pytest.mark.parametrize("last", ["logits", "member1_logits"])
def test_a_convolution_is_updated_as_a_matrix(last: str) -> None:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(8, 3, name="conv"),
            keras.layers.Dense(2, name=last),
        ]
    )
    optimizer = muon.Muon(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    before = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    rng = np.random.default_rng(0)
    gradients = [
        rng.standard_normal(variable.shape).astype(np.float32)
        for variable in model.trainable_variables
    ]
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
    steps = [
        keras.ops.convert_to_numpy(variable) - old
        for variable, old in zip(model.trainable_variables, before, strict=True)
    ]
    kernel, *rest = steps
    values = np.linalg.svd(kernel.reshape(27, 8), compute_uv=False) / (
        0.01 * muon.STEP_SIZE * np.sqrt(27)
    )
    assert values.min() > 0.3
    assert values.max() < 1.3
    assert np.sum(kernel * gradients[0]) < 0, "a step against the gradient"
    for step, gradient in zip(rest, gradients[1:], strict=True):
        np.testing.assert_allclose(step, -0.01 * np.sign(gradient), rtol=1e-3)  # Adam's first step


def test_a_recipe_chooses_the_number_of_iterations() -> None:
    sprint = replace(recipes.get("sprint"), muon_iterations=2)
    assert loop.compile_model(sprint, 10, 0, 1).optimizer.newton_schulz_iterations == 2


def test_settings_survive_serialization() -> None:
    config = keras.optimizers.serialize(muon.Muon(0.01, momentum=0.9, iterations=3))
    loaded = keras.optimizers.deserialize(config)
    assert isinstance(loaded, muon.Muon)
    assert (loaded.momentum, loaded.newton_schulz_iterations) == (0.9, 3)
    assert float(loaded.learning_rate) == pytest.approx(0.01)
