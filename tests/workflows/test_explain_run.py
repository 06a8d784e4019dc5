"""`wardrobe explain`: every chapter, one image, one layer, and the errors for bad input."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import OWN_CLASSES, explain_here, refused, wardrobe_here
from PIL import Image

from wardrobe.data import Dataset, Split
from wardrobe.errors import UsageError
from wardrobe.explain import activation_maximization, label_errors
from wardrobe.labels import CLASS_NAMES
from wardrobe.models import recipes
from wardrobe.runs import Run, tabulate_runs
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.workflows import api, train_run

CHAPTERS = {
    *(
        "filter_inputs",
        "activation_maximization",
        "top_images",
        "probes",
        "embedding",
        "heat_maps",
        "faithfulness",
        "confusions",
        "label_errors",
    ),
    *(
        "selective",
        "conformal",
        "out_of_distribution",
        "corruptions",
        "attacks",
        "adversarial_examples",
    ),
}


def test_every_chapter_is_drawn_and_is_in_the_report(own_run: Run) -> None:
    drawn = {path.stem for path in own_run.plots_folder.glob("*.png")}
    assert drawn >= CHAPTERS - {"confusions"}
    page = own_run.report_path.read_text(encoding="utf-8")
    assert all(f'<section id="{name}">' in page for name in CHAPTERS & drawn)
    for path in own_run.plots_folder.glob("*.png"):
        with Image.open(path) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100, path


def test_explain_json_has_the_measurements(own_run: Run) -> None:
    numbers = own_run.explanation()
    assert numbers["data"] == own_run.info()["data"]
    assert list(numbers["probes"]) == [
        "untrained",
        *(f"epoch {done}" for done in (1, 2, 4, 8)),
        "trained",
    ]
    assert {row["target_coverage"] for row in numbers["conformal"]} == {0.9, 0.95, 0.99}
    assert len(numbers["corruptions"]["accuracy"]) == 10
    assert {"digits", "noise", "patterns"} == set(numbers["out_of_distribution"])
    assert (
        numbers["faithfulness"]["deletion"]["occlusion"]["area"]
        < numbers["faithfulness"]["deletion"]["random order"]["area"]
    )
    for measure, differences in numbers["faithfulness"]["differences"].items():
        assert len(differences) == 5
        for pair, paired in differences.items():
            one, other = (
                numbers["faithfulness"][measure][each]["area"] for each in pair.split(" minus ")
            )
            assert paired["difference"] == pytest.approx(one - other, abs=1e-6)
            assert paired["interval"][0] <= paired["difference"] <= paired["interval"][1]
    assert numbers["label_errors"]["of"] == sum(
        own_run.info()["dataset"]["splits"][each] for each in ("train", "validation")
    )
    assert all(row["given"] in OWN_CLASSES for row in numbers["label_errors"]["likeliest"])
    assert numbers["label_errors"]["found"] == numbers["label_errors"]["found_by_each_run"][0]


def test_wrong_labels_are_found(drawn_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_errors, "FOLDS", 2)
    few = drawn_data.validation[:300]
    labels = drawn_data.train.labels.copy()
    boots = np.flatnonzero(labels == CLASS_NAMES.index("Ankle boot"))[:12]
    labels[boots] = CLASS_NAMES.index("Dress")
    mislabelled = replace(drawn_data, train=Split(drawn_data.train.images, labels), validation=few)
    found = label_errors.find_label_errors(mislabelled, TrainingDisplay(io.StringIO()), seeds=(0,))
    assert found.probabilities.shape == (3300, 10)
    named = set(found.indices[: 2 * len(boots)].tolist())
    assert len(named & set(boots.tolist())) >= 6  # of 12; about none by chance


def test_label_errors_are_those_that_four_of_five_runs_flag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.repeat(np.arange(3), 100)
    split = Split(np.zeros((300, 28, 28), np.uint8), labels)
    data = Dataset("drawn", "", ("a", "b", "c"), {}, split[:250], split[250:], 0, lambda: split[:0])
    # Image → the runs whose networks contradict its label, and how sure they are.
    contradicted = {7: (5, 0.96), 120: (4, 0.98), 130: (3, 0.99), 260: (1, 0.99)}

    def predict(dataset: Dataset, images: Split, seed: int) -> Any:
        probabilities = np.full((300, 3), 0.025)
        probabilities[np.arange(300), labels] = 0.95
        for image, (runs, certainty) in contradicted.items():
            if seed - 10 < runs:
                wrong = np.full(3, (1 - certainty) / 2)
                wrong[(labels[image] + 1) % 3] = certainty
                probabilities[image] = wrong
        return probabilities

    monkeypatch.setattr(label_errors, "_cross_validate", predict)
    found = label_errors.find_label_errors(data, TrainingDisplay(io.StringIO()), range(10, 15))
    assert found.required == 4
    assert found.indices.tolist() == [7, 120]  # mean probability of the label: 0.02, 0.2
    assert found.suggested.tolist() == [1, 2]
    assert {image: found.votes[image] for image in contradicted} == {7: 5, 120: 4, 130: 3, 260: 1}
    # Flagged: 4, 3, 3, 2, 1 labels, each set part of the one before.
    ratios = [3 / 4, 3 / 4, 2 / 4, 1 / 4, 3 / 3, 2 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 2]
    assert found.agreement == pytest.approx(np.mean(ratios))


def test_every_class_is_spread_over_the_folds() -> None:
    labels = np.repeat([0, 1, 2], (40, 43, 7))
    folds = label_errors.assign_folds(labels, seed=0)
    for label, count in enumerate((40, 43, 7)):
        sizes = np.bincount(folds[labels == label], minlength=5)
        assert sizes.min() >= count // 5
        assert sizes.max() <= -(-count // 5)
    assert (label_errors.assign_folds(labels, seed=1) != folds).any()
    assert label_errors.assign_folds(np.array([0, 0, 0, 1, 1]), seed=0).max() == 1  # two folds


@pytest.mark.parametrize("count", [8, 360, 5_000, 48_000])
def test_few_images_are_trained_on_for_enough_steps(count: int) -> None:
    sprint = recipes.get("sprint")
    recipe = recipes.with_enough_steps(sprint, count)
    steps = recipe.epochs * -(-count // recipe.batch_size)
    assert recipes.MIN_STEPS <= steps < 2 * recipes.MIN_STEPS
    assert replace(recipe, epochs=sprint.epochs, batch_size=sprint.batch_size) == sprint


def test_one_image_is_explained(
    tmp_path: Path, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_image = next((own_run.path.parent / "own" / "boots").glob("*.png"))
    drawn = own_run.path / f"explain-{own_image.stem}.png"
    result = wardrobe_here("explain", own_run.path, own_image, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["sheet"] == str(drawn)
    assert found["left_out"] is None
    monkeypatch.chdir(tmp_path)
    other = shutil.copy(
        own_run.onnx_path, own_run.path / "other.onnx"
    )  # in the run folder, but not the run's model
    alone = [Path(str(api.explain_image(own_image, stream=io.StringIO())))]
    without_run = api.describe_image(own_image, other, stream=io.StringIO())
    Path(other).unlink()
    alone.append(Path(without_run["sheet"]))
    assert alone == [Path(drawn.name)] * 2, (
        "without a run, the sheet goes into the working directory"
    )
    assert without_run.keys() == found.keys()
    for key in ("occlusion", "layers"):
        assert np.shape(without_run[key]) == np.shape(found[key])
    assert without_run["layers"] == found["layers"], "the same filters are the strongest"
    assert found["nearest"][0].keys() == {"label", "similarity"}
    sizes = []
    for path in (drawn, alone[0]):
        with Image.open(path) as sheet:
            sizes.append(sheet.size)
    assert [width for width, _ in sizes] == [1664, 1040], "matplotlib draws that of a run"
    refused(wardrobe_here("explain", own_run.path, "--out", "x", cwd=tmp_path), 2, "--out x is for")


def test_a_run_without_model_keras_leaves_chapters_out(tmp_path: Path, own_run: Run) -> None:
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    run = Run(tmp_path / "copy/run")
    run.keras_path.unlink()
    assert "activation_maximization" in run.explanation()["figures"]
    run.explanation_path.write_text("{")  # damaged, so it is written again
    shutil.rmtree(run.plots_folder)
    result = explain_here("run", tmp_path / "copy")
    assert result.returncode == 0, result.stderr
    drawn = {path.stem for path in run.plots_folder.glob("*.png")}
    assert {
        "heat_maps",
        "selective",
        "conformal",
        "out_of_distribution",
        "corruptions",
        "label_errors",
    } <= drawn
    assert not {"activation_maximization", "probes", "faithfulness", "attacks"} & drawn
    assert result.stdout.count("skipped, the run has no model.keras") == 4
    assert "\n9 of 9: How robust it is against" in result.stdout
    assert set(run.explanation()["figures"]) <= drawn


def test_each_split_has_its_own_scores_and_nothing_is_removed_without_a_word(
    tmp_path: Path, own_run: Run
) -> None:
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    run, page = Run(tmp_path / "copy/run"), own_run.report_path.read_text(encoding="utf-8")
    evaluate = "evaluate", "run", "--split", "validation", "--json"
    result = wardrobe_here(*evaluate, cwd=tmp_path / "copy")
    score, test_score = json.loads(result.stdout), own_run.metrics()
    assert run.scores() == {"test": test_score, "validation": run.metrics("validation")}
    assert score["nll"] == run.metrics("validation")["nll"] != test_score["nll"]
    before = {path for path in own_run.path.rglob("*") if path.is_file()}
    for path in before - {own_run.report_path}:
        copied = run.path / path.relative_to(own_run.path)
        assert copied.read_bytes() == path.read_bytes(), path
    added = {path.relative_to(run.path) for path in run.path.rglob("*")} - {
        path.relative_to(own_run.path) for path in own_run.path.rglob("*")
    }
    assert {str(path) for path in added if path.suffix in (".json", ".npz")} == {
        *("validation/metrics.json", "validation/predictions.npz"),
        "validation/plots/confusion.json",
    }
    both = run.report_path.read_text(encoding="utf-8")
    tile = f"accuracy on {score['n']} validation images"
    assert tile in both
    assert tile not in page
    assert {*page.splitlines()} < {*both.splitlines()}, "the rest is of the test split"
    (row,) = tabulate_runs(run.path)
    accuracies = {split: each["accuracy"] for split, each in row["scores"].items()}
    assert accuracies == {"test": test_score["accuracy"], "validation": score["accuracy"]}
    assert (row["split"], row["accuracy"]) == ("test", test_score["accuracy"])
    out = io.StringIO()
    train_run._forget_explanation(run, test_score, TrainingDisplay(out))
    assert run.explanation() == own_run.explanation()
    train_run._forget_explanation(run, {**test_score, "tta_views": 6}, TrainingDisplay(out))
    assert "run/explain.json and its plots explained other scores and are removed" in out.getvalue()
    assert run.explanation() == {}
    assert not CHAPTERS & {path.stem for path in run.plots_folder.iterdir()}


def test_one_layer_is_drawn_and_an_unknown_one_is_refused(
    tmp_path: Path, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation_maximization, "STEPS", 5)
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    result = wardrobe_here("explain", "run", "--layer", "conv1", cwd=tmp_path / "copy")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "copy/run/plots/layer-conv1.png").is_file()
    monkeypatch.chdir(tmp_path / "copy")
    with pytest.raises(
        UsageError, match=r"no layer 'conv9'; give one of stem1, conv1, dense, logits"
    ):
        api.explain_run("run", "conv9", stream=io.StringIO())


def test_bad_input_is_refused_in_one_line(tmp_path: Path, own_run: Run) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    refused(
        wardrobe_here("explain", own_run.path, "text.jpg", cwd=tmp_path),
        1,
        "text.jpg",
        "not an image",
    )
    refused(
        wardrobe_here("explain", own_run.path, "nothing.jpg", cwd=tmp_path),
        1,
        "nothing.jpg",
        "No such file",
    )
    refused(wardrobe_here("explain", "nothing", cwd=tmp_path), 1, "nothing does not exist")
    image = next((own_run.path.parent / "own" / "boots").glob("*.png"))
    refused(wardrobe_here("explain", image, image, cwd=tmp_path), 2, "is not a model", "one image")
    refused(
        wardrobe_here("explain", "missing.jpg", cwd=tmp_path),
        2,
        "missing.jpg does not exist",
        "or an image",
    )
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    damaged = Run(tmp_path / "copy/run")
    with np.load(damaged.predictions_path) as stored:
        columns = {key: stored[key] for key in ("logits", "labels", "temperatures")}
    logits, labels = columns["logits"], columns["labels"]
    for others in ({"logits": logits[:5], "labels": labels[:5]}, {"labels": labels[::-1]}):
        np.savez(damaged.predictions_path, **{**columns, **others})
        refused(
            wardrobe_here("explain", "run", cwd=tmp_path / "copy"),
            1,
            f"has logits {others.get('logits', logits).shape} of other images, expected (",
            "wardrobe evaluate run",
        )
    damaged.keras_path.unlink()
    refused(
        wardrobe_here("explain", "run", "--layer", "dense", cwd=tmp_path / "copy"),
        1,
        "run has no model.keras",
    )
    interrupted = tmp_path / "interrupted"
    interrupted.mkdir()
    info = {**own_run.info(), "status": "interrupted"}
    (interrupted / "run.json").write_text(json.dumps(info))
    refused(
        wardrobe_here("explain", "interrupted", cwd=tmp_path),
        1,
        "has no scores yet",
        "--resume interrupted",
    )
