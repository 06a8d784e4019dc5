"""Fonts for what DejaVu Sans lacks, such as Chinese or emoji.

If this machine has a font with the character, it is drawn in that font. Otherwise it is written in
ASCII, 衬衫 as "ChenShan", because a missing glyph is an empty box that tells nothing.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
from anyascii import anyascii
from matplotlib.font_manager import FontEntry, findfont, fontManager
from matplotlib.ft2font import FaceFlags, FT2Font, LoadFlags

from wardrobe.terminal.console import make_printable

MAIN = "DejaVu Sans"  # ships with matplotlib and has the marks ✓ and ✗, Arabic and Hebrew
LAST_RESORT = "Last Resort High-Efficiency"  # matplotlib's font of boxes: one for every character
INVISIBLE = "Cf", "Mn", "Mc", "Me"  # categories: formats, marks on the character before
COLUMN = 0.62  # em: a letter of DejaVu Sans; W has 0.99


def make_drawable(text: str) -> str:
    """Returns a line of text in characters that a font of this machine has."""
    return "".join(map(_replace_missing, make_printable(text)))


def find_families(text: str) -> list[str]:
    """Returns the font families that have the characters of a text, the main one first."""
    families = (find_family(each) for each in sorted(set(text)))
    return list(dict.fromkeys([MAIN, *(family for family in families if family is not None)]))


@cache
def find_family(character: str) -> str | None:
    """Returns the first font family that has a character; None if there is none."""
    fonts: dict[str, FontEntry] = {}  # family → its most regular font
    for font in sorted(
        fontManager.ttflist, key=lambda f: (f.style != "normal", abs(int(f.weight) - 400))
    ):
        fonts.setdefault(font.name, font)
    fonts.pop(LAST_RESORT, None)
    order = sorted(fonts, key=lambda name: (name != MAIN, "sans" not in name.lower(), name))
    found = (name for name in order if ord(character) in _read_characters(fonts[name]))
    return next(found, None)


@cache
def measure(character: str) -> float:
    """Returns the width of a character, in columns as wide as a letter of the main font."""
    if unicodedata.category(character) in INVISIBLE:
        return 0
    if find_family(character) != MAIN:
        return 2 if unicodedata.east_asian_width(character) in "WF" else 1
    face = FT2Font(findfont(MAIN))
    glyph = face.load_char(ord(character), LoadFlags.NO_SCALE)
    return glyph.horiAdvance / face.units_per_EM / COLUMN


@cache
def _read_characters(font: FontEntry) -> npt.NDArray[np.int32]:
    try:
        face = FT2Font(font.fname, face_index=font.index)
    except (OSError, RuntimeError):  # removed or damaged since matplotlib listed it
        return np.array([], np.int32)
    # matplotlib draws outlines of one colour; the glyphs of colour fonts have none.
    has_outlines = FaceFlags.SCALABLE in face.face_flags and FaceFlags.COLOR not in face.face_flags
    return np.array([*face.get_charmap()] if has_outlines else [], np.int32)


def _replace_missing(character: str) -> str:
    category = unicodedata.category(character)
    if category != "Co" and find_family(character) is not None:  # Co: private use, any picture
        return character
    code = "" if category in INVISIBLE else f"U+{ord(character):04X}"
    return anyascii(character) or code
