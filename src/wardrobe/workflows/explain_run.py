"""Explains a run: writes figures, explain.json, and new chapters of the report."""

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import keras

from wardrobe import plots, report, runs
from wardrobe.data import Dataset
from wardrobe.errors import RunError, UsageError
from wardrobe.explain.chapters import CHAPTERS
from wardrobe.explain.chapters import layers as layer_chapter
from wardrobe.explain.subject import Subject, open_subject
from wardrobe.models import architecture
from wardrobe.report import Chapter
from wardrobe.runs import Run
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.training import checkpoints


def explain_run(run: Run, dataset: Dataset, display: TrainingDisplay) -> None:
    """Computes every chapter that the run supports, and writes the report.

    Raises:
        RunError: the run has not been scored yet, or its files cannot be read.
    """
    subject = open_subject(run, dataset, display)
    # Earlier findings stay: without model.keras, some chapters cannot be computed again.
    findings = {**run.explanation(), "data": dataset.name, "split": subject.metrics["split"]}
    drawn = set(findings.get("figures", []))
    for chapter in iterate_chapters(subject, in_training=False):
        figures, found = draw_chapter(chapter, subject)
        drawn |= figures
        findings |= found
        runs.write_json(run.explanation_path, {**findings, "figures": sorted(drawn)})
    display.stage(f"Report: {report.write_report(run, CHAPTERS)}")


def iterate_chapters(subject: Subject, in_training: bool) -> Iterator[Chapter]:
    """Yields the chapters that the run supports; prints a line for each, also for the others."""
    chapters = [each for each in CHAPTERS if each.in_training == in_training]
    for number, chapter in enumerate(chapters, start=1):
        reason = None
        if chapter.needs_keras and subject.model is None:
            reason = "the run has no model.keras"
        elif chapter.needs_layers and subject.recipe.network is not None:
            reason = "it explains the layers of a recipe, not a network of one's own"
        line = (
            chapter.progress if in_training else f"{number} of {len(chapters)}: {chapter.progress}"
        )
        subject.display.stage(line + (f": skipped, {reason}" if reason else ""))
        if reason is None:
            yield chapter


def draw_chapter(chapter: Chapter, subject: Subject) -> tuple[Set[str], dict[str, Any]]:
    """Computes a chapter and writes its figures; returns their names, and its measurements."""
    figures, found, *images = chapter.compute(subject)
    folder, dataset = subject.plots_folder, subject.dataset
    plots.save_figures(figures, folder, dataset.name, dataset.is_synthetic)
    for name, each in images[0].items() if images else ():
        runs.write_json(folder / f"{name}.json", each, indent=None)
    return figures.keys(), found


def explain_layer(run: Run, dataset: Dataset, layer: str, display: TrainingDisplay) -> Path:
    """Draws what activates the filters of one layer; returns the path of the figure.

    Raises:
        RunError: the run has no model.keras. UsageError: it has no such layer.
    """
    if not run.keras_path.is_file():
        raise RunError(f"{run.path} has no model.keras to explain; restore it, or train again")
    recipe = run.recipe()
    if recipe.network is not None:
        raise UsageError(
            f"--layer {layer} explains a layer of a recipe, but {run.path} has a network of one's "
            "own; leave it out"
        )
    model = checkpoints.load_model(run)
    convolutions = [each.name for each in architecture.find_convolutions(model)]
    dense = [each.name for each in model.layers if isinstance(each, keras.layers.Dense)]
    if layer not in convolutions + dense:
        names = ", ".join(convolutions + dense)
        raise UsageError(f"{run.path} has no layer {layer!r}; give one of {names}")
    display.stage(f"What {layer} detects")
    figure = layer_chapter.draw_layer(model, recipe, dataset, layer)
    path = run.plots_folder / f"layer-{layer}.png"
    plots.save_figure(figure, path, dataset.name, dataset.is_synthetic)
    return path
