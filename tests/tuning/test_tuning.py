"""`wardrobe tune`: trials on the validation split, kept in a file, and resumed."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import environment, refused, wardrobe_here

from wardrobe.data import Dataset
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.tuning import search
from wardrobe.workflows.planning import recipe_files


def test_a_search_resumes_and_prints_the_best_recipe(tmp_path: Path, few_of_own: Path) -> None:
    fields = ("--fields", "learning_rate,alternating_flip")
    arguments = ("tune", "baseline", *fields, "--data", few_of_own, "--epochs", 2)
    first = wardrobe_here(*arguments, "--trials", 1, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "trial 1  complete" in first.stdout
    assert "Warning" not in first.stderr
    unchanged = "learning_rate 0.001, alternating_flip False"
    assert unchanged in first.stdout, "the first trial is the unchanged recipe"
    again = wardrobe_here(*arguments, "--trials", 3, "--json", cwd=tmp_path)
    best = json.loads(again.stdout)
    assert "1 trials done, 2 to go" in again.stderr
    assert re.findall(r"trial (\d)", again.stderr) == ["2", "3"]
    assert (best["recipe"], best["trials"]) == ("baseline", 3)
    assert 1 >= best["accuracy"] >= best["recipe_accuracy"] > 0.1
    assert best["fields"].keys() == {"learning_rate", "alternating_flip"}
    assert best["python"].startswith("dataclasses.replace(wardrobe.recipes.get('baseline'), ")
    folder = tmp_path / "runs/tune-baseline"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["best.toml", "study.db"], "runs of trials are left behind"
    words = ["train", "--recipe", "runs/tune-baseline/best.toml", "--data", str(few_of_own)]
    assert shlex.split(best["command"]) == ["wardrobe", *words]
    expected = replace(recipes.get("baseline"), epochs=2, **best["fields"])
    assert recipe_files.read(folder / "best.toml") == expected


# `wardrobe` with trials that take no training: the first of each host waits for the other host's.
HOST = """
import time
from pathlib import Path
from wardrobe import cli
from wardrobe.tuning import search

def validate(recipe, dataset, path, report):
    Path("started").touch()
    while not all(Path("..", name, "started").exists() for name in ("one", "two")):
        time.sleep(0.02)
    with open("rates", "a") as rates:
        print(recipe.learning_rate, file=rates)
    report(min(recipe.learning_rate, 1.0))
    return min(recipe.learning_rate, 1.0)

search._validate = validate
cli.main()
"""


def test_two_hosts_search_together(tmp_path: Path, few_of_own: Path) -> None:
    arguments = ("tune", "baseline", "--fields", "learning_rate", "--data", few_of_own)
    storage = ("--storage", tmp_path / "disk/search.journal")
    shared = (*arguments, "--epochs", 1, *storage, "--trials", 4, "--json")
    command = [str(each) for each in (sys.executable, "-c", HOST, *shared)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    hosts: list[subprocess.Popen[str]] = []
    for name in ("one", "two"):
        cwd = tmp_path / name
        cwd.mkdir()
        hosts.append(subprocess.Popen(command, cwd=cwd, env=environment(cwd), **pipes))  # type: ignore[call-overload]
    ends = [(*host.communicate(), host.returncode) for host in hosts]
    assert [status for *_, status in ends] == [0, 0], ends
    line = r"trial (\d+)  (?:complete|pruned) .*learning_rate (\S+)"
    tried = [re.findall(line, stderr) for _, stderr, _ in ends]
    numbers = sorted(int(number) for each in tried for number, _ in each)
    assert numbers == list(range(1, len(numbers) + 1)), "each trial was tried by one host"
    assert 4 <= len(numbers) <= 5, "a trial that another host has started is finished"
    assert all(tried), "both hosts searched"
    rates = [
        rate for host in ("one", "two") for rate in (tmp_path / host / "rates").read_text().split()
    ]
    drawn = [float(rate) for rate in rates if float(rate) != recipes.get("baseline").learning_rate]
    assert len(set(drawn)) == len(drawn) >= 2, "the hosts tried the same values"
    later = wardrobe_here(*shared, cwd=tmp_path)
    assert json.loads(later.stdout)["trials"] == len(numbers)
    assert not list(tmp_path.rglob("study.db"))


def test_trials_of_other_data_or_another_recipe_are_another_study(drawn_data: Dataset) -> None:
    recipe = recipes.get("baseline")

    def name(recipe: Recipe = recipe, limit: int | None = None, **changed: Any) -> str:
        return search.name_study(recipe, replace(drawn_data, **changed), limit)

    others = [
        name(name="fashion-mnist"),
        name(checksums={"sha256": "0"}),
        name(limit=100),
        name(replace(recipe, batch_size=64)),
        name(replace(recipe, epochs=2)),
    ]
    assert len({name(), *others}) == 6
    assert name() == name(source="another folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["baselin"], "did you mean 'baseline'?"),
        (["baseline", "--fields", "learning_rate,name"], "learning_rate, batch_size, dropout"),
        (["baseline", "--trials", "0"], "--trials 0 is too small; give 1 or more"),
        (["baseline", "--storage", "nowhere"], "--storage nowhere cannot be opened"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    refused(wardrobe_here("tune", *arguments, cwd=tmp_path), 2, message)
    assert not list(tmp_path.rglob("study.db"))
