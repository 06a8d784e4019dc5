"""Heat maps, their faithfulness, and adversarial attacks."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal

from wardrobe.data import load_data
from wardrobe.evaluation import adversarial, scoring
from wardrobe.explain import attribution, embedding, faithfulness
from wardrobe.models import architecture, gradients, initializers, recipes
from wardrobe.models.layers import member_prefixes
from wardrobe.runs import Run
from wardrobe.training import checkpoints

BASELINE = recipes.get("baseline")
Images = Any


@pytest.fixture(scope="module")
def trained(real_run: tuple[Run, dict[str, Any]]) -> keras.Model:
    return checkpoints.load_model(real_run[0])


@pytest.fixture(scope="module")
def images(fashion_mnist_dir: Any) -> Images:
    return load_data("fashion-mnist", fashion_mnist_dir).validation.images[:80]


def corner_model(row: int, column: int) -> keras.Model:
    """Returns a network whose logit of class 1 depends only on the pixels around one place."""
    model = architecture.build(BASELINE, 10)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
    first, second, dense, logits = (
        model.get_layer(name) for name in ("conv1", "conv2", "dense", "logits")
    )
    for layer, place in ((first, (1, 1, 0, 0)), (second, (1, 1, 0, 0))):
        kernel, bias = layer.get_weights()
        kernel[place] = 1
        layer.set_weights([kernel, bias])
    kernel, bias = dense.get_weights()
    kernel[(row * 5 + column) * 64, 0] = 1  # of the 5x5 places after the second pooling
    dense.set_weights([kernel, bias])
    kernel, bias = logits.get_weights()
    kernel[0, 1] = 5
    logits.set_weights([kernel, bias])
    return model


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 3), (4, 2)])
def test_heat_maps_mark_the_pixels_that_matter(row: int, column: int) -> None:
    model = corner_model(row, column)
    image = np.random.default_rng(1).integers(60, 255, (1, 28, 28), np.uint8)
    logits, one = scoring.make_logits_function(model), np.array([1])
    middle = np.array(
        [4.5 + 4 * row, 4.5 + 4 * column]
    )  # two convolutions without padding, two poolings
    for name, signed in attribution.heat_maps(model, BASELINE, logits, image, one).items():
        found = np.abs(signed)
        if name == "Grad-CAM":  # marks every place where the filter responds: see below
            continue
        assert found.shape == (1, 28, 28)
        places = np.moveaxis(np.mgrid[:28, :28], 0, -1)
        centre = (found[0][..., None] * places).sum(axis=(0, 1)) / found.sum()
        np.testing.assert_allclose(centre, middle, atol=2.1, err_msg=name)


def test_heat_maps_beat_a_random_order(trained: keras.Model, images: Images) -> None:
    logits = scoring.make_logits_function(trained)
    classes = logits(images).argmax(axis=1)
    maps = attribution.heat_maps(trained, BASELINE, logits, images, classes)
    chance = faithfulness.random_maps(len(images))
    for measure, sign in ((faithfulness.deletion, 1), (faithfulness.insertion, -1)):
        by_chance = measure(logits, images, classes, chance)
        for name, each in maps.items():
            curves = measure(logits, images, classes, each)
            gained = sign * (by_chance - curves).mean(axis=1)
            assert faithfulness.mean_and_interval(gained)[1] > 0, (name, measure.__name__)


def test_heat_maps_change_when_the_weights_are_randomized(
    trained: keras.Model, images: Images
) -> None:
    logits = scoring.make_logits_function(trained)
    classes = logits(images).argmax(axis=1)
    maps = attribution.heat_maps(trained, BASELINE, logits, images, classes)
    untrained = initializers.build_untrained(BASELINE, 10, 1, images)
    steps = dict(faithfulness.randomize_layers(trained, untrained, BASELINE))
    layers, network = list(steps), steps["conv1"]  # with every layer randomised
    random = attribution.heat_maps(
        network, BASELINE, scoring.make_logits_function(network), images, classes
    )
    assert layers == ["logits", "dense", "conv2", "conv1"]
    assert faithfulness.map_similarity(
        maps["occlusion"], maps["occlusion"], images
    ).mean() == pytest.approx(1)
    assert (
        abs(faithfulness.map_similarity(maps["occlusion"], random["occlusion"], images).mean())
        < 0.3
    )
    for name in attribution.CAMS:
        assert faithfulness.map_similarity(maps[name], random[name], images).mean() < 0.8
    chance = faithfulness.random_maps(len(images))
    gained = faithfulness.insertion(
        logits, images, classes, random["occlusion"]
    ) - faithfulness.insertion(logits, images, classes, chance)
    assert abs(gained.mean()) < 0.15, "an occlusion map of random weights beats a random order"


def test_deletion_and_insertion_run_between_image_and_blurred_image(
    trained: keras.Model, images: Images
) -> None:
    logits = scoring.make_logits_function(trained)
    classes = logits(images).argmax(axis=1)
    order = faithfulness.random_maps(len(images))
    taken, put = (
        measure(logits, images, classes, order)
        for measure in (faithfulness.deletion, faithfulness.insertion)
    )
    assert taken.shape == put.shape == (len(images), 50)
    np.testing.assert_allclose(taken[:, 0], put[:, -1], atol=1e-5)  # the whole image
    np.testing.assert_allclose(taken[:, -1], put[:, 0], atol=1e-5)  # the blurred image


def test_find_nearest_sorts_by_cosine() -> None:
    features = np.array([[1, 0], [0, 1], [1, 1], [5, 0.1]], float)
    found, cosines = embedding.find_nearest(features, np.array([[2.0, 0.0]]), 3)
    assert found.tolist() == [[0, 3, 2]]
    assert cosines[0, 0] == pytest.approx(1)
    assert cosines[0, 2] == pytest.approx(np.sqrt(0.5))


TINY = recipes.Recipe("tiny", conv_filters=(4,), pool_after=())


def tiny_model(kernel: npt.NDArray[np.floating]) -> keras.Model:
    """Returns conv 3x3, Flatten and three logits whose weights are (26, 26, 4, 3)."""
    model = architecture.build(TINY, 3)
    initializers.initialize_weights(model, 0)
    model.get_layer("logits").set_weights([kernel.reshape(-1, 3), np.zeros(3)])
    return model


@pytest.fixture(scope="module")
def noise() -> Images:
    return np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)


def test_hires_cam_and_grad_cam_follow_the_definitions_of_their_papers(noise: Images) -> None:
    kernel = np.random.default_rng(1).normal(size=(26, 26, 4, 3)).astype(np.float32)
    model, classes = tiny_model(kernel), np.array([2, 0, 1])
    found = attribution.class_activation_maps(model, TINY, noise, classes)
    taps, bias = model.get_layer("conv1").get_weights()  # (3, 3, 1, 4), (4,)
    for number, label in enumerate(classes):
        hires, averaged = np.zeros((26, 26)), np.zeros((26, 26))
        for unit in range(4):
            activation = scipy.signal.correlate2d(noise[number] / 255, taps[:, :, 0, unit], "valid")
            activation = np.maximum(activation + bias[unit], 0)
            gradient = kernel[:, :, unit, label]  # of a linear layer: its weights
            hires += activation * gradient  # arXiv 2011.08891
            averaged += activation * gradient.mean()  # arXiv 1610.02391, equations 1 and 2
        for name, expected in (("HiResCAM", hires), ("Grad-CAM", averaged)):
            inner = found[name][number, 1:27, 1:27]  # a 3x3 window is centred one pixel inside
            np.testing.assert_allclose(inner, np.maximum(expected, 0), atol=1e-5, err_msg=name)
    assert np.abs(found["HiResCAM"] - found["Grad-CAM"]).max() > 0.1


def test_hires_cam_equals_grad_cam_if_the_gradient_is_the_same_everywhere(noise: Images) -> None:
    per_filter = np.random.default_rng(1).normal(size=(1, 1, 4, 3))
    model = tiny_model(np.broadcast_to(per_filter, (26, 26, 4, 3)).astype(np.float32))
    found = attribution.class_activation_maps(model, TINY, noise, np.array([2, 0, 1]))
    np.testing.assert_allclose(found["HiResCAM"], found["Grad-CAM"], atol=1e-5)
    assert found["Grad-CAM"].max() > 0.1


def test_the_map_of_an_ensemble_is_the_mean_over_its_members(noise: Images) -> None:
    ensemble = replace(TINY, ensemble_size=2)
    model = architecture.build(ensemble, 3)
    initializers.initialize_weights(model, 0)
    classes = np.array([2, 0, 1])
    members = []
    for prefix in member_prefixes(ensemble):
        member = architecture.build(TINY, 3)
        for name in ("conv1", "logits"):
            member.get_layer(name).set_weights(model.get_layer(prefix + name).get_weights())
        members.append(attribution.class_activation_maps(member, TINY, noise, classes))
    for name, whole in attribution.class_activation_maps(model, ensemble, noise, classes).items():
        np.testing.assert_allclose(
            whole, np.mean([each[name] for each in members], axis=0), rtol=1e-4, atol=1e-6
        )


def test_attacks_stay_within_epsilon_and_lower_the_accuracy(
    trained: keras.Model, images: Images
) -> None:
    logits = scoring.make_logits_function(trained)
    labels = logits(images).argmax(axis=1)
    right = {}
    for name, attack in (("FGSM", adversarial.fgsm), ("PGD", adversarial.pgd)):
        changed = attack(adversarial.make_loss_gradient(trained), images, labels, 0.05)
        assert np.abs(changed - images).max() <= 0.05 * 255 + 1e-3
        assert changed.min() >= 0
        assert changed.max() <= 255
        right[name] = (logits(changed).argmax(axis=1) == labels).mean()
    assert right["PGD"] <= right["FGSM"] < 0.8


def test_the_loss_gradient_does_not_vanish_when_the_network_is_confident(
    trained: keras.Model, images: Images
) -> None:
    surer = keras.models.clone_model(trained)
    surer.set_weights(trained.get_weights())
    last = surer.get_layer("logits")
    last.set_weights([50 * weights for weights in last.get_weights()])
    labels = scoring.make_logits_function(trained)(images).argmax(axis=1)
    slopes = [
        adversarial.make_loss_gradient(model)(images.astype(np.float32), labels)
        for model in (trained, surer)
    ]
    assert (np.sign(slopes[1]) != 0).mean() > 0.5
    assert (
        np.sign(slopes[0]) == np.sign(slopes[1])
    ).mean() > 0.75  # one other class dominates the log-sum-exp


def test_each_step_of_the_randomization_has_a_model_of_its_own() -> None:
    recipe = recipes.get("sprint")
    some = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    model, other = (initializers.build_untrained(recipe, 10, seed, some) for seed in (0, 1))
    before = model.get_weights()
    steps = list(faithfulness.randomize_layers(model, other, recipe))
    assert [name for name, _ in steps] == ["logits", "dense", "conv1"]  # stem1 is not trained
    for done, (_, randomized) in enumerate(steps, 1):
        for number, name in enumerate(("logits", "dense", "conv1", "stem1")):
            expected = other if number < done else model
            np.testing.assert_array_equal(
                randomized.get_layer(name).kernel, expected.get_layer(name).kernel
            )
    for weights, same in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)


def test_an_ensemble_randomizes_the_same_layer_of_every_member() -> None:
    recipe = recipes.get("champion")
    some = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    model, other = (initializers.build_untrained(recipe, 10, seed, some) for seed in (0, 1))
    name, randomized = next(faithfulness.randomize_layers(model, other, recipe))
    assert name == "logits"
    for prefix in member_prefixes(recipe):
        changed, expected = (each.get_layer(prefix + name) for each in (randomized, other))
        np.testing.assert_array_equal(changed.kernel, expected.kernel)


def test_gradient_of_sum_returns_values_and_gradient() -> None:
    squares = gradients.compile_gradient(lambda x, weights: keras.ops.sum(weights * x**2, axis=1))
    values, gradient = squares(np.array([[1, 2], [3, -1]]), np.array([[1, 2]], np.float32))
    assert values.tolist() == [9, 11]
    assert gradient.tolist() == [[2, 8], [6, -4]]
