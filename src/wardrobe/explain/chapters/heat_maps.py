"""Which pixels led to a prediction."""

from typing import TYPE_CHECKING

import numpy as np

from wardrobe.report.chapter import Chapter, Figures, Findings
from wardrobe.runs import Run

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

MISTAKES = 5  # rows after those of the classes


def _explain_maps(run: Run) -> str:
    text = (
        "Occlusion blurs one patch after another: red where that lowers the probability of the "
        "predicted class, blue where it raises it."
    )
    if run.info()["recipe"]["network"] or not run.keras_path.is_file():
        return text  # `attribution.heat_maps` has no others
    return (
        "HiResCAM and Grad-CAM show where the last convolution found evidence for the predicted "
        "class: HiResCAM weights each position by its own gradient, Grad-CAM weights all "
        f"positions of a filter by their mean gradient. {text}"
    )


FIGURES: Figures = {"heat_maps": ("Which pixels support it", _explain_maps)}


def _draw_heat_maps(subject: "Subject") -> Findings:
    """Draws the first correct prediction of each class, and the most confident mistakes."""
    from wardrobe import plots
    from wardrobe.explain import attribution

    labels, names = subject.scored.labels, subject.dataset.class_names
    correct = subject.predicted == labels
    wrong = np.flatnonzero(~correct)
    confidence = subject.probabilities[wrong].max(axis=1)  # (mistakes,)
    worst = wrong[np.argsort(-confidence, kind="stable")][:MISTAKES]
    classes = range(len(names))
    first_correct = [np.flatnonzero(correct & (labels == each))[:1] for each in classes]
    chosen = np.concatenate([*first_correct, worst])  # a class without any is left out
    images = subject.scored.images[chosen]
    maps = attribution.heat_maps(
        subject.model, subject.recipe, subject.logits, images, subject.predicted[chosen]
    )
    figure = plots.explanations.plot_heat_maps(
        images, labels[chosen], subject.probabilities[chosen], maps, names
    )
    return {"heat_maps": figure}, {}


CHAPTER = Chapter("Which pixels lead to a prediction", FIGURES, _draw_heat_maps)
