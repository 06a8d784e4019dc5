"""Training images as a photo would show them: NumPy arrays in, arrays out, so that every backend trains on the same.

Fashion-MNIST's garments were photographed by professionals, upright, alone, on white (arXiv 1708.07747, section 2). On
a person's own photo a garment lies tilted on a floor, in the light of a window, and is cut out by photo.py, which
leaves pieces of the floor in and pieces of the sleeve out. The functions here do the same to the training images.

Throughout: `rng` a NumPy Generator; images (n, 28, 28) float32, 0-1, a light garment on black; masks (n, 28, 28) bool,
True on the garment; labels (n,) int.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wardrobe.labels import CLASS_NAMES

Floats = npt.NDArray[np.floating]
Masks = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]

SIDE = 28  # pixels
CENTRE = (SIDE - 1) / 2
BACKGROUND = 10  # 0-255; Fashion-MNIST's background is 0, but for a little noise of its resizing
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)

PLAIN = 0.2  # share of a batch that is only mirrored and moved, so that Fashion-MNIST itself stays known
PAIRED = 0.6  # share of the shoes that are put together to pairs
UNKNOWN = 0.15  # share of a batch turned into what is none of the classes
PATTERNED = 0.12  # share of the garments that get stripes, checks or blots
CRISP = 0.3  # share of the unknown that stay as they were cut or drawn
DRAWN = (0.2, 0.4, 0.2, 0.2)  # of what is drawn: blots, strokes, patterns, noise
SHOES = ("Sandal", "Sneaker", "Ankle boot")
LONG_SLEEVED = ("Pullover", "Coat", "Shirt")  # where they are; see has_long_sleeves
SPREAD = 0.6  # share of the long sleeves that are spread
FLAT = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Shirt",
)  # on a floor: flat, so wider than worn
WIDER, WIDER_FLAT = 0.12, 0.35  # at most, as the logarithm of the ratio
TILT, TILT_SHOES = 0.16, 0.52  # radians, one standard deviation
ROOM = 8  # pixels added on each side, for sleeves that are spread


def garment_masks(images: npt.NDArray[np.uint8]) -> Masks:
    """Returns what is garment in images (n, 28, 28) uint8: all that the background cannot be reached from the edge."""
    return np.concatenate(
        [
            _not_reached(chunk <= BACKGROUND)
            for chunk in np.array_split(images, len(images) // 4096 + 1)
        ]
    )


def _not_reached(dark: Masks) -> Masks:
    reached = dark.copy()
    reached[:, 1:-1, 1:-1] = False
    while True:
        grown = reached.copy()
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown[:, :, 1:] |= reached[:, :, :-1]
        grown[:, :, :-1] |= reached[:, :, 1:]
        grown &= dark
        if np.array_equal(grown, reached):
            return ~reached
        reached = grown


def simulate_photos(
    rng: np.random.Generator,
    images: npt.NDArray[np.uint8],
    masks: Masks,
    labels: Labels,
    class_names: Sequence[str],
    unknown: float = UNKNOWN,
) -> tuple[Floats, Floats]:
    """Returns a batch as photos would show it, and its targets.

    Most images are warped, retoned and cut out badly; some shoes become pairs; `PLAIN` of them stay as they are but for
    a mirroring and a move. With Fashion-MNIST's classes, some become what is none of the ten, so that the
    network learns to doubt (outlier exposure, arXiv 1812.04606).

    Args:
        images: (n, 28, 28) uint8, 0-255.
        unknown: share that becomes none of the classes.

    Returns:
        Images (n, 28, 28, 1) float32, 0-255; targets (n, classes + 1) float32, one-hot, the last for none of them.
    """
    n = len(images)
    role = rng.random(n)
    plain, none = role < PLAIN, (role > 1 - unknown) & (tuple(class_names) == CLASS_NAMES)
    batch, masks = _mirrored(rng, images.astype(np.float32) / 255, masks)
    batch[plain] = _moved(rng, batch[plain])
    answers = np.where(none, len(class_names), labels)
    names = np.array([*class_names, "none"])[answers]
    paired = np.isin(names, SHOES) & ~plain & (rng.random(n) < PAIRED)
    batch[paired], masks[paired] = pair_shoes(rng, batch[paired], masks[paired])
    batch[none], masks[none] = make_unknowns(rng, batch[none], masks[none], labels[none])
    changed = ~plain & ~(none & (rng.random(n) < CRISP))
    batch[changed] = photographed(rng, batch[changed], masks[changed], names[changed])
    return (batch * 255)[..., None], np.eye(len(class_names) + 1, dtype=np.float32)[answers]


def photographed(
    rng: np.random.Generator, images: Floats, masks: Masks, names: npt.NDArray[np.str_]
) -> Floats:
    """Returns images as photos would show them: sleeves spread, warped, retoned and cut out badly.

    Args:
        names: (n,), each image's class, by which shoes lie at any angle, and long sleeves are spread.
    """
    shoes, flat = np.isin(names, SHOES), np.isin(names, FLAT)
    spread = (
        np.isin(names, LONG_SLEEVED) & has_long_sleeves(masks) & (rng.random(len(images)) < SPREAD)
    )
    images, masks = _padded(images, ROOM), _padded(masks, ROOM)
    images[spread], masks[spread] = spread_sleeves(rng, images[spread], masks[spread])
    tilt, wider = (
        _column(np.where(shoes, TILT_SHOES, TILT)),
        _column(np.where(flat, WIDER_FLAT, WIDER)),
    )
    warped, soft = warp(rng, images, masks, tilt, wider)
    return cut_out_badly(rng, retone(rng, warped, soft), soft)


def _column(values: npt.NDArray[np.floating]) -> Floats:
    """Returns (n,) as (n, 1, 1) float32."""
    return values.astype(np.float32)[:, None, None]


def has_long_sleeves(masks: Masks) -> Masks:
    """Returns which garments are as wide below the middle as anywhere: there hang sleeves at both sides. (n,) bool."""
    widths = SIDE - masks.argmax(2) - masks[:, :, ::-1].argmax(2)
    widths = np.where(masks.max(2), widths, 0)
    top, bottom = masks.max(2).argmax(1), SIDE - masks.max(2)[:, ::-1].argmax(1)
    row = np.clip(top + (bottom - top) * 6 // 10, 0, SIDE - 1)
    return widths[np.arange(len(masks)), row] >= 0.85 * widths.max(1)


def spread_sleeves(rng: np.random.Generator, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Turns both sleeves outwards about the shoulders, by up to 75 degrees, as they lie on a floor.

    In Fashion-MNIST sleeves hang straight down at both sides of the body. Taken for sleeve is what lies outside of the
    armpits and below the shoulders.

    Args:
        images, masks: (n, s, s) with room around for the sleeves, here and in what is returned.
    """
    n, side = len(images), images.shape[1]
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    filled = np.where(masks.max((1, 2), keepdims=True), masks, True)
    left, right = _first(filled.max(1)), side - 1 - _first(filled.max(1)[:, ::-1])
    top, bottom = _first(filled.max(2)), side - 1 - _first(filled.max(2)[:, ::-1])
    armpit = _uniform(rng, n, 0.2, 0.27) * (right - left)
    shoulder = top + _uniform(rng, n, 0.05, 0.15) * (bottom - top)
    both = _uniform(rng, n, 0.05, 1.1)
    spread, spread_mask = images.copy(), masks.astype(np.float32)
    for inwards, edge in ((1, left), (-1, right)):
        joint = edge + inwards * armpit
        sleeve = (inwards * (columns - joint) < 0) & (rows > shoulder)
        spread, spread_mask = np.where(sleeve, 0, spread), np.where(sleeve, 0, spread_mask)
        turn = inwards * np.clip(both + _normal(rng, n, 0.15), 0, 1.3)
        cos, sin = np.cos(turn), np.sin(turn)
        x, y = columns - joint, rows - shoulder - armpit * 0.5
        from_x, from_y = cos * x + sin * y + joint, cos * y - sin * x + shoulder + armpit * 0.5
        turned = sample(np.where(sleeve, images, 0), from_x, from_y)
        turned_mask = sample((masks & sleeve).astype(np.float32), from_x, from_y)
        behind = turned_mask > spread_mask
        spread, spread_mask = np.where(behind, turned, spread), np.maximum(spread_mask, turned_mask)
    return spread, spread_mask > 0.5


