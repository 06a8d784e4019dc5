"""Labels in the training and validation data that are probably wrong."""

from typing import TYPE_CHECKING

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

FIGURE_IMAGES = 50

FIGURES = {
    "label_errors": (
        "Probable label errors",
        "Five networks of the recipe sprint were each trained on four fifths of the images, and "
        "each predicted the remaining fifth. This was run several times, with other folds and "
        "other initial weights, because each run questions different labels. The figure shows "
        "labels that at least four fifths of the runs question, the least probable first. Decide "
        "by eye which are wrong. The test images were not searched.",
    )
}


def _search_label_errors(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.errors import DataError
    from wardrobe.explain import label_errors

    dataset, names = subject.dataset, subject.dataset.class_names
    try:
        found = label_errors.find_label_errors(dataset, subject.display, label_errors.SEEDS)
    except DataError as error:
        subject.display.stage(f"Label errors: skipped, {error}")
        return {}, {}
    labelled = dataset.train + dataset.validation  # the order that `indices` refer to
    drawn = found.indices[:FIGURE_IMAGES]
    figure = plots.explanations.plot_label_errors(
        labelled.images[drawn], labelled.labels[drawn], found.suggested[:FIGURE_IMAGES],
        names, len(found.indices), len(labelled),
    )  # fmt: skip
    runs, votes = len(found.flags), found.votes
    rows = [
        {
            "image": int(index),
            "given": names[labelled.labels[index]],
            "suggested": names[suggested],
            "probability_of_given": float(found.probabilities[index, labelled.labels[index]]),
            "runs": int(votes[index]),
        }
        for index, suggested in zip(found.indices, found.suggested, strict=True)
    ]
    measured = {
        "recipe": label_errors.RECIPE,
        "of": len(labelled),
        "runs": runs,
        "required_runs": found.required,
        "found": len(rows),
        "found_by_each_run": found.flags.sum(axis=1).tolist(),
        "found_by_number_of_runs": {n: int((votes == n).sum()) for n in range(1, runs + 1)},
        "agreement": found.agreement,
    }
    return {"label_errors": figure}, {"label_errors": {**measured, "likeliest": rows}}


CHAPTER = Chapter("Which labels are probably wrong", FIGURES, _search_label_errors)
