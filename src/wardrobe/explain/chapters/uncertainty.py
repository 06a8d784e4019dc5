"""How far to trust a prediction: selective prediction, prediction sets, unfamiliar inputs."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from wardrobe.report.chapter import Chapter, Figures, Findings
from wardrobe.runs import Run

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

ACCURACIES = 0.95, 0.98, 0.99  # targets of selective prediction
COVERAGES = 0.90, 0.95, 0.99  # targets of the prediction sets


def _explain_familiarity(run: Run) -> str:
    classes = len(run.info()["dataset"]["class_names"])
    text = (
        "Digits, noise and patterns belong to none of the classes, but the network must choose "
        "one. Familiarity measures how much an image is like the training images to the network. "
        "It is large if the logits are: it is the logarithm of the sum of their exponentials. "
        f'Below the threshold, the answer is "unlike the {classes} classes". Familiarity '
        "separates some of these images from clothing, not all."
    )
    if run.info()["recipe"]["unknown_fraction"]:
        text += (
            " This recipe is also trained on images of no class, made from garments; they were "
            "chosen to improve this separation."
        )
    return text


FIGURES: Figures = {
    "selective": (
        "Selective prediction",
        "If the network abstains when its confidence is below a threshold, the predictions that "
        "it does make are more accurate. Each threshold was chosen on validation images by "
        "selection with guaranteed risk (SGR): with a probability of 95 % over the choice of "
        "these images, the accuracy on new images like them is at least the target. So the "
        "measured accuracy is usually above it. The guarantee holds for each target separately, "
        "assumes that the accuracy does not fall as the threshold rises, and is not exact for "
        "recipes that were chosen on these images (on Fashion-MNIST: all but baseline). If too "
        "few validation images are available to guarantee a target, it has no threshold.",
    ),
    "conformal": (
        "Prediction sets",
        "Conformal prediction answers with a set of classes that contains the actual class with a "
        "given probability, such as 95 %. The harder the image, the larger the set. A set is "
        "empty if no class is probable enough. The probability holds for each target separately; "
        "it, too, is not exact for recipes that were chosen on the validation images.",
    ),
    "out_of_distribution": ("Out-of-distribution inputs", _explain_familiarity),
}


def _measure_uncertainty(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.data import VALIDATION
    from wardrobe.evaluation import conformal, out_of_distribution, scoring, selective
    from wardrobe.inference import confidence

    metrics, validation = subject.metrics, subject.dataset.validation
    chosen, measured = slice(None), slice(None)  # all validation images, all scored images
    if metrics["split"] == VALIDATION:  # choose on one half, measure on the other
        half = scoring.assign_halves(validation.labels)
        chosen, measured = half == 0, half == 1
    temperature = subject.temperatures[measured][0]  # fitted on the images to choose on
    logits = subject.tta_logits(validation.images)[chosen]
    chosen_on = confidence.softmax(logits, temperature), validation.labels[chosen]
    measured_on = subject.probabilities[measured], subject.scored.labels[measured]
    thresholds = [
        asdict(selective.evaluate_selective(each, chosen_on, *measured_on)) for each in ACCURACIES
    ]
    sets = [conformal.evaluate_conformal(each, chosen_on, *measured_on) for each in COVERAGES]
    known = confidence.familiarity(subject.scored_logits)
    threshold = metrics["familiarity_threshold"]
    others = {
        name: confidence.familiarity(subject.tta_logits(make_images()))
        for name, make_images in out_of_distribution.OOD_INPUTS.items()
    }
    auroc = {name: out_of_distribution.auroc(known, each) for name, each in others.items()}
    not_sure = [1 - metrics["sure"], *((each < threshold).mean() for each in others.values())]
    curve = selective.accuracy_coverage_curve(*measured_on)
    return {
        "selective": plots.robustness.plot_selective(*curve, thresholds),
        "conformal": plots.robustness.plot_conformal(sets),
        "out_of_distribution": plots.robustness.plot_out_of_distribution(
            known, others, auroc, threshold, not_sure, len(subject.dataset.class_names)
        ),
    }, {"selective": thresholds, "conformal": sets, "out_of_distribution": auroc}


CHAPTER = Chapter("How far the predictions can be trusted", FIGURES, _measure_uncertainty)
