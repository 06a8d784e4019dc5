"""What the layers learnt: windows, made of, most exciting, maximised, probes."""

from typing import Any

import keras
import numpy as np
import pytest

from wardrobe.data import Dataset
from wardrobe.explain import attribution, layers
from wardrobe.models import architecture, gradients, initializers, recipes
from wardrobe.runs import Run
from wardrobe.training import checkpoints

SEED = recipes.get("baseline")


@pytest.fixture(scope="module")
def trained(drawn_training: tuple[Run, object]) -> keras.Model:
    return checkpoints.load_model(drawn_training[0])


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_unit_sees_its_window_and_nothing_else(name: str) -> None:
    recipe = recipes.get(name)
    model = architecture.build(recipe, 10)
    initializers.initialize_weights(model, 0)
    images = np.random.default_rng(0).uniform(0, 255, (4, 28, 28, 1))
    for layer, (first, step, size) in architecture.compute_receptive_fields(recipe).items():
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


def test_the_parts_of_a_filter_are_those_of_the_largest_weights() -> None:
    model = architecture.build(SEED, 10)
    kernel = np.zeros((3, 3, 32, 64), np.float32)
    kernel[1, 2, 7, 5], kernel[0, 0, 30, 5], kernel[2, 2, 3, 5] = -3, 2, 1
    model.get_layer("conv2").set_weights([kernel, np.zeros(64)])
    made_of, kernels = layers.strongest_inputs(model, 1, 3)
    assert made_of[5].tolist() == [7, 30, 3]
    assert kernels.shape == (64, 3, 3, 3)
    assert kernels[5, 0, 1, 2] == -3


def test_the_most_exciting_images_are_found_with_their_place() -> None:
    model = architecture.build(SEED, 10)
    kernel, bias = model.get_layer("conv1").get_weights()
    kernel[:], bias[:] = 0, 0
    kernel[1, 1, 0, 4] = 1  # filter 4 answers to a bright pixel in the middle of its window
    model.get_layer("conv1").set_weights([kernel, bias])
    images = np.zeros((30, 28, 28), np.uint8)
    images[11, 20, 6], images[23, 3, 15] = 255, 200
    found = layers.find_top_images(model, SEED, images, filters=1, count=2)["conv1"]
    assert found.filters.tolist() == [4]
    assert found.images.tolist() == [[11, 23]]
    assert found.middles.tolist() == [[[20, 6], [3, 15]]]
    assert found.size == 3


def test_an_image_made_to_excite_a_unit_excites_it_more_than_most_real_ones(
    drawn_data: Dataset, trained: keras.Model
) -> None:
    images = drawn_data.train.images[:1500]
    for layer in ("dense", "logits"):
        units = list(range(10))
        made = layers.maximize_activation(trained, SEED, layer, units, images)
        assert made.shape == (10, 28, 28)
        assert made.dtype == np.uint8
        excite = gradients.compile_gradient(layers._excitement(trained, layer, units))
        real = [excite(np.repeat(image[None, ..., None], 10, axis=0))[0] for image in images[:50]]
        assert (excite(made[..., None])[0] > np.quantile(real, 0.8, axis=0)).mean() > 0.85, layer
    assert layers.maximize_activation(trained, SEED, "conv2", [0, 1], images).shape == (2, 8, 8)


def test_depth_helps_a_trained_network_and_not_an_untrained_one(
    drawn_data: Dataset, trained: keras.Model
) -> None:
    train, validation = drawn_data.train, drawn_data.validation
    seen = train.images[:1500], train.labels[:1500]
    untrained = initializers.build_untrained(SEED, 10, 0, seen[0])
    new = validation.images, validation.labels
    learnt, random = (layers.fit_probes(model, seen, new) for model in (trained, untrained))
    assert list(learnt) == ["pixels", "conv1", "conv2", "dense", "logits"]
    assert learnt["pixels"] == random["pixels"]
    assert learnt["dense"] > learnt["pixels"] + 0.03
    assert random["logits"] < random["pixels"]


def test_a_probe_of_few_images_is_not_misled_by_what_hardly_varies() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1060) % 3
    tones = rng.normal(100, 30, (1060, 28, 28))
    tones[:, :9] += 60 * (labels == 1)[:, None, None]
    tones[:, 19:] += 60 * (labels == 2)[:, None, None]
    images = np.clip(tones, 0, 255).astype(np.uint8)
    model = initializers.build_untrained(SEED, 3, 0, images)
    found = layers.fit_probes(model, (images[:60], labels[:60]), (images[60:], labels[60:]))
    assert found["pixels"] > 0.95


def test_columns_are_looked_into_by_their_first() -> None:
    recipe = recipes.get("champion")
    model = architecture.build(recipe, 10)
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    assert all(
        name.startswith("member1_") for name in layers.find_top_images(model, recipe, images, 2, 3)
    )
    labels = np.arange(20) % 10
    assert (
        list(layers.fit_probes(model, (images, labels), (images, labels)))[-1] == "member1_logits"
    )
    assert attribution.penultimate_features(model, images).shape == (20, 3 * 3 * 160)


def test_the_network_of_earlier_epochs_is_kept(real_run: tuple[Run, dict[str, Any]]) -> None:
    early = checkpoints.load_snapshots(real_run[0])
    assert list(early) == [1]
    final = checkpoints.load_model(real_run[0])
    assert np.abs(early[1].get_layer("conv1").kernel - final.get_layer("conv1").kernel).max() > 1e-3
