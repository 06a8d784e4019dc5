"""`wardrobe explain`: every chapter, one image, one layer, and the errors for bad input."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import OWN_CLASSES, refused, wardrobe_here
from PIL import Image

from wardrobe.data import Dataset, Split
from wardrobe.errors import UsageError
from wardrobe.explain import label_errors
from wardrobe.labels import CLASS_NAMES
from wardrobe.models import recipes
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.workflows import api

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
        < numbers["faithfulness"]["deletion"]["by chance"]["area"]
    )
    assert numbers["label_errors"]["of"] == sum(
        own_run.info()["dataset"]["splits"][each] for each in ("train", "validation")
    )
    assert all(row["given"] in OWN_CLASSES for row in numbers["label_errors"]["likeliest"])


def test_wrong_labels_are_found(drawn_data: Dataset) -> None:
    few = drawn_data.validation[:300]
    labels = drawn_data.train.labels.copy()
    boots = np.flatnonzero(labels == CLASS_NAMES.index("Ankle boot"))[:12]
    labels[boots] = CLASS_NAMES.index("Dress")
    mislabelled = replace(drawn_data, train=Split(drawn_data.train.images, labels), validation=few)
    found = label_errors.find_label_errors(
        recipes.get("sprint"), mislabelled, 0, TrainingDisplay(io.StringIO())
    )
    assert found.probabilities.shape == (3300, 10)
    named = set(found.indices[: 2 * len(boots)].tolist())
    assert len(named & set(boots.tolist())) >= 6  # of 12; about none by chance


def test_every_class_is_spread_over_the_folds() -> None:
    labels = np.repeat([0, 1, 2], (40, 40, 2))
    folds = label_errors.assign_folds(labels)
    assert np.bincount(folds).max() <= len(labels) / 5 + 1
    assert all(len(np.unique(folds[labels == label])) >= 2 for label in range(3))


def test_one_image_is_explained(
    tmp_path: Path, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_image = next((own_run.path.parent / "own" / "boots").glob("*.png"))
    drawn = own_run.path / f"explain-{own_image.stem}.png"
    result = wardrobe_here("explain", own_run.path, own_image, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(drawn)
    monkeypatch.chdir(tmp_path)
    other = shutil.copy(
        own_run.onnx_path, own_run.path / "other.onnx"
    )  # in the run folder, but not the run's model
    alone = [api.explain_image(own_image, model, stream=io.StringIO()) for model in (None, other)]
    Path(other).unlink()
    assert alone == [Path(drawn.name)] * 2, (
        "without a run, the sheet goes into the working directory"
    )
    heights = []
    for path in (drawn, *alone):
        with Image.open(path) as sheet:
            assert sheet.width == 1664
            heights.append(sheet.height)
    assert heights[0] > heights[1] == heights[2], (
        "only the sheet of a run shows layers and nearest images"
    )


def test_a_run_without_model_keras_leaves_chapters_out(tmp_path: Path, own_run: Run) -> None:
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    run = Run(tmp_path / "copy/run")
    run.keras_path.unlink()
    assert "activation_maximization" in run.explanation()["figures"]
    run.explanation_path.write_text("{")  # damaged, so it is written again
    shutil.rmtree(run.plots_folder)
    result = wardrobe_here("explain", "run", cwd=tmp_path / "copy")
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
    assert set(run.explanation()["figures"]) <= drawn


def test_scoring_another_split_removes_the_explanation(tmp_path: Path, own_run: Run) -> None:
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    run = Run(tmp_path / "copy/run")
    assert (
        wardrobe_here("evaluate", "run", "--split", "validation", cwd=tmp_path / "copy").returncode
        == 0
    )
    assert run.explanation() == {}
    drawn = {path.stem for path in run.plots_folder.glob("*.png")}
    assert "samples" in drawn
    assert not CHAPTERS & drawn
    assert '<section id="heat_maps">' not in run.report_path.read_text(encoding="utf-8")


def test_one_layer_is_drawn_and_an_unknown_one_is_refused(
    tmp_path: Path, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(own_run.path.parent, tmp_path / "copy")
    result = wardrobe_here("explain", "run", "--layer", "stem2", cwd=tmp_path / "copy")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "copy/run/plots/layer-stem2.png").is_file()
    monkeypatch.chdir(tmp_path / "copy")
    with pytest.raises(
        UsageError, match=r"no layer 'conv9'; give one of stem1, stem2, dense, logits"
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
        logits, labels = stored["logits"], stored["labels"]
    for others in ({"logits": logits[:5], "labels": labels[:5]}, {"labels": labels[::-1]}):
        np.savez(damaged.predictions_path, **{"logits": logits, **others})
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
