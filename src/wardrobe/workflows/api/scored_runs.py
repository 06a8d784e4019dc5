"""What is done with a trained run: evaluate, export, explain, report."""

import sys
from pathlib import Path
from typing import Any, TextIO, Unpack

from wardrobe import runs
from wardrobe.data import FASHION_MNIST, TEST, VALIDATION, load_training_data
from wardrobe.errors import RunError, UsageError
from wardrobe.models import recipes
from wardrobe.models.recipes import TTA_VIEWS
from wardrobe.runs import Run
from wardrobe.terminal import progress
from wardrobe.workflows.opening import Moved, check_model, open_run_data
from wardrobe.workflows.starting import loading_keras


def evaluate(
    name: str | Path | Run,
    split: str = TEST,
    data_dir: str | Path | None = None,
    tta_views: int | None = None,
    stream: TextIO | None = None,
    **moved: Unpack[Moved],
) -> Run:
    """Scores a run on "test" or "validation", and rewrites that split's files and the report.

    Args:
        data_dir, moved: where the data is now; None: where it was.
        tta_views: views in test-time augmentation, 1, 2 or 6; None: the recipe's. The run's
            model.onnx does not change.

    Raises:
        RunError: there is no such run, it has no model, or its data has changed.
        UsageError: unknown `split` or `tta_views`.
    """
    if split not in (TEST, VALIDATION):
        raise UsageError(f"unknown split {split!r}; give 'test' or 'validation'")
    if tta_views is not None and tta_views not in TTA_VIEWS:
        raise UsageError(
            f"unknown --tta-views {tta_views}; give 1, 2 or 6, or leave it out for the recipe's own"
        )
    run = runs.find_run(name)
    check_model(run)
    display, dataset = open_run_data(run, data_dir, stream, **moved)
    with loading_keras(display):
        from wardrobe.workflows import train_run
    train_run.evaluate(run, dataset, split, tta_views or run.recipe().tta_views, display)
    return run


def export_model(
    name: str | Path | Run,
    to: str = "onnx",
    int8: bool = False,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
    to_hub: str | None = None,
    **moved: Unpack[Moved],
) -> dict[str, Any]:
    """Exports a model for another engine, and checks it against Keras on the validation images.

    The returned scores are on the test images, which do not decide whether the file is kept.

    Args:
        name: a run folder, "latest", or a shipped model, "photo" or "baseline".
        to: "onnx", "litert" or "openvino".
        int8: quantise weights and activations to 8-bit integers.
        out: the folder for the file, created if missing; None: the run folder, or the working
            directory for a shipped model.
        data_dir, moved: where the run's data is now; None: where it was.
        to_hub: OWNER/NAME on the Hugging Face Hub, to which the ONNX file is uploaded.

    Returns:
        "model", "file", "format", "int8", "bytes"; "n" test images, "largest_logit_difference",
        "default_logit_difference", which OpenVINO has without `engines.PRECISION`, "same_answers",
        "accuracy" and "keras_accuracy".

    Raises:
        UsageError: unknown format. RunError: there is no such run, it has no model, or its data
        has changed. WardrobeError: the file does not match Keras; it was not kept.
        ImportError: the format's package is not installed.
    """
    from wardrobe.inference import engines
    from wardrobe.inference.classifier import Classifier, is_shipped
    from wardrobe.onnx_runtime import PRETRAINED

    engines.check_format(to, int8)
    if to_hub is not None:
        from wardrobe.inference import hub  # fails at once if huggingface_hub is not installed

        if to != "onnx":
            raise UsageError(f"--format {to} cannot be given with --to-hub; leave it out")
    run = None if is_shipped(name) else runs.find_run(name)
    folder = Path(out) if out is not None else run.path if run is not None else Path()
    runs.check_writable(folder)
    if run is None:
        display = progress.make_training_display(stream or sys.stdout)
        display.stage("Opening the data")
        data = moved.get("data") or FASHION_MNIST
        photos = moved.get("photos_dir"), moved.get("extra_photos")
        dataset = load_training_data(recipes.get(str(name)), data, data_dir, None, *photos)
    else:
        check_model(run)
        display, dataset = open_run_data(run, data_dir, stream, **moved)
    with loading_keras(display):
        from wardrobe.workflows import export_run
    source = PRETRAINED / f"{name}.onnx" if run is None else run
    found = export_run.export_model(source, dataset, to, int8, folder, display)
    if to_hub is not None:
        path = Path(found["file"])
        found["hub"] = hub.upload(path, Classifier.load(path).metadata, to_hub)
    return {"model": str(name if run is None else run.path), **found}


def explain_run(
    name: str | Path | Run,
    layer: str | None = None,
    data_dir: str | Path | None = None,
    stream: TextIO | None = None,
    **moved: Unpack[Moved],
) -> Run:
    """Explains a run: writes figures, explain.json, and new chapters of the report.

    Args:
        layer: only draw what activates the filters of this layer, into plots/layer-NAME.png.
        data_dir, moved: where the data is now; None: where it was.

    Raises:
        RunError: there is no such run, it has not been scored yet, or its data has changed.
        UsageError: there is no such layer.
    """
    run = runs.find_run(name)
    if not run.metrics_path.is_file():
        raise RunError(f"{run.path} has no scores yet; resume its training: {run.resume_line}")
    display, dataset = open_run_data(run, data_dir, stream, **moved)
    with loading_keras(display):
        from wardrobe.workflows import explain_run as workflow
    if layer is None:
        workflow.explain_run(run, dataset, display)
    else:
        display.stage(f"Written: {workflow.explain_layer(run, dataset, layer, display)}")
    return run


def write_report(name: str | Path | Run) -> Path:
    """Rewrites the report of a run from the files in its folder; returns its path.

    Raises:
        RunError: there is no such run, or it has not been scored yet.
    """
    from wardrobe import report
    from wardrobe.explain.chapters import CHAPTERS

    return report.write_report(runs.find_run(name), CHAPTERS)


def summarize(run: Run, split: str = TEST) -> dict[str, Any]:
    """Returns the object that `--json` prints: the run's identity, and metrics of a split."""
    info = run.info()
    head = {key: info[key] for key in ("data", "seed", "status")}
    names = {"recipe": info["recipe"]["name"], "recipe_title": runs.format_recipe(info)}
    return {"run": str(run.path), **names, **head, **run.metrics(split)}
