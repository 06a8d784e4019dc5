"""The baseline is exactly the requested network; the parts of the other recipes."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from wardrobe.data import Split, synthetic
from wardrobe.errors import UsageError
from wardrobe.evaluation import metrics
from wardrobe.models import architecture, initializers, recipes, tta
from wardrobe.models.batch_norm import BatchNorm
from wardrobe.training import loop, sampling


@pytest.fixture(scope="module")
def baseline_model() -> keras.Model:
    return loop.compile_model(recipes.get("baseline"), 10, seed=0, steps=100)


def test_baseline_has_the_requested_layers(baseline_model: keras.Model) -> None:
    kinds = [type(layer).__name__ for layer in baseline_model.layers]
    assert kinds == [
        *("InputLayer", "Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D"),
        *("Flatten", "Dense", "Dense"),
    ]
    names = [layer.name for layer in baseline_model.layers]
    assert names == [
        "pixels",
        "scale",
        "conv1",
        "pool1",
        "conv2",
        "pool2",
        "flatten",
        "dense",
        "logits",
    ]
    shapes = [
        tuple(layer.kernel.shape) for layer in baseline_model.layers if hasattr(layer, "kernel")
    ]
    assert shapes == [(3, 3, 1, 32), (3, 3, 32, 64), (1600, 128), (128, 10)]
    assert [baseline_model.get_layer(f"pool{i}").pool_size for i in (1, 2)] == [(2, 2), (2, 2)]
    activations = [
        layer.activation.__name__ for layer in baseline_model.layers if hasattr(layer, "kernel")
    ]
    assert activations == ["relu", "relu", "relu", "linear"]  # the last: raw logits
    assert baseline_model.count_params() == 225_034


def test_baseline_has_the_requested_training(baseline_model: keras.Model) -> None:
    recipe = recipes.get("baseline")
    assert (recipe.batch_size, recipe.epochs) == (32, 10)
    assert isinstance(baseline_model.optimizer, keras.optimizers.Adam)
    assert float(baseline_model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert isinstance(baseline_model.loss, keras.losses.SparseCategoricalCrossentropy)
    assert baseline_model.loss.get_config()["from_logits"] is True


def test_the_model_scales_raw_pixels(baseline_model: keras.Model) -> None:
    pixels = np.arange(784, dtype=np.uint8).reshape(1, 28, 28, 1)
    scaled = architecture.build_intermediates(baseline_model, ["scale"]).predict(pixels, verbose=0)[
        "scale"
    ]
    np.testing.assert_allclose(scaled, pixels / 255, atol=1e-7)


def test_another_number_of_classes() -> None:
    assert architecture.build(recipes.get("baseline"), class_count=3).output_shape == (None, 3)


def test_forward_flops_match_a_count_by_hand(baseline_model: keras.Model) -> None:
    conv1, conv2 = 26 * 26 * 3 * 3 * 32, 11 * 11 * 3 * 3 * 32 * 64
    assert architecture.count_forward_flops(baseline_model) == 2 * (
        conv1 + conv2 + 1600 * 128 + 128 * 10
    )


def test_tta_averages_the_views() -> None:
    model = loop.compile_model(recipes.get("sprint"), 10, seed=0, steps=1)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1)).astype(np.float32)
    frame = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [frame[:, corner : corner + 28, corner : corner + 28] for corner in (1, 0, 2)]
    views = [each for image in shifted for each in (image, image[:, :, ::-1])]
    for count, weights in ((1, (1,)), (2, (1, 1)), (6, (2, 2, 1, 1, 1, 1))):
        each = [model.predict(view, verbose=0) for view in views[:count]]
        expected = np.average(each, axis=0, weights=weights)
        got = tta.with_tta(model, count).predict(images, verbose=0)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_model_trained_in_bfloat16_infers_in_float32() -> None:
    recipe = recipes.get("strong")
    model = loop.compile_model(recipe, 10, seed=0, steps=1, precision=recipe.precision)
    exact = architecture.to_inference(model, recipe)
    assert {layer.compute_dtype for layer in model.layers} == {"float32", "bfloat16"}
    assert {layer.compute_dtype for layer in exact.layers} == {"float32"}
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)
    np.testing.assert_allclose(
        exact.predict(images, verbose=0), model.predict(images, verbose=0), atol=0.05
    )


def test_batch_normalization_is_folded_into_the_convolutions() -> None:
    recipe = recipes.get("strong")
    model = loop.compile_model(recipe, 10, seed=0, steps=1)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            layer.set_weights(
                [rng.uniform(0.5, 2, weights.shape) for weights in layer.get_weights()]
            )
    used = architecture.to_inference(model, recipe)
    assert [layer.name for layer in used.layers] == [
        layer.name for layer in architecture.build(recipe, 10).layers
    ]
    images = rng.integers(0, 256, (8, 28, 28, 1), np.uint8)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        used.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_snapshot_has_the_weights_of_the_network_for_inference(name: str) -> None:
    recipe = recipes.get(name)
    model = architecture.build(recipe, 10, for_training=True)
    initializers.initialize_weights(model, seed=0)
    found = architecture.inference_weights(model)
    expected = architecture.to_inference(model, recipe).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.fixture(scope="module")
def ensemble() -> tuple[keras.Model, keras.Model]:
    """A small ensemble with batch normalization: in training, and for inference."""
    recipe = replace(
        recipes.get("champion"), conv_filters=(4, 4, 6, 6), pool_after=(1, 2, 4), ensemble_size=3
    )
    model = loop.compile_model(recipe, 10, seed=0, steps=1)
    return model, architecture.to_inference(model, recipe)


def test_an_ensemble_returns_its_mean_logits(ensemble: tuple[keras.Model, keras.Model]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)
    members, mean = (model.predict(images, verbose=0) for model in ensemble)
    assert members.shape == (8, 3, 10)
    assert np.abs(members[:, 0] - members[:, 1]).min() > 0, (
        "two members have the same initial weights"
    )
    np.testing.assert_allclose(mean, members.mean(axis=1), atol=1e-4)


def test_each_member_has_its_own_loss_and_the_mean_is_scored(
    ensemble: tuple[keras.Model, keras.Model],
) -> None:
    model, used = ensemble
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (50, 28, 28, 1), np.uint8), rng.integers(0, 10, 50)
    logits = model.predict(images, verbose=0)
    each = [metrics.cross_entropies(logits[:, member], labels).mean() for member in range(3)]
    scores = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(np.mean(each), rel=1e-4)
    mean = metrics.cross_entropies(logits.mean(axis=1), labels).mean()
    assert mean < scores["loss"] - 1e-3, "the members agree, so this test shows nothing"
    right = used.predict(images, verbose=0).argmax(axis=1) == labels
    assert scores["accuracy"] == pytest.approx(right.mean())
    np.testing.assert_allclose(
        sampling.compute_losses(model, Split(images[..., 0], labels)).mean(), each[0], rtol=1e-4
    )


def test_convolutions_are_those_of_the_first_member(
    ensemble: tuple[keras.Model, keras.Model],
) -> None:
    assert [layer.name for layer in architecture.find_convolutions(ensemble[1])] == [
        f"member1_conv{i}" for i in (1, 2, 3, 4)
    ]


def test_all_members_get_the_same_whitened_stem() -> None:
    model = architecture.build(replace(recipes.get("sprint"), ensemble_size=2), 10)
    initializers.whiten_stem(model, synthetic.draw(100, 0)[0])
    first, second = (model.get_layer(f"member{number}_stem1") for number in (1, 2))
    np.testing.assert_array_equal(first.kernel, second.kernel)
    assert not (first.trainable or second.trainable)


def test_fused_batch_normalization_matches_keras() -> None:
    x = np.random.default_rng(0).normal(3, 2, (16, 5, 5, 4)).astype(np.float32)
    ours, theirs = (
        BatchNorm(),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, scale=False),
    )
    for training, tolerance in ((True, 1e-4), (True, 1e-4), (False, 5e-3)):
        expected = theirs(x, training=training)
        np.testing.assert_allclose(ours(x, training=training), expected, atol=tolerance)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(
            mine, its, rtol=5e-3
        )  # the fused kernel's variance is over n - 1


def test_whitening_decorrelates_patches() -> None:
    recipe = recipes.get("sprint")
    model = architecture.build(recipe, 10)
    images, _ = synthetic.draw(500, 0)
    initializers.whiten_stem(model, images)
    kernel, bias = (np.asarray(weights) for weights in model.get_layer("stem1").get_weights())
    np.testing.assert_array_equal(bias, 0)
    windows = np.lib.stride_tricks.sliding_window_view(images / 255, (4, 4), (1, 2)).reshape(-1, 16)
    parts = windows @ kernel.reshape(16, 16)
    np.testing.assert_allclose(parts[:, :8], -parts[:, 8:], atol=1e-6)
    moments = parts[:, :8].T @ parts[:, :8] / len(parts)
    np.testing.assert_allclose(np.diag(moments), 1, atol=0.25)  # the smallest are held down
    np.testing.assert_allclose(moments - np.diag(np.diag(moments)), 0, atol=0.05)


def test_a_whitened_convolution_is_not_trained() -> None:
    trained = [
        variable.path
        for variable in architecture.build(recipes.get("sprint"), 10).trainable_variables
    ]
    assert not any("stem1" in path for path in trained)
    assert any("conv1" in path for path in trained)


def test_initial_weights_have_glorot_variance(baseline_model: keras.Model) -> None:
    for name, inputs, outputs in (("conv2", 32 * 9, 64 * 9), ("dense", 1600, 128)):
        kernel = keras.ops.convert_to_numpy(baseline_model.get_layer(name).kernel)
        limit = np.sqrt(6 / (inputs + outputs))
        assert 0.99 * limit < np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_an_unknown_recipe_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown recipe 'baselin'.*did you mean 'baseline'\?"):
        recipes.get("baselin")