def _first(hits: Masks) -> Floats:
    """Returns where each row's first True is: (n, 1, 1) float32."""
    return hits.argmax(1).astype(np.float32)[:, None, None]


def warp(
    rng: np.random.Generator,
    images: Floats,
    masks: Masks,
    tilt: Floats | float = TILT,
    wider: Floats | float = WIDER,
) -> tuple[Floats, Floats]:
    """Tilts, shears, stretches and bends, then fits the garment to a frame of 28x28 as photo.py does.

    Args:
        images, masks: (n, s, s), of any side s.
        tilt: radians, one standard deviation.
        wider: how much wider at most, as the logarithm of the ratio; a garment laid flat is wider than a worn one.

    Returns:
        Images (n, 28, 28), and masks as float32, 0-1, soft at the edge.
    """
    n, side = len(images), images.shape[1]
    angle = _normal(rng, n, 1).clip(-2.5, 2.5) * tilt
    aspect = np.exp(-0.12 + rng.random((n, 1, 1), np.float32) * (0.12 + wider))
    matrix = _linear(angle, _uniform(rng, n, -0.15, 0.15), aspect)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2
    left, right, top, bottom = _extent(matrix, columns, rows, masks)
    x, y = (COLUMNS - CENTRE) / SIDE, (ROWS - CENTRE) / SIDE
    span = (np.maximum(right - left, bottom - top).clip(3) + 1) * np.exp(
        0.06 + _normal(rng, n, 0.07)
    )
    to_x, to_y = x + _normal(rng, n, 0.025), y + _normal(rng, n, 0.025)
    to_x = to_x * (
        1 + _uniform(rng, n, -0.4, 0.4) * to_y
    )  # seen from above or below: narrower at one end
    to_x, to_y = to_x * span + (left + right) / 2, to_y * span + (top + bottom) / 2
    (a, b), (c, d) = matrix
    scale = 1 / (a * d - b * c)
    bend_x, bend_y = (smooth(rng, n, 5) * _uniform(rng, n, 0, 0.03) * span for _ in range(2))
    from_x = (d * to_x - b * to_y) * scale + (side - 1) / 2 + bend_x
    from_y = (a * to_y - c * to_x) * scale + (side - 1) / 2 + bend_y
    return sample(images, from_x, from_y), sample(masks.astype(np.float32), from_x, from_y)


