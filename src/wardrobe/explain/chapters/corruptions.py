"""Accuracy on images that are noisy, blurred, badly lit or badly framed."""

from typing import TYPE_CHECKING

from wardrobe.report.chapter import Chapter, Figures, Findings
from wardrobe.runs import Run

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

IMAGES = 2_000  # each is corrupted 50 times
# Fields of a recipe whose changes of the training images lower the accuracy on them.
RANDOM_CHANGES = "max_shift", "erase_probability", "warp_fraction"


def _explain_corruptions(run: Run) -> str:
    recipe = run.info()["recipe"]
    text = "The same images, degraded as by a bad camera or an unsteady hand. "
    if any(recipe[each] for each in RANDOM_CHANGES):
        text += "Training images were changed at random too, in part in similar ways. "
    else:
        text += "The network was not trained on these corruptions. "
    return text + "A steep fall shows what it depends on."


FIGURES: Figures = {"corruptions": ("Corrupted images", _explain_corruptions)}


def _measure_corruptions(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.evaluation import corruptions, metrics

    scored = subject.scored[: subject.limit_images(IMAGES)]
    clean = metrics.accuracy(subject.tta_logits(scored.images), scored.labels)
    rows: dict[str, list[float]] = {}
    for name in corruptions.CORRUPTIONS:
        rows[name] = []
        for severity in corruptions.SEVERITIES:
            corrupted = corruptions.corrupt(scored.images, name, severity)  # (n, 28, 28) uint8
            rows[name].append(metrics.accuracy(subject.tta_logits(corrupted), scored.labels))
    figure = plots.robustness.plot_corruptions(rows, clean, len(scored))
    results = {"images": len(scored), "clean": clean, "accuracy": rows}
    return {"corruptions": figure}, {"corruptions": results}


CHAPTER = Chapter("How accurate it is on corrupted images", FIGURES, _measure_corruptions)
