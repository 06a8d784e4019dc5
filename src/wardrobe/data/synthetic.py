"""Synthetic images: the ten classes of Fashion-MNIST drawn by code, endless and seeded.

They replace Fashion-MNIST where it is not available. Each garment has random proportions, is
tilted, sheared, scaled and shifted, then shaded, patterned and dimmed. So no single pixel gives the
class away, and a linear model does not solve the task.

Coordinates: the unit square, x to the right, y down.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from wardrobe.labels import CLASS_NAMES

SIDE = 28  # pixels of the finished image
SCALE = 3  # supersampling: the canvas is this much larger, then averaged
CANVAS = SIDE * SCALE

Point = tuple[float, float]
Floats = npt.NDArray[np.floating]
Rng = np.random.Generator

_GRID_Y = np.arange(CANVAS, dtype=np.float32)[:, None] / CANVAS  # (CANVAS, 1)
_GRID_X = np.arange(CANVAS, dtype=np.float32)[None, :] / CANVAS  # (1, CANVAS)
_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = [(float(np.cos(a)), float(np.sin(a))) for a in _ANGLES]  # once: images are many


def draw(
    count: int, seed: int = 0, first: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draws images `first` to `first + count - 1` of the sequence of `seed`; classes alternate.

    Returns:
        images: (count, 28, 28) uint8, 0-255, light on black.
        labels: (count,) int64, 0-9, as in `labels.CLASS_NAMES`.
    """
    labels = np.arange(first, first + count) % len(CLASS_NAMES)  # classes of equal size
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for i, label in enumerate(labels):
        images[i] = draw_one(int(label), np.random.default_rng((seed, first + i)))
    return images, labels


def draw_one(label: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draws one garment of class `label`: (28, 28) uint8, 0-255."""
    canvas = Canvas(rng)
    DRAWERS[label](canvas, rng)
    return canvas.render()


class Canvas:
    """A drawing in two layers: the cloth, and details that are darker or lighter than it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.cloth = Image.new("L", (CANVAS, CANVAS), 0)
        self.detail = Image.new("L", (CANVAS, CANVAS), 128)  # 128: unchanged
        self._cloth = ImageDraw.Draw(self.cloth)
        self._detail = ImageDraw.Draw(self.detail)
        tilt, shear = np.radians(rng.normal(0, 9)), rng.normal(0, 0.08)  # 9 degrees
        size = rng.uniform(0.6, 1.0) * rng.uniform(0.85, 1.15, 2)  # common, then each axis
        size *= np.array([rng.choice([-1, 1]), 1])  # mirrors half of the images
        rotate = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        self._matrix = rotate @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(size)
        self._shift = rng.uniform(-0.12, 0.12, 2)  # fraction of the side

    def add(self, *points: Point) -> None:
        """Adds a polygon of cloth."""
        self._cloth.polygon(self._place(points), fill=255)

    def cut(self, *points: Point) -> None:
        """Removes a polygon of cloth."""
        self._cloth.polygon(self._place(points), fill=0)

    def cut_disc(self, x: float, y: float, radius_x: float, radius_y: float) -> None:
        """Removes an ellipse of cloth, such as a neckline."""
        self._cloth.polygon(self._place(_ellipse(x, y, radius_x, radius_y)), fill=0)

    def add_band(self, width: float, *points: Point) -> None:
        """Adds a strap of cloth along the points, `width` wide."""
        self._cloth.line(
            self._place(points), fill=255, width=max(1, round(width * CANVAS)), joint="curve"
        )

    def seam(self, tone: int, width: float, *points: Point) -> None:
        """Draws a line on the cloth, of a tone from 0 (black) over 128 (unchanged) to 255."""
        self._detail.line(self._place(points), fill=int(tone), width=max(1, round(width * CANVAS)))

    def patch(self, tone: int, *points: Point) -> None:
        """Fills a polygon of the cloth with another tone."""
        self._detail.polygon(self._place(points), fill=int(tone))

    def dot(self, tone: int, x: float, y: float, radius: float) -> None:
        """Draws a button or an eyelet."""
        self._detail.polygon(self._place(_ellipse(x, y, radius, radius)), fill=int(tone))

    def render(self) -> npt.NDArray[np.uint8]:
        """Shades, patterns and dims the cloth, and averages it to 28x28 pixels."""
        rng = self.rng
        shape = np.asarray(self.cloth, np.float32) / 255  # (84, 84), 0 or 1
        detail = np.asarray(self.detail, np.float32) / 128  # 1: unchanged
        across, down = rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.25)
        light = 1 + across * (_GRID_X - 0.5) + down * (_GRID_Y - 0.5)  # a slope, at most 25 %
        cloth = shape * np.clip(detail * _draw_pattern(rng) * light, 0, 1.6)
        small = cloth.reshape(SIDE, SCALE, SIDE, SCALE).mean(axis=(1, 3))  # (28, 28)
        folds = 1 + rng.normal(0, rng.uniform(0.01, 0.07), small.shape)
        brightness = rng.uniform(0.28, 1.0)  # dark cloth: tone alone tells no class
        return np.clip(255 * brightness * small * folds, 0, 255).astype(np.uint8)

    def _place(self, points: list[Point] | tuple[Point, ...]) -> list[Point]:
        centred = (np.array(points) - 0.5) @ self._matrix.T  # about the middle
        return [(x, y) for x, y in ((centred + 0.5 + self._shift) * CANVAS).tolist()]


