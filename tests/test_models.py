"""The seed recipe is exactly the network that was asked for."""

import keras
import numpy as np
import pytest

from wardrobe import models, recipes, training
from wardrobe.errors import UsageError


@pytest.fixture(scope="module")
def seed_model() -> keras.Model:
    return training.compiled(recipes.get("seed"), 10, seed=0, steps=100)


def test_seed_has_the_layers_asked_for(seed_model: keras.Model) -> None:
    kinds = [type(layer).__name__ for layer in seed_model.layers]
    assert kinds == [
        "InputLayer", "Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    names = [layer.name for layer in seed_model.layers]
    assert names == ["pixels", "scale", "conv1", "pool1", "conv2", "pool2", "flatten", "dense", "logits"]
    shapes = [tuple(layer.kernel.shape) for layer in seed_model.layers if hasattr(layer, "kernel")]
    assert shapes == [(3, 3, 1, 32), (3, 3, 32, 64), (1600, 128), (128, 10)]
    assert [seed_model.get_layer(f"pool{i}").pool_size for i in (1, 2)] == [(2, 2), (2, 2)]
    activations = [layer.activation.__name__ for layer in seed_model.layers if hasattr(layer, "kernel")]
    assert activations == ["relu", "relu", "relu", "linear"]  # the last: raw logits
    assert seed_model.count_params() == 225_034


def test_seed_is_trained_as_asked_for(seed_model: keras.Model) -> None:
    recipe = recipes.get("seed")
    assert (recipe.batch_size, recipe.epochs) == (32, 10)
    assert isinstance(seed_model.optimizer, keras.optimizers.Adam)
    assert float(seed_model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert isinstance(seed_model.loss, keras.losses.SparseCategoricalCrossentropy)
    assert seed_model.loss.get_config()["from_logits"] is True


def test_raw_pixels_go_in_and_are_scaled_inside(seed_model: keras.Model) -> None:
    pixels = np.arange(784, dtype=np.uint8).reshape(1, 28, 28, 1)
    scaled = models.intermediates(seed_model, ["scale"]).predict(pixels, verbose=0)["scale"]
    np.testing.assert_allclose(scaled, pixels / 255, atol=1e-7)


def test_another_number_of_classes() -> None:
    assert models.build(recipes.get("seed"), class_count=3).output_shape == (None, 3)


def test_forward_flops_are_those_counted_by_hand(seed_model: keras.Model) -> None:
    conv1, conv2 = 26 * 26 * 3 * 3 * 32, 11 * 11 * 3 * 3 * 32 * 64
    assert models.forward_flops(seed_model) == 2 * (conv1 + conv2 + 1600 * 128 + 128 * 10)


def test_an_unknown_recipe_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown recipe 'sede'.*did you mean 'seed'\?"):
        recipes.get("sede")