def _linear(
    angle: Floats, shear: Floats, aspect: Floats
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Returns the 2x2 matrix of a stretch, a shear and a turn, each entry (n, 1, 1)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return (cos * aspect, cos * shear - sin), (sin * aspect, sin * shear + cos)


def _extent(
    matrix: tuple[tuple[Floats, Floats], tuple[Floats, Floats]], x: Floats, y: Floats, masks: Masks
) -> list[Floats]:
    """Returns left, right, top and bottom of the mapped masks, each (n, 1, 1); the frame's where one is empty."""
    (a, b), (c, d) = matrix
    masks = masks | ~masks.max((1, 2), keepdims=True)
    edges = []
    for mapped in (a * x + b * y, c * x + d * y):
        edges += [
            np.where(masks, mapped, 999).min((1, 2), keepdims=True),
            np.where(masks, mapped, -999).max((1, 2), keepdims=True),
        ]
    return edges


def retone(rng: np.random.Generator, images: Floats, soft: Floats) -> Floats:
    """Gives garments another tone, sharpness, pattern, print, light and folds. Returns (n, 28, 28), 0-1."""
    n = len(images)
    sharpened = images + _uniform(rng, n, 0, 0.5) * (images - _blurred(images))
    toned: Floats = stretch(sharpened, soft) ** np.exp(_uniform(rng, n, -0.5, 0.5)) * _uniform(
        rng, n, 0.3, 1
    )
    patterned = rng.random(n) < PATTERNED
    toned[patterned] += _pattern(rng, int(patterned.sum()))
    printed = rng.random(n) < 0.15
    toned[printed] = _print(rng, toned[printed])
    light = (
        _uniform(rng, n, -0.4, 0.4) * (COLUMNS - CENTRE) / SIDE
        + _uniform(rng, n, -0.4, 0.4) * (ROWS - CENTRE) / SIDE
    )
    toned = toned + light + smooth(rng, n, 7) * _uniform(rng, n, 0, 0.15)
    toned = stretch(
        toned + rng.standard_normal(toned.shape, np.float32) * _uniform(rng, n, 0, 0.04), soft
    )
    low = _uniform(rng, n, 0.05, 0.5)
    return low + toned * np.minimum(_uniform(rng, n, 0.3, 0.95), 1 - low)


def _pattern(rng: np.random.Generator, n: int) -> Floats:
    """Stripes, checks or blots: (n, 28, 28), about -0.5 to 0.5."""
    angle = _uniform(rng, n, 0, np.pi)
    straight = rng.random((n, 1, 1)) < 0.6
    angle = np.where(straight, np.round(angle / (np.pi / 2)) * np.float32(np.pi / 2), angle)
    cos, sin = np.cos(angle), np.sin(angle)
    frequency = _uniform(rng, n, 0.5, 2.2)
    along = np.sin((COLUMNS * cos + ROWS * sin) * frequency + _uniform(rng, n, 0, 2 * np.pi))
    across = np.sin((ROWS * cos - COLUMNS * sin) * frequency)
    kind = rng.random((n, 1, 1))
    pattern = np.where(
        kind < 0.35, along, np.where(kind < 0.55, (along + across) * 0.7, smooth(rng, n, 12))
    )
    return pattern.astype(np.float32) * _uniform(rng, n, 0.1, 0.5)


def _print(rng: np.random.Generator, images: Floats) -> Floats:
    """Prints a blotted rectangle on the chest."""
    n = len(images)
    inside = np.abs(COLUMNS - _uniform(rng, n, 9, 19)) < _uniform(rng, n, 1, 4.5)
    inside &= np.abs(ROWS - _uniform(rng, n, 8, 18)) < _uniform(rng, n, 1, 4)
    return np.where(
        inside,
        images + _uniform(rng, n, -0.8, 0.8) * (0.6 + 0.4 * np.sign(smooth(rng, n, 12))),
        images,
    )


def cut_out_badly(rng: np.random.Generator, images: Floats, soft: Floats) -> Floats:
    """Cuts garments out as a finder does that errs: ragged, with bites, hangers and pieces of what lies behind."""
    n = len(images)
    ragged = (
        _blurred(soft)
        + smooth(rng, n, 8) * _uniform(rng, n, 0, 0.15)
        + _uniform(rng, n, -0.12, 0.12)
    )
    alpha = np.where(rng.random((n, 1, 1)) < 0.6, ((ragged - 0.5) * 4 + 0.5).clip(0, 1), soft)
    bitten = (rng.random((n, 1, 1)) < 0.1) & _disc(rng, n, 2, 6) & (_blurred(_blurred(soft)) < 0.98)
    cut = images * np.where(bitten, 0, alpha)
    behind = alpha < 0.5
    left_in = behind & _disc(rng, n, 2, 7) & (rng.random((n, 1, 1)) < 0.15)
    cut = np.where(
        left_in, _uniform(rng, n, 0.1, 0.9) + smooth(rng, n, 12) * _uniform(rng, n, 0, 0.2), cut
    )
    hook = (np.abs(COLUMNS - CENTRE - _uniform(rng, n, -2, 2)) < 0.8) & (
        _uniform(rng, n, 2, 5) > ROWS
    )
    cut = np.where(behind & hook & (rng.random((n, 1, 1)) < 0.08), _uniform(rng, n, 0.3, 1), cut)
    veil = behind & (rng.random((n, 1, 1)) < 0.04)
    cut = np.where(veil, _uniform(rng, n, 0.02, 0.3) * (1 + 0.4 * smooth(rng, n, 10)), cut)
    return cut.clip(0, 1)


def pair_shoes(rng: np.random.Generator, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Puts single shoes together to pairs: side by side or one before the other, from the side or from above."""
    n = len(images)
    above = rng.random(n) < 0.5
    images, masks = images.copy(), masks.copy()
    images[above], masks[above] = view_from_above(rng, images[above], masks[above])
    other, other_mask = images.copy(), masks.copy()
    mirrored = above | (rng.random(n) < 0.5)
    other[mirrored], other_mask[mirrored] = other[mirrored, :, ::-1], other_mask[mirrored, :, ::-1]
    one, one_soft = warp(rng, images, masks)
    other, other_soft = warp(rng, other, other_mask)
    beside = (above | (rng.random(n) < 0.3))[:, None, None]
    apart = np.where(above[:, None, None], _uniform(rng, n, 0.08, 0.18), _uniform(rng, n, 0.1, 0.3))
    offset = _uniform(rng, n, -0.1, 0.1)
    x, y = np.where(beside, apart, offset), np.where(beside, offset, apart * 0.7)
    size = _uniform(rng, n, 0.5, 0.62)
    one, one_soft = _placed(one, -x, -y, size), _placed(one_soft, -x, -y, size)
    other, other_soft = _placed(other, x, y, size), _placed(other_soft, x, y, size)
    return np.where(other_soft > 0.5, other, one), np.maximum(one_soft, other_soft) > 0.5


def view_from_above(rng: np.random.Generator, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Folds a shoe's side view into a view from above: its ridge becomes the middle line, its soles both edges.

    Each column of the side view becomes a row; toes point up or down. Most get the opening that the foot goes into.
    """
    n = len(images)
    along = np.where(
        rng.random((n, 1, 1)) < 0.3, SIDE - 1 - ROWS, ROWS
    )  # 0 at one end of the shoe, 27 at the other
    t = along / (SIDE - 1) * 2 - 1
    width = (
        _uniform(rng, n, 4, 7)
        * np.sqrt((1 - np.abs(t) ** 2.5).clip(0))
        * (1 + _uniform(rng, n, 0, 0.3) * np.cos(3.5 * t))
    )
    column = np.broadcast_to(along, images.shape).astype(np.intp)
    top = np.take_along_axis(masks.argmax(1)[:, None, :], column, 2).astype(np.float32)
    bottom = (
        SIDE
        - 1
        - np.take_along_axis(masks[:, ::-1].argmax(1)[:, None, :], column, 2).astype(np.float32)
    )
    aside = np.abs(COLUMNS - CENTRE) / width.clip(0.5)
    folded = sample(images, column.astype(np.float32), top + aside.clip(0, 1) * (bottom - top))
    hole_at, hole_length = _uniform(rng, n, -0.6, -0.1), _uniform(rng, n, 0.25, 0.6)
    hole = ((t - hole_at) / hole_length) ** 2 + (aside / 0.7) ** 2 < 1
    hole &= rng.random((n, 1, 1)) < 0.7
    return np.where(hole, _uniform(rng, n, 0, 1), folded).astype(np.float32), aside < 1


def make_unknowns(
    rng: np.random.Generator, images: Floats, masks: Masks, labels: Labels
) -> tuple[Floats, Masks]:
    """Returns what is none of Fashion-MNIST's classes, half of it garments cut up, half of it drawn.

    The upper part of trousers is a pair of shorts, the lower part of a dress is a skirt; of others the lower
    part is left, or their quarters change places. Drawn are blots, strokes, patterns and noise.
    """
    n, images = len(images), images.copy()
    top = masks.max(2).argmax(1)
    bottom = SIDE - masks.max(2)[:, ::-1].argmax(1)
    cut = (top + (bottom - top) * rng.uniform(0.35, 0.6, n))[:, None, None]
    trouser, dress = (labels == CLASS_NAMES.index(name) for name in ("Trouser", "Dress"))
    kept = masks & np.where(trouser[:, None, None], cut > ROWS, cut <= ROWS)
    others = ~trouser & ~dress
    shuffled = others & (rng.random(n) < 0.15)
    images[shuffled], kept[shuffled] = _shuffled(rng, images[shuffled], masks[shuffled])
    shoes = np.isin(labels, [CLASS_NAMES.index(name) for name in SHOES])
    drawn = others & ~shuffled & (shoes | (rng.random(n) < 0.6))
    images[drawn], kept[drawn] = _drawn(rng, int(drawn.sum()))
    return images * kept, kept


def _shuffled(rng: np.random.Generator, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Lets the quarters of each image change places, all of them."""
    n, half = len(images), SIDE // 2
    corners = (np.arange(4) + rng.integers(1, 4, (n, 1))) % 4
    row, column = ROWS.astype(np.intp), COLUMNS.astype(np.intp)
    source = corners[:, (row // half) * 2 + column // half]
    pick = (
        np.arange(n)[:, None, None],
        source // 2 * half + row % half,
        source % 2 * half + column % half,
    )
    return images[pick], masks[pick]


def _drawn(rng: np.random.Generator, n: int) -> tuple[Floats, Masks]:
    """Draws blots, strokes, full-frame patterns and noise."""
    kind = rng.choice(4, (n, 1, 1), p=DRAWN)
    blot = smooth(rng, n, 5) + 1.2 > ((COLUMNS - CENTRE) ** 2 + (ROWS - CENTRE) ** 2) / 60
    ink = np.maximum(_stroke(rng, n), _stroke(rng, n) * (rng.random((n, 1, 1)) < 0.5))
    mask = np.where(kind == 0, blot, np.where(kind == 1, ink > 0.1, True))
    tone = np.where(kind == 2, smooth(rng, n, 9) * 0.3 + 0.5, smooth(rng, n, 7) * 0.2 + 0.5)
    tone = np.where(kind == 1, ink * _uniform(rng, n, 0.6, 1), tone)
    return np.where(kind == 3, rng.random((n, SIDE, SIDE), np.float32), tone).clip(0, 1), mask


def _stroke(rng: np.random.Generator, n: int) -> Floats:
    """Draws a curve in each image, as in writing, of a thin or a thick, a hard or a soft pen: (n, 28, 28), 0-1."""
    t = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    basis = np.concatenate(
        [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1
    )  # cubic Bézier
    points = np.einsum(
        "tk,nkc->ntc", basis, rng.uniform(-6, SIDE + 6, (n, 4, 2)).astype(np.float32)
    ).clip(3, SIDE - 4)
    squared = (COLUMNS - points[:, :, 0, None, None]) ** 2 + (
        ROWS - points[:, :, 1, None, None]
    ) ** 2
    radius = _uniform(rng, n, 0.8, 4)
    return ((radius - np.sqrt(squared.min(1))) / (radius * _uniform(rng, n, 0.2, 1))).clip(0, 1)


def stretch(images: Floats, soft: Floats) -> Floats:
    """Stretches each garment's tones to 0-1, but for its darkest and lightest 3 %, as photo.normalise_light does."""
    inside = (soft > 0.5).reshape(len(images), -1)
    ordered = np.sort(np.where(inside, images.reshape(len(images), -1), 9), axis=1)
    last = np.maximum(inside.sum(1) - 1, 0)
    low, high = (
        ordered[np.arange(len(images)), (last * share).astype(int)][:, None, None]
        for share in (0.03, 0.97)
    )
    return ((images - low) / np.maximum(high - low, 0.08)).clip(0, 1)


def smooth(rng: np.random.Generator, n: int, knots: int) -> Floats:
    """Returns smooth noise, about standard normal at its `knots` x `knots` knots: (n, 28, 28)."""
    t = np.linspace(0, knots - 1, SIDE)
    first = np.minimum(t.astype(int), knots - 2)
    weight = (t - first) ** 2 * (3 - 2 * (t - first))
    spline = np.zeros((SIDE, knots), np.float32)
    spline[np.arange(SIDE), first], spline[np.arange(SIDE), first + 1] = 1 - weight, weight
    return spline @ rng.standard_normal((n, knots, knots), np.float32) @ spline.T


def sample(images: Floats, x: Floats, y: Floats) -> Floats:
    """Returns the values of images (n, s, s) at columns `x` and rows `y` (n, h, w), bilinear, 0 outside."""
    side = images.shape[1] + 2
    padded = _padded(images, 1)
    x, y = (x + 1).clip(0, side - 1.001), (y + 1).clip(0, side - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    right, down = x - column.astype(np.float32), y - row.astype(np.float32)
    first = (np.arange(len(images), dtype=np.int32) * side**2)[:, None, None] + row * side + column
    flat = padded.ravel()
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + side] * (1 - right) + flat[first + side + 1] * right
    return upper * (1 - down) + lower * down


def _padded(images: npt.NDArray[Any], room: int) -> npt.NDArray[Any]:
    """Returns images (n, s, s) with `room` pixels of zeros added on each side."""
    n, side, _ = images.shape
    padded = np.zeros((n, side + 2 * room, side + 2 * room), images.dtype)
    padded[:, room : room + side, room : room + side] = images
    return padded


def _mirrored(rng: np.random.Generator, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Mirrors half of the images."""
    chosen = rng.random((len(images), 1, 1)) < 0.5
    return np.where(chosen, images[:, :, ::-1], images), np.where(chosen, masks[:, :, ::-1], masks)


def _moved(rng: np.random.Generator, images: Floats) -> Floats:
    """Moves each image by up to two pixels each way."""
    n = len(images)
    x, y = (rng.integers(-2, 3, (n, 1, 1)).astype(np.float32) for _ in range(2))
    return sample(images, COLUMNS + x, ROWS + y)


def _placed(images: Floats, x: Floats, y: Floats, size: Floats) -> Floats:
    """Shrinks each image by `size` and puts its centre `x`, `y` (shares of the side) off the frame's."""
    column = (COLUMNS - CENTRE - x * SIDE) / size + CENTRE
    return sample(images, column, (ROWS - CENTRE - y * SIDE) / size + CENTRE)


def _disc(rng: np.random.Generator, n: int, smallest: float, largest: float) -> Masks:
    """Returns an ellipse anywhere in each frame, its radii in pixels: (n, 28, 28) bool."""
    across = (COLUMNS - _uniform(rng, n, 0, SIDE)) / _uniform(rng, n, smallest, largest)
    down = (ROWS - _uniform(rng, n, 0, SIDE)) / _uniform(rng, n, smallest, largest)
    return across**2 + down**2 < 1


def _blurred(images: Floats) -> Floats:
    """Returns each pixel's mean with its eight neighbours, 0 outside."""
    padded = _padded(images, 1)
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9


def _uniform(rng: np.random.Generator, n: int, low: float, high: float) -> Floats:
    """Returns one number an image, (n, 1, 1)."""
    return low + (high - low) * rng.random((n, 1, 1), np.float32)


def _normal(rng: np.random.Generator, n: int, deviation: float) -> Floats:
    """Returns one number an image, (n, 1, 1), of mean 0."""
    return rng.standard_normal((n, 1, 1), np.float32) * np.float32(deviation)