def _ellipse(x: float, y: float, radius_x: float, radius_y: float) -> list[Point]:
    return [(x + radius_x * across, y + radius_y * down) for across, down in _CIRCLE]


def _draw_pattern(rng: np.random.Generator) -> Floats | float:
    """Returns the tone of the cloth over the canvas, about 0.5-1."""
    kind = rng.choice(["plain", "plain", "across", "along", "checks", "dots", "print", "blocks"])
    waves, dark, bare = rng.uniform(4, 12), rng.uniform(0.15, 0.5), rng.uniform(-0.4, 0.6)
    phase = rng.uniform(0, 2 * np.pi)
    across = np.sin(2 * np.pi * waves * _GRID_Y + phase)
    along = np.sin(2 * np.pi * waves * _GRID_X)
    if kind == "plain":
        return 1.0
    if kind == "across":
        return 1 - dark * (across > bare)
    if kind == "along":
        return 1 - dark * (along > bare)
    if kind == "checks":
        return 1 - dark / 2 * (across > bare) - dark / 2 * (along > bare)
    if kind == "dots":
        return 1 - dark * (across * along > 0.35)
    if kind == "print":
        aspect, middle = rng.uniform(0.7, 1.5), rng.uniform(0.35, 0.6)
        distance = np.hypot((_GRID_X - 0.5) / aspect, _GRID_Y - middle)
        return 1 - dark * (distance < rng.uniform(0.06, 0.16))
    return 1 - dark * (rng.uniform(0.35, 0.7) < _GRID_Y)


def _draw_top(
    canvas: Canvas, rng: Rng, hem: float, half: float, sleeve: float, flare: float = 0.0
) -> float:
    """Draws a torso with sleeves from 0 (none) to 1 (to the wrist). Returns the neck's y."""
    neck, shoulder = rng.uniform(0.10, 0.15), rng.uniform(0.17, 0.21)
    low = half + flare  # half the width at the hem
    canvas.add(
        (0.5 - 0.10, neck), (0.5 - half, shoulder), (0.5 - half * 0.94, 0.5), (0.5 - low, hem),
        (0.5 + low, hem), (0.5 + half * 0.94, 0.5), (0.5 + half, shoulder), (0.5 + 0.10, neck),
    )  # fmt: skip
    if sleeve:
        spread, width = rng.uniform(0.05, 0.17), rng.uniform(0.10, 0.13)
        end = shoulder + 0.12 + 0.58 * sleeve  # y of the cuff
        for side in (-1, 1):
            outer = 0.5 + side * (half + spread * (0.45 + 0.55 * sleeve) + 0.03)
            canvas.add(
                (0.5 + side * half * 0.55, shoulder - 0.035),
                (0.5 + side * (half + 0.02), shoulder + 0.02),
                (outer + side * width * 0.35, end - 0.02),
                (outer - side * width * 0.65, end + 0.02),
                (0.5 + side * half * 0.93, shoulder + 0.17),
            )  # fmt: skip
            if sleeve > 0.5:  # the shadow between arm and body
                x, y = 0.5 + side * half * 0.97, shoulder + 0.17
                canvas.seam(40, 0.012, (x, y), (0.5 + side * half * 0.99, end - 0.05))
    return neck


