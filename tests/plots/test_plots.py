"""Figures: the marks, colours, names and numbers in them."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.evaluation import calibration
from wardrobe.labels import CLASS_NAMES
from wardrobe.plots import layers, montage, predictions, style, training

IMAGES, LABELS = synthetic.draw(20)
CORRECT = np.eye(10)[LABELS] * 0.9 + 0.01  # 91 % for the true class
NAMES = ("cap", "glove", "a name too long to be written")


def probabilities_with_a_mistake() -> np.ndarray:
    """Returns correct probabilities except for image 3, a dress predicted as coat (85 %)."""
    probabilities = CORRECT.copy()
    probabilities[3] = 0.15 / 9
    probabilities[3, 4] = 0.85
    return probabilities


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def colour_of(text: Text) -> str:
    return to_hex(text.get_color())


def image_axes(figure: Figure) -> Iterator[Axes]:
    return (axes for axes in figure.axes if axes.images)


@pytest.mark.parametrize("draw", [predictions.plot_predictions, predictions.plot_confidence])
def test_correct_and_wrong_predictions_differ_in_mark_and_colour(draw: object) -> None:
    figure = draw(IMAGES, LABELS, probabilities_with_a_mistake(), CLASS_NAMES, "Twenty images")  # type: ignore[operator]
    titles = [text for text in figure.axes[0].texts if text.get_text()[0] in "✓✗"]
    assert titles[3].get_text() == "✗ Coat 85 %"
    assert titles[5].get_text() == "✓ Sandal 91 %"
    assert [title.get_text()[0] for title in titles].count("✓") == 19
    frames = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    for edges in ([to_hex(frame.get_edgecolor()) for frame in frames], map(colour_of, titles)):
        colours = list(edges)
        assert colours.pop(3) == style.WRONG.lower()
        assert colours == [style.CORRECT.lower()] * 19


def test_the_grid_shows_the_actual_class_and_the_counts() -> None:
    figure = predictions.plot_predictions(
        IMAGES, LABELS, probabilities_with_a_mistake(), CLASS_NAMES, "Twenty images"
    )
    assert "Twenty images: 19 correct (blue ✓), 1 wrong (orange ✗)" in texts(figure)
    assert [text for text in texts(figure) if "actual" in text][3] == "actual: Dress"


def test_the_words_of_a_prediction_are_at_its_image() -> None:
    figure = predictions.plot_predictions(
        IMAGES, LABELS, probabilities_with_a_mistake(), CLASS_NAMES, "Twenty images"
    )
    figure.draw_without_rendering()  # computes the layout
    frames = [patch.get_window_extent() for patch in figure.axes[0].patches]
    words = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(each.x0 >= 0 and each.x1 <= figure.bbox.x1 for each in words)
    assert not any(one.overlaps(other) for one, other in combinations(words, 2))
    for frame, title, caption in zip(frames, words[::2], words[1::2], strict=True):
        assert title.y0 >= frame.y1 > frame.y0 >= caption.y1
        for each in (title, caption):
            assert each.x0 + each.x1 == pytest.approx(frame.x0 + frame.x1, abs=1)


def test_the_bars_are_the_probabilities() -> None:
    figure = predictions.plot_confidence(
        IMAGES[:4], LABELS[:4], probabilities_with_a_mistake()[:4], CLASS_NAMES, "Four"
    )
    bars = [bar for bar in figure.axes[0].patches if bar.get_fill()][30:]  # of the fourth image
    widths = np.array([bar.get_width() for bar in bars])  # type: ignore[attr-defined]
    np.testing.assert_allclose(widths / widths.sum(), probabilities_with_a_mistake()[3])
    assert to_hex(bars[3].get_facecolor()) == style.CORRECT.lower()  # the true class
    assert to_hex(bars[4].get_facecolor()) == style.WRONG.lower()  # the predicted class


def test_of_many_classes_the_ten_most_probable_are_shown() -> None:
    probabilities = np.linspace(0, 1, 30)[None] / np.linspace(0, 1, 30).sum()
    figure = predictions.plot_confidence(
        IMAGES[:1], np.array([0]), probabilities, [f"kind {i}" for i in range(30)], "One"
    )
    shown = [text for text in texts(figure) if text.startswith("kind ")]
    assert shown == ["kind 0", *(f"kind {i}" for i in range(21, 30))]  # and the true class


@pytest.mark.parametrize("probability", [0.9989, 0.9999])
def test_probabilities_below_1_are_never_shown_as_100_percent(probability: float) -> None:
    almost = np.array([[probability, 1 - probability]])
    figure = predictions.plot_predictions(IMAGES[:1], np.array([0]), almost, ("a", "b"), "One")
    assert "✓ a >99 %" in texts(figure)


def test_curves_show_the_history() -> None:
    history = [
        {
            "epoch": i,
            "accuracy": 0.8 + i / 100,
            "val_accuracy": 0.9 - abs(i - 2) / 50,
            "loss": 1 / i,
            "val_loss": 1.1 / i,
        }
        for i in (1, 2, 3)
    ]
    figure = training.plot_curves(history)
    accuracy, loss = figure.axes
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in accuracy.lines}
    np.testing.assert_allclose(drawn["training"], [0.81, 0.82, 0.83])
    np.testing.assert_allclose(drawn["validation"], [0.88, 0.9, 0.88])
    np.testing.assert_allclose(np.asarray(loss.lines[1].get_ydata()), [1.1, 0.55, 1.1 / 3])
    assert any("ends at 88.0 %" in text for text in texts(figure))
    assert any("best 90.0 % in epoch 2" in text for text in texts(figure))
    hard = [
        [text for text in texts(training.plot_curves(history, first)) if "hardest" in text]
        for first in (None, 2, 3)
    ]
    assert [len(found) for found in hard] == [0, 1, 0]
    assert "from epoch 3 on" in hard[1][0]
    alone = training.plot_curves(history[:1]).axes[0]
    shown = [tick for tick in alone.get_xticks() if 0 <= tick <= 2]
    assert (*alone.get_xlim(), *shown) == (0, 2, 0, 1, 2)


def test_the_confusion_matrix_names_the_most_frequent_mistake() -> None:
    figure = predictions.plot_confusion(np.array([[8, 2, 0], [1, 9, 0], [0, 5, 5]]), NAMES)
    assert "Confusion matrix: 5 of 10 a name to…tten images are predicted as glove" in texts(figure)
    assert {"8", "2", "9", "5", "a name to…tten"} <= set(texts(figure))
    assert "Confusion matrix: no mistakes" in texts(
        predictions.plot_confusion(np.diag([3, 3, 3]), NAMES)
    )


def test_titles_without_mistakes_or_differences() -> None:
    empty = predictions.plot_mistakes(IMAGES[:0], LABELS[:0], CORRECT[:0], CLASS_NAMES, total=0)
    assert "No mistakes" in texts(empty)
    equal = {key: {"precision": 1.0, "recall": 1.0, "f1": 1.0} for key in ("cap", "glove")}
    assert "Per-class scores: F1 is equal for all classes" in texts(
        predictions.plot_per_class(equal)
    )


def test_a_hundred_classes_are_readable() -> None:
    names = [f"kind {i}" for i in range(100)]
    written = [
        label.get_text()
        for label in predictions.plot_confusion(np.eye(100, dtype=int), names)
        .axes[0]
        .get_yticklabels()
    ]
    assert written == names[::4]
    maps = {"conv1": np.zeros((100, 9, 9, 4))}
    assert (
        len(
            list(
                image_axes(layers.plot_feature_maps(np.zeros((100, 28, 28), np.uint8), maps, names))
            )
        )
        == 2 * 12
    )


def test_per_class_scores_name_the_lowest_and_highest_class() -> None:
    scores = {
        "cap": {"precision": 0.5, "recall": 0.7, "f1": 0.58},
        "glove": {"precision": 1.0, "recall": 0.9, "f1": 0.95},
    }
    figure = predictions.plot_per_class(scores)
    assert "Per-class scores: F1 is lowest for cap, highest for glove" in texts(figure)
    assert {"cap  58.0 %", "glove  95.0 %"} <= set(texts(figure))


def test_the_reliability_diagram_shows_both_calibration_errors() -> None:
    bins = calibration.reliability(CORRECT, LABELS)
    figure = predictions.plot_reliability(bins, bins, {"before": 0.081, "after": 0.012}, 1.7)
    assert {"As trained: ECE 8.1 %", "Temperature 1.70: ECE 1.2 %"} <= set(texts(figure))
    heights = [patch.get_height() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert max(heights) == 1  # all predictions with 91 % confidence are correct


def test_samples_name_every_class_also_with_few_images() -> None:
    labels = np.array([0, 0, 1, 2])
    figure = training.plot_samples(IMAGES[:4], labels, NAMES)
    assert {"cap", "glove", "a name to…tten"} <= set(texts(figure))


@pytest.mark.parametrize("count", [1, 8, 32, 50])
def test_all_filters_share_one_colour_scale(count: int) -> None:
    kernels = np.random.default_rng(0).normal(size=(count, 3, 3))
    kernels[0, 1, 1] = 50  # one outlier does not flatten the colours of the others
    figure = layers.plot_filters(kernels, "conv1")
    assert [text for text in texts(figure) if text.isdigit()][:count] == [*map(str, range(count))]
    low, high = figure.axes[1].get_xlim()  # of the colour bar
    assert low == -high
    assert count == 1 or (high < 5 and (np.abs(kernels) <= high).mean() > 0.97)
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    colours = matplotlib.colormaps["RdBu_r"]((kernels / high + 1) / 2, bytes=True)[..., :3]
    for number in (0, min(count, 8) - 1):  # in the first row
        left = number * (montage.TILE + montage.GAP)
        middles = np.arange(montage.TILE // 6, montage.TILE, montage.TILE // 3)
        drawn = canvas[middles[:, None], left + middles]  # one pixel of each weight: (3, 3, 3)
        np.testing.assert_array_equal(drawn, colours[number])


def test_feature_maps_of_any_depth() -> None:
    maps = {
        f"conv{i}": np.random.default_rng(i).random((2, 9, 9, count))
        for i, count in enumerate((3, 8, 16), 1)
    }
    figure = layers.plot_feature_maps(IMAGES[:2], maps, NAMES[:2])
    assert {"conv1\n3 maps\n9x9", "conv3\n16 maps\n9x9"} <= set(texts(figure))
    assert len(figure.axes) == 2 * 4


def test_only_some_of_many_feature_maps_are_drawn() -> None:
    maps = {f"conv{i}": np.zeros((2, 9, 9, count)) for i, count in enumerate((48, 96, 160), 1)}
    assert "conv3\n40 of 160\n9x9" in texts(layers.plot_feature_maps(IMAGES[:2], maps, NAMES[:2]))


@pytest.mark.parametrize("prefix", ["", "member1_"])
def test_the_names_of_many_layers_do_not_overlap(prefix: str) -> None:
    maps = {f"{prefix}conv{i}": np.zeros((2, 9, 9, 128)) for i in range(1, 9)}
    figure = layers.plot_feature_maps(IMAGES[:2], maps, NAMES[:2])
    figure.draw_without_rendering()  # computes the layout
    titles = [
        text.get_window_extent() for text in figure.findobj(Text) if "conv" in text.get_text()
    ]
    titles.sort(key=lambda title: title.x0)
    assert len(titles) == 8
    assert all(one.x1 < other.x0 for one, other in pairwise(titles))
    assert max(title.y1 for title in titles) < min(
        text.get_window_extent().y0 for text in figure.texts[:1]
    )


@pytest.mark.parametrize(
    ("synthetic_data", "words"), [(True, "SYNTHETIC WARDROBE"), (False, "data: mine")]
)
def test_figure_and_file_name_the_data(tmp_path: Path, synthetic_data: bool, words: str) -> None:
    figure = training.plot_samples(IMAGES, LABELS, CLASS_NAMES)
    style.save_figure(figure, tmp_path / "a.png", "mine $x^$", synthetic_data)
    assert any(words in text for text in texts(figure))
    with Image.open(tmp_path / "a.png") as image:
        assert words in image.info["Description"]
        assert image.width == style.WIDTH * style.DPI
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
