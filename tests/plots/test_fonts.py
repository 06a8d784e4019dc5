"""Class names in any script: each character is drawn by a font, or written in ASCII."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from wardrobe.data import synthetic
from wardrobe.plots import fonts, predictions, style, text, training

NAMES = (
    *("衬衫", "가방", "シャツ", "👨\u200d👩\u200d👧 👗", "कमीज़", "เสื้อเชิ้ต", "قميص", "חולצה ארוכה"),
    *(r"f\udcfcr", "$x^2$ & <b>%s"),
)
IMAGES, LABELS = synthetic.draw(20)
PROBABILITIES = np.full((20, 10), 0.1)


def test_figures_with_names_in_any_script_have_no_missing_glyph(tmp_path: Path) -> None:
    counts = np.roll(np.diag(range(1, 11)), 1, axis=1)
    figures = {
        "confusion": predictions.plot_confusion(counts, NAMES),
        "images": predictions.plot_predictions(IMAGES, LABELS, PROBABILITIES, NAMES, "Twenty"),
        "samples": training.plot_samples(IMAGES, LABELS, NAMES),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each missing glyph
        style.save_figures(figures, tmp_path, "/data/p\udce4th/衬衫/" + "long/" * 60, False)


@pytest.mark.parametrize("name", [*NAMES, "W" * 40, "é" * 40, "e\u0301" * 40, "上衣" * 20])
def test_a_shortened_name_fits_in_its_columns(name: str) -> None:
    short = text.shorten(name, 11)
    assert sum(map(fonts.measure, short)) < 12  # the … is wider than a column
    assert short
    assert fonts.make_drawable(short.strip("\u2068\u2069")) == short.strip("\u2068\u2069")


def test_names_written_from_right_to_left_keep_their_place() -> None:
    pair = f"{text.shorten('قميص')} → {text.shorten('coat')}"
    assert pair == "\u2068قميص\u2069 → coat"


def test_a_font_of_the_machine_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    character = "\U0001fbff"  # unassigned: no other font has it
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist])
    fonts.find_family.cache_clear()
    assert text.shorten(character) == "U+1FBFF"
    build_font(tmp_path / "new.ttf", character)
    fontManager.addfont(tmp_path / "new.ttf")
    fonts.find_family.cache_clear()
    figure = training.plot_samples(IMAGES[:2], LABELS[:2], [character, *NAMES[1:]])
    label = next(each for each in figure.findobj(Text) if each.get_text() == character)
    assert label.get_fontfamily()[:2] == [fonts.MAIN, "Sans New"]
    fonts.find_family.cache_clear()


def build_font(path: Path, character: str) -> None:
    """Writes a font that has one character, a square."""
    builder, pen = FontBuilder(1000), TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 500), (500, 500), (500, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(character): "square"})
    builder.setupGlyf(dict.fromkeys((".notdef", "square"), pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", "square"), (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Sans New", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
