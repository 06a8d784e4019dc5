"""The benchmarks, on small inputs made here."""

import inspect
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, refused, run_benchmark
from drawn_photos import scene, wood
from PIL import Image
from scipy import stats

from benchmarks import results
from benchmarks.__main__ import app
from benchmarks.accuracy import photos as photo_benchmark
from wardrobe.data.clothing_photos import KINDS, KNOWN_KINDS, PUBLISHED, compute_checksum
from wardrobe.evaluation import calibration, out_of_distribution
from wardrobe.inference.classifier import Predictions
from wardrobe.labels import CLASS_NAMES
from wardrobe.runs import Run


def test_photos_are_scored_by_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for category in (*KNOWN_KINDS, "hat"):
        (tmp_path / "test" / category).mkdir(parents=True)
        drawn = CLASS_NAMES.index((*KINDS[category], "Bag")[0])
        for number in range(2):
            colour = (40 + 90 * number, 60, 150)
            scene(wood(), drawn, colour)[0].save(tmp_path / "test" / category / f"{number}.jpg")
    result = run_benchmark("photos", "--photos", "test", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured == json.loads((tmp_path / "results/photos.json").read_text())
    rows = {row["category"]: row for row in measured["rows"]}
    assert [*rows] == [*KNOWN_KINDS, "hat"]
    assert all(sum(row["predicted"]) == row["n"] == 2 for row in rows.values())
    for category in KNOWN_KINDS:
        hits = sum(rows[category]["predicted"][CLASS_NAMES.index(name)] for name in KINDS[category])
        assert rows[category]["accuracy"] == hits / 2
    assert measured["balanced_accuracy"] == pytest.approx(
        np.mean([rows[category]["accuracy"] for category in KNOWN_KINDS])
    )
    assert measured["photos"] == 14
    low, high = measured["balanced_accuracy_interval_95"]
    assert low < measured["balanced_accuracy"] < high
    never_drawn = measured["auroc"].keys() - measured["drawn_in_training"].keys()
    assert never_drawn == {"hat", "crops of two photos"}
    assert measured["auroc"].keys() - never_drawn == {"all other clothing", "digits", "noise"}
    assert measured["auroc"]["hat"]["n"] == 2
    assert measured["auroc"]["digits"]["n"] == 1797
    for name, auroc in measured["auroc"].items():
        low, high = auroc["interval_95"] or (0, 1)
        assert low <= auroc["area"] <= high
        assert (auroc["interval_95"] is None) == (name == "crops of two photos")
    sheet = tmp_path / "runs/photo-steps.png"
    with Image.open(sheet) as image:
        assert image.width > 1000
    sheet.unlink()
    card = tmp_path / "src/wardrobe/pretrained/README.md"
    card.parent.mkdir(parents=True)
    results.write_results(measured, tmp_path)
    assert (measured["split"], measured["folder"]) == (None, "test")
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"from a folder `test` with the SHA-256 {measured['sha256']}, not the published" in page
    assert not card.exists(), "the model card has scores of other photos than the published ones"

    monkeypatch.setitem(PUBLISHED, "test", measured["sha256"])
    measured = photo_benchmark.score_photos(tmp_path / "test", "baseline", tmp_path)
    assert measured["split"] == "test"
    assert measured["drawn_in_training"] == {}, "baseline was trained on clothing alone"
    assert "They are the published test split of clothing" in (tmp_path / "RESULTS.md").read_text()
    assert not sheet.exists(), "test photos were drawn, from which one could choose steps"
    assert not card.exists(), "the model card has scores of another model"
    results.write_results({**measured, "model": "photo"}, tmp_path)
    assert card.exists()


def test_the_checksum_of_photos_is_that_of_sha256sum(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/2.jpg", "a/1.jpg", "a b/3.jpg")]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]))
    checksum = compute_checksum(tmp_path, paths)
    listed = "sha256sum */* | LC_ALL=C sort | sha256sum"
    output = subprocess.run(listed, shell=True, cwd=tmp_path, capture_output=True, text=True).stdout
    assert output == f"{checksum}  -\n"
    paths[0].rename(tmp_path / "a/4.jpg")
    moved = [tmp_path / "a/4.jpg", *paths[1:]]
    assert compute_checksum(tmp_path, moved) != checksum


def test_interval_of_auroc_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    known, other = rng.normal(1.5, 1, 300).round(1), rng.normal(0, 1, 60).round(1)
    resampled = stats.bootstrap(
        (known, other), out_of_distribution.auroc, n_resamples=500, method="percentile", rng=rng,
        vectorized=False,
    ).confidence_interval  # fmt: skip
    interval = photo_benchmark.auroc_interval(known, other)
    assert interval == pytest.approx((resampled.low, resampled.high), abs=0.015)
    assert photo_benchmark.auroc_interval(known, other[:1]) is None


def test_balanced_accuracy_weighs_every_category_equally() -> None:
    categories = np.array(
        ["dress"] * 8 + [category for category in KNOWN_KINDS if category != "dress"]
    )
    correct = np.array([True] * 8 + [False] * 6)
    assert photo_benchmark.average_by_category(correct, categories) == pytest.approx(1 / 7)


def test_interval_of_balanced_accuracy_is_near_that_of_a_stratified_bootstrap() -> None:
    hits = {"dress": 11, "longsleeve": 19, "outwear": 29, "pants": 41, "shirt": 13, "shoes": 69}
    hits |= {"t-shirt": 32}
    sizes = (15, 72, 38, 42, 26, 73, 52)
    groups = [np.arange(n) < k for k, n in zip(hits.values(), sizes, strict=True)]
    resampled = stats.bootstrap(
        groups,
        lambda *samples, axis: np.mean([sample.mean(axis=axis) for sample in samples], axis=0),
        vectorized=True,
        n_resamples=2000,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    interval = photo_benchmark.balanced_accuracy_interval(
        np.concatenate(groups), np.repeat([*hits], sizes)
    )
    assert interval == pytest.approx((resampled.low, resampled.high), abs=0.01)


def test_interval_of_balanced_accuracy_has_a_width_if_every_photo_is_correct() -> None:
    low, high = photo_benchmark.balanced_accuracy_interval(
        np.full(7, True), np.array([*KNOWN_KINDS])
    )
    # One photo of each: 1 - (1 - Wilson's bound) * sqrt(7) / 7.
    assert low == pytest.approx(1 - 0.7935 / np.sqrt(7), abs=1e-4)
    assert high == 1


def test_calibration_error_on_photos_sums_the_probabilities_of_the_accepted_classes() -> None:
    columns = [CLASS_NAMES.index(name) for name in ("Sandal", "Sneaker", "Ankle boot", "Bag")]
    probabilities = np.zeros((20, 10))
    # Shoes: any of three is correct, with 0.35 + 0.3 + 0.25 = 0.9.
    probabilities[:10, columns] = 0.35, 0.3, 0.25, 0.1
    # The answer is Bag, with 0.4, though all shoes together are more probable.
    probabilities[10:, columns] = 0.3, 0.2, 0.1, 0.4
    answers = Predictions(CLASS_NAMES, probabilities, np.ones(20), 0, np.full(20, False))
    assert photo_benchmark.sum_over_kind(answers) == pytest.approx([0.9] * 10 + [0.4] * 10)
    categories = np.array(["shoes"] * 9 + ["dress"] + ["shoes"] * 4 + ["pants"] * 6)
    categories = np.append(categories, [each for each in KNOWN_KINDS if each != "shoes"])
    more = np.eye(10)[[CLASS_NAMES.index(KINDS[each][0]) for each in categories[20:]]]
    answers = Predictions(
        CLASS_NAMES, np.concatenate([probabilities, more]), np.ones(26), 0, np.full(26, False)
    )
    # Gaps: 0.9 with 9 of 10 correct, 0.4 with none of 10 correct, 1.0 with all of 6 correct.
    scores = photo_benchmark.score_predictions(answers, categories)
    assert scores["ece"] == pytest.approx(0.4 * 10 / 26)


def test_crops_of_photos_have_the_shape_of_the_models_input() -> None:
    crops = photo_benchmark.draw_crops()
    assert crops.shape == (out_of_distribution.COUNT, 28, 28)
    assert crops.dtype == np.uint8
    assert len(np.unique(crops, axis=0)) == len(crops)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 2 + [False] * 8)
    assert calibration.expected_calibration_error(confidence, correct) == pytest.approx(
        (0 + 0.4) / 2
    )


def test_digits_noise_and_patterns_have_the_shape_of_the_models_input() -> None:
    for images in (
        out_of_distribution.draw_digits(),
        out_of_distribution.draw_noise(),
        out_of_distribution.draw_patterns(),
    ):
        assert images.shape[1:] == (28, 28)
        assert images.dtype == np.uint8
        assert images.max() > 200
    assert len(out_of_distribution.draw_digits()) == 1797


def test_models_are_scored_on_corrupted_images(
    tmp_path: Path, own_run: Run, few_of_own: Path
) -> None:
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
    measured = json.loads(result.stdout)
    assert measured["models"] == [{"recipe": "sprint", "networks": 2}]
    rows = {row["corruption"]: row["accuracy"]["sprint"] for row in measured["rows"]}
    assert rows["none"] == {"mean": [pytest.approx(own_run.metrics()["accuracy"])], "std": [0]}
    assert len(rows) == 11
    assert rows["contrast"]["mean"][4] < rows["none"]["mean"][0] - 0.1
    assert (
        "| corruption | `sprint` | mean |\n|---|---|---|\n| none |"
        in (tmp_path / "RESULTS.md").read_text()
    )
    unlike = run_benchmark("corruptions", "--models", "photo", "--data", own, cwd=tmp_path)
    refused(unlike, 2, "photo has the classes T-shirt/top", "expected those of")
    other = run_benchmark(*arguments[:3], "--data", few_of_own, cwd=tmp_path)
    refused(other, 2, f"was trained on {own}, expected {few_of_own}")


def test_speed_is_measured_against_keras(tmp_path: Path) -> None:
    result = run_benchmark(
        "predict", "--rounds", 1, "--images", 50, "--many", 1200, "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert [row["images"] for row in measured["rows"]] == [1, 50]
    for row in measured["rows"]:
        assert row["times_faster"] == pytest.approx(row["keras_seconds"] / row["wardrobe_seconds"])
    assert 30 < measured["memory"]["few_mib"] < 1000
    assert 30 < measured["memory"]["many_mib"] < 1000
    assert "## Speed of `wardrobe predict`" in (tmp_path / "RESULTS.md").read_text()


def test_train_writes_results_and_page(tmp_path: Path, few_of_own: Path) -> None:
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
    result = run_benchmark(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured == json.loads((tmp_path / "results/train.json").read_text())
    (row,) = measured["rows"]
    assert (row["recipe"], row["seeds"], row["parameters"]) == ("baseline", 2, 224_131)
    scores = [
        Run(tmp_path / f"runs/benchmark-train/baseline-{seed}").metrics()["accuracy"]
        for seed in (0, 1)
    ]
    assert row["accuracies"] == scores
    assert row["accuracy_mean"] == pytest.approx(np.mean(scores))
    assert row["accuracy_std"] == pytest.approx(np.std(scores, ddof=1))
    assert row["fit_ratio_to_baseline"] == 1
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"| `baseline` | 2 | 1 | 1 | {100 * np.mean(scores):.2f} %" in page
    assert row["gflops"] == pytest.approx(3 * row["mflops"] * 312 / row["fit_seconds"] / 1e3)
    assert row["fraction_of_matmul_rate"] == pytest.approx(
        row["gflops"] / measured["matmul_gflops"]
    )
    with Image.open(tmp_path / "results/train.png") as image:
        assert image.width > 1000
    again = run_benchmark(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == measured, "finished runs were not reused"
    other = ("sprint", *arguments[3:5], "--seeds", 1, *arguments[7:])
    result = run_benchmark(*arguments[:2], *other, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    alone = json.loads(result.stdout)
    assert alone == json.loads((tmp_path / "results/train-sprint.json").read_text())
    assert (alone["rows"][0]["recipe"], alone["rows"][0]["fit_ratio_to_baseline"]) == (
        "sprint",
        None,
    )
    assert json.loads((tmp_path / "results/train.json").read_text()) == measured
    page = (tmp_path / "RESULTS.md").read_text()
    assert all(f"`{each['command']}`" in page for each in (measured, alone))
    assert page.count("results/train.png") == 1
    limited = run_benchmark(*arguments, "--limit", 100, cwd=tmp_path)
    refused(limited, 2, "limit is None, expected 100")
    first = Run(tmp_path / "runs/benchmark-train/baseline-0")
    first.update(seed=3)
    refused(
        run_benchmark(*arguments, cwd=tmp_path),
        2,
        "baseline-0 cannot be reused: seed is 3, expected 0; remove it to train it again",
    )
    first.update(seed=0)
    scores_of_one = tmp_path / "runs/benchmark-train/baseline-1/metrics.json"
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
        (["photos", "--photos", "nowhere"], 2, ["--photos nowhere is not a folder"]),
        (["photos", "--photos", "."], 1, ["has no photos in dress, longsleeve"]),
        (["predict", "--rounds", "0"], 2, ["--rounds 0 is too small"]),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], status: int, words: list[str], tmp_path: Path
) -> None:
    refused(run_benchmark(*arguments, cwd=tmp_path), status, *words)


def test_results_are_written_to_the_repository_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in app.registered_commands:
        assert command.callback is not None
        default = inspect.signature(command.callback).parameters["folder"].default
        assert default == ROOT, command.name
        assert default.is_absolute()
