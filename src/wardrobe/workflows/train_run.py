"""Trains a run and writes its folder: metrics, figures, model.onnx, report. Needs Keras."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wardrobe import export, report, runs
from wardrobe.data import TEST, VALIDATION, Dataset
from wardrobe.errors import InterruptedRunError, RunError
from wardrobe.evaluation import scoring
from wardrobe.evaluation.scoring import Evaluation
from wardrobe.explain.chapters import CHAPTERS
from wardrobe.explain.subject import open_subject
from wardrobe.models import architecture, own_network, tta
from wardrobe.models.recipes import Recipe
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints, loop, transfer
from wardrobe.training.distributed import collectives, supervisor
from wardrobe.workflows import explain_run, export_run, trackers


def check_start(recipe: Recipe, weights: Path | None, class_count: int) -> None:
    """Builds a network of one's own, and reads the weights to start from, before there is a run.

    Raises:
        UsageError: the network cannot be used. ModelError: the weights are of another network.
    """
    if weights is not None:
        transfer.read_weights(weights, recipe)
    if recipe.network is not None:
        own_network.build(recipe, class_count)


def train(
    run: Run,
    dataset: Dataset,
    display: TrainingDisplay,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains the run, from its last checkpoint if there is one, and writes its folder.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM; the message has the command that resumes the run.
        RunError: the disk is full or not writable; the message has the same command.
    """
    with run.lock():
        try:
            _train(run, dataset, display, callbacks)
        except BaseException as error:
            with contextlib.suppress(OSError):  # the disk may be too full even for this
                run.update(status=runs.INTERRUPTED)
            raise _translate(error, run) from error
    if keras.backend.backend() != "tensorflow":
        try:
            _finish_under_tensorflow(run, display)
        except KeyboardInterrupt as error:
            run.update(status=runs.INTERRUPTED)
            again = f"KERAS_BACKEND=tensorflow {run.resume_line}"
            raise InterruptedRunError(
                f"interrupted after training; resume with: {again}"
            ) from error


def train_worker(recipe: Recipe, dataset: Dataset, seed: int, display: TrainingDisplay) -> None:
    """Trains in a process other than process 0, which keeps the run.

    Raises:
        RunError: the connection to another process is lost.
    """
    with collectives.report_lost_process(
        "start it again on every host; process 0 prints the command"
    ):
        loop.fit(recipe, dataset, None, seed, display)
        collectives.leave()


def validate(run: Run, dataset: Dataset, display: TrainingDisplay) -> dict[str, Any]:
    """Trains the run, scores it on the validation split, returns its metrics; keeps no model."""
    recipe = run.recipe()
    with run.lock():
        model = loop.fit(recipe, dataset, run, run.info()["seed"], display)
        scores = scoring.evaluate(model, dataset, recipe, VALIDATION).metrics
        run.write_metrics(scores)
        run.update(status=runs.DONE)
    return scores


def evaluate(
    run: Run, dataset: Dataset, split: str, tta_views: int, display: TrainingDisplay
) -> None:
    """Scores the run's model on a split, and rewrites its metrics, figures and report.

    Raises:
        RunError: the run has no model, or one that cannot be read or does not fit the data.
    """
    model = export_run.load_checked_model(run, dataset)
    _evaluate(model, run, dataset, split, tta_views, display)
    if not run.metrics_path.is_file():
        return  # its training was interrupted: the report needs the test scores
    display.stage(f"Report: {report.write_report(run, CHAPTERS)}")


def _translate(error: BaseException, run: Run) -> BaseException:
    """Returns the error to show, with the command that resumes the training."""
    # A signal that arrives while TensorFlow's C++ calls Python becomes a RuntimeError (pybind11).
    is_signal = isinstance(error, RuntimeError) and KeyboardInterrupt.__name__ in str(error)
    # BrokenPipeError: the program that read the progress has exited.
    if is_signal or isinstance(error, (KeyboardInterrupt, BrokenPipeError)):
        if collectives.is_distributed():
            return InterruptedRunError(f"interrupted; {supervisor.resume_hint(run)}")
        done, epochs = checkpoints.count_epochs_done(run), run.recipe().epochs
        return InterruptedRunError(
            f"interrupted after {done} of {epochs} epochs; resume with: {run.resume_line}"
        )
    if collectives.is_process_loss(error):
        hint = supervisor.resume_hint(run)
        return RunError(f"lost the connection to another process of this training; {hint}")
    if isinstance(error, OSError):
        where, what = error.filename or run.path, error.strerror or error
        return RunError(f"{where}: {what}; free some space, then resume with: {run.resume_line}")
    return error


def _train(
    run: Run,
    dataset: Dataset,
    display: TrainingDisplay,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    opened = trackers.open_trackers(run)
    callbacks = [*callbacks, *opened]
    model = loop.fit(run.recipe(), dataset, run, run.info()["seed"], display, callbacks)
    collectives.leave()  # only process 0 does the rest
    checkpoints.save_model(model, run)
    if keras.backend.backend() != "tensorflow":
        return  # only TensorFlow exports to ONNX; `_finish_under_tensorflow` does the rest
    tta_views = run.recipe().tta_views
    evaluated = _evaluate(model, run, dataset, TEST, tta_views, display)
    # Validation images decide whether the file is kept; the test score above does not.
    display.stage("Writing model.onnx and checking it against Keras")
    metadata = export_run.describe_model(run, dataset, evaluated)
    averaged = tta.with_tta(model, tta_views)
    parity = export.export_model(averaged, run.onnx_path, "onnx", metadata, evaluated)
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    run.update(finished=finished, onnx_largest_logit_difference=parity.largest_logit_difference)
    display.stage(f"Report: {report.write_report(run, CHAPTERS)}")
    for tracker in opened:
        tracker.log_results()
    run.update(status=runs.DONE)


def _finish_under_tensorflow(run: Run, display: TrainingDisplay) -> None:
    """Scores a trained run and writes its model.onnx and report, in a process with TensorFlow.

    Raises:
        RunError: that process failed.
    """
    display.stage("Starting TensorFlow to score the run and write model.onnx")
    finish = "import sys, wardrobe; wardrobe.resume(sys.argv[1])"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", finish, str(run.path)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip() or str(done.returncode)).splitlines()[-1]
        again = f"KERAS_BACKEND=tensorflow {run.resume_line}"
        raise RunError(
            f"{run.path} is trained, but scoring it under TensorFlow failed ({reason}); "
            f"resume with: {again}"
        )


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
    _forget_explanation(run, evaluated.metrics, display)
    run.write_metrics(evaluated.metrics)
    runs.write_json(run.layers_path, {"layers": architecture.describe_layers(model)}, indent=None)
    with runs.atomic_write(run.score_folder(split) / run.predictions_path.name) as path:
        columns = {key: getattr(evaluated, key) for key in ("logits", "labels", "temperatures")}
        np.savez_compressed(path, **columns, data=np.array(dataset.name))
    subject = open_subject(run, dataset, display, model, split)
    for chapter in explain_run.iterate_chapters(subject, in_training=True):
        explain_run.draw_chapter(chapter, subject)
    return evaluated


def _forget_explanation(run: Run, metrics: dict[str, Any], display: TrainingDisplay) -> None:
    """Removes explain.json and its plots if they explain other test scores, and says so."""
    if metrics["split"] != TEST or not run.explanation_path.is_file():
        return
    if all(run.metrics()[key] == metrics[key] for key in ("split", "tta_views")):
        return
    run.forget_explanation()
    display.stage(
        f"{run.explanation_path} and its plots explained other scores and are "
        f"removed; write them again with: wardrobe explain {run.path}"
    )
