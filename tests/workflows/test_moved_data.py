"""The data of a run was moved: it is opened at its new place if it is the same, or refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import refused, wardrobe_here

from wardrobe import runs
from wardrobe.errors import RunError
from wardrobe.runs import Run
from wardrobe.workflows import api, opening


@pytest.fixture
def moved(tmp_path: Path, own_run: Run) -> tuple[Run, Path]:
    """A copy of `own_run` whose data was moved, and where that is now."""
    run, place = Run(tmp_path / "run"), tmp_path / "new place"
    shutil.copytree(own_run.path, run.path)
    shutil.copytree(own_run.info()["data"], place)
    run.update(data="/gone/own")
    return run, place


def test_without_an_option_the_error_names_it(tmp_path: Path, moved: tuple[Run, Path]) -> None:
    for command in (["evaluate"], ["explain"], ["export"]):
        result = wardrobe_here(*command, "run", cwd=tmp_path)
        refused(result, 1, "the data of run is not in /gone/own", "give its folder with --data")


def test_evaluate_opens_it_with_data_or_data_dir(tmp_path: Path, moved: tuple[Run, Path]) -> None:
    run, place = moved
    before = run.metrics()["accuracy"]
    result = wardrobe_here("evaluate", "run", "--data", place, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert run.metrics()["accuracy"] == before
    for options in ({"data": str(place)}, {"data_dir": place}):
        dataset = opening.load_run_data(run, **{"data_dir": None, **options})  # type: ignore[arg-type]
        assert dataset.checksums == run.info()["dataset"]["checksums"]


def test_other_data_is_refused_with_what_differs(moved: tuple[Run, Path]) -> None:
    run, place = moved
    image = next(place.glob("boots/*"))
    image.rename(image.with_name("renamed.png"))
    with pytest.raises(RunError, match=r"as many images, but other files or file names\); restore"):
        opening.load_run_data(run, None, data=str(place))
    for image in [*place.glob("boots/*")][:20]:
        image.unlink()
    with pytest.raises(
        RunError, match=r"\(train: \d+ instead of \d+; .*give the right folder with"
    ):
        opening.load_run_data(run, None, data=str(place))
    (place / "boots").rename(place / "shoes")
    with pytest.raises(RunError, match=r"classes: .*'shoes'.* instead of .*'boots'"):
        opening.load_run_data(run, place)


def test_resume_keeps_the_new_place(
    moved: tuple[Run, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wardrobe.workflows import train_run

    run, place = moved
    run.update(status=runs.INTERRUPTED)
    trained: list[Any] = []
    monkeypatch.setattr(train_run, "train", lambda *arguments: trained.append(arguments))
    api.resume(run.path, data=str(place))
    assert run.info()["data"] == str(place)
    assert len(trained) == 1
    opening.load_run_data(run, None)
