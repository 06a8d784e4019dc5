"""The notebook runs on a small subset of the data."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, environment
from nbclient import NotebookClient

TOUR = ROOT / "notebooks/tour.ipynb"


@pytest.fixture
def fewer_of_own(tmp_path: Path, few_of_own: Path) -> Path:
    """A folder with 40 images a class."""
    for folder in few_of_own.iterdir():
        (tmp_path / "own" / folder.name).mkdir(parents=True)
        for image in sorted(folder.iterdir())[:40]:
            shutil.copy(image, tmp_path / "own" / folder.name)
    return tmp_path / "own"


def test_the_notebook_runs(tmp_path: Path, fewer_of_own: Path) -> None:
    notebook = nbformat.read(TOUR, as_version=4)
    settings = next(cell for cell in notebook.cells if "DATA, LIMIT, EPOCHS =" in cell.source)
    settings.source = re.sub(
        r"DATA, LIMIT.*", f"DATA, LIMIT, EPOCHS = {str(fewer_of_own)!r}, 60, 1", settings.source
    )
    # The chapters that the notebook shows; test_explain_run computes all of them.
    settings.source += (
        "\nfrom wardrobe.explain import chapters"
        "\nshown = chapters.layers, chapters.depth, chapters.heat_maps, chapters.uncertainty"
        "\nchapters.CHAPTERS = tuple(each.CHAPTER for each in shown)"
    )
    NotebookClient(notebook, timeout=280, resources={"metadata": {"path": tmp_path}}).execute(
        env=environment(tmp_path)
    )
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(figures) == 7
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert ", 95 % interval" in printed
    assert "99 % prediction sets: coverage" in printed


def test_the_notebook_is_stored_without_outputs() -> None:
    notebook = nbformat.read(TOUR, as_version=4)
    assert all(
        not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells
    )
