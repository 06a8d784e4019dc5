"""`wardrobe train --from`: all weights but the last layer's come from a trained network."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import Result, once, refused, wardrobe_here

from wardrobe import export, runs
from wardrobe.errors import ModelError, RunError
from wardrobe.models import recipes
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.runs import Run
from wardrobe.training import loop, transfer
from wardrobe.workflows import api
from wardrobe.workflows.planning import plan, sources

PHOTO = PRETRAINED / "photo.onnx"


def copy_few(folder: Path, to: Path) -> None:
    """Copies five images of each class."""
    for path in folder.iterdir():
        (to / path.name).mkdir(parents=True)
        for image in sorted(path.iterdir())[:5]:
            shutil.copy(image, to / path.name)


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory, few_of_own: Path) -> Run:
    """A run from the shipped network, on five images of each of three classes. Read-only."""

    def train(cwd: Path) -> Result:
        copy_few(few_of_own, cwd / "own")
        arguments = ("train", "--data", "own", "--out", "run", "--set", "epochs=2", "--json")
        return wardrobe_here(*arguments, cwd=cwd)

    cwd, result = once(tmp_path_factory, "fine-tuned", train)
    assert result.returncode == 0, result.stderr
    first = "Training starts from photo, the network that ships, because own has fewer than 5,000"
    assert result.stderr.startswith(first)
    assert "photo (changed: epochs) from photo, seed 0: 9 training images" in result.stderr
    return Run(cwd / "run")


def test_a_run_on_five_images_a_class_says_what_it_started_from(fine_tuned: Run) -> None:
    info = fine_tuned.info()
    assert info["status"] == "done"
    assert info["dataset"]["splits"] == {"train": 9, "validation": 3, "test": 3}
    assert info["start_from"] == sources.Source("photo", PHOTO, recipes.PHOTO).describe()
    assert info["reproduce"].startswith("wardrobe train photo --from photo --data ")
    assert info["reproduce"].endswith("own --seed 0 --epochs 2")
    assert "started from <b><bdi>photo</bdi></b>" in fine_tuned.report_path.read_text()
    assert fine_tuned.recipe() == replace(
        recipes.PHOTO,
        batch_norm=False,
        learning_rate=2e-3,
        batch_size=32,
        epochs=2,
        photo_fraction=0.0,
        warp_fraction=0.0,
        unknown_fraction=0.0,
    )


def test_all_weights_but_the_last_layers_are_the_sources() -> None:
    recipe = plan.choose_recipe(None, {}, None, sources.find("photo"), "own")
    model = loop.compile_model(recipe, 10, seed=0, steps=1)
    source, *_ = export.load_as_keras(PHOTO)
    initial = model.get_layer("logits").get_weights()
    transfer.load_weights(model, transfer.read_weights(PHOTO, recipe))
    np.testing.assert_array_equal(model.get_layer("logits").get_weights()[0], initial[0])
    model.get_layer("logits").set_weights(source.get_layer("logits").get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(images), source(images))


def test_a_run_killed_before_its_first_checkpoint_starts_from_the_same_source(
    fine_tuned: Run, tmp_path: Path
) -> None:
    killed = Run(tmp_path / "killed")
    killed.path.mkdir()
    shutil.copy(fine_tuned.path / "run.json", killed.path)
    moved = {"source": "photo", "file": "/an/older/installation/photo.onnx"}
    killed.update(status=runs.INTERRUPTED, start_from={**fine_tuned.info()["start_from"], **moved})
    api.resume(killed.path)
    weights, expected = (
        keras.saving.load_model(run.keras_path).get_weights() for run in (killed, fine_tuned)
    )
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert killed.info()["start_from"] == fine_tuned.info()["start_from"]


def test_it_is_not_resumed_from_another_source(fine_tuned: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.path.mkdir()
    shutil.copy(fine_tuned.path / "run.json", run.path)
    source = tmp_path / "model.keras"
    record = {"source": str(source), "file": str(source), "sha256": "0" * 64}
    run.update(status=runs.INTERRUPTED, start_from=record)
    with pytest.raises(RunError, match=r"model\.keras, which .* starts from, is not there"):
        api.resume(run.path)
    source.touch()
    with pytest.raises(RunError, match="has changed; restore it, or train a new run"):
        api.resume(run.path)
    run.checkpoint_folder.mkdir()
    (run.checkpoint_folder / "epoch-0001.keras").touch()  # it holds the weights
    assert sources.check_unchanged(run) == record


def test_only_a_small_folder_starts_from_photo(
    few_of_own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in few_of_own.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    assert sources.choose_default(None, str(tmp_path)) == "photo"
    assert [sources.choose_default(None, name) for name in ("synthetic", "no")] == ["nothing"] * 2
    assert sources.choose_default(None, str(few_of_own)) == "photo"
    assert sources.choose_default("sprint", str(few_of_own)) == "nothing"
    monkeypatch.setattr(sources, "MANY", 450)
    assert sources.choose_default(None, str(few_of_own)) == "nothing"


def test_a_source_is_a_run_or_one_of_its_files(own_run: Run, tmp_path: Path) -> None:
    files = own_run.keras_path, own_run.onnx_path
    copies = [Path(shutil.copy(file, tmp_path)) for file in files]
    found = [sources.find(str(path)) for path in (own_run.path, *files, *copies)]
    assert sources.find("nothing") is None
    weights = []
    for source in found:
        assert source is not None
        # A copy knows only the name of its recipe, whose number of epochs is another.
        assert replace(source.recipe, epochs=12) == own_run.recipe()
        recipe = plan.choose_recipe(None, {}, None, source, "synthetic")
        assert (recipe.learning_rate, recipe.epochs) == (5e-3, source.recipe.epochs)
        weights.append(transfer.read_weights(source.file, recipe))
    for other in weights:
        assert other.keys() == {"stem1", "conv1", "dense"}
        for name in other:
            for one, same in zip(other[name], weights[0][name], strict=True):
                np.testing.assert_allclose(one, same, rtol=1e-6)


def test_another_network_is_refused_and_leaves_no_run(fine_tuned: Run, tmp_path: Path) -> None:
    data = fine_tuned.path.parent / "own"
    result = wardrobe_here("train", "baseline", "--from", "photo", "--data", data, cwd=tmp_path)
    refused(result, 1, "the kernel of conv2 is (3, 3, 32, 32), expected (3, 3, 32, 64)")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ModelError, match="the kernel of conv1 is missing in float32"):
        transfer.read_weights(PRETRAINED / "photo-int8.onnx", recipes.PHOTO)


@pytest.mark.parametrize("name", ["bad.onnx", "bad.keras"])
def test_a_file_that_is_no_model_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps("text"))
    with pytest.raises(ModelError, match=r"give 'photo', a run, or a model\.keras"):
        sources.find(str(tmp_path / name))