def _draw_t_shirt(canvas: Canvas, rng: Rng) -> None:
    hem, half, sleeve = rng.uniform(0.80, 0.92), rng.uniform(0.20, 0.26), rng.uniform(0.08, 0.28)
    neck = _draw_top(canvas, rng, hem, half, sleeve)
    canvas.cut_disc(0.5, neck - 0.01, rng.uniform(0.08, 0.12), rng.uniform(0.05, 0.13))


def _draw_trouser(canvas: Canvas, rng: Rng) -> None:
    waist, hip = rng.uniform(0.11, 0.16), rng.uniform(0.15, 0.20)
    ankle, gap = rng.uniform(0.07, 0.12), rng.uniform(0.01, 0.06)
    top, hem, crotch = 0.06, rng.uniform(0.90, 0.97), rng.uniform(0.34, 0.42)
    for side in (-1, 1):
        canvas.add(
            (0.5, top), (0.5 + side * waist, top), (0.5 + side * hip, 0.30),
            (0.5 + side * (gap + ankle), hem), (0.5 + side * gap, hem), (0.5, crotch),
        )  # fmt: skip
    canvas.seam(70, 0.014, (0.5 - waist, top + 0.06), (0.5 + waist, top + 0.06))
    canvas.seam(80, 0.012, (0.5, top), (0.5, crotch))


def _draw_pullover(canvas: Canvas, rng: Rng) -> None:
    hem, half = rng.uniform(0.80, 0.90), rng.uniform(0.20, 0.26)
    neck = _draw_top(canvas, rng, hem, half, sleeve=rng.uniform(0.82, 1.0))
    canvas.cut_disc(0.5, neck - 0.02, 0.08, rng.uniform(0.04, 0.07))
    for y in np.arange(hem - 0.06, hem, 0.022):  # a ribbed hem
        canvas.seam(75, 0.009, (0.5 - half, y), (0.5 + half, y))
    if rng.random() < 0.5:  # a rolled collar
        canvas.seam(190, 0.025, (0.42, neck + 0.03), (0.5, neck + 0.065), (0.58, neck + 0.03))


def _draw_dress(canvas: Canvas, rng: Rng) -> None:
    bust, waist = rng.uniform(0.12, 0.16), rng.uniform(0.09, 0.13)
    hem_half = rng.uniform(0.15, 0.30)
    waist_y, hem = rng.uniform(0.36, 0.46), rng.uniform(0.90, 0.97)
    canvas.add(
        (0.5 - bust, 0.14), (0.5 - waist, waist_y), (0.5 - hem_half, hem),
        (0.5 + hem_half, hem), (0.5 + waist, waist_y), (0.5 + bust, 0.14),
    )  # fmt: skip
    if rng.random() < 0.45:  # straps
        for side in (-1, 1):
            canvas.add_band(0.03, (0.5 + side * bust * 0.7, 0.16), (0.5 + side * bust * 0.6, 0.04))
    else:
        reach = rng.choice([0.10, 0.22, 0.5])  # sleeve: cap, short, to the elbow
        for side in (-1, 1):
            x, outer = 0.5 + side * bust, 0.5 + side * (bust + 0.06 + 0.05 * reach)
            canvas.add((0.5 + side * 0.06, 0.05), (x, 0.08), (outer, 0.10 + reach),
                       (outer - side * 0.07, 0.12 + reach), (x - side * 0.02, 0.22),
                       (0.5 + side * 0.04, 0.20))  # fmt: skip
        canvas.cut_disc(0.5, 0.06, 0.06, rng.uniform(0.06, 0.10))
    canvas.seam(85, 0.014, (0.5 - waist, waist_y), (0.5 + waist, waist_y))
    for fold in rng.uniform(-0.7, 0.7, rng.integers(0, 4)):
        canvas.seam(95, 0.010, (0.5 + waist * fold, waist_y), (0.5 + hem_half * fold, hem))


