"""Receptive fields, filters, activation maximisation, probes."""

from typing import Any

import keras
import numpy as np
import pytest

from wardrobe.data import Dataset, Split
from wardrobe.explain import activation_maximization, embedding, filters, probes
from wardrobe.models import architecture, gradients, initializers, recipes
from wardrobe.models.layers import compute_receptive_fields
from wardrobe.runs import Run
from wardrobe.training import checkpoints

BASELINE = recipes.get("baseline")


@pytest.fixture(scope="module")
def trained(drawn_training: tuple[Run, object]) -> keras.Model:
    return checkpoints.load_model(drawn_training[0])


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_unit_depends_only_on_its_receptive_field(name: str) -> None:
    recipe = recipes.get(name)
    model = architecture.build(recipe, 10)
    initializers.initialize_weights(model, 0)
    images = np.random.default_rng(0).uniform(0, 255, (4, 28, 28, 1))
    for layer, (first, step, size) in compute_receptive_fields(recipe).items():
        inner = architecture.build_intermediates(model, [layer])
        middle = model.get_layer(layer).output.shape[1] // 2

        def unit(batch: Any, inner: Any = inner, layer: str = layer, middle: int = middle) -> Any:
            return keras.ops.sum(inner(batch)[layer][:, middle, middle], axis=-1)

        seen = np.flatnonzero(
            np.abs(gradients.compile_gradient(unit)(images)[1]).sum(axis=(0, 2, 3))
        )
        centre = first + step * middle
        assert (seen.min(), seen.max()) == (
            max(0, centre - (size - 1) / 2),
            min(27, centre + (size - 1) / 2),
        ), layer


def test_the_strongest_inputs_have_the_largest_weights() -> None:
    model = architecture.build(BASELINE, 10)
    kernel = np.zeros((3, 3, 32, 64), np.float32)
    kernel[1, 2, 7, 5], kernel[0, 0, 30, 5], kernel[2, 2, 3, 5] = -3, 2, 1
    model.get_layer("conv2").set_weights([kernel, np.zeros(64)])
    inputs, kernels = filters.strongest_inputs(model, 1, 3)
    assert inputs[5].tolist() == [7, 30, 3]
    assert kernels.shape == (64, 3, 3, 3)
    assert kernels[5, 0, 1, 2] == -3


def test_the_top_images_are_found_with_their_place() -> None:
    model = architecture.build(BASELINE, 10)
    kernel, bias = model.get_layer("conv1").get_weights()
    kernel[:], bias[:] = 0, 0
    kernel[1, 1, 0, 4] = 1  # filter 4 detects a bright pixel in its centre
    model.get_layer("conv1").set_weights([kernel, bias])
    images = np.zeros((30, 28, 28), np.uint8)
    images[11, 20, 6], images[23, 3, 15] = 255, 200
    found = filters.find_top_images(model, BASELINE, images, filters=1, count=2)["conv1"]
    assert found.filters.tolist() == [4]
    assert found.images.tolist() == [[11, 23]]
    assert found.centres.tolist() == [[[20, 6], [3, 15]]]
    assert found.size == 3


def test_a_synthetic_image_activates_its_unit_more_than_most_real_ones(
    drawn_data: Dataset, trained: keras.Model
) -> None:
    images = drawn_data.train.images[:1500]
    for layer in ("dense", "logits"):
        units = list(range(10))
        maximized = activation_maximization.maximize_activation(
            trained, BASELINE, layer, units, images
        )
        assert maximized.shape == (10, 28, 28)
        assert maximized.dtype == np.uint8
        excite = gradients.compile_gradient(
            activation_maximization._make_activation(trained, layer, units)
        )
        real = [excite(np.repeat(image[None, ..., None], 10, axis=0))[0] for image in images[:50]]
        assert (excite(maximized[..., None])[0] > np.quantile(real, 0.8, axis=0)).mean() > 0.85, (
            layer
        )
    assert activation_maximization.maximize_activation(
        trained, BASELINE, "conv2", [0, 1], images
    ).shape == (2, 8, 8)


def test_probes_improve_with_depth_only_after_training(
    drawn_data: Dataset, trained: keras.Model
) -> None:
    train, validation = drawn_data.train, drawn_data.validation
    untrained = initializers.build_untrained(BASELINE, 10, 0, train.images[:1500])
    learnt, random = (
        probes.fit_probes(model, train[:1500], validation) for model in (trained, untrained)
    )
    assert list(learnt) == ["pixels", "conv1", "conv2", "dense", "logits"]
    assert learnt["pixels"] == random["pixels"]
    assert learnt["dense"] > learnt["pixels"] + 0.03
    assert random["logits"] < random["pixels"]


def test_a_probe_on_few_images_ignores_components_that_hardly_vary() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1060) % 3
    tones = rng.normal(100, 30, (1060, 28, 28))
    tones[:, :9] += 60 * (labels == 1)[:, None, None]
    tones[:, 19:] += 60 * (labels == 2)[:, None, None]
    images = np.clip(tones, 0, 255).astype(np.uint8)
    split = Split(images, labels)
    model = initializers.build_untrained(BASELINE, 3, 0, images)
    found = probes.fit_probes(model, split[:60], split[60:])
    assert found["pixels"] > 0.95


def test_an_ensemble_is_explained_by_its_first_member() -> None:
    recipe = recipes.get("champion")
    model = architecture.build(recipe, 10)
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    assert all(
        name.startswith("member1_") for name in filters.find_top_images(model, recipe, images, 2, 3)
    )
    split = Split(images, np.arange(20) % 10)
    assert list(probes.fit_probes(model, split, split))[-1] == "member1_logits"
    assert embedding.penultimate_features(model, images).shape == (20, 3 * 3 * 160)


def test_snapshots_of_earlier_epochs_are_kept(real_run: tuple[Run, dict[str, Any]]) -> None:
    early = checkpoints.load_snapshots(real_run[0])
    assert list(early) == [1]
    final = checkpoints.load_model(real_run[0])
    assert np.abs(early[1].get_layer("conv1").kernel - final.get_layer("conv1").kernel).max() > 1e-3
