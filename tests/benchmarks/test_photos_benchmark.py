"""The benchmark on photos, on drawn ones."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused, run_benchmark
from drawn_photos import draw_splits
from PIL import Image

from benchmarks import cached_runs, results
from benchmarks.accuracy import photo_seeds, start_from
from benchmarks.accuracy import photos as benchmark
from wardrobe import photo, runs
from wardrobe.data import Dataset
from wardrobe.data.clothing_photos import KINDS, KNOWN_KINDS, PUBLISHED
from wardrobe.evaluation import out_of_distribution
from wardrobe.labels import CLASS_NAMES
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.photo import steps
from wardrobe.runs import Run

CARD = Path("src/wardrobe/pretrained/README.md")
SHADES = {"train": (20,), "validation": (60, 90), "test": (120, 150)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of each kind for validation and for the test."""
    return draw_splits(tmp_path_factory.mktemp("photos"), SHADES)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the pictures, and inputs that are not photos."""
    monkeypatch.setattr(benchmark, "_draw_sheet", lambda *_: None)
    monkeypatch.setattr(benchmark, "UNLIKE", {})


def measure(photos_dir: Path, cwd: Path, *options: object) -> dict[str, Any]:
    result = run_benchmark("photos", "--photos-dir", photos_dir, *options, "--json", cwd=cwd)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Done:
    """A benchmark of the shipped model."""

    folder: Path
    measured: dict[str, Any]
    drawn_files: list[Path]


@pytest.fixture(scope="module")
def done(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    paths: list[Path] = []

    def prepare_steps(path: Path) -> photo.Steps:
        paths.append(path)
        return steps.prepare_steps(path)

    cwd = tmp_path_factory.mktemp("results")
    (cwd / CARD.parent).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo, "prepare_steps", prepare_steps)
        return Done(cwd, measure(drawn, cwd, "--seeds", 0), paths)


def test_both_splits_are_scored_by_kind(done: Done) -> None:
    measured = done.measured
    assert measured == json.loads((done.folder / "results/photos.json").read_text())
    assert measured["train_photos"] == len(KINDS)
    assert [*measured["splits"]] == ["test", "validation"]
    for split in measured["splits"].values():
        rows = {row["kind"]: row for row in split["rows"]}
        assert [*rows] == [*KINDS]
        assert all(sum(row["predicted"]) == row["n"] == 2 for row in rows.values())
        for kind in KNOWN_KINDS:
            hits = sum(rows[kind]["predicted"][CLASS_NAMES.index(name)] for name in KINDS[kind])
            assert rows[kind]["accuracy"] == hits / 2
        assert split["balanced_accuracy"] == pytest.approx(
            np.mean([rows[kind]["accuracy"] for kind in KNOWN_KINDS])
        )
        assert (split["n"], split["n_others"]) == (14, 6)
        unlike = [*split["rejection"].keys() - {*measured["train_kinds"]}]
        assert sorted(unlike) == ["crops of two photos", "digits", "noise", "patterns"]
        for name, other in split["rejection"].items():
            low, high = other["interval_95"] or (0, 1)
            assert low <= other["auroc"] <= high
            assert (other["interval_95"] is None) == (name == "crops of two photos")
        assert split["rejection"]["all other clothing"]["auroc"] == split["auroc"]
    page = (done.folder / "RESULTS.md").read_text()
    assert "scores on `validation` are optimistic" in page
    for split in measured["splits"].values():
        assert f"are not the published ones, but have the SHA-256 {split['sha256']}." in page


def test_each_split_is_read_from_its_own_folder(drawn: Path) -> None:
    for split, opened in benchmark.open_photos(drawn).splits.items():
        assert {path.parents[1] for path in opened.photos.paths} == {drawn / split}


def test_photos_of_the_test_split_are_never_drawn(done: Done, drawn: Path) -> None:
    assert len(done.drawn_files) > 20
    assert {path.parents[1] for path in done.drawn_files} == {drawn / "validation"}
    for name in ("photo-steps", "photo-mistakes"):
        with Image.open(done.folder / f"runs/{name}.png") as image:
            assert image.width > 1000


def test_the_model_card_has_the_scores_of_the_shipped_model_on_the_published_photos(
    done: Done, drawn: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (done.folder / CARD).exists(), "the scores are not those on the published photos"
    for split, scores in done.measured["splits"].items():
        monkeypatch.setitem(PUBLISHED, split, scores["sha256"])
    (tmp_path / CARD.parent).mkdir(parents=True)
    measured = measure(drawn, tmp_path, "--model", "baseline")  # and so --seeds 0
    assert not (tmp_path / CARD).exists(), "the scores are those of another model"
    assert (measured["train_photos"], measured["train_kinds"]) == (0, [])
    assert "not the published ones" not in (tmp_path / "RESULTS.md").read_text()
    results.write_results({**measured, "model": "photo"}, tmp_path)
    interval = measured["splits"]["test"]["balanced_accuracy_interval_95"]
    assert " to ".join(f"{100 * end:.2f} %" for end in interval) in (tmp_path / CARD).read_text()


def test_a_folder_without_test_photos_is_refused(drawn: Path, tmp_path: Path) -> None:
    for split in ("train", "validation"):
        shutil.copytree(drawn / split, tmp_path / "photos" / split)
    refused(
        run_benchmark("photos", "--photos-dir", "photos", "--seeds", 0, cwd=tmp_path),
        2,
        "photos/test is not a folder",
    )


@pytest.fixture
def trained(quick: None, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of each training; every run gets a model that ships in place of its own."""
    calls: list[dict[str, Any]] = []

    def train_or_resume(path: Path, name: str, **options: Any) -> Run:
        calls.append({"path": path, "name": name, **options})
        if path.exists():
            return Run(path)
        run = runs.create_run(
            recipes.get(name), path, data=options["data"], dataset={}, seed=options["seed"]
        )
        run.update(finished=f"2026-11-2{options['seed']}", parameters=7)
        shutil.copy(PRETRAINED / ("photo.onnx", "baseline.onnx")[options["seed"]], run.onnx_path)
        run.write_metrics(
            {"split": "test", "n": 9, "accuracy": (0.9, 0.94)[options["seed"]], "ece": 0}
        )
        scores = dict.fromkeys(("learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"), 0)
        run.write_history([{"epoch": 1, "seconds": (20.0, 30.0)[options["seed"]], **scores}])
        return run

    monkeypatch.setattr(cached_runs, "train_or_resume", train_or_resume)
    return calls


