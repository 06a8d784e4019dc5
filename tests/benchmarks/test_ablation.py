"""The ablation: fair variants, paired intervals, and a table that says what is unresolved."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused, run_benchmark
from scipy import stats

from benchmarks.accuracy import ablation
from wardrobe.data import Dataset
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.runs import DONE, Run

SPRINT = recipes.get("sprint")


def test_each_variant_changes_one_technique() -> None:
    champion = recipes.get("champion")
    variants = ablation.make_variants(champion)
    assert next(iter(variants.items())) == ("the full recipe", champion)
    assert variants["single network"] == replace(champion, ensemble_size=1)
    assert variants["no random erasing"] == replace(champion, erase_probability=0.0)
    assert variants["no TTA"] == replace(champion, tta_views=1)
    # Mirror images are new to a network trained without flips, so neither recipe has TTA.
    assert variants["no alternating flip"] == replace(champion, tta_views=1, alternating_flip=False)
    assert "single network" not in ablation.make_variants(recipes.get("strong"))
    own = ablation.make_variants(SPRINT)
    assert own["five iterations of Muon"] == replace(SPRINT, muon_iterations=5)
    assert "no shifts" not in own, "sprint does not use shifts"
    plain = ablation.make_variants(replace(champion, alternating_flip=False, tta_views=1))
    assert not {"no TTA", "no alternating flip"} & plain.keys()
    assert list(ablation.make_variants(recipes.get("baseline"))) == ["the full recipe"]


def test_rates_surround_that_of_the_recipe_or_of_the_optimizer() -> None:
    variants = ablation.make_variants(replace(recipes.get("strong"), learning_rate=6e-3))
    rates = {what: ablation.make_rates(each.learning_rate, 4) for what, each in variants.items()}
    assert rates["the full recipe"] == rates["no shifts"] == [1.5e-3, 3e-3, 6e-3, 12e-3]
    assert rates["constant learning rate"] == [0.75e-3, 1.5e-3, 3e-3, 6e-3]
    assert rates["Adam, not Muon"] == [5e-4, 1e-3, 2e-3, 4e-3]
    assert ablation.make_rates(6e-3, 3) == [3e-3, 6e-3, 12e-3]


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    one, two = np.random.default_rng(0).random((2, 5))
    expected = stats.ttest_rel(one, two).confidence_interval(0.95)
    assert ablation.compute_interval(one - two) == pytest.approx((expected.low, expected.high))
    # Equal but for rounding, of which SciPy warns:
    equal = np.array([0.3, 0.1 + 0.2, 0.3])
    assert ablation.compute_interval(equal) == pytest.approx((0.3, 0.3))


def test_rates_are_selected_on_other_images_than_those_of_the_comparison(
    drawn_data: Dataset,
) -> None:
    images = np.arange(1000, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(1000) // 256  # every image is different
    dataset = replace(drawn_data, validation=replace(drawn_data.validation, images=images))
    parts = ablation.halve_validation(dataset)
    halves = [{image.tobytes() for image in each.validation.images} for each in parts]
    assert [len(half) for half in halves] == [500, 500]
    assert not halves[0] & halves[1]
    counts = [np.bincount(each.validation.labels) for each in parts]
    assert np.abs(counts[0] - counts[1]).max() <= 1


class FakeTraining:
    """Replaces training: the cost of an epoch and the scores of a run are known."""

    def __init__(self) -> None:
        self.best_rates = {"muon": 1e-2, "adam": 8e-3}
        self.trained: list[tuple[Recipe, int, int]] = []

    def validate(self, run: Run, dataset: Dataset, _: Any) -> None:
        recipe, seed = run.recipe(), run.info()["seed"]
        if not run.history():  # otherwise it was copied from a run with the same training
            self.trained.append((recipe, seed, len(dataset.validation)))
            slow = 2.0 if recipe.precision == "float32" else 1.0
            # The losses take an epoch, every second one. The first epoch of each kind compiles.
            seconds = [10, 1, 5, *[1, 2 if recipe.hard_fraction < 1 else 1] * recipe.epochs]
            row = dict.fromkeys(
                ("learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"), 0
            )
            run.write_history(
                [
                    {**row, "epoch": n + 1, "seconds": slow * each}
                    for n, each in enumerate(seconds[: recipe.epochs])
                ]
            )
            run.checkpoint_folder.mkdir()
        octaves = abs(np.log2(recipe.learning_rate / self.best_rates[recipe.optimizer]))
        constant = 0.1 if recipe.schedule == "constant" else 0
        alternating = 0.01 * (-1) ** seed if recipe.precision == "float32" else 0
        # By chance, the seed that selects the rate is more accurate at high rates.
        chance = 5 * recipe.learning_rate if seed == ablation.RATE_SEED else 0
        run.write_metrics(
            {
                "split": "validation",
                "n": 1,
                "accuracy": 0.7 - constant + alternating + chance,
                "ece": 0,
                "nll": {"after": 0.2 + 0.05 * octaves},
            }
        )
        run.update(status=DONE, forward_flops=1e6)


@pytest.fixture
def fake(drawn_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    from wardrobe.workflows import train_run

    training = FakeTraining()
    monkeypatch.setattr(train_run, "validate", training.validate)
    monkeypatch.setattr(ablation, "load_training_data", lambda *_: drawn_data)
    return training


def test_variants_get_equal_time_and_then_their_best_rate(
    tmp_path: Path, fake: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any]
    options = {"epochs": 8, "hard_fraction": 0.4, "learning_rate": 2e-2, "muon_iterations": 5}
    variants = ablation.make_variants(replace(SPRINT, scoring_epochs=2, **options))
    del variants["trained first convolution"]  # six trainings are enough
    del variants["mining with new losses in every epoch"]
    monkeypatch.setattr(ablation, "make_variants", lambda _: variants)
    options = {"data": "auto", "data_dir": None, "epochs": 8, "limit": None, "folder": tmp_path}
    measured = ablation.run_ablation("sprint", 2, 3, **options)
    rows = {row["variant"]: row for row in measured["rows"]}
    # The recipe's own rate is 2e-2; it gets a better one too, by the NLL.
    assert rows["the full recipe"]["learning_rate"] == 1e-2
    assert rows["Adam, not Muon"]["learning_rate"] == 4e-3
    assert rows["Adam, not Muon"]["nll_by_rate"] == pytest.approx(
        {"0.001": 0.35, "0.002": 0.3, "0.004": 0.25}
    )
    # The recipe takes 2 * 1 + 6 * 1.5 = 11 s: 11 epochs of 1 s without mining, and about 4 of
    # twice the recipe's: 2 * 2 + 2 * 3 = 10 s.
    assert {what: row["epochs"] for what, row in rows.items() if row["epochs"] != 8} == {
        "no hard-example mining": 11,
        "float32": 4,
    }
    assert rows["no TTA"]["fit_ratio"] == 1
    assert rows["no alternating flip"]["compared_with"] == "no TTA"
    lower = rows["constant learning rate"]
    assert lower["difference"] == pytest.approx(-0.1)
    assert lower["difference_interval_95"] == pytest.approx([-0.1, -0.1])
    assert lower["is_resolved"]
    low, high = rows["float32"]["difference_interval_95"]
    assert low < rows["float32"]["difference"] < high
    assert not rows["float32"]["is_resolved"]
    selection = [(recipe, images) for recipe, seed, images in fake.trained if seed == 1000]
    comparison = [(recipe, seed) for recipe, seed, _ in fake.trained if seed != 1000]
    assert len(selection) == 6 * (1 + 3), "one run measures the time, three try rates"
    assert len(comparison) == 6 * 2, "equal trainings were repeated"
    assert {seed for _, seed in comparison} == {0, 1}
    assert {images for _, images in selection} == {measured["selection_images"]}
    # The rates are tried with the epochs of the comparison.
    tried = {recipe for recipe, _ in selection[6:]}
    assert {replace(recipe, tta_views=2) for recipe, _ in comparison} <= {
        replace(recipe, tta_views=2) for recipe in tried
    }
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| Adam, not Muon | the full recipe | 0.004 (highest tried) | 8 |" in page
    assert "| verdict, over these seeds and images |" in page
    assert "| -10.00 | -10.00 to -10.00 | lower |" in page
    assert "| unresolved |" in page
    trained = len(fake.trained)
    assert ablation.run_ablation("sprint", 2, 3, **options)["rows"] == measured["rows"]
    assert len(fake.trained) == trained, "finished runs were not reused"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("epochs", "matched"),
    [
        (1, 1),  # the least, though it takes twice the time
        (2, 1),  # both before mining starts
        (3, 2),  # 3.5 s, or 4 s before mining starts
    ],
)
def test_epochs_match_around_the_start_of_mining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, matched: int
) -> None:
    def make_variants(recipe: Recipe) -> dict[str, Recipe]:
        return {"the full recipe": recipe, "float32": replace(recipe, precision="float32")}

    monkeypatch.setattr(ablation, "make_variants", make_variants)
    options: dict[str, Any] = {"data": "auto", "data_dir": None, "limit": None, "folder": tmp_path}
    measured = ablation.run_ablation("strong", 2, 1, epochs=epochs, **options)
    assert [row["epochs"] for row in measured["rows"]] == [epochs, matched]


def test_the_ablation_trains_and_scores_on_validation(
    tmp_path: Path, few_of_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = {"the full recipe": SPRINT, "no TTA": replace(SPRINT, tta_views=1)}
    monkeypatch.setattr(
        ablation,
        "make_variants",
        lambda recipe: {what: replace(each, epochs=1) for what, each in variants.items()},
    )
    arguments = ("ablation", "sprint", "--data", few_of_own, "--seeds", 2, "--rates", 1)
    result = run_benchmark(*arguments, "--epochs", 1, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured == json.loads((tmp_path / "results/ablation-sprint.json").read_text())
    root = tmp_path / "runs/benchmark-ablation-sprint"
    metrics = [json.loads(path.read_text()) for path in root.rglob("metrics.json")]
    assert {each["split"] for each in metrics} == {"validation"}, "the test split was opened"
    full, without = measured["rows"]
    accuracies = [
        Run(root / f"seeds/1-{seed}").metrics("validation")["accuracy"] for seed in (0, 1)
    ]
    assert without["accuracy_mean"] == pytest.approx(np.mean(accuracies))
    difference = without["accuracy_mean"] - full["accuracy_mean"]
    assert without["difference"] == pytest.approx(difference)
    assert without["fit_ratio"] == 1, "equal variants were trained twice"
    Run(root / "seeds/0-0").update(dataset={})
    again = run_benchmark(*arguments, "--epochs", 1, cwd=tmp_path)
    refused(again, 2, "seeds/0-0 cannot be reused: dataset ")


@pytest.mark.parametrize("option", ["--seeds 1", "--rates 0"])
def test_one_seed_has_no_interval(tmp_path: Path, option: str) -> None:
    result = run_benchmark("ablation", "sprint", *option.split(), cwd=tmp_path)
    refused(result, 2, f"{option} is too small")
