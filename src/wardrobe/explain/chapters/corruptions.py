"""Accuracy on images that are noisy, blurred, badly lit or badly framed."""

from typing import TYPE_CHECKING

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

IMAGES = 2_000  # each is corrupted 50 times

FIGURES = {
    "corruptions": (
        "Corrupted images",
        "The same images, degraded as by a bad camera or an unsteady hand. The network was not "
        "trained on these corruptions. A steep fall shows what it depends on.",
    )
}


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
