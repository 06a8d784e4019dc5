"""The essay: its page is what its numbers make, its figures are there, and it shows no image of the data set."""

import json
import re
import shutil
from pathlib import Path

from conftest import ROOT
from PIL import Image

from wardrobe import essay
from wardrobe.runs import Run

FIGURES = json.loads((ROOT / "results/essay.json").read_text())
PAGE = (ROOT / "docs/how-a-cnn-sees.md").read_text()
NAMES = re.findall(r"!\[.+\]\(how-a-cnn-sees/(\w+)\.png\)", PAGE)


def test_the_page_is_what_its_numbers_make() -> None:
    assert essay.page(FIGURES) == PAGE


def test_every_figure_is_there_and_used() -> None:
    assert len(NAMES) >= 15
    assert sorted(NAMES) == sorted(path.stem for path in (ROOT / "docs/how-a-cnn-sees").iterdir())
    assert set(essay.SHOW_GARMENTS) <= set(NAMES)


def test_garments_come_from_the_drawn_run(tmp_path: Path, own_run: Run) -> None:
    runs = {}
    for number, name in enumerate(("real", "drawn")):
        runs[name] = Run(shutil.copytree(own_run.path, tmp_path / name))
        for picture in {*NAMES, "mistakes"}:
            Image.new("L", (2240, 1000), 40 + 100 * number).save(runs[name].plots_folder / f"{picture}.png")
        found = {key: FIGURES[key] for key in own_run.explanation()}
        runs[name].explanation_path.write_text(json.dumps(found))
    figures = essay.assemble(runs["real"], runs["drawn"], tmp_path / "out", command="again")
    assert (tmp_path / "out/docs/how-a-cnn-sees.md").read_text() == essay.page(figures)
    assert figures["accuracy"] == own_run.metrics()["accuracy"]
    shades = {}
    for path in (tmp_path / "out/docs/how-a-cnn-sees").iterdir():
        with Image.open(path) as picture:
            assert picture.size == (1120, 500)
            shades[path.stem] = picture.convert("L").getpixel((0, 0))
    assert shades == {name: 140 if name in essay.SHOW_GARMENTS else 40 for name in NAMES}