def _draw_coat(canvas: Canvas, rng: Rng) -> None:
    hem, half = rng.uniform(0.90, 0.97), rng.uniform(0.20, 0.25)
    neck = _draw_top(
        canvas, rng, hem, half, sleeve=rng.uniform(0.80, 1.0), flare=rng.uniform(0.0, 0.06)
    )
    lapel = rng.uniform(0.30, 0.42)  # y of its lower end
    canvas.cut((0.45, neck - 0.03), (0.55, neck - 0.03), (0.5, neck + 0.09))
    for side in (-1, 1):
        x, tone = 0.5 + side * 0.13, int(rng.integers(60, 105))
        canvas.patch(tone, (0.5 + side * 0.07, neck), (x, neck + 0.10), (0.5, lapel))
    canvas.seam(15, 0.020, (0.5, neck + 0.08), (0.5 + rng.normal(0, 0.015), hem))
    for y in np.linspace(lapel + 0.05, hem - 0.15, rng.integers(2, 5)):
        canvas.dot(20, 0.535, y, 0.014)
    if rng.random() < 0.6:  # pockets
        for side in (-1, 1):
            canvas.seam(
                60, 0.016, (0.5 + side * half * 0.4, 0.64), (0.5 + side * half * 0.85, 0.62)
            )


def _draw_shirt(canvas: Canvas, rng: Rng) -> None:
    hem, half = rng.uniform(0.82, 0.93), rng.uniform(0.19, 0.25)
    sleeve = rng.uniform(0.15, 0.35) if rng.random() < 0.35 else rng.uniform(0.75, 1.0)
    neck = _draw_top(canvas, rng, hem, half, sleeve)
    canvas.cut((0.45, neck - 0.03), (0.55, neck - 0.03), (0.5, neck + 0.06))
    for side in (-1, 1):  # the collar's two points
        inner, outer = (0.5 + side * 0.015, neck + 0.06), (0.5 + side * 0.085, neck + 0.10)
        canvas.patch(215, inner, (0.5 + side * 0.10, neck), outer)
    canvas.seam(200, 0.040, (0.5, neck + 0.07), (0.5, hem))
    for y in np.linspace(neck + 0.14, hem - 0.06, 6):
        canvas.dot(30, 0.5, y, 0.013)
    if rng.random() < 0.5:  # a breast pocket
        right = 0.56 + half * 0.45
        canvas.patch(90, (0.56, 0.36), (right, 0.36), (right, 0.48), (0.56, 0.48))


def _draw_sandal(canvas: Canvas, rng: Rng) -> None:
    heel, sole = rng.uniform(0.0, 0.22), rng.uniform(0.035, 0.07)
    floor = rng.uniform(0.68, 0.78)
    back = floor - heel  # y of the sole at the heel
    canvas.add((0.08, floor - sole), (0.45, floor - sole - heel * 0.3), (0.92, back - sole),
               (0.92, back), (0.50, floor - heel * 0.3), (0.08, floor))  # fmt: skip
    if heel > 0.08:  # a heel of its own
        canvas.add((0.84, back), (0.92, back), (0.90, floor), (0.86, floor))
    width = rng.uniform(0.025, 0.05)
    for x in np.linspace(0.16, rng.uniform(0.35, 0.55), rng.integers(1, 4)):
        rise = rng.uniform(0.12, 0.20)
        canvas.add_band(width, (x - 0.05, floor - sole), (x + 0.05, floor - rise - heel * 0.2),
                       (x + 0.16, floor - sole - heel * 0.25))  # fmt: skip
    if rng.random() < 0.75:  # an ankle strap
        top = back - rng.uniform(0.15, 0.30)
        low = back - sole
        canvas.add_band(
            width, (0.90, low), (0.88, top), (0.66, top + 0.04), (0.62, low + heel * 0.2)
        )


