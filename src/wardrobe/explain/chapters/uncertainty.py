"""How far to trust a prediction: selective prediction, prediction sets, unfamiliar inputs."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

ACCURACIES = 0.95, 0.98, 0.99  # targets of selective prediction
COVERAGES = 0.90, 0.95, 0.99  # targets of the prediction sets

FIGURES = {
    "selective": (
        "Selective prediction",
        "If the network abstains when its confidence is below a threshold, the predictions that "
        "it does make are more accurate. The thresholds were chosen on validation images.",
    ),
    "conformal": (
        "Prediction sets",
        "Conformal prediction answers with a set of classes that contains the actual class with a "
        "given probability, such as 95 %. The harder the image, the larger the set. A set is "
        "empty if no class is probable enough.",
    ),
    "out_of_distribution": (
        "Out-of-distribution inputs",
        "Digits, noise and patterns belong to none of the classes, but the network must choose "
        "one. The familiarity, the logarithm of the sum of the exponentials of the logits, "
        "separates some of them from clothing. The recipe photo learns to reject noise and strokes "
        "like those of digits, so for its networks these are not unseen inputs.",
    ),
}


def _measure_uncertainty(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.data import VALIDATION
    from wardrobe.evaluation import conformal, out_of_distribution, selective
    from wardrobe.inference import confidence

    metrics, validation = subject.run.metrics(), subject.dataset.validation
    validation_logits = subject.tta_logits(validation.images)
    chosen_on = confidence.softmax(validation_logits, metrics["temperature"]), validation.labels
    measured_on = subject.probabilities, subject.scored.labels
    if metrics["split"] == VALIDATION:  # choose on one half, measure on the other
        chosen_on = chosen_on[0][::2], chosen_on[1][::2]
        measured_on = measured_on[0][1::2], measured_on[1][1::2]
    thresholds = [
        asdict(selective.evaluate_selective(each, chosen_on, *measured_on)) for each in ACCURACIES
    ]
    sets = [conformal.evaluate_conformal(each, chosen_on, *measured_on) for each in COVERAGES]
    known = confidence.familiarity(subject.scored_logits)
    others = {
        name: confidence.familiarity(subject.tta_logits(make_images()))
        for name, make_images in out_of_distribution.OOD_INPUTS.items()
    }
    auroc = {name: out_of_distribution.auroc(known, each) for name, each in others.items()}
    curve = selective.accuracy_coverage_curve(*measured_on)
    return {
        "selective": plots.robustness.plot_selective(*curve, thresholds),
        "conformal": plots.robustness.plot_conformal(sets),
        "out_of_distribution": plots.robustness.plot_out_of_distribution(
            known, others, auroc, metrics["familiarity_threshold"]
        ),
    }, {"selective": thresholds, "conformal": sets, "out_of_distribution": auroc}


CHAPTER = Chapter("How far the predictions can be trusted", FIGURES, _measure_uncertainty)
