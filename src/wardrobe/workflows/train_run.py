"""Fills a run folder: train, score, draw, export, write the page. Everything here needs Keras; workflows/api.py does not."""

import contextlib
import os
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wardrobe import export, plots, report, runs
from wardrobe.data import TEST, VALIDATION, Dataset
from wardrobe.errors import InterruptedRunError, RunError
from wardrobe.evaluation import metrics, scoring
from wardrobe.evaluation.scoring import Evaluation
from wardrobe.explain import layers
from wardrobe.inference import engines
from wardrobe.models import architecture, tta
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints, loop, sampling
from wardrobe.training.distributed import collectives, supervisor

GRID_IMAGES = 40
BARS_FIRST, BARS_WRONG = 9, 6  # images in the plot of confidence bars


def train(run: Run, dataset: Dataset, display: TrainingDisplay) -> None:
    """Trains the run, from its last checkpoint where there is one, and writes everything else of its folder.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM; the run is marked, the message has the line that resumes it.
        RunError: the disk is full or cannot be written; the same line goes on when there is room.
    """
    with run.locked():
        try:
            _train(run, dataset, display)
        except BaseException as error:
            with contextlib.suppress(OSError):  # there may be no room even for this
                run.update(status=runs.INTERRUPTED)
            raise _explained(error, run) from error
    if keras.backend.backend() != "tensorflow":
        try:
            _finish_under_tensorflow(run, display)
        except KeyboardInterrupt as error:
            run.update(status=runs.INTERRUPTED)
            raise InterruptedRunError(
                f"trained, and interrupted; go on with: KERAS_BACKEND=tensorflow {run.resume_line}"
            ) from error


def train_worker(recipe: Recipe, dataset: Dataset, seed: int, display: TrainingDisplay) -> None:
    """Trains beside the process that keeps the run.

    Raises:
        RunError: it is lost.
    """
    with collectives.report_lost_process("start it again on every host, process 0 has the line"):
        loop.fit(recipe, dataset, None, seed, display)
        collectives.leave()


def validate(run: Run, dataset: Dataset, display: TrainingDisplay) -> dict[str, Any]:
    """Trains the run, scores it on the validation split alone, and returns metrics.json; keeps no model."""
    recipe = run.recipe()
    with run.locked():
        model = loop.fit(recipe, dataset, run, run.info()["seed"], display)
        scores = scoring.evaluate(model, dataset, recipe, VALIDATION).metrics
        run.write_metrics(scores)
        run.update(status=runs.DONE)
    return scores


def evaluate(
    run: Run, dataset: Dataset, split: str, tta_views: int, display: TrainingDisplay
) -> None:
    """Scores the run's model on a split, each answer a mean over so many views; writes all that shows it again.

    Raises:
        RunError: the run has no model, or one that cannot be read or is another's.
    """
    model = checkpoints.load_model(run)
    _check_classes(model, run, dataset)
    _evaluate(model, run, dataset, split, tta_views, display)
    display.stage(f"Report: {report.write_report(run)}")


def export_model(
    source: Run | Path,
    dataset: Dataset,
    to: str,
    int8: bool,
    folder: Path | None,
    display: TrainingDisplay,
) -> dict[str, Any]:
    """Writes a run's network, or that of a float32 model.onnx that ships, in a format, and checks it on test images.

    Args:
        folder: where the file goes; None: into the run, or here.

    Returns:
        "file", "format", "int8", "bytes", and how its answers compare with Keras's, as `export.Parity` has it.
    """
    if isinstance(source, Run):
        model, recipe, stem = (
            checkpoints.load_model(source),
            source.recipe(),
            source.keras_path.stem,
        )
        _check_classes(model, source, dataset)
    else:
        model, recipe, about = export.load_onnx_as_keras(source)
        stem = source.stem
    display.stage(f"Scoring {dataset.test_size:,} test images with Keras")
    evaluated = scoring.evaluate(model, dataset, recipe)
    if isinstance(source, Run):
        about, home = _about(source, dataset, evaluated), source.path
    else:
        home = Path()
    path = (home if folder is None else folder) / engines.file_name(stem, to, int8)
    display.stage(f"Writing {path} and checking it against Keras")
    samples = sampling.draw_samples(recipe, dataset, export.CALIBRATION_IMAGES) if int8 else None
    parity = export.export_model(
        tta.with_tta(model, recipe.tta_views), path, to, about, evaluated.shown, samples
    )
    found = {
        "file": str(path),
        "format": to,
        "int8": int8,
        "bytes": export.file_size(path),
        **asdict(parity),
    }
    if isinstance(source, Run):
        source.update(exports={**source.info().get("exports", {}), path.name: found})
    return found


def _check_classes(model: keras.Model, run: Run, dataset: Dataset) -> None:
    if model.output_shape[-1] != len(dataset.class_names):
        raise RunError(
            f"{run.keras_path} tells {model.output_shape[-1]} classes apart, expected {len(dataset.class_names)}; "
            "restore the run's own model, or train again"
        )


def _explained(error: BaseException, run: Run) -> BaseException:
    """Returns what to tell a person whose training broke off, with the line that goes on with it."""
    # A signal that comes while TensorFlow's C++ calls Python reaches us as a RuntimeError that names it (pybind11).
    in_disguise = isinstance(error, RuntimeError) and KeyboardInterrupt.__name__ in str(error)
    interruptions = (
        KeyboardInterrupt,
        BrokenPipeError,
    )  # the latter: whoever read the progress has gone
    if in_disguise or isinstance(error, interruptions):
        if collectives.is_distributed():
            return InterruptedRunError(f"interrupted; {supervisor.resume_hint(run)}")
        done, epochs = checkpoints.count_epochs_done(run), run.recipe().epochs
        return InterruptedRunError(
            f"interrupted after {done} of {epochs} epochs; go on with: {run.resume_line}"
        )
    if collectives.is_process_loss(error):
        return RunError(f"another process of this training is lost; {supervisor.resume_hint(run)}")
    if isinstance(error, OSError):
        where, what = error.filename or run.path, error.strerror or error
        return RunError(f"{where}: {what}; make room, then go on with: {run.resume_line}")
    return error


