"""The chapters of the report, a module each: texts, constants, computation, drawing.

A module imports Keras, scikit-learn and matplotlib only inside its functions, so that
`wardrobe report` renders a page without loading them.

scores: the data, training curves, predictions and metrics.
confusions: the most frequent confusions of two classes.
label_errors: labels that are probably wrong.
layers: what the filters of each layer detect.
depth: how well each layer separates the classes.
heat_maps: which pixels led to a prediction.
faithfulness: whether heat maps show what the model uses.
uncertainty: selective prediction, prediction sets, out-of-distribution inputs.
corruptions: accuracy on corrupted images.
adversarial: accuracy under adversarial attacks.
"""

from wardrobe.explain.chapters import (
    adversarial,
    confusions,
    corruptions,
    depth,
    faithfulness,
    heat_maps,
    label_errors,
    layers,
    scores,
    uncertainty,
)
from wardrobe.report.chapter import Chapter

# In page order.
CHAPTERS: tuple[Chapter, ...] = (
    scores.CHAPTER,
    confusions.CHAPTER,
    label_errors.CHAPTER,
    layers.TRAINING_CHAPTER,
    layers.CHAPTER,
    depth.CHAPTER,
    heat_maps.CHAPTER,
    faithfulness.CHAPTER,
    uncertainty.CHAPTER,
    corruptions.CHAPTER,
    adversarial.CHAPTER,
)
