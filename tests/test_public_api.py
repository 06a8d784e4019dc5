"""The Python package as a person meets it in an interpreter."""

import importlib
import pkgutil
import pydoc
from pathlib import Path

import numpy as np
import pytest

import wardrobe
from wardrobe import runs
from wardrobe.data import Dataset
from wardrobe.errors import RunError
from wardrobe.models import recipes
from wardrobe.runs import Run


def test_no_package_hides_a_public_name() -> None:
    for module in pkgutil.iter_modules(wardrobe.__path__):
        importlib.import_module(f"wardrobe.{module.name}")
    names = set(wardrobe.__all__) - {"__version__", "photo"}
    assert {name for name in names if not callable(getattr(wardrobe, name))} == set()


def test_the_public_names_are_listed_and_documented() -> None:
    assert {*dir(wardrobe)} == {*wardrobe.__all__, "__all__"}
    text = pydoc.plain(pydoc.render_doc(wardrobe))
    assert all(name in text for name in wardrobe.__all__)


def test_objects_show_themselves_in_a_line(drawn_data: Dataset) -> None:
    classifier = wardrobe.Classifier.load()
    black = np.zeros((2, 28, 28), np.uint8)
    assert repr(classifier) == "Classifier('photo', 10 classes)"
    assert repr(classifier.classify(black)) == "Predictions(2 images, 2 without a class)"
    assert repr(drawn_data.train) == "Split(3,000 images)"
    sizes = "3,000 train, 1,000 validation, 200 test"
    assert repr(drawn_data) == f"Dataset('synthetic', 10 classes, {sizes})"
    assert repr(Run(Path("runs/x"))) == "Run('runs/x')"


def test_a_run_is_opened_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = runs.create_run(recipes.get("baseline"), Path("runs/x"), data="synthetic", seed=0)
    assert Run("runs/x") == Run("latest") == runs.find_run(run) == run
    assert Run("latest").info()["seed"] == 0
    with pytest.raises(RunError, match="does not exist"):
        wardrobe.evaluate(Run(Path("nowhere")))
    with pytest.raises(RunError, match="does not exist"):
        wardrobe.resume(Run(Path("nowhere")))
