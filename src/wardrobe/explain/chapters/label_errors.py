"""Labels in the training and validation data that are probably wrong."""

from typing import TYPE_CHECKING

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

RECIPE = "sprint"  # of the networks that are cross-validated: the fastest
FIGURE_IMAGES = 50  # one person judged 28 of the first 50 wrong: docs/log.md

FIGURES = {
    "label_errors": (
        "Probable label errors",
        "Five networks were each trained on four fifths of the images, and each predicted the "
        "remaining fifth. The figure shows the labels that these predictions contradict most. "
        "Decide by eye which are wrong. The test images were not searched.",
    )
}


def _search_label_errors(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.errors import DataError
    from wardrobe.explain import label_errors
    from wardrobe.models import recipes

    dataset, seed = subject.dataset, subject.run.info()["seed"]
    recipe, names = recipes.get(RECIPE), dataset.class_names
    try:
        found = label_errors.find_label_errors(recipe, dataset, seed, subject.display)
    except DataError as error:
        subject.display.stage(f"Label errors: skipped, {error}")
        return {}, {}
    labelled = dataset.train + dataset.validation  # the order that `indices` refer to
    drawn = found.indices[:FIGURE_IMAGES]
    figure = plots.explanations.plot_label_errors(
        labelled.images[drawn], labelled.labels[drawn], found.suggested[:FIGURE_IMAGES],
        names, len(found.indices), len(labelled),
    )  # fmt: skip
    rows = [
        {
            "image": int(index),
            "given": names[labelled.labels[index]],
            "suggested": names[suggested],
            "probability_of_given": float(found.probabilities[index, labelled.labels[index]]),
        }
        for index, suggested in zip(found.indices, found.suggested, strict=True)
    ]
    counts = {"recipe": RECIPE, "of": len(labelled), "found": len(rows)}
    return {"label_errors": figure}, {"label_errors": {**counts, "likeliest": rows}}


CHAPTER = Chapter("Which labels are probably wrong", FIGURES, _search_label_errors)
