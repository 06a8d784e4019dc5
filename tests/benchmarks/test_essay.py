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


def test_the_page_is_rendered_from_the_results(measured: dict[str, Any], page: str) -> None:
    assert essay.render_page(measured) == page


def test_the_conclusions_about_heat_maps_follow_the_numbers(measured: dict[str, Any]) -> None:
    page = essay.render_page(measured)
    assert "In deletion, the area of HiResCAM is lower than that of Grad-CAM." in page
    assert "So part of what HiResCAM shows is the garment itself" in page
    other = copy.deepcopy(measured)
    deletion = other["faithfulness"]["deletion"]
    deletion["HiResCAM"], deletion["Grad-CAM"] = deletion["Grad-CAM"], deletion["HiResCAM"]
    deletion["HiResCAM, untrained"] = deletion["by chance"]
    page = essay.render_page(other)
    assert "In deletion, the area of HiResCAM is higher than that of Grad-CAM." in page
    assert "not clearly different from that of a random order for HiResCAM" in page
    assert "the garment itself" not in page


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
