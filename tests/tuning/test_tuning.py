"""Tuning: trials on the validation split, kept in a file, gone on with, and the best printed as a recipe."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from conftest import WARDROBE, environment, refused, wardrobe, wardrobe_here


def test_it_goes_on_where_it_was_and_prints_the_best_as_a_recipe(
    tmp_path: Path, few_of_own: Path
) -> None:
    arguments = (
        "tune",
        "baseline",
        "--fields",
        "learning_rate,alternating_flip",
        "--data",
        few_of_own,
        "--epochs",
        2,
    )
    first = wardrobe_here(*arguments, "--trials", 1, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "trial 1  complete" in first.stdout
    assert "Warning" not in first.stderr
    assert "learning_rate 0.001, alternating_flip False" in first.stdout, (
        "the recipe as it is comes first"
    )
    again = wardrobe_here(*arguments, "--trials", 3, "--json", cwd=tmp_path)
    best = json.loads(again.stdout)
    assert "1 trials are done, 2 to go" in again.stderr
    assert re.findall(r"trial (\d)", again.stderr) == ["2", "3"]
    assert (best["recipe"], best["trials"]) == ("baseline", 3)
    assert 1 >= best["accuracy"] >= best["accuracy_as_it_is"] > 0.1
    assert best["fields"].keys() == {"learning_rate", "alternating_flip"}
    assert best["python"].startswith("dataclasses.replace(wardrobe.recipes.get('baseline'), ")
    assert [path.name for path in (tmp_path / "runs/tune-seed").iterdir()] == ["study.db"], (
        "runs of trials are left"
    )


def test_two_hosts_search_together(tmp_path: Path, few_of_own: Path) -> None:
    arguments = (
        "tune",
        "baseline",
        "--fields",
        "learning_rate",
        "--data",
        few_of_own,
        "--epochs",
        1,
    )
    shared = (*arguments, "--storage", tmp_path / "disk/search.journal", "--trials", 4, "--json")
    hosts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = [str(each) for each in (WARDROBE, *shared)]
        env, cwd = environment(tmp_path / name), tmp_path / name
        hosts.append(
            subprocess.Popen(
                command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    ends = [(*host.communicate(timeout=200), host.returncode) for host in hosts]
    assert [status for *_, status in ends] == [0, 0], ends
    tried = [
        re.findall(r"trial (\d+)  (?:complete|pruned) .*learning_rate (\S+)", said)
        for _, said, _ in ends
    ]
    numbers = sorted(int(number) for each in tried for number, _ in each)
    assert numbers == list(range(1, len(numbers) + 1)), "each trial was tried by one host"
    assert 4 <= len(numbers) <= 5, "a trial that was under way elsewhere is finished"
    assert all(tried), "both hosts searched"
    assert len({rate for each in tried for _, rate in each}) >= len(numbers) - 1, (
        "they did not try the same"
    )
    later = wardrobe_here(*shared, cwd=tmp_path)
    assert json.loads(later.stdout)["trials"] == len(numbers)
    assert not list(tmp_path.rglob("study.db"))


def test_ray_tune_searches_on_a_cluster(tmp_path: Path, few_of_own: Path) -> None:
    arguments = (
        "tune",
        "baseline",
        "--fields",
        "learning_rate,alternating_flip",
        "--data",
        few_of_own,
        "--epochs",
        1,
    )
    first = wardrobe(*arguments, "--address", "local", "--trials", 2, "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    best = json.loads(first.stdout)
    tried = re.findall(
        r"^trial  [\d.]+%  learning_rate \S+, alternating_flip (?:True|False)$", first.stderr, re.M
    )
    assert (best["trials"], len(tried)) == (2, 2), first.stderr
    assert "learning_rate 0.001, alternating_flip False" in first.stderr, (
        "the recipe as it is was tried too"
    )
    assert 1 >= best["accuracy"] >= best["accuracy_as_it_is"] > 0.1
    assert [path.name for path in (tmp_path / "runs/tune-seed").iterdir()] == ["study.db"], (
        "Ray's own files are left"
    )
    again = wardrobe_here(*arguments, "--address", "local", "--trials", 2, "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == best, "nothing is left to try"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tune", "baselin"), "did you mean 'baseline'?"),
        (
            ("tune", "baseline", "--fields", "learning_rate,name"),
            "learning_rate, batch_size, dropout",
        ),
        (("tune", "baseline", "--trials", "0"), "--trials 0 tries nothing; give 1 or more"),
        (("tune", "baseline", "--storage", "nowhere"), "--storage nowhere cannot be opened"),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    refused(wardrobe_here(*arguments, cwd=tmp_path), 2, said)
    assert not list(tmp_path.rglob("study.db"))
