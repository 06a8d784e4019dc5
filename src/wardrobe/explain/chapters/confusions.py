"""The pairs of classes that the model confuses most often."""

from typing import TYPE_CHECKING

import numpy as np

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

PAIRS = 8  # rows of the figure

FIGURES = {
    "confusions": (
        "Most frequent confusions",
        "Each row shows images of one class that were predicted as another. Decide for yourself "
        "what each one is: if two classes differ by a collar or a zip, 28 by 28 pixels may not "
        "show the difference.",
    )
}


def _compare_classes(subject: "Subject") -> Findings:
    from wardrobe import plots

    names = subject.dataset.class_names
    matrix = np.array(subject.metrics["confusion"])  # rows: actual; columns: predicted
    mistakes = matrix - np.diag(np.diag(matrix))  # (k, k), without the correct ones
    rows, images = [], []
    for flat in np.argsort(-mistakes, axis=None, kind="stable")[:PAIRS]:
        actual, predicted = divmod(int(flat), len(names))
        count = int(mistakes[actual, predicted])
        if count == 0:  # fewer pairs than rows
            break
        row = {"actual": names[actual], "predicted": names[predicted], "count": count}
        rows.append({**row, "of": int(matrix[actual].sum())})
        chosen = (subject.scored.labels == actual) & (subject.predicted == predicted)  # (n,) bool
        which = np.flatnonzero(chosen)
        by_confidence = np.argsort(-subject.probabilities[which, predicted], kind="stable")
        images.append(subject.scored.images[which[by_confidence]])
    pairs = [{**row, "images": each} for row, each in zip(rows, images, strict=True)]
    return ({"confusions": plots.predictions.plot_confusions(pairs)} if pairs else {}), {
        "confusions": rows
    }


CHAPTER = Chapter("Which classes the model confuses", FIGURES, _compare_classes)
