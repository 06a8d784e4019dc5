"""Checkpoints load with their loss, metric and optimizer, by `keras.saving.load_model` alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from wardrobe.data import synthetic
from wardrobe.models import recipes
from wardrobe.models.batch_norm import BatchNorm
from wardrobe.training import loop, losses, muon, schedules

EXAMPLES: dict[str, Any] = {
    "BatchNorm": BatchNorm(momentum=0.8, name="norm"),
    "ClassWeightedLoss": losses.ClassWeightedLoss(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True), [0.5, 2.0], name="weighted"
    ),
    "CrossEntropyWithUnknown": losses.CrossEntropyWithUnknown(name="loss"),
    "EnsembleMemberLoss": losses.EnsembleMemberLoss(
        losses.CrossEntropyWithUnknown(), name="members"
    ),
    "EnsembleMeanMetric": losses.EnsembleMeanMetric(losses.accuracy_with_unknown, name="mean"),
    "Muon": muon.Muon(
        schedules.WarmupLinear(0.01, 9), momentum=0.8, iterations=3, weight_decay=0.1
    ),
    "WarmupLinear": schedules.WarmupLinear(0.01, 9),
    "accuracy_with_unknown": losses.accuracy_with_unknown,
}


def test_every_registered_object_survives_serialization() -> None:
    registered = {
        name for name in keras.saving.get_custom_objects() if name.startswith("wardrobe>")
    }
    assert registered == {f"wardrobe>{name}" for name in EXAMPLES}
    for name, example in EXAMPLES.items():
        config = json.dumps(keras.saving.serialize_keras_object(example))
        loaded = keras.saving.deserialize_keras_object(json.loads(config))
        assert type(loaded) is type(example)
        assert json.dumps(keras.saving.serialize_keras_object(loaded)) == config, name


@pytest.mark.parametrize("name", ["champion", "photo"])
def test_a_checkpoint_loads_with_its_loss_metric_and_optimizer(tmp_path: Path, name: str) -> None:
    recipe = replace(recipes.get(name), conv_filters=(4, 8), conv_strides=None, pool_after=(1, 2))
    recipe = replace(recipe, ensemble_size=min(recipe.ensemble_size, 2), stem_filters=())
    recipe = replace(recipe, dense_units=4, dropout=0.0)
    images, labels = synthetic.draw(40)
    targets = keras.utils.to_categorical(labels, 11) if name == "photo" else labels
    model = loop.compile_model(recipe, 10, seed=0, steps=3)
    model.optimizer.iterations.assign(2)
    model.save(tmp_path / "epoch-0001.keras")
    loaded = keras.saving.load_model(tmp_path / "epoch-0001.keras")
    assert loaded.test_on_batch(images[..., None], targets) == pytest.approx(
        model.test_on_batch(images[..., None], targets)
    )
    states = zip(model.optimizer.variables, loaded.optimizer.variables, strict=True)
    assert all(np.array_equal(saved, found) for saved, found in states)
