"""The essay: its page matches results/essay.json, and it shows no image of the data set."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import Image

from benchmarks import essay
from wardrobe.runs import Run


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return json.loads((ROOT / "results/essay.json").read_text())


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs/how-a-cnn-sees.md").read_text()


@pytest.fixture(scope="module")
def names(page: str) -> list[str]:
    return re.findall(r"!\[.+\]\(how-a-cnn-sees/(\w+)\.png\)", page)


def test_the_page_is_rendered_from_the_results(
    measured: dict[str, Any], page: str, names: list[str]
) -> None:
    assert essay.render_page(measured) == page
    captions = re.findall(r"/(\w+)\.png\)\n\n\*From the (first|second) network, trained on", page)
    assert captions == [(n, "second" if n in essay.SHOW_GARMENTS else "first") for n in names]


BELOW_0, AROUND_0, ABOVE_0 = (
    {"difference": middle, "interval": [middle - 0.02, middle + 0.02]}
    for middle in (-0.1, 0.01, 0.1)
)


def test_nothing_follows_from_a_difference_whose_interval_includes_0() -> None:
    for measure, words in (("deletion", ["better", "worse"]), ("insertion", ["worse", "better"])):
        judged = [essay.judge_difference(measure, each) for each in (BELOW_0, ABOVE_0)]
        assert judged == words
        assert essay.judge_difference(measure, AROUND_0) == "not resolved"
    differences = {
        "deletion": {"both": BELOW_0, "one": BELOW_0, "none": AROUND_0, "mixed": BELOW_0},
        "insertion": {"both": ABOVE_0, "one": AROUND_0, "none": AROUND_0, "mixed": BELOW_0},
    }
    assert essay.list_better(differences) == ["both", "one"]


def test_the_conclusions_about_heat_maps_follow_the_numbers(measured: dict[str, Any]) -> None:
    other = copy.deepcopy(measured)
    differences = other["faithfulness"]["differences"]
    claims = "HiResCAM is more faithful", "Occlusion does better", "is the garment itself"
    differences["deletion"] = dict.fromkeys(differences["deletion"], BELOW_0)
    differences["insertion"] = dict.fromkeys(differences["insertion"], AROUND_0)
    page = essay.render_page(other)
    assert "| HiResCAM minus Grad-CAM | -0.100 (-0.120 to -0.080), better | +0.010" in page
    assert "Part of what HiResCAM,\nGrad-CAM and\nocclusion show" in page
    assert all(claim in page for claim in claims)
    differences["deletion"] = dict.fromkeys(differences["deletion"], AROUND_0)
    page = essay.render_page(other)
    assert "(-0.010 to +0.030), not resolved |" in page
    assert not any(claim in page for claim in claims)


def test_the_essay_says_if_no_threshold_guarantees_an_accuracy(measured: dict[str, Any]) -> None:
    other = copy.deepcopy(measured)
    other["selective"][2] |= {"threshold": None, "coverage": 0.0, "accuracy": None}
    assert "no threshold guarantees 99\N{NO-BREAK SPACE}%" in essay.render_page(other)


def test_every_figure_exists_and_is_used(names: list[str]) -> None:
    assert len(names) >= 15
    assert sorted(names) == sorted(path.stem for path in (ROOT / "docs/how-a-cnn-sees").iterdir())
    assert set(essay.SHOW_GARMENTS) <= set(names)


def test_figures_of_garments_come_from_the_synthetic_run(
    tmp_path: Path, own_run: Run, measured: dict[str, Any], names: list[str]
) -> None:
    runs = {}
    for number, name in enumerate(("real", "synthetic")):
        runs[name] = Run(shutil.copytree(own_run.path, tmp_path / name))
        for figure in {*names, "mistakes"}:
            Image.new("L", (2240, 1000), 40 + 100 * number).save(
                runs[name].plots_folder / f"{figure}.png"
            )
        found = own_run.explanation()
        found |= {key: measured[key] for key in found if key in measured and key != "label_errors"}
        runs[name].explanation_path.write_text(json.dumps(found))
    written = essay.assemble_essay(runs["real"], runs["synthetic"], tmp_path / "out", "again")
    assert (tmp_path / "out/docs/how-a-cnn-sees.md").read_text() == essay.render_page(written)
    assert written["accuracy"] == own_run.metrics()["accuracy"]
    shades = {}
    for path in (tmp_path / "out/docs/how-a-cnn-sees").iterdir():
        with Image.open(path) as image:
            assert image.size == (1120, 500)
            shades[path.stem] = image.convert("L").getpixel((0, 0))
    assert shades == {name: 140 if name in essay.SHOW_GARMENTS else 40 for name in names}
