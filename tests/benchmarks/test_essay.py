"""The essay: its page is what its numbers make, its figures are there, and it shows no image of the data set."""

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
def figures() -> dict[str, Any]:
    return json.loads((ROOT / "results/essay.json").read_text())


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs/how-a-cnn-sees.md").read_text()


@pytest.fixture(scope="module")
def names(page: str) -> list[str]:
    return re.findall(r"!\[.+\]\(how-a-cnn-sees/(\w+)\.png\)", page)


def test_the_page_is_what_its_numbers_make(figures: dict[str, Any], page: str) -> None:
    assert essay.page(figures) == page


def test_every_figure_is_there_and_used(names: list[str]) -> None:
    assert len(names) >= 15
    assert sorted(names) == sorted(path.stem for path in (ROOT / "docs/how-a-cnn-sees").iterdir())
    assert set(essay.SHOW_GARMENTS) <= set(names)


def test_garments_come_from_the_drawn_run(
    tmp_path: Path, own_run: Run, figures: dict[str, Any], names: list[str]
) -> None:
    runs = {}
    for number, name in enumerate(("real", "drawn")):
        runs[name] = Run(shutil.copytree(own_run.path, tmp_path / name))
        for picture in {*names, "mistakes"}:
            Image.new("L", (2240, 1000), 40 + 100 * number).save(
                runs[name].plots_folder / f"{picture}.png"
            )
        found = own_run.explanation()
        found |= {key: figures[key] for key in found if key in figures and key != "label_errors"}
        runs[name].explanation_path.write_text(json.dumps(found))
    written = essay.assemble(runs["real"], runs["drawn"], tmp_path / "out", command="again")
    assert (tmp_path / "out/docs/how-a-cnn-sees.md").read_text() == essay.page(written)
    assert written["accuracy"] == own_run.metrics()["accuracy"]
    shades = {}
    for path in (tmp_path / "out/docs/how-a-cnn-sees").iterdir():
        with Image.open(path) as shown:
            assert shown.size == (1120, 500)
            shades[path.stem] = shown.convert("L").getpixel((0, 0))
    assert shades == {name: 140 if name in essay.SHOW_GARMENTS else 40 for name in names}
