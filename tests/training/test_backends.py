"""TensorFlow and JAX train the same recipe, or the finder, to the same losses."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import python_here

# These cover the parts of all recipes.
RECIPES = ("baseline", "strong as an ensemble", "photo")
STEPS = 20
STEPS_PER_EPOCH = 430  # of strong on the real data, for the same learning rates

SCRIPT = f"""
import json, warnings
from dataclasses import replace
import numpy as np
warnings.simplefilter("ignore")
from wardrobe.data import augment, synthetic
from wardrobe.models import recipes
from wardrobe.training import loop, schedules
from wardrobe.training.finder import fit
from wardrobe.training.finder.recipe import FINDER

images, labels = synthetic.draw(640, 0)
several = np.eye(11, dtype=np.float32)[labels]  # any of sandal, sneaker, ankle boot for a shoe
several[np.ix_(np.isin(labels, [5, 7, 9]), [5, 7, 9])] = 1
losses = {{}}
for name in {RECIPES}:
    recipe = replace(recipes.get(name.split()[0]), precision="float32", batch_size=32)
    recipe = replace(recipe, schedule="warmup-linear") if name == "baseline" else recipe
    if name != "baseline":  # fewer and smaller layers are compiled faster
        recipe = replace(recipe, conv_filters=(8, 8), conv_strides=None, pool_after=(1, 2))
    if "ensemble" in name:
        recipe = replace(recipe, ensemble_size=2, conv_strides=(1, 2))
    targets = several if name == "photo" else labels
    model = loop.compile_model(recipe, 10, seed=0, steps={STEPS_PER_EPOCH})
    changed = augment.augment(recipe, images, np.arange(len(images)), 0, 0)[..., None]
    batches = (slice(32 * i, 32 * i + 32) for i in range({STEPS}))
    losses[name] = []
    for step, each in enumerate(batches):
        if name == "baseline" and step == 10:
            schedules.set_learning_rate(model, recipe, 2e-3, recipe.epochs * {STEPS_PER_EPOCH})
        losses[name].append(float(model.train_on_batch(changed[each], targets[each])[0]))
model = fit.compile_model(replace(FINDER, filters=(4, 8)), seed=0, steps={STEPS_PER_EPOCH})
photos = np.kron(images[:, 2:26, 2:26], np.ones((4, 4), np.float32))  # (640, 96, 96)
batches = (photos[8 * i : 8 * i + 8] for i in range({STEPS}))
losses["finder"] = [
    float(model.train_on_batch(np.stack([each] * 3, axis=3), np.float32(each > 0)))
    for each in batches
]
print(json.dumps(losses))
"""


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """The losses of TensorFlow in this process, and of JAX in another at the same time."""
    assert keras.backend.backend() == "tensorflow"
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # to compile
    environment = {**os.environ, "KERAS_BACKEND": "jax", **quick}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as jax:
        tensorflow = python_here(SCRIPT, tmp_path_factory.mktemp("tensorflow")).stdout
        out, err = jax.communicate()
    assert jax.returncode == 0, err
    return json.loads(tensorflow), json.loads(out)


@pytest.mark.parametrize("name", [*RECIPES, "finder"])
def test_both_backends_have_the_same_losses(
    both: tuple[dict[str, list[float]], dict[str, list[float]]], name: str
) -> None:
    tensorflow, jax = (np.array(each[name]) for each in both)
    np.testing.assert_allclose(jax, tensorflow, rtol=1e-3)
    assert len(jax) == STEPS
    assert jax[-1] < jax[0]
