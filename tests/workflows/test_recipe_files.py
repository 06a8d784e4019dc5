"""Recipes in files: TOML and runs; what is wrong with one is one line."""

import io
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import refused, wardrobe_here

from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.models import recipes
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.workflows.planning import plan, recipe_files

TINY = replace(
    recipes.get("baseline"),
    name="tiny",
    conv_filters=(4,),
    conv_strides=(2,),
    pool_after=(1,),
    dense_units=None,
    epochs=1,
    learning_rate=1.5e-3,
    dropout=0.2,
    held_out=7,
)


def test_a_recipe_from_toml_and_from_its_run_trains_to_the_same_weights(
    tmp_path: Path, drawn_data: Dataset
) -> None:
    from wardrobe.training import loop

    display = TrainingDisplay(io.StringIO())
    few = replace(drawn_data, train=drawn_data.train[:100], validation=drawn_data.validation[:100])
    recipe_files.write(TINY, tmp_path / "tiny.toml")
    sources, weights = [tmp_path / "tiny.toml", tmp_path / "run 1/run.json"], []
    for number, source in enumerate(sources, start=1):
        recipe = recipe_files.read(source)
        assert recipe == TINY
        folder = tmp_path / f"run {number}"

        def reproduce(path: Path, recipe: recipes.Recipe = recipe) -> str:
            return plan.format_command(recipe, None, "synthetic", 100, 3, 100, None, path)

        run = runs.create_run(recipe, folder, data="synthetic", seed=3, reproduce=reproduce)
        model = loop.fit(recipe, few, run, 3, display)
        weights.append(b"".join(each.tobytes() for each in model.get_weights()))
        words = f"wardrobe train --recipe {shlex.quote(str(folder))} --data synthetic"
        assert run.info()["reproduce"].startswith(words)
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('base = "stron"', "did you mean 'strong'?"),
        ("epoch = 9", "epoch: a recipe has no such field; did you mean 'epochs'?"),
        ('epochs = "many"', "epochs=many is not possible; give an integer from 1 to 9999"),
        ("batch_norm = 1", "batch_norm=1 is not possible; give true or false"),
        ("epochs = 1 2", "is not TOML"),
        ("pool_after = [9]", "conv_filters has length 2"),
        ('name = "a/b"', "name 'a/b' is not possible"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "my.toml").write_text(text)
    result = wardrobe_here("train", "--recipe", "my.toml", cwd=tmp_path)
    refused(result, 2, "my.toml", words)
    assert "Starting Keras" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "baseline", "--recipe", "my.toml"], "both given; give one"),
        (["train", "--resume", "latest", "--recipe", "my.toml"], "--recipe cannot be given"),
        (["tune"], "give RECIPE or --recipe FILE"),
        (["recipes", "--recipe", "missing.toml"], "No such file"),
        (["recipes", "--recipe", "."], "is not a recipe's file; give a .toml or .py file"),
    ],
)
def test_a_recipe_is_given_once(tmp_path: Path, arguments: list[str], words: str) -> None:
    refused(wardrobe_here(*arguments, cwd=tmp_path), 2, words)


def test_a_file_shows_every_field(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('base = "strong"\nepochs = 11\n')
    shown = wardrobe_here("recipes", "--recipe", "my.toml", cwd=tmp_path)
    assert "wardrobe train --recipe my.toml --set epochs=12" in shown.stdout
