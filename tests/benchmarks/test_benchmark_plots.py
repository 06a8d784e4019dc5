"""Figures of the benchmarks."""

import numpy as np
from matplotlib.text import Text

from benchmarks import plots


def test_photo_steps_show_four_images_and_the_prediction() -> None:
    photo, tile = np.zeros((40, 30, 3), np.uint8), np.zeros((28, 28), np.uint8)
    figure = plots.plot_photo_steps(
        [(photo, photo, tile, tile)] * 5,
        ["dress: Dress 90 %"] * 4 + ["hat: Bag 80 %"],
        [True] * 4 + [False],
        "From photo to tile",
    )
    texts = [text.get_text() for text in figure.findobj(Text)]
    shapes = [np.asarray(axes.images[0].get_array()).shape for axes in figure.axes]
    assert [round(width / height) for height, width, _ in shapes] == [4] * 5  # images each
    assert texts.count("✓ dress: Dress 90 %") == 4
    assert "✗ hat: Bag 80 %" in texts
