"""A network that is built from a snapshot, compared with the Keras model of the same weights."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from wardrobe.data import synthetic
from wardrobe.errors import ModelError
from wardrobe.inference.activations import ActivationModel
from wardrobe.inference.snapshots import Snapshot, build_model, read_first_kernel
from wardrobe.models import architecture, layers, recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.training import checkpoints

CLASSES = 3
ENSEMBLE = replace(
    recipes.get("champion"),
    conv_filters=(4, 5, 6),
    conv_strides=(1, 2, 1),
    pool_after=(1, 3),
    kernel_size=5,
    ensemble_size=2,
    dense_units=7,
    dropout=0.2,
)
RECIPES = *(recipes.get(name) for name in ("baseline", "sprint", "strong")), ENSEMBLE


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_snapshot_computes_what_keras_computes(recipe: Recipe) -> None:
    model, random = architecture.build(recipe, CLASSES), np.random.default_rng(1)
    for weight in model.weights:  # biases too, which Keras starts at zero
        inputs = max(np.prod(weight.shape[:-1]), 9)
        weight.assign(random.normal(0, 1.5 / np.sqrt(inputs), weight.shape))
    images = synthetic.draw(6, seed=3)[0]
    inputs = images[..., None]  # (n, 28, 28, 1)
    snapshot = Snapshot(build_model(recipe, model.get_weights()), "epoch-0001.npz", 1, None)
    logits, features = snapshot.predict(images)
    assert np.ptp(logits, axis=0).min() > 0.01, "the images differ for it"
    np.testing.assert_allclose(logits, model.predict(inputs, verbose=0), atol=1e-4)
    before = keras.Model(model.input, architecture.find_logits_layer(model).input)
    np.testing.assert_allclose(features, before.predict(inputs, verbose=0), atol=1e-4)
    names = [layer.name for layer in snapshot.layers]
    maps = architecture.build_intermediates(model, names).predict(inputs, verbose=0)
    for name, activations in snapshot.activations(images[2]).items():
        expected = maps[name][2].transpose(2, 0, 1) if maps[name].ndim == 4 else maps[name][2]
        np.testing.assert_allclose(activations.squeeze(), expected.squeeze(), atol=1e-5)
    convolutions = (each for each in snapshot.layers if each.kernel is not None)
    fields = {
        each.name: each.receptive_field for each in convolutions if each.kind == "convolution"
    }
    assert any(each.kind == "dense" for each in snapshot.layers) == bool(recipe.dense_units)
    assert {
        name: (each.first, each.step, each.size) for name, each in fields.items()
    } == layers.compute_receptive_fields(recipe)


def test_every_hidden_dense_layer_is_shown() -> None:
    graph = """
        <ir_version: 8, opset_import: ["" : 17]>
        dense (float[n,28,28,1] pixels) => (float[n,3] logits) {
            flat = Flatten (pixels)
            first = MatMul (flat, kernel1)
            "a/dense1_1/Relu" = Relu (first)
            second = MatMul ("a/dense1_1/Relu", kernel2)
            "a/dense2_1/Relu" = Relu (second)
            logits = MatMul ("a/dense2_1/Relu", kernel3)
        }"""
    model, random = onnx.parser.parse_model(graph), np.random.default_rng(0)
    kernels = [random.normal(size=each).astype(np.float32) for each in [(784, 5), (5, 4), (4, 3)]]
    for number, each in enumerate(kernels, 1):
        model.graph.initializer.append(onnx.numpy_helper.from_array(each, f"kernel{number}"))
    opened, images = ActivationModel(model, "dense.onnx"), synthetic.draw(1)[0]
    assert [(each.name, each.shape) for each in opened.layers] == [
        ("dense1", (5, 1, 1)), ("dense2", (4, 1, 1)),
    ]  # fmt: skip
    maps = opened.activations(images[0])
    kernel = opened.layers[1].kernel
    assert kernel is not None
    expected = np.maximum(np.einsum("uchw,chw->u", kernel, maps["dense1"]), 0)
    np.testing.assert_allclose(maps["dense2"].ravel(), expected, rtol=1e-4)


def test_a_file_of_a_run_is_opened(drawn_training: tuple[Run, object], tmp_path: Path) -> None:
    run, _ = drawn_training
    images = synthetic.draw(20, seed=3)[0]
    for epoch, model in checkpoints.load_snapshots(run).items():
        path = run.snapshots_folder / f"epoch-{epoch:04d}.npz"
        snapshot = Snapshot.open(run, path)
        assert (snapshot.epoch, snapshot.step, snapshot.file) == (epoch, None, path.name)
        expected = model.predict(images[..., None], verbose=0)
        np.testing.assert_allclose(snapshot.predict(images)[0], expected, atol=1e-4)
        kernel = model.get_layer("conv1").get_weights()[0][:, :, 0]
        np.testing.assert_array_equal(read_first_kernel(path), kernel.transpose(2, 0, 1))
    with np.load(path) as file:
        arrays = [file[name] for name in file.files]
    np.savez_compressed(tmp_path / "live.npz", *arrays, epoch=2, step=32)
    live = Snapshot.open(run, tmp_path / "live.npz")
    assert (live.epoch, live.step) == (2, 32)
    np.testing.assert_array_equal(live.predict(images)[0], snapshot.predict(images)[0])


def test_a_file_that_is_not_a_snapshot_of_the_run_is_refused(
    drawn_training: tuple[Run, object], tmp_path: Path
) -> None:
    run, path = drawn_training[0], tmp_path / "epoch-0003.npz"
    path.write_bytes(b"PK no archive")
    with pytest.raises(ModelError, match="is not a snapshot of this run"):
        Snapshot.open(run, path)
    with pytest.raises(ModelError, match="has no filters"):
        read_first_kernel(path)
    np.savez_compressed(path, np.zeros(3))
    with pytest.raises(ModelError, match="has 1 arrays, expected 8 for the recipe baseline"):
        Snapshot.open(run, path)
    np.savez_compressed(path, *[np.full((3, 3, 1, 32), np.nan)] * 8)
    with pytest.raises(ModelError, match="not numbers; lower the learning rate"):
        Snapshot.open(run, path)
    with pytest.raises(FileNotFoundError):
        Snapshot.open(run, tmp_path / "epoch-0004.npz")
