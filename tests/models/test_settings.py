"""Recipes with changed fields: what is taken, what is refused in one line, and how it is told."""

import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wardrobe.errors import UsageError
from wardrobe.models import layers, recipes, settings
from wardrobe.models.recipes import BASELINE, RECIPES, SPRINT, STRONG, Recipe
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.workflows.planning import plan

MANY = {
    "conv_filters": "(8, 16, 8,)",
    "pool_after": "",
    "conv_strides": "[1,2,1]",
    "dense_units": "none",
    "batch_norm": "True",
    "learning_rate": "1e-2",
    "padding": "same",
    "held_out": "null",
    "tta_views": "6",
}
CHANGED = replace(
    BASELINE,
    conv_filters=(8, 16, 8),
    pool_after=(),
    conv_strides=(1, 2, 1),
    dense_units=None,
    batch_norm=True,
    learning_rate=0.01,
    padding="same",
    tta_views=6,
)


def test_fields_are_changed_by_their_text_or_value() -> None:
    assert settings.apply(BASELINE, MANY) == CHANGED
    values = {"conv_filters": [8, 8], "epochs": 3, "weight_decay": 1}
    changed = settings.apply(BASELINE, values)
    assert changed == replace(BASELINE, conv_filters=(8, 8), epochs=3, weight_decay=1.0)
    assert isinstance(changed.weight_decay, float)  # as run.json gives it back


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("dropout=1.0", "give a number from 0.0 to 0.95"),
        ("batch_size=0", "give an integer from 1 to 16384"),
        ("learning_rate=nan", "give a number from 1e-07 to 10.0"),
        ("learning_rate=inf", "give a number"),
        (f"epochs={'9' * 5000}", "give an integer from 1 to 9999"),
        ("epochs=2.5", "give an integer"),
        ("epochs=none", "give an integer"),
        ("conv_filters=16,,3", "give integers separated by commas, each from 1 to 2048"),
        ("conv_filters=16,-3", "each from 1 to 2048"),
        ("whitened_stem=yes", "give true or false"),
        ("tta_views=3", "give 1, 2 or 6"),
        ("tta_views=true", "give 1, 2 or 6"),
        ("optimizer=sgd", "give adam or muon"),
        ("held_out=0", "from 1 to 1000000, or none"),
        ("droput=0.1", "did you mean 'dropout'?"),
        ("name=mine", "no such field"),
        ("epochs", "give --set FIELD=VALUE"),
        ("pool_after=3", "conv_filters has length 2"),
        ("pool_after=2,1", "in ascending order"),
        ("pool_after=1,1", "each convolution once"),
        ("conv_filters=", "it has no convolution"),
        (f"conv_filters={','.join(['1'] * 65)}", "65 convolutions; give 64 at most"),
        ("conv_strides=1,1,1", "conv_filters has length 2"),
        ("kernel_size=28", "conv1 and its pooling leaves nothing of the 28x28 pixels"),
        ("whitened_stem=true", "give an even number, at most 18"),
        ("warp_fraction=0.2", "give photo_fraction above 0"),
        ("dense_units=65536", "has 105,597,322 parameters, expected at most 100,000,000"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(change: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as refusal:
        settings.apply(BASELINE, settings.split_pairs([change]))
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 300


def test_a_field_is_given_once() -> None:
    with pytest.raises(UsageError, match="--set epochs is given twice, 1 and 2; give one"):
        settings.split_pairs(["epochs=1", "dropout=0.5", "epochs=2"])
    with pytest.raises(UsageError, match="--epochs 3 and --set epochs=4 are both given"):
        plan.choose_recipe("baseline", {"epochs": "4"}, 3)


def test_a_recipe_of_ones_own_is_checked_too() -> None:
    with pytest.raises(UsageError, match=r"^dropout=1\.0 is not possible"):
        plan.choose_recipe(replace(BASELINE, dropout=1.0), {})


@pytest.mark.parametrize("recipe", [CHANGED, replace(STRONG, epochs=9, max_shift=2, held_out=7)])
def test_the_command_of_a_run_gives_the_same_recipe(recipe: Recipe) -> None:
    command = plan.format_command(recipe, None, "my photos", 3000, 3, None, None, Path())
    words = shlex.split(command)
    options: dict[str, list[str]] = {}
    for option, value in zip(words[3::2], words[4::2], strict=True):
        options.setdefault(option, []).append(value)
    assert words[:3] == ["wardrobe", "train", recipe.name]
    assert options.pop("--data") == ["my photos"]
    assert options.pop("--seed") == ["3"]
    (epochs,) = (int(each) for each in options.pop("--epochs", ["0"]))
    changes = settings.split_pairs(options.pop("--set"))
    assert not options
    assert plan.choose_recipe(recipe.name, changes, epochs or None) == recipe


@pytest.mark.parametrize(
    ("recipe", "changes", "epochs"),
    [
        ("sprint", {}, None),
        ("sprint", {}, 3),
        ("sprint", {"batch_size": "512"}, None),
        ("sprint", {"batch_size": "16"}, None),  # one of the two values that are recommended
        ("sprint", {}, 14),  # the other
        ("sprint", {"batch_size": "64"}, 14),
        (SPRINT, {}, None),
    ],
)
def test_few_images_get_enough_steps_unless_the_length_was_chosen(
    recipe: str | Recipe, changes: dict[str, str], epochs: int | None
) -> None:
    out, chosen = io.StringIO(), plan.choose_recipe(recipe, changes, epochs)
    is_fixed = plan.has_chosen_length(recipe, changes, epochs)
    trained = plan.ensure_steps(chosen, is_fixed, 167, TrainingDisplay(out))
    command = plan.format_command(trained, None, "own", 167, 0, None, None, Path())
    plain = "wardrobe train sprint --data own --seed 0"
    if is_fixed:
        assert trained == chosen
        steps = recipes.count_steps(chosen, 167)
        assert out.getvalue().startswith(f"Training has only {steps} steps, 167 images, epochs=")
        batch_size = changes.get("batch_size", "512")
        change = "" if batch_size == "512" else f" --set batch_size={batch_size}"
        assert command == f"{plain} --epochs {epochs or 3}{change}"
    else:
        assert recipes.count_steps(trained, 167) >= recipes.MIN_STEPS
        assert out.getvalue().startswith(
            "Training has 14 epochs with batches of 16, because sprint"
        )
        assert command == plain
    assert is_fixed == ((recipe, changes, epochs) != ("sprint", {}, None))
    assert plan.ensure_steps(chosen, is_fixed, 55_000, TrainingDisplay(out)) == chosen


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES.values(),
        CHANGED,
        replace(BASELINE, stem_filters=(5,), kernel_size=2, conv_strides=(3, 1), pool_after=(1,)),
    ],
    ids=lambda recipe: recipe.name,
)
def test_the_layers_are_known_without_keras(recipe: Recipe) -> None:
    from wardrobe.models import architecture

    settings.check(recipe)
    model = architecture.build(recipe, 7)
    shapes = layers.compute_kernel_shapes(recipe, 7)
    prefix = layers.member_prefixes(recipe)[0]
    built = {
        layer.name: layer.kernel.shape
        for layer in model.layers
        if hasattr(layer, "kernel") and layer.name.startswith(prefix)
    }
    assert built == {prefix + name: shape for name, shape in shapes.items()}
    assert layers.count_parameters(recipe, 7) == model.count_params()


def test_recipes_and_fields_are_json() -> None:
    about = json.loads(json.dumps(settings.describe(), allow_nan=False))
    assert [each["name"] for each in about["recipes"]] == list(RECIPES)
    names = [each["name"] for each in about["fields"]]
    for described in about["recipes"]:
        assert list(described["fields"]) == names
        # What a form sends back: JavaScript's String(value).
        texts = {name: _to_text(value) for name, value in described["fields"].items()}
        assert settings.apply(BASELINE, texts) == replace(
            recipes.get(described["name"]), name="baseline"
        )
    fields = {each.pop("name"): each for each in about["fields"]}
    assert fields["conv_strides"] == {
        "type": "integers",
        "optional": True,
        "minimum": 1,
        "maximum": 28,
        "choices": None,
        "meaning": "stride of each convolution in pixels; none: 1 everywhere",
    }
    assert fields["tta_views"]["choices"] == [1, 2, 6]


def _to_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return json.dumps(value) if not isinstance(value, str) else value


def test_a_summary_is_the_first_line_of_the_recipes_docstring() -> None:
    source = " ".join(Path(recipes.__file__).read_text().split())
    for summary in recipes.SUMMARIES.values():
        assert f'"""{summary}' in source