def test_each_seed_is_trained_and_scored_on_both_splits(
    drawn: Path, tmp_path: Path, trained: list[dict[str, Any]]
) -> None:
    measured = measure(drawn, tmp_path, "--seeds", 2, "--epochs", 3, "--data-dir", "here")["seeds"]
    assert measured == json.loads((tmp_path / "results/photos-seeds.json").read_text())
    for seed, call in enumerate(trained):
        assert call["path"] == tmp_path / f"runs/benchmark-photos/photo-{seed}"
        assert (call["name"], call["seed"], call["epochs"]) == ("photo", seed, 3)
        assert (call["photos_dir"], call["data_dir"]) == (drawn, Path("here"))
    first, second = measured["rows"]
    for split in ("test", "validation"):
        balanced = [row[split]["balanced_accuracy"] for row in measured["rows"]]
        assert measured["mean"][split]["balanced_accuracy"] == pytest.approx(np.mean(balanced))
        assert measured["std"][split]["balanced_accuracy"] == pytest.approx(
            np.std(balanced, ddof=1)
        )
    assert (first["seed"], second["seed"]) == (0, 1)
    assert measured["mean"]["accuracy"] == pytest.approx(0.92)
    assert measured["mean"]["fit_seconds"] == 25
    assert measured["std"]["accuracy"] == pytest.approx(0.04 / np.sqrt(2))
    alone = measure(drawn, tmp_path, "--model", str(PRETRAINED / "baseline.onnx"))["splits"]
    assert second["test"] == {name: alone["test"][name] for name in second["test"]}
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"`{measured['command']}`" in page
    assert "| mean | 92.00 % ± 2.83 |" in page
    assert "| 25 ± 7 s |" in page


def test_a_run_is_scored_once(drawn: Path, tmp_path: Path, trained: list[dict[str, Any]]) -> None:
    first = measure(drawn, tmp_path, "--seeds", 1)["seeds"]
    run = Run(tmp_path / "runs/benchmark-photos/photo-0")
    run.onnx_path.unlink()  # scoring it again would fail
    assert measure(drawn, tmp_path, "--seeds", 1)["seeds"] == first
    assert first["std"]["accuracy"] is None
    kept = run.info()["photo_scores"]
    run.update(photo_scores={**kept, "checksums": {"test": "of other photos"}})
    result = run_benchmark("photos", "--photos-dir", drawn, "--seeds", 1, cwd=tmp_path)
    refused(result, 1, "model.onnx")


def test_a_score_without_photos_has_no_mean() -> None:
    rows = [{"seed": seed, "test": {"auroc": None, "ece": seed}} for seed in (1, 2)]
    found = photo_seeds.summarize(rows)
    assert found["mean"] == {"test": {"ece": 1.5}}


def test_crops_of_photos_have_the_shape_of_the_models_input() -> None:
    crops = benchmark.draw_crops()
    assert crops.shape == (out_of_distribution.COUNT, 28, 28)
    assert crops.dtype == np.uint8
    assert len(np.unique(crops, axis=0)) == len(crops)


def test_training_further_is_compared_on_the_same_photos(
    drawn_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(
        path: Path, recipe: Recipe, source: object, dataset: Dataset, seed: int, _: Any
    ) -> float:
        counts = np.bincount(dataset.train.labels).tolist()
        trained.append((source is None, recipe, counts, dataset.train.images.tobytes()))
        return 0.5 + 0.1 * (source is not None) + 0.01 * seed

    monkeypatch.setattr(start_from, "_train", train)
    monkeypatch.setattr(start_from, "load_data", lambda _: replace(drawn_data, name="own"))
    (tmp_path / "photos").mkdir()
    for split in ("train", "validation"):
        (tmp_path / "photos" / split).mkdir()
    arguments = "start-from", "--photos-dir", "photos", "--seeds", 2, "--json"
    result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["rows"]
    assert [row["photos"] for row in rows] == [200] * 3 + [1000] * 3 + [3000] * 3
    assert [row["recipe"] for row in rows] == ["photo", "sprint", "strong"] * 3
    assert [is_random for is_random, *_ in trained] == [False, True, True] * 6
    assert [counts for _, _, counts, _ in trained[:6]] == [[20] * 10] * 3 + [[100] * 10] * 3
    assert (trained[0][1].epochs, trained[0][1].learning_rate) == (20, 2e-3)
    images = [each for *_, each in trained]
    assert images[0] == images[1] == images[2] != images[9], "the seed draws the photos"
    assert rows[1]["gain_mean"] == pytest.approx(0.1)
    refused(run_benchmark("start-from", "--sizes", "few", cwd=tmp_path), 2, "--sizes few is not a")
    row = "| all | 3,000 | nothing | `sprint` | 9 | 50.50 % ± 0.71 | 10.00 | 10.00 to 10.00 |"
    assert row in (tmp_path / "RESULTS.md").read_text()
