"""Tuning: trials on the validation split, kept in a file, gone on with, and the best printed as a recipe."""

import json
import re
from pathlib import Path

import pytest
from conftest import refused, wardrobe_here


def test_it_goes_on_where_it_was_and_prints_the_best_as_a_recipe(tmp_path: Path, few_of_own: Path) -> None:
    arguments = ("tune", "seed", "--fields", "learning_rate,flip", "--data", few_of_own, "--epochs", 2)
    first = wardrobe_here(*arguments, "--trials", 1, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "trial 1  complete" in first.stdout
    assert "Warning" not in first.stderr
    assert "learning_rate 0.001, flip False" in first.stdout, "the recipe as it is comes first"
    again = wardrobe_here(*arguments, "--trials", 3, "--json", cwd=tmp_path)
    best = json.loads(again.stdout)
    assert "1 trials are done, 2 to go" in again.stderr
    assert re.findall(r"trial (\d)", again.stderr) == ["2", "3"]
    assert (best["recipe"], best["trials"]) == ("seed", 3)
    assert 1 >= best["accuracy"] >= best["accuracy_as_it_is"] > 0.1
    assert best["fields"].keys() == {"learning_rate", "flip"}
    assert best["python"].startswith("dataclasses.replace(wardrobe.recipes.get('seed'), ")
    assert [path.name for path in (tmp_path / "runs/tune-seed").iterdir()] == ["study.db"], "runs of trials are left"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tune", "sede"), "did you mean 'seed'?"),
        (("tune", "seed", "--fields", "learning_rate,name"), "learning_rate, batch_size, dropout"),
        (("tune", "seed", "--trials", "0"), "--trials 0 tries nothing; give 1 or more"),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    refused(wardrobe_here(*arguments, cwd=tmp_path), 2, said)
    assert not (tmp_path / "runs").exists()
