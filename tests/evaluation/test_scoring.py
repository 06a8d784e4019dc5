"""Scoring: nothing is chosen on the test split, and the run folder agrees with its report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import refused, wardrobe_here
from scipy.special import softmax
from sklearn.metrics import log_loss, roc_auc_score

from wardrobe.data import Dataset, Split
from wardrobe.data.clothing_photos import ClothingPhotos, Photos
from wardrobe.data.test_split import open_test_split
from wardrobe.evaluation import calibration, scoring
from wardrobe.inference import confidence
from wardrobe.models import recipes
from wardrobe.runs import Run
from wardrobe.training import checkpoints

BASELINE = recipes.get("baseline")


@pytest.fixture(scope="module")
def small(drawn_data: Dataset) -> Dataset:
    return replace(drawn_data, validation=drawn_data.validation[:200])


def test_the_temperature_does_not_depend_on_the_test_split(
    small: Dataset, drawn_training: tuple[Run, object]
) -> None:
    model = checkpoints.load_model(drawn_training[0])
    test = open_test_split(small)
    mislabelled = replace(small, _load_test=lambda: Split(test.images, 9 - test.labels))
    honest, fooled = (
        scoring.evaluate(model, dataset, BASELINE).metrics for dataset in (small, mislabelled)
    )
    assert honest["temperature"] == fooled["temperature"] != 1
    assert honest["familiarity_threshold"] == fooled["familiarity_threshold"]
    assert honest["accuracy"] > fooled["accuracy"]


def test_the_chosen_split_is_scored(small: Dataset, drawn_training: tuple[Run, object]) -> None:
    model = checkpoints.load_model(drawn_training[0])
    for split, images in (
        ("test", open_test_split(small).images),
        ("validation", small.validation.images),
    ):
        evaluated = scoring.evaluate(model, small, BASELINE, split)
        assert evaluated.metrics["split"] == split
        np.testing.assert_array_equal(evaluated.images, images)


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[npt.NDArray[np.uint8]]:
    """Replaces the network by one whose logits follow from the pixels; lists what it is given."""
    given: list[npt.NDArray[np.uint8]] = []

    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        given.append(images)
        return (images[:, 9:19, 14] / 50).astype(np.float32)

    monkeypatch.setattr(scoring, "make_logits_function", lambda *_: predict)
    return given


def test_validation_images_are_predicted_once(
    small: Dataset, predicted: list[npt.NDArray[np.uint8]]
) -> None:
    found = scoring.evaluate(None, small, BASELINE, "validation").metrics
    assert [len(each) for each in predicted] == [200]
    counts = np.bincount(small.train.labels)
    is_majority = small.validation.labels == counts.argmax()
    assert found["majority_class"] == small.class_names[counts.argmax()]
    assert found["majority_accuracy"] == is_majority.mean()
    assert (found["fitted_on"], found["fitted_on_few"]) == (200, False)


def test_photos_decide_temperature_and_threshold_if_there_are_any(
    small: Dataset, predicted: list[npt.NDArray[np.uint8]]
) -> None:
    kinds = np.array(["dress", "shoes", "hat", "pants"] * 20)
    photos = Photos(small.train.images[:80], kinds)
    mixed = replace(small, photos=ClothingPhotos("", {}, photos, photos))
    found = scoring.evaluate(None, mixed, BASELINE, "validation")
    known = kinds != "hat"
    logits = photos.images[known][:, 9:19, 14].astype(np.float32) / 50
    accepted = photos.targets(small.class_names)[known, :-1] > 0
    threshold = np.quantile(confidence.familiarity(logits), 0.05)
    assert found.metrics["familiarity_threshold"] == pytest.approx(threshold)
    temperature = calibration.fit_temperature(logits, accepted)
    assert found.metrics["temperature"] == temperature
    assert (found.temperatures == temperature).all(), "the images scored were not fitted on"
    np.testing.assert_array_equal(found.validation.images, small.validation.images)
    assert [len(each) for each in predicted] == [200, 80]


def test_photos_for_validation_are_scored_in_metrics(
    small: Dataset, predicted: list[npt.NDArray[np.uint8]]
) -> None:
    labels = small.train.labels[:150]
    kinds = np.array(["dress" if y == 3 else "shoes" if y in (5, 7) else "hat" for y in labels])
    photos = Photos(small.train.images[:150], kinds)
    mixed = replace(small, photos=ClothingPhotos("", {}, photos, photos))
    found = scoring.evaluate(None, mixed, BASELINE, "validation").metrics["photos"]
    logits = photos.images[:, 9:19, 14].astype(np.float32) / 50
    answers, known = logits.argmax(axis=1), kinds != "hat"
    correct = np.where(kinds == "dress", answers == 3, np.isin(answers, (5, 7, 9)))
    assert (found["split"], found["n"]) == ("validation", known.sum())
    assert found["n_others"] == 150 - known.sum()
    assert found["accuracy"] == correct[known].mean() > 0
    of_kinds = [correct[kinds == kind].mean() for kind in ("dress", "shoes")]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(of_kinds))
    assert found["auroc"] == roc_auc_score(known, confidence.familiarity(logits))
    assert "photos" not in scoring.evaluate(None, small, BASELINE, "validation").metrics


def test_two_views_average_an_image_and_its_mirror_image(
    small: Dataset, drawn_training: tuple[Run, object]
) -> None:
    model, images = checkpoints.load_model(drawn_training[0]), small.validation.images
    straight, mirrored = (
        scoring.make_logits_function(model)(each) for each in (images, images[:, :, ::-1])
    )
    np.testing.assert_allclose(
        scoring.make_logits_function(model, 2)(images), (straight + mirrored) / 2, atol=1e-5
    )
    assert np.abs(straight - mirrored).max() > 0.1


def test_tta_views_are_averaged(small: Dataset, drawn_training: tuple[Run, object]) -> None:
    model = checkpoints.load_model(drawn_training[0])
    one, six = (
        scoring.evaluate(model, small, replace(BASELINE, tta_views=views), "validation")
        for views in (1, 6)
    )
    assert (one.metrics["tta_views"], six.metrics["tta_views"]) == (1, 6)
    assert six.metrics["temperature"] != one.metrics["temperature"], (
        "fitted on the views that are scored"
    )
    np.testing.assert_allclose(
        six.logits, scoring.make_logits_function(model, 6)(small.validation.images), atol=1e-5
    )


def test_an_unknown_number_of_views_is_refused(tmp_path: Path) -> None:
    refused(
        wardrobe_here("evaluate", "run", "--tta-views", 3, cwd=tmp_path),
        2,
        "--tta-views 3",
        "give 1, 2 or 6",
    )


def test_each_half_of_the_validation_images_is_scored_with_what_the_other_half_fits(
    small: Dataset, drawn_training: tuple[Run, object]
) -> None:
    model = checkpoints.load_model(drawn_training[0])
    labels = small.validation.labels.copy()
    half = scoring.assign_halves(labels)
    labels[half == 1] = 9 - labels[half == 1]  # so that the halves fit different temperatures
    images = small.validation.images
    evaluated = scoring.evaluate(
        model, replace(small, validation=Split(images, labels)), BASELINE, "validation"
    )
    scored = evaluated.metrics
    scaled, familiar = np.empty_like(evaluated.logits, np.float64), []
    for each in (0, 1):
        mine, other = half == each, half != each
        temperature = calibration.fit_temperature(evaluated.logits[other], labels[other])
        scaled[mine] = evaluated.logits[mine] / temperature
        known = confidence.familiarity(evaluated.logits)
        familiar.extend(known[mine] >= np.quantile(known[other], 0.05))
        np.testing.assert_array_equal(evaluated.temperatures[mine], temperature)
    assert scored["nll"]["after"] == pytest.approx(log_loss(labels, softmax(scaled, axis=1)))
    assert scored["sure"] == np.mean(familiar)
    correct = evaluated.logits.argmax(axis=1) == labels
    correct = np.concatenate([correct[half == each] for each in (0, 1)])
    assert scored["sure_accuracy"] == correct[familiar].mean()
    assert scored["temperature"] == calibration.fit_temperature(evaluated.logits, labels)
    assert len({scored["temperature"], *evaluated.temperatures}) == 3


def test_every_class_is_divided_evenly_between_the_halves() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], (40, 21, 1)))
    first, second = (np.bincount(labels[scoring.assign_halves(labels) == i]) for i in (0, 1))
    assert np.abs(first[:2] - second[:2]).max() <= 1


def test_the_run_folder_is_complete(real_run: tuple[Run, dict[str, Any]]) -> None:
    run = real_run[0]
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    plots = (
        "samples", "curves", "predictions", "confidence", "confusion",
        "per_class", "reliability", "mistakes", "filters", "feature_maps",
    )  # fmt: skip
    assert files == {
        "run.json", "layers.json", "history.csv", "steps.csv", "checkpoint/epoch-0002.keras",
        *(f"snapshots/epoch-000{epoch}.npz" for epoch in range(3)),
        "model.keras", "model.onnx", "metrics.json", "predictions.npz", "report.html",
        *(f"plots/{name}.png" for name in plots), "plots/confusion.json",
    }  # fmt: skip
    info = run.info()
    assert info["status"] == "done"
    assert info["dataset"]["splits"] == {"train": 2000, "validation": 5000, "test": 10_000}
    assert (
        info["dataset"]["checksums"]["t10k-labels-idx1-ubyte.gz"]
        == "bb300cfdad3c16e7a12a480ee83cd310"
    )
    assert info["recipe"]["epochs"] == 2
    assert (
        info["reproduce"]
        == "wardrobe train baseline --data fashion-mnist --seed 0 --epochs 2 --limit 2000"
    )


def test_the_scores_match_the_saved_logits(real_run: tuple[Run, dict[str, Any]]) -> None:
    run, printed = real_run
    saved, scores = np.load(run.predictions_path), run.metrics()
    assert saved["logits"].shape == (10_000, 10)
    assert saved["logits"].dtype == np.float32
    assert scores["accuracy"] == (saved["logits"].argmax(axis=1) == saved["labels"]).mean()
    assert scores["n"] == np.sum(scores["confusion"]) == 10_000
    assert (
        scores["accuracy_interval_95"][0] < scores["accuracy"] < scores["accuracy_interval_95"][1]
    )
    assert scores["accuracy"] > 0.65  # 2,000 images and two epochs; guessing gives 0.1
    assert {key: printed[key] for key in scores} == scores
    assert (printed["recipe"], printed["data"], printed["seed"], printed["status"]) == (
        "baseline",
        "fashion-mnist",
        0,
        "done",
    )


def test_evaluating_again_gives_the_same_scores(
    tmp_path: Path, real_run: tuple[Run, dict[str, Any]], fashion_mnist_dir: Path
) -> None:
    run, printed = real_run
    shutil.copytree(run.path, tmp_path / "runs/copy")
    # Without $WARDROBE_DATA: run.json has the folder where the data was found.
    assert run.info()["data_dir"] == str(fashion_mnist_dir.resolve())
    again = wardrobe_here("evaluate", "latest", "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == {**printed, "run": "runs/copy"}