def _train(run: Run, dataset: Dataset, display: TrainingDisplay) -> None:
    model = loop.fit(run.recipe(), dataset, run, run.info()["seed"], display)
    collectives.leave()  # what is left is done here alone
    checkpoints.save_model(model, run)
    if keras.backend.backend() != "tensorflow":
        return  # model.onnx is written under TensorFlow, and what is written beside it
    evaluated = _evaluate(model, run, dataset, TEST, run.recipe().tta_views, display)
    display.stage("Writing model.onnx and checking it against Keras")
    about = _about(run, dataset, evaluated)
    averaged = tta.with_tta(model, run.recipe().tta_views)
    parity = export.export_model(averaged, run.onnx_path, "onnx", about, evaluated.shown)
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    run.update(finished=finished, onnx_largest_logit_difference=parity.largest_logit_difference)
    display.stage(f"Report: {report.write_report(run)}")
    run.update(status=runs.DONE)


def _finish_under_tensorflow(run: Run, display: TrainingDisplay) -> None:
    """Has a second process, under TensorFlow, score and draw a trained run and write its model.onnx and report.

    Raises:
        RunError: that failed.
    """
    display.stage("Starting TensorFlow, which scores the run and writes model.onnx")
    finish = "import sys; from wardrobe import jobs; jobs.resume(sys.argv[1])"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", finish, str(run.path)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip() or str(done.returncode)).splitlines()[-1]
        again = f"KERAS_BACKEND=tensorflow {run.resume_line}"
        raise RunError(
            f"{run.path} is trained; scoring it under TensorFlow failed ({reason}); go on with: {again}"
        )


def _about(run: Run, dataset: Dataset, evaluated: Evaluation) -> dict[str, object]:
    """Returns what goes into the metadata of every exported file."""
    kept = (
        "temperature",
        "familiarity_threshold",
        "sure",
        "split",
        "n",
        "accuracy",
        "accuracy_interval_95",
    )
    scores = {key: evaluated.metrics[key] for key in kept}
    info = run.info()
    return {
        "class_names": list(dataset.class_names),
        "recipe": info["recipe"]["name"],
        "tta_views": run.recipe().tta_views,
        "data": dataset.name,
        "seed": info["seed"],
        "parameters": info["parameters"],
        **scores,
    }


def _evaluate(
    model: keras.Model,
    run: Run,
    dataset: Dataset,
    split: str,
    tta_views: int,
    display: TrainingDisplay,
) -> Evaluation:
    size = dataset.test_size if split == TEST else len(dataset.validation)
    display.stage(f"Scoring {size:,} {split} images")
    evaluated = scoring.evaluate(model, dataset, replace(run.recipe(), tta_views=tta_views), split)
    if run.metrics_path.is_file() and any(
        run.metrics()[key] != evaluated.metrics[key] for key in ("split", "tta_views")
    ):
        run.forget_explanation()
    run.write_metrics(evaluated.metrics)
    with runs.atomic_write(run.predictions_path) as path:
        np.savez_compressed(
            path, logits=evaluated.logits, labels=evaluated.labels, data=np.array(dataset.name)
        )
    display.stage("Drawing plots")
    _draw(model, run, dataset, evaluated, split)
    return evaluated


def _draw(
    model: keras.Model, run: Run, dataset: Dataset, evaluated: Evaluation, split: str
) -> None:
    """Draws every plot of the run folder."""
    images, labels, probabilities = evaluated.images, evaluated.labels, evaluated.probabilities
    names, scores = dataset.class_names, evaluated.metrics
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    worst = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:GRID_IMAGES]
    first = np.arange(len(labels))[:GRID_IMAGES]
    barred = np.concatenate([first[:BARS_FIRST], wrong[wrong >= BARS_FIRST][:BARS_WRONG]])
    examples = dataset.validation.images[scoring.find_first_of_each_class(dataset.validation)]
    before, after = (
        metrics.reliability(each, labels) for each in (evaluated.uncalibrated, probabilities)
    )
    drawn = {
        "samples": plots.training.plot_samples(dataset.train.images, dataset.train.labels, names),
        "curves": plots.training.plot_curves(
            run.history(), sampling.WARMUP_EPOCHS if run.recipe().hard_fraction < 1 else None
        ),
        "predictions": plots.predictions.plot_predictions(
            images[first],
            labels[first],
            probabilities[first],
            names,
            f"The first {len(first)} {split} images",
        ),
        "confidence": plots.predictions.plot_confidence(
            images[barred],
            labels[barred],
            probabilities[barred],
            names,
            f"The first {split} images, then the next mistakes",
        ),
        "confusion": plots.predictions.plot_confusion(np.array(scores["confusion"]), names),
        "per_class": plots.predictions.plot_per_class(scores["per_class"]),
        "reliability": plots.predictions.plot_reliability(
            before, after, scores["ece"], scores["temperature"]
        ),
        "mistakes": plots.predictions.plot_mistakes(
            images[worst], labels[worst], probabilities[worst], names, len(wrong)
        ),
        "filters": plots.layers.plot_filters(
            layers.first_filters(model), architecture.find_convolutions(model)[0].name
        ),
        "feature_maps": plots.layers.plot_feature_maps(
            examples, layers.feature_maps(model, examples), names
        ),
    }
    plots.save_figures(drawn, run.plots_folder, dataset.name, dataset.is_synthetic)
