"""The docs: their commands run, their numbers come from result files, their links exist."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import ROOT, python_here, wardrobe_here
from PIL import Image

from benchmarks import results
from wardrobe.cli import app
from wardrobe.data.clothing_photos import PUBLISHED
from wardrobe.models import recipes
from wardrobe.workflows import train_run

README = (ROOT / "README.md").read_text()
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "src/wardrobe/pretrained/README.md"]
)


def blocks(language: str) -> str:
    """Returns the README's fenced blocks of a language, one after another."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return "\n".join(text for kind, text in fenced if kind == language)


def leaves(value: Any) -> Iterator[float]:
    """Yields every number in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, (int, float)):
        yield value


def measured() -> list[float]:
    return [
        number
        for path in (ROOT / "results").glob("*.json")
        for number in leaves(json.loads(path.read_text()))
    ]


def stands_in_results(text: str, numbers: list[float]) -> bool:
    """Tells whether a number is a measured one, rounded as written, plain or as a percentage."""
    decimals = len(text.partition(".")[2])
    wanted = float(text.replace(",", ""))
    return any(
        round(scale * number, decimals) == wanted for number in numbers for scale in (1, 100)
    )


def test_results_are_what_their_files_make(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    card = Path("src/wardrobe/pretrained/README.md")
    (tmp_path / card.parent).mkdir(parents=True)
    for path in (ROOT / "results").glob("*.json"):
        (tmp_path / "results" / path.name).write_bytes(path.read_bytes())
    results.write_results(json.loads((ROOT / "results/train.json").read_text()), tmp_path)
    for made in (Path("RESULTS.md"), card):
        assert (tmp_path / made).read_text() == (ROOT / made).read_text()


def test_every_figure_of_the_readme_was_measured() -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL).replace("95 % interval", "interval")
    figures = re.findall(
        r"\d[\d,]*\.\d+(?= %|\*\* %| points| s | times)|\d[\d,.]* %|\d{1,3},\d{3}", prose
    )
    assert len(figures) >= 8
    numbers = [*measured(), 5_000.0]  # the validation split's size, pinned by test_data
    missing = [
        figure for figure in figures if not stands_in_results(figure.removesuffix(" %"), numbers)
    ]
    assert missing == []


def test_the_readme_states_the_mean_and_the_deviation() -> None:
    (row,) = (
        row
        for row in json.loads((ROOT / "results/train.json").read_text())["rows"]
        if row["recipe"] == "baseline"
    )
    stated = re.sub(r"\s+", " ", README)
    assert f"| `baseline` | **{100 * row['accuracy_mean']:.2f} %** |" in README
    assert f"the mean over {row['seeds']} seeds" in stated
    assert f"the standard deviation is {100 * row['accuracy_std']:.2f} points" in stated


def test_the_scores_on_photos_are_those_of_the_test_split() -> None:
    photos = json.loads((ROOT / "results/photos.json").read_text())
    assert {split: each["sha256"] for split, each in photos["splits"].items()} == {
        split: PUBLISHED[split] for split in ("test", "validation")
    }
    assert not photos["git_commit"].endswith("changes")
    test = photos["splits"]["test"]
    interval = " to ".join(f"{100 * end:.2f} %" for end in test["balanced_accuracy_interval_95"])
    stated = re.sub(r"\s+", " ", README)
    balanced = f"balanced accuracy is **{100 * test['balanced_accuracy']:.2f} %**"
    assert f"{test['n']} test photos of seven kinds, on which nothing here was chosen" in stated
    assert f"{balanced} (95 % interval {interval})" in stated
    card = (ROOT / "src/wardrobe/pretrained/README.md").read_text()
    assert interval in card
    assert photos["command"] in card
    made = ("make", "--dry-run", "pretrained")
    listed = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert photos["command"] in listed


def test_a_made_up_figure_would_be_found() -> None:
    assert stands_in_results("91.1", [0.91114])
    assert not stands_in_results("91.2", [0.91114])


def test_published_means_are_of_several_seeds_over_the_whole_split() -> None:
    rows = [
        row
        for path in (ROOT / "results").glob("train*.json")
        for row in json.loads(path.read_text())["rows"]
    ]
    for row in rows:
        assert row["seeds"] == len(row["accuracies"]) >= (3 if row["recipe"] == "champion" else 5)
        train_images = 59_000 if row["recipe"] == "champion" else 55_000
        assert (row["train_images"], row["test_images"]) == (train_images, 10_000)
    for path in (ROOT / "results").glob("photos-seeds*.json"):
        seeds = json.loads(path.read_text())
        assert len(seeds["rows"]) >= (5 if seeds["mean"]["fit_seconds"] < 30 * 60 else 3)
        assert (seeds["data"], seeds["is_published"]) == ("fashion-mnist", True)
        assert seeds["epochs"] == recipes.get("photo").epochs


def test_the_docs_name_the_commands_without_json() -> None:
    commands: Any = typer.main.get_command(app)
    without = sorted(
        f"`{name}`"
        for name, command in commands.commands.items()
        if not any("--json" in each.opts for each in command.params)
    )
    for page in (README, (ROOT / "docs/commands.md").read_text()):
        assert f"very command but {' and '.join(without)} " in page


RUN_ELSEWHERE = (
    "tune",
    "explain",
    "export",
    "train --data",
    "train --recipe",
    "train baseline --set",
    "serve",
)  # in tests of their own, for they take long


def test_the_commands_of_the_readme_run(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "CHAPTERS", ())  # no figures, which take most of the time
    lines = [
        line.partition("#")[0].strip()
        for line in blocks("sh").splitlines()
        if line.startswith("wardrobe ")
    ]
    assert len(lines) >= 13
    Image.new("RGB", (90, 120), "white").save(tmp_path / "photo.jpg")
    for line in lines:
        words = shlex.split(line.replace("path/to/photos", shlex.quote(str(few_of_own))))[1:]
        if " ".join(words).startswith(RUN_ELSEWHERE):
            words += ["--help"]
        elif words[:3] == ["train", "--resume", "latest"]:  # there must be one that was stopped
            run = max((tmp_path / "runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime)
            run.write_text(run.read_text().replace('"status": "done"', '"status": "interrupted"'))
        elif words[0] == "train":
            words += ["--epochs", "1"] + ([] if "--data" in words else ["--data", str(few_of_own)])
        elif words[0] == "data":
            words += ["--data", str(few_of_own)]
        result = wardrobe_here(*words, cwd=tmp_path)
        assert result.returncode == 0, f"{line}: {result.stderr}"
        assert result.stdout, line


def test_the_python_of_the_readme_runs(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "CHAPTERS", ())
    Image.new("RGB", (90, 120), "white").save(tmp_path / "photo.jpg")
    code = blocks("python").replace('"auto"', f"{str(few_of_own)!r}, epochs=1")
    code = code.replace("load_data()", f"load_data({str(few_of_own)!r})")
    result = python_here(code, tmp_path)
    assert "(312, 28, 28)" in result.stdout, result.stderr
    assert "report.html" in result.stdout
    assert result.stdout.endswith("the image is blank\n")


def test_every_recipe_states_its_command_and_what_to_expect() -> None:
    from wardrobe.models.recipes import RECIPES

    texts = re.findall(r'"""(.*?)"""', (ROOT / "src/wardrobe/models/recipes.py").read_text(), re.S)
    for name in RECIPES:
        (text,) = (each for each in texts if f"Command:  wardrobe train {name}\n" in each)
        assert "Expected:" in text
        assert "Source:" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_lists_the_packages() -> None:
    listed = re.findall(r"^\| `(\w+)` \| .* \|$", README.partition("## The code")[2], re.MULTILINE)
    packages = {path.parent.name for path in (ROOT / "src/wardrobe").glob("*/__init__.py")}
    assert set(listed) == packages


def test_no_registry_address_stands_in_a_file() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    host = re.compile(
        r"py" r"pi\.org|python" r"hosted|npm" r"js|index-url\s*[=h]|deb\.deb" r"ian"
    )  # split: not itself
    found = [
        name
        for name in tracked
        if not name.endswith((".png", ".onnx")) and host.search((ROOT / name).read_text())
    ]
    assert found == []


def test_make_names_what_it_does() -> None:
    listed = subprocess.run(
        ["make", "--dry-run", "train"], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
    assert ".venv/bin/wardrobe train baseline" in listed.stdout