def _draw_sneaker(canvas: Canvas, rng: Rng) -> None:
    floor, sole = rng.uniform(0.66, 0.75), rng.uniform(0.05, 0.08)
    toe, collar = rng.uniform(0.13, 0.17), rng.uniform(0.26, 0.33)
    canvas.add((0.05, floor), (0.06, floor - toe * 0.7), (0.16, floor - toe),
               (0.34, floor - toe - 0.05), (0.58, floor - collar), (0.70, floor - collar + 0.04),
               (0.93, floor - collar - 0.02), (0.95, floor))  # fmt: skip
    canvas.patch(rng.choice([210, 240, 60]), (0.04, floor - sole), (0.96, floor - sole),
                 (0.96, floor + 0.02), (0.04, floor + 0.02))  # fmt: skip
    for x in np.linspace(0.36, 0.56, 4):  # laces
        y = floor - toe - 0.05 - (x - 0.34) * 0.5
        canvas.seam(rng.choice([40, 225]), 0.016, (x, y + 0.01), (x + 0.06, y + 0.07))
    if rng.random() < 0.6:  # the maker's stripe
        canvas.seam(
            rng.choice([50, 220]), 0.03, (0.48, floor - sole), (0.66, floor - collar + 0.10)
        )


def _draw_bag(canvas: Canvas, rng: Rng) -> None:
    top, bottom = rng.uniform(0.34, 0.46), rng.uniform(0.84, 0.93)
    wide, narrow = rng.uniform(0.30, 0.43), rng.uniform(0.24, 0.43)
    rise, reach = rng.uniform(0.16, 0.30), rng.uniform(0.12, 0.24)
    arc = [(0.5 + reach * np.cos(a), top - rise * np.sin(a)) for a in np.linspace(0, np.pi, 16)]
    canvas.add_band(rng.uniform(0.03, 0.055), *arc)
    canvas.add((0.5 - narrow, top), (0.5 + narrow, top), (0.5 + wide, bottom), (0.5 - wide, bottom))
    if rng.random() < 0.6:  # a flap with a clasp
        flap = top + rng.uniform(0.12, 0.26)
        canvas.seam(55, 0.018, (0.5 - narrow, top + 0.03), (0.5, flap), (0.5 + narrow, top + 0.03))
        canvas.dot(235, 0.5, flap, 0.028)
    else:
        canvas.seam(60, 0.018, (0.5 - narrow, top + 0.09), (0.5 + narrow, top + 0.09))


def _draw_ankle_boot(canvas: Canvas, rng: Rng) -> None:
    floor, heel = rng.uniform(0.86, 0.92), rng.uniform(0.03, 0.14)
    top, toe = rng.uniform(0.16, 0.32), rng.uniform(0.13, 0.18)
    shaft = rng.uniform(0.48, 0.58)
    canvas.add((0.06, floor), (0.07, floor - toe * 0.6), (0.20, floor - toe),
               (0.40, floor - toe - 0.08), (shaft, floor - 0.38), (shaft - 0.02, top), (0.92, top),
               (0.90, floor - 0.3), (0.93, floor - heel), (0.52, floor - heel * 0.8),
               (0.44, floor))  # fmt: skip
    upper = floor - heel - 0.02
    canvas.add((0.72, upper), (0.93, upper), (0.92, floor), (0.76, floor))
    canvas.seam(60, 0.014, (0.06, floor - 0.035), (0.44, floor - 0.035))
    if rng.random() < 0.5:  # a zip
        x, tone = shaft + 0.14, rng.choice([45, 215])
        canvas.seam(tone, 0.016, (x, top + 0.03), (x, floor - 0.16))
    if rng.random() < 0.5:  # a strap around the ankle
        canvas.seam(60, 0.026, (shaft - 0.02, floor - 0.34), (0.90, floor - 0.34))


DRAWERS: tuple[Callable[[Canvas, Rng], None], ...] = (  # in the order of labels.CLASS_NAMES
    _draw_t_shirt, _draw_trouser, _draw_pullover, _draw_dress, _draw_coat,
    _draw_sandal, _draw_shirt, _draw_sneaker, _draw_bag, _draw_ankle_boot,
)  # fmt: skip
