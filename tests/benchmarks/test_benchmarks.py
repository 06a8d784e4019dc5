"""The benchmarks of photos and of speed measure what they say, on small things made here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import refused, run_benchmark
from drawn_photos import scene, wood
from PIL import Image

from benchmarks.accuracy import ablation as ablation_benchmark
from benchmarks.accuracy import photos as photo_benchmark
from benchmarks.accuracy.photos import RIGHT
from wardrobe.evaluation import calibration, out_of_distribution
from wardrobe.labels import CLASS_NAMES
from wardrobe.models import recipes
from wardrobe.runs import Run


def test_photos_are_scored_by_kind(tmp_path: Path) -> None:
    for kind in (*RIGHT, "hat"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        drawn = CLASS_NAMES.index(RIGHT.get(kind, ("Bag",))[0])
        for number in range(2):
            colour = (40 + 90 * number, 60, 150)
            scene(wood(), drawn, colour)[0].save(tmp_path / "photos" / kind / f"{number}.jpg")
    result = run_benchmark("photos", "--photos", "photos", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures == json.loads((tmp_path / "results/photos.json").read_text())
    rows = {row["kind"]: row for row in figures["rows"]}
    assert [*rows] == [*RIGHT, "hat"]
    assert all(sum(row["predicted"]) == row["n"] == 2 for row in rows.values())
    for kind, right in RIGHT.items():
        hits = sum(rows[kind]["predicted"][CLASS_NAMES.index(name)] for name in right)
        assert rows[kind]["accuracy"] == hits / 2
    assert figures["balanced_accuracy"] == pytest.approx(
        np.mean([rows[kind]["accuracy"] for kind in RIGHT])
    )
    assert figures["photos"] == 14
    assert {"all other clothing", "hat", "digits", "noise"} == figures["auroc"].keys()
    assert "## Photos" in (tmp_path / "RESULTS.md").read_text()
    with Image.open(tmp_path / "runs/photo-steps.png") as sheet:
        assert sheet.width > 1000


def test_the_balanced_accuracy_weighs_every_kind_alike() -> None:
    kinds = np.array(["dress"] * 8 + [kind for kind in RIGHT if kind != "dress"])
    correct = np.array([True] * 8 + [False] * 6)
    assert photo_benchmark.balanced(correct, kinds) == pytest.approx(1 / 7)


def test_the_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 2 + [False] * 8)
    assert calibration.expected_calibration_error(confidence, correct) == pytest.approx(
        (0 + 0.4) / 2
    )


def test_digits_and_noise_are_pictures_of_the_models_form() -> None:
    for images in (
        out_of_distribution.draw_digits(),
        out_of_distribution.draw_noise(),
        out_of_distribution.draw_patterns(),
    ):
        assert images.shape[1:] == (28, 28)
        assert images.dtype == np.uint8
        assert images.max() > 200
    assert len(out_of_distribution.draw_digits()) == 1797


def test_a_recipe_is_trained_less_each_of_its_tricks(tmp_path: Path, few_of_own: Path) -> None:
    arguments = ("ablation", "sprint", "--data", few_of_own, "--seeds", 1, "--epochs", 1, "--json")
    result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures == json.loads((tmp_path / "results/ablation-sprint.json").read_text())
    rows = {row["variant"]: row for row in figures["rows"]}
    assert next(iter(rows)) == "the full recipe"
    assert {"Adam, not Muon", "no alternating flip", "no TTA", "float32"} <= rows.keys()
    assert list(rows)[-1] == "no TTA, no alternating flip"
    assert "no shifts" not in rows, "sprint has none"
    assert rows["the full recipe"]["difference"] == 0
    for row in rows.values():
        assert row["difference"] == pytest.approx(
            row["accuracy_mean"] - rows["the full recipe"]["accuracy_mean"]
        )
    assert rows["no TTA"]["fit_ratio"] == 1, "the same weights were trained twice"
    assert "## What each trick of `sprint` is worth" in (tmp_path / "RESULTS.md").read_text()
    metrics = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("metrics.json")]
    assert {each["split"] for each in metrics} == {"validation"}, "the test split was opened"
    again = run_benchmark(*arguments, cwd=tmp_path)
    assert json.loads(again.stdout)["rows"] == figures["rows"], "runs that are done were not kept"
    refused(
        run_benchmark(*arguments[:-1], "--limit", 100, cwd=tmp_path),
        2,
        "was made with other options",
    )
    older = (
        tmp_path / "runs/benchmark-ablation-sprint/0-0/run.json"
    )  # of a version that did not write the limit
    older.write_text(older.read_text().replace('"limit"', '"other"'))
    refused(run_benchmark(*arguments[:-1], cwd=tmp_path), 2, "was made with other options")


def test_the_tricks_of_a_recipe_of_columns_are_taken_out_of_one() -> None:
    variants = ablation_benchmark.make_variants(recipes.get("champion"))
    assert list(variants)[:2] == ["the full recipe", "single network"]
    assert variants.pop("the full recipe").ensemble_size == 3
    assert {variant.ensemble_size for variant in variants.values()} == {1}
    assert variants["no random erasing"] == replace(
        variants["single network"], erase_probability=0.0
    )
    assert "single network" not in ablation_benchmark.make_variants(recipes.get("strong"))
    plain = ablation_benchmark.make_variants(
        replace(recipes.get("strong"), alternating_flip=False, tta_views=1)
    )
    assert not {"no TTA", "no alternating flip", "no TTA, no alternating flip"} & plain.keys()


def test_models_are_scored_on_corrupted_images(tmp_path: Path, own_run: Run) -> None:
    own = own_run.path.parent / "own"
    arguments = (
        "corruptions",
        "--models",
        f"{own_run.path},{own_run.onnx_path}",
        "--data",
        own,
        "--json",
    )
    result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["models"] == [{"recipe": "sprint", "networks": 2}]
    rows = {row["corruption"]: row["accuracy"]["sprint"] for row in figures["rows"]}
    assert rows["none"] == {
        "mean": [pytest.approx(own_run.metrics()["accuracy"])],
        "deviation": [0],
    }
    assert len(rows) == 11
    assert rows["contrast"]["mean"][4] < rows["none"]["mean"][0] - 0.1
    assert (
        "| corruption | `sprint` | on average |\n|---|---|---|\n| none |"
        in (tmp_path / "RESULTS.md").read_text()
    )
    unlike = run_benchmark("corruptions", "--models", "photo", "--data", own, cwd=tmp_path)
    refused(unlike, 2, "photo knows T-shirt/top", "expected the classes of")


def test_speed_is_measured_against_keras(tmp_path: Path) -> None:
    result = run_benchmark(
        "predict", "--rounds", 1, "--images", 50, "--many", 1200, "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert [row["images"] for row in figures["rows"]] == [1, 50]
    for row in figures["rows"]:
        assert row["times_faster"] == pytest.approx(row["keras_seconds"] / row["wardrobe_seconds"])
    assert 30 < figures["memory"]["few_mib"] < 1000
    assert 30 < figures["memory"]["many_mib"] < 1000
    assert "## Speed of `wardrobe predict`" in (tmp_path / "RESULTS.md").read_text()


def test_the_benchmark_writes_its_figures_and_the_page(tmp_path: Path, few_of_own: Path) -> None:
    arguments = (
        "train",
        "--recipes",
        "baseline",
        "--data",
        few_of_own,
        "--seeds",
        2,
        "--epochs",
        1,
        "--json",
    )
    figures = json.loads(run_benchmark(*arguments, cwd=tmp_path).stdout)
    assert figures == json.loads((tmp_path / "results/train.json").read_text())
    (row,) = figures["rows"]
    assert (row["recipe"], row["seeds"], row["parameters"]) == ("baseline", 2, 224_131)
    scores = [
        Run(tmp_path / f"runs/benchmark-train/seed-{seed}").metrics()["accuracy"] for seed in (0, 1)
    ]
    assert row["accuracies"] == scores
    assert row["accuracy_mean"] == pytest.approx(np.mean(scores))
    assert row["accuracy_std"] == pytest.approx(np.std(scores, ddof=1))
    assert row["fit_ratio_to_baseline"] == 1
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"| `baseline` | 2 | 1 | 1 | {100 * np.mean(scores):.2f} %" in page
    assert row["gflops"] == pytest.approx(3 * row["mflops"] * 312 / row["fit_seconds"] / 1e3)
    assert row["share_of_matmul_rate"] == pytest.approx(row["gflops"] / figures["matmul_gflops"])
    with Image.open(tmp_path / "results/train.png") as picture:
        assert picture.width > 1000
    again = json.loads(run_benchmark(*arguments, cwd=tmp_path).stdout)
    assert again == figures, "runs that are done were not kept"
    alone = json.loads(run_benchmark(*arguments[:3], "sprint", *arguments[4:], cwd=tmp_path).stdout)
    assert alone == json.loads((tmp_path / "results/train-sprint.json").read_text())
    assert (alone["rows"][0]["recipe"], alone["rows"][0]["fit_ratio_to_baseline"]) == (
        "sprint",
        None,
    )
    assert json.loads((tmp_path / "results/train.json").read_text()) == figures
    page = (tmp_path / "RESULTS.md").read_text()
    assert all(f"`{each['command']}`" in page for each in (figures, alone))
    assert page.count("results/train.png") == 1
    refused(
        run_benchmark(*arguments, "--limit", 100, cwd=tmp_path), 2, "was made with other options"
    )
    scores_of_one = tmp_path / "runs/benchmark-train/seed-1/metrics.json"
    scores_of_one.write_text(
        scores_of_one.read_text().replace('"split": "test"', '"split": "validation"')
    )
    refused(run_benchmark(*arguments[:-1], cwd=tmp_path), 2, "was last scored on another split")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["speed"], 2, ["No such command 'speed'"]),
        (["train", "--recipes", "baselin"], 2, ["unknown recipe 'baselin'"]),
        (["photos"], 2, ["Missing option '--photos'"]),
        (["photos", "--photos", "nowhere"], 2, ["--photos nowhere is no folder"]),
        (["photos", "--photos", "."], 1, ["has no photos in dress, longsleeve"]),
        (["predict", "--rounds", "0"], 2, ["--rounds 0 measures nothing"]),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], status: int, words: list[str], tmp_path: Path
) -> None:
    refused(run_benchmark(*arguments, cwd=tmp_path), status, *words)
