"""The data, training curves, predictions and metrics: the figures that `wardrobe train` draws."""

from typing import TYPE_CHECKING, Any

import numpy as np

from wardrobe.explain.chapters.corruptions import RANDOM_CHANGES
from wardrobe.report.chapter import Chapter, Figures, Findings
from wardrobe.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wardrobe.explain.subject import Subject

GRID_IMAGES = 40  # in the grids of predictions and of mistakes
BARS_FIRST, BARS_WRONG = 9, 6  # images in the figure of class probabilities


def _explain_curves(run: Run) -> str:
    recipe, history = run.info()["recipe"], run.history()
    text = (
        "Loss and accuracy after each epoch. In one epoch the network trains on as many images as "
        "the training split has"
    )
    if recipe["hard_fraction"] < 1:
        text += (
            ". After the first epochs, most of them are those with the highest loss (hard-example "
            "mining), and training accuracy is measured on these"
        )
    text += ". It never trains on validation images. "
    if history and history[0]["val_accuracy"] > history[0]["accuracy"]:
        text += (
            "Why is validation accuracy higher after epoch 1? Training accuracy is the mean over "
            "the epoch, while the weights change: it includes the first batches, which an almost "
            "untrained network predicted. Validation accuracy is measured at the end of the epoch. "
        )
    if any(recipe[each] for each in RANDOM_CHANGES):
        text += (
            "Random changes of the training images lower training accuracy too; validation images "
            "are not changed. "
        )
    if recipe["dropout"]:
        text += "Dropout, which is off in validation, lowers training accuracy too. "
    return text + (
        "When training accuracy rises and validation accuracy does not, the network overfits: it "
        "memorises its training images instead of learning what the classes look like."
    )


FIGURES: Figures = {
    "samples": (
        "The data",
        "Training images, one row per class. The model gets exactly this: 28 by 28 grey pixels.",
    ),
    "curves": ("Training", _explain_curves),
    "predictions": (
        "Predictions",
        "The first images of the split, not selected in any way. Each shows the predicted class, "
        "the confidence, and the actual class.",
    ),
    "confidence": (
        "Class probabilities",
        "The probability of every class for a few images. The last rows show mistakes, if there "
        "are any. When a good network makes a mistake, the probability is usually divided "
        "between two classes, not concentrated on the wrong one.",
    ),
    "confusion": (
        "Confusion matrix",
        "Rows are actual classes, columns are predicted classes. Every image off the diagonal is "
        "a mistake.",
    ),
    "per_class": (
        "Precision and recall",
        "Precision: of the images predicted as a class, the fraction that belongs to it. Recall: "
        "of the images of a class, the fraction that is predicted as it. If recall is much higher "
        "than precision, the network predicts the class too often; if much lower, too rarely.",
    ),
    "reliability": (
        "Calibration",
        "If a network is calibrated, 80 % of the predictions that it makes with 80 % confidence "
        "are correct. Temperature scaling divides all logits by one number, fitted on the "
        "validation split. It changes confidences, never the predicted class. With few validation "
        "images the fit is less reliable.",
    ),
    "mistakes": (
        "Most confident mistakes",
        "The mistakes with the highest confidence. Some images are difficult for a person too, "
        "and some labels are wrong.",
    ),
}


def _draw_scores(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.training import sampling

    run, train, metrics = subject.run, subject.dataset.train, subject.metrics
    names = subject.dataset.class_names
    warmup = sampling.WARMUP_EPOCHS if subject.recipe.hard_fraction < 1 else None
    confusion = plots.predictions.plot_confusion(np.array(metrics["confusion"]), names)
    figures = {
        "samples": plots.training.plot_samples(train.images, train.labels, names),
        "curves": plots.training.plot_curves(run.history(), warmup, run.kept_epoch()),
        "confusion": confusion,
        "per_class": plots.predictions.plot_per_class(metrics["per_class"]),
        "reliability": _draw_reliability(subject),
        **_draw_examples(subject),
    }
    return figures, {}, {"confusion": _describe_cells(subject, confusion)}


def _draw_reliability(subject: "Subject") -> "Figure":
    from wardrobe import plots
    from wardrobe.evaluation import calibration
    from wardrobe.inference import confidence

    before, after = (
        calibration.reliability(each, subject.scored.labels)
        for each in (confidence.softmax(subject.scored_logits), subject.probabilities)
    )
    ece, temperature = subject.metrics["ece"], subject.metrics["temperature"]
    return plots.predictions.plot_reliability(before, after, ece, temperature)


def _draw_examples(subject: "Subject") -> dict[str, "Figure"]:
    """Draws the figures of images with their predictions: the first ones, and mistakes."""
    from wardrobe import plots

    images, labels = subject.scored.images, subject.scored.labels
    probabilities, names = subject.probabilities, subject.dataset.class_names
    wrong = np.flatnonzero(subject.predicted != labels)  # (mistakes,)
    order = np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")
    worst = wrong[order][:GRID_IMAGES]
    first = np.arange(len(labels))[:GRID_IMAGES]
    barred = np.concatenate([first[:BARS_FIRST], wrong[wrong >= BARS_FIRST][:BARS_WRONG]])

    def select(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return images[chosen], labels[chosen], probabilities[chosen]

    split, draw = subject.metrics["split"], plots.predictions
    first_title = f"The first {len(first)} {split} images"
    bars_title = f"The first {split} images, then the next mistakes"
    return {
        "predictions": draw.plot_predictions(*select(first), names, first_title),
        "confidence": draw.plot_confidence(*select(barred), names, bars_title),
        "mistakes": draw.plot_mistakes(*select(worst), names, len(wrong)),
    }


def _describe_cells(subject: "Subject", figure: "Figure") -> dict[str, Any]:
    """Returns the images of the cells of the confusion matrix, and where the cells are."""
    from wardrobe import plots
    from wardrobe.explain import gallery

    scored, names, metrics = subject.scored, subject.dataset.class_names, subject.metrics
    shown = gallery.select_images(scored.labels, subject.predicted, subject.probabilities)
    corners = np.array([[0, 0], [len(names), len(names)]])  # of the matrix: top left, bottom right
    return {
        **gallery.describe_images(
            scored, shown, subject.probabilities, subject.scored_logits, names
        ),
        "counts": metrics["confusion"],
        "corners": plots.locate_points(figure.axes[0], corners).tolist(),
        "split": metrics["split"],
        "similar": "logits",
        "data": metrics["data"],
    }


CHAPTER = Chapter("Drawing scores", FIGURES, _draw_scores, needs_keras=True, in_training=True)
