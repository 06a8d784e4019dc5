"""Arrays → figures. Nothing here loads or computes data.

style: colours, fonts, the title block; writes PNG files.
fonts: fonts for characters that matplotlib's own lacks.
text: how numbers and class names are written.
montage: many small images as one.
training: training samples and learning curves.
predictions: grids of predictions, class probabilities, confusions, per-class scores, calibration.
layers: filters, feature maps, activation maximisation, linear probes, embeddings.
explanations: heat maps and their faithfulness, label errors, one image from pixels to prediction.
robustness: selective and conformal prediction, out-of-distribution inputs, corruptions, attacks.
"""

from wardrobe.plots import explanations, layers, predictions, robustness, training
from wardrobe.plots.style import locate_points, save_figure, save_figures

__all__ = [
    "explanations",
    "layers",
    "locate_points",
    "predictions",
    "robustness",
    "save_figure",
    "save_figures",
    "training",
]
