"""Training images that look like cut-outs of photos, in NumPy, so that every backend sees the same.

Fashion-MNIST's garments were photographed by professionals, upright, alone, on white (arXiv
1708.07747, section 2). In a user's photo a garment is tilted, on a floor, in uneven light, and is
segmented imperfectly. The functions here apply the same changes to the training images.

Shapes: images (n, 28, 28) float32, 0-1, light on black; masks (n, 28, 28) bool, True on a garment;
labels (n,) int.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wardrobe.data import warp as geometry
from wardrobe.data.warp import CENTRE, COLUMNS, ROWS, SIDE, Floats, Masks, normal, smooth, uniform
from wardrobe.labels import CLASS_NAMES

Labels = npt.NDArray[np.int64]
Rng = np.random.Generator

BACKGROUND = 10  # 0-255; Fashion-MNIST's background is 0 with a little noise from resizing

# Fractions of a batch, or of the images named.
PLAIN = 0.2  # only mirrored and shifted, so that the network keeps learning Fashion-MNIST itself
UNKNOWN = 0.15  # turned into images of no class
PAIRED = 0.6  # of the shoes, composed to pairs
SPREAD = 0.6  # of the long sleeves, turned outwards
PATTERNED = 0.12  # of the garments, with stripes, checks or blots
CRISP = 0.3  # of the images of no class, without photo effects
DRAWN = (0.2, 0.4, 0.2, 0.2)  # of the drawn images: blots, strokes, patterns, noise

SHOES = ("Sandal", "Sneaker", "Ankle boot")
LONG_SLEEVED = ("Pullover", "Coat", "Shirt")  # if has_long_sleeves
FLAT = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Shirt",
)  # wider on a floor than worn
WIDER_FLAT = 0.35  # as warp.WIDER, of FLAT garments
TILT_SHOES = 0.52  # as warp.TILT, of SHOES
MARGIN = 8  # pixels added on each side for sleeves that are turned outwards


def garment_masks(images: npt.NDArray[np.uint8]) -> Masks:
    """Segments the garments of images (n, 28, 28) uint8: all that a flood from the edge misses."""
    return np.concatenate(
        [
            _flood_from_edge(chunk <= BACKGROUND)
            for chunk in np.array_split(images, len(images) // 4096 + 1)
        ]
    )


def _flood_from_edge(dark: Masks) -> Masks:
    reached = dark.copy()
    reached[:, 1:-1, 1:-1] = False  # the flood starts at the edge
    while True:
        grown = reached.copy()
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown[:, :, 1:] |= reached[:, :, :-1]
        grown[:, :, :-1] |= reached[:, :, 1:]
        grown &= dark  # four neighbours; stops at the garment
        if np.array_equal(grown, reached):
            return ~reached
        reached = grown


def simulate_photos(
    rng: Rng,
    images: npt.NDArray[np.uint8],
    masks: Masks,
    labels: Labels,
    class_names: Sequence[str],
    unknown: float = UNKNOWN,
) -> tuple[Floats, Floats]:
    """Returns a batch as photos would show it, and its targets.

    Most images are warped, recoloured and cut out imperfectly. Some shoes become pairs. A fraction
    PLAIN is only mirrored and shifted. Some Fashion-MNIST images become images of no
    class, so that the network learns to reject them (outlier exposure, arXiv 1812.04606).

    Args:
        images: (n, 28, 28) uint8, 0-255.
        unknown: fraction that becomes images of no class.

    Returns:
        Images (n, 28, 28, 1) float32, 0-255; targets (n, classes + 1) float32, one-hot, the last
        column for no class.
    """
    n = len(images)
    role = rng.random(n)  # below PLAIN plain, at the top unknown, between changed
    plain, none = role < PLAIN, (role > 1 - unknown) & (tuple(class_names) == CLASS_NAMES)
    batch, masks = geometry.mirror_half(rng, images.astype(np.float32) / 255, masks)  # 0-1
    batch[plain] = geometry.shift_pixels(rng, batch[plain])
    answers = np.where(none, len(class_names), labels)  # (n,); the last index is "no class"
    names = np.array([*class_names, "none"])[answers]
    paired = np.isin(names, SHOES) & ~plain & (rng.random(n) < PAIRED)
    batch[paired], masks[paired] = pair_shoes(rng, batch[paired], masks[paired])
    batch[none], masks[none] = make_unknowns(rng, batch[none], masks[none], labels[none])
    changed = ~plain & ~(none & (rng.random(n) < CRISP))
    batch[changed] = _simulate_photo(rng, batch[changed], masks[changed], names[changed])
    return (batch * 255)[..., None], np.eye(len(class_names) + 1, dtype=np.float32)[answers]


def _simulate_photo(rng: Rng, images: Floats, masks: Masks, names: npt.NDArray[np.str_]) -> Floats:
    """Returns images as photos would show them.

    Args:
        names: (n,) class names. Shoes are tilted at any angle; long sleeves are spread.
    """
    shoes, flat = np.isin(names, SHOES), np.isin(names, FLAT)
    spread = (
        np.isin(names, LONG_SLEEVED) & has_long_sleeves(masks) & (rng.random(len(images)) < SPREAD)
    )
    images, masks = geometry.pad(images, MARGIN), geometry.pad(masks, MARGIN)  # 44x44
    images[spread], masks[spread] = spread_sleeves(rng, images[spread], masks[spread])
    tilt, wider = (
        geometry.to_column(np.where(shoes, TILT_SHOES, geometry.TILT)),
        geometry.to_column(np.where(flat, WIDER_FLAT, geometry.WIDER)),
    )
    warped, soft = geometry.warp(rng, images, masks, tilt, wider)
    return cut_out_badly(rng, retone(rng, warped, soft), soft)


def has_long_sleeves(masks: Masks) -> Masks:
    """Tells which garments are about as wide below the middle as anywhere: (n,) bool."""
    widths = SIDE - masks.argmax(2) - masks[:, :, ::-1].argmax(2)  # (n, 28), pixels
    widths = np.where(masks.max(2), widths, 0)
    top, bottom = masks.max(2).argmax(1), SIDE - masks.max(2)[:, ::-1].argmax(1)
    row = np.clip(top + (bottom - top) * 6 // 10, 0, SIDE - 1)  # at 60 %: sleeves reach it
    return widths[np.arange(len(masks)), row] >= 0.85 * widths.max(1)


def spread_sleeves(rng: Rng, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Turns both sleeves outwards about the shoulders, by up to 75 degrees, as on a floor.

    In Fashion-MNIST, sleeves hang straight down. A sleeve is what is outside the armpits and below
    the shoulders.

    Args:
        images, masks: (n, s, s) with a margin for the sleeves, as are the results.
    """
    n, side = len(images), images.shape[1]
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    filled = np.where(masks.max((1, 2), keepdims=True), masks, True)  # empty: the whole frame
    left, right = _find_first(filled.max(1)), side - 1 - _find_first(filled.max(1)[:, ::-1])
    top, bottom = _find_first(filled.max(2)), side - 1 - _find_first(filled.max(2)[:, ::-1])
    armpit = uniform(rng, n, 0.2, 0.27) * (right - left)  # pixels from the edge, (n, 1, 1)
    shoulder = top + uniform(rng, n, 0.05, 0.15) * (bottom - top)
    both = uniform(rng, n, 0.05, 1.1)  # radians, of both sleeves; each differs a little
    spread, spread_mask = images.copy(), masks.astype(np.float32)
    for inwards, edge in ((1, left), (-1, right)):
        joint = edge + inwards * armpit
        sleeve = (inwards * (columns - joint) < 0) & (rows > shoulder)
        spread, spread_mask = np.where(sleeve, 0, spread), np.where(sleeve, 0, spread_mask)
        turn = inwards * np.clip(both + normal(rng, n, 0.15), 0, 1.3)  # radians, at most 75 degrees
        cos, sin = np.cos(turn), np.sin(turn)
        x, y = columns - joint, rows - shoulder - armpit * 0.5  # from the joint
        from_x, from_y = cos * x + sin * y + joint, cos * y - sin * x + shoulder + armpit * 0.5
        turned = geometry.sample(np.where(sleeve, images, 0), from_x, from_y)
        turned_mask = geometry.sample((masks & sleeve).astype(np.float32), from_x, from_y)
        behind = turned_mask > spread_mask  # the torso stays in front
        spread, spread_mask = np.where(behind, turned, spread), np.maximum(spread_mask, turned_mask)
    return spread, spread_mask > 0.5


def _find_first(hits: Masks) -> Floats:
    """Returns the index of the first True of each row: (n, 1, 1) float32."""
    return hits.argmax(1).astype(np.float32)[:, None, None]


def retone(rng: Rng, images: Floats, soft: Floats) -> Floats:
    """Changes tone, sharpness, pattern, print, light and folds. Returns (n, 28, 28), 0-1."""
    n = len(images)
    sharpened = images + uniform(rng, n, 0, 0.5) * (images - _blur(images))  # unsharp mask
    toned: Floats = stretch(sharpened, soft) ** np.exp(uniform(rng, n, -0.5, 0.5)) * uniform(
        rng, n, 0.3, 1
    )
    patterned = rng.random(n) < PATTERNED
    toned[patterned] += _draw_pattern(rng, int(patterned.sum()))
    printed = rng.random(n) < 0.15  # of all garments
    toned[printed] = _add_print(rng, toned[printed])
    light = (
        uniform(rng, n, -0.4, 0.4) * (COLUMNS - CENTRE) / SIDE
        + uniform(rng, n, -0.4, 0.4) * (ROWS - CENTRE) / SIDE
    )
    toned = toned + light + smooth(rng, n, 7) * uniform(rng, n, 0, 0.15)
    toned = stretch(
        toned + rng.standard_normal(toned.shape, np.float32) * uniform(rng, n, 0, 0.04), soft
    )
    low = uniform(rng, n, 0.05, 0.5)  # tone of the darkest part
    return low + toned * np.minimum(uniform(rng, n, 0.3, 0.95), 1 - low)


def _draw_pattern(rng: Rng, n: int) -> Floats:
    """Returns stripes, checks or blots: (n, 28, 28), about -0.5 to 0.5."""
    angle = uniform(rng, n, 0, np.pi)
    straight = rng.random((n, 1, 1)) < 0.6  # along the pixels' rows or columns
    angle = np.where(straight, np.round(angle / (np.pi / 2)) * np.float32(np.pi / 2), angle)
    cos, sin = np.cos(angle), np.sin(angle)
    frequency = uniform(rng, n, 0.5, 2.2)  # radians a pixel: periods of 3 to 13 pixels
    along = np.sin((COLUMNS * cos + ROWS * sin) * frequency + uniform(rng, n, 0, 2 * np.pi))
    across = np.sin((ROWS * cos - COLUMNS * sin) * frequency)
    kind = rng.random((n, 1, 1))  # 35 % stripes, 20 % checks, 45 % blots
    pattern = np.where(
        kind < 0.35, along, np.where(kind < 0.55, (along + across) * 0.7, smooth(rng, n, 12))
    )
    return pattern.astype(np.float32) * uniform(rng, n, 0.1, 0.5)


def _add_print(rng: Rng, images: Floats) -> Floats:
    """Adds a blotted rectangle on the chest."""
    n = len(images)
    inside = np.abs(COLUMNS - uniform(rng, n, 9, 19)) < uniform(rng, n, 1, 4.5)
    inside &= np.abs(ROWS - uniform(rng, n, 8, 18)) < uniform(rng, n, 1, 4)
    return np.where(
        inside,
        images + uniform(rng, n, -0.8, 0.8) * (0.6 + 0.4 * np.sign(smooth(rng, n, 12))),
        images,
    )


def cut_out_badly(rng: Rng, images: Floats, soft: Floats) -> Floats:
    """Simulates segmentation errors: ragged edges, bites, hangers, parts of the background."""
    n = len(images)
    ragged = (
        _blur(soft) + smooth(rng, n, 8) * uniform(rng, n, 0, 0.15) + uniform(rng, n, -0.12, 0.12)
    )
    alpha = np.where(rng.random((n, 1, 1)) < 0.6, ((ragged - 0.5) * 4 + 0.5).clip(0, 1), soft)
    bitten = (
        (rng.random((n, 1, 1)) < 0.1) & _draw_ellipse(rng, n, 2, 6) & (_blur(_blur(soft)) < 0.98)
    )
    cut = images * np.where(bitten, 0, alpha)
    behind = alpha < 0.5  # (n, 28, 28), the background
    left_in = behind & _draw_ellipse(rng, n, 2, 7) & (rng.random((n, 1, 1)) < 0.15)
    cut = np.where(
        left_in, uniform(rng, n, 0.1, 0.9) + smooth(rng, n, 12) * uniform(rng, n, 0, 0.2), cut
    )
    hook = (np.abs(COLUMNS - CENTRE - uniform(rng, n, -2, 2)) < 0.8) & (
        uniform(rng, n, 2, 5) > ROWS
    )
    cut = np.where(behind & hook & (rng.random((n, 1, 1)) < 0.08), uniform(rng, n, 0.3, 1), cut)
    veil = behind & (rng.random((n, 1, 1)) < 0.04)  # GrabCut kept the whole background
    cut = np.where(veil, uniform(rng, n, 0.02, 0.3) * (1 + 0.4 * smooth(rng, n, 10)), cut)
    return cut.clip(0, 1)


def pair_shoes(rng: Rng, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Composes single shoes to pairs, side by side or overlapping, from the side or from above."""
    n = len(images)
    above = rng.random(n) < 0.5  # seen from above, (n,)
    images, masks = images.copy(), masks.copy()
    images[above], masks[above] = view_from_above(rng, images[above], masks[above])
    other, other_mask = images.copy(), masks.copy()
    mirrored = above | (rng.random(n) < 0.5)
    other[mirrored], other_mask[mirrored] = other[mirrored, :, ::-1], other_mask[mirrored, :, ::-1]
    one, one_soft = geometry.warp(rng, images, masks)
    other, other_soft = geometry.warp(rng, other, other_mask)
    beside = (above | (rng.random(n) < 0.3))[:, None, None]
    apart = np.where(above[:, None, None], uniform(rng, n, 0.08, 0.18), uniform(rng, n, 0.1, 0.3))
    offset = uniform(rng, n, -0.1, 0.1)
    x, y = np.where(beside, apart, offset), np.where(beside, offset, apart * 0.7)
    size = uniform(rng, n, 0.5, 0.62)  # of each shoe's frame in the pair's
    one, one_soft = geometry.place(one, -x, -y, size), geometry.place(one_soft, -x, -y, size)
    other, other_soft = geometry.place(other, x, y, size), geometry.place(other_soft, x, y, size)
    return np.where(other_soft > 0.5, other, one), np.maximum(one_soft, other_soft) > 0.5


def view_from_above(rng: Rng, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Turns a side view of a shoe into a view from above, most with an opening for the foot.

    Each column of the side view becomes a row, its top edge the middle line, its sole both edges.
    """
    n = len(images)
    along = np.where(
        rng.random((n, 1, 1)) < 0.3, SIDE - 1 - ROWS, ROWS
    )  # 0 at one end of the shoe, 27 at the other
    t = along / (SIDE - 1) * 2 - 1  # -1 to 1 along the shoe
    width = (
        uniform(rng, n, 4, 7)
        * np.sqrt((1 - np.abs(t) ** 2.5).clip(0))
        * (1 + uniform(rng, n, 0, 0.3) * np.cos(3.5 * t))
    )
    column = np.broadcast_to(along, images.shape).astype(np.intp)
    top = np.take_along_axis(masks.argmax(1)[:, None, :], column, 2).astype(np.float32)
    bottom = (
        SIDE
        - 1
        - np.take_along_axis(masks[:, ::-1].argmax(1)[:, None, :], column, 2).astype(np.float32)
    )
    aside = np.abs(COLUMNS - CENTRE) / width.clip(0.5)  # 0 at the middle line, 1 at the edge
    folded = geometry.sample(
        images, column.astype(np.float32), top + aside.clip(0, 1) * (bottom - top)
    )
    hole_at, hole_length = uniform(rng, n, -0.6, -0.1), uniform(rng, n, 0.25, 0.6)
    hole = ((t - hole_at) / hole_length) ** 2 + (aside / 0.7) ** 2 < 1  # an ellipse
    hole &= rng.random((n, 1, 1)) < 0.7
    return np.where(hole, uniform(rng, n, 0, 1), folded).astype(np.float32), aside < 1


def make_unknowns(rng: Rng, images: Floats, masks: Masks, labels: Labels) -> tuple[Floats, Masks]:
    """Returns images of no class, half of them cut-up garments, half drawn.

    The upper part of trousers makes shorts, the lower part of a dress makes a skirt. Others lose
    their upper part, or swap their quarters. Drawn are blots, strokes, patterns and noise.
    """
    n, images = len(images), images.copy()
    top = masks.max(2).argmax(1)
    bottom = SIDE - masks.max(2)[:, ::-1].argmax(1)
    cut = (top + (bottom - top) * rng.uniform(0.35, 0.6, n))[:, None, None]  # row
    trouser, dress = (labels == CLASS_NAMES.index(name) for name in ("Trouser", "Dress"))
    kept = masks & np.where(trouser[:, None, None], cut > ROWS, cut <= ROWS)
    others = ~trouser & ~dress
    shuffled = others & (rng.random(n) < 0.15)
    images[shuffled], kept[shuffled] = _shuffle_quarters(rng, images[shuffled], masks[shuffled])
    shoes = np.isin(labels, [CLASS_NAMES.index(name) for name in SHOES])
    drawn = others & ~shuffled & (shoes | (rng.random(n) < 0.6))
    images[drawn], kept[drawn] = _draw_objects(rng, int(drawn.sum()))
    return images * kept, kept


def _shuffle_quarters(rng: Rng, images: Floats, masks: Masks) -> tuple[Floats, Masks]:
    """Permutes the quarters of each image so that none stays in place."""
    n, half = len(images), SIDE // 2
    corners = (np.arange(4) + rng.integers(1, 4, (n, 1))) % 4  # (n, 4), rotated by 1 to 3
    row, column = ROWS.astype(np.intp), COLUMNS.astype(np.intp)
    source = corners[:, (row // half) * 2 + column // half]  # (n, 28, 28), quarter 0-3
    pick = (
        np.arange(n)[:, None, None],
        source // 2 * half + row % half,
        source % 2 * half + column % half,
    )
    return images[pick], masks[pick]


def _draw_objects(rng: Rng, n: int) -> tuple[Floats, Masks]:
    """Draws blots, strokes, full-frame patterns and noise."""
    kind = rng.choice(4, (n, 1, 1), p=DRAWN)  # all four are drawn, one is kept
    blot = smooth(rng, n, 5) + 1.2 > ((COLUMNS - CENTRE) ** 2 + (ROWS - CENTRE) ** 2) / 60
    ink = np.maximum(_draw_stroke(rng, n), _draw_stroke(rng, n) * (rng.random((n, 1, 1)) < 0.5))
    mask = np.where(kind == 0, blot, np.where(kind == 1, ink > 0.1, True))
    tone = np.where(kind == 2, smooth(rng, n, 9) * 0.3 + 0.5, smooth(rng, n, 7) * 0.2 + 0.5)
    tone = np.where(kind == 1, ink * uniform(rng, n, 0.6, 1), tone)
    return np.where(kind == 3, rng.random((n, SIDE, SIDE), np.float32), tone).clip(0, 1), mask


def _draw_stroke(rng: Rng, n: int) -> Floats:
    """Draws a Bézier curve in each image, as in handwriting: (n, 28, 28), 0-1."""
    t = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    basis = np.concatenate(
        [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1
    )  # cubic Bézier
    points = np.einsum(  # (n, 40, 2), kept 3 pixels from the edge
        "tk,nkc->ntc", basis, rng.uniform(-6, SIDE + 6, (n, 4, 2)).astype(np.float32)
    ).clip(3, SIDE - 4)
    squared = (COLUMNS - points[:, :, 0, None, None]) ** 2 + (
        ROWS - points[:, :, 1, None, None]
    ) ** 2
    radius = uniform(rng, n, 0.8, 4)  # pixels, half the stroke's width
    return ((radius - np.sqrt(squared.min(1))) / (radius * uniform(rng, n, 0.2, 1))).clip(0, 1)


def stretch(images: Floats, soft: Floats) -> Floats:
    """Stretches the tones of each garment to 0-1, clipping 3 % at each end, as photo/tile does."""
    inside = (soft > 0.5).reshape(len(images), -1)  # (n, 784)
    ordered = np.sort(np.where(inside, images.reshape(len(images), -1), 9), axis=1)
    last = np.maximum(inside.sum(1) - 1, 0)  # of the garment's pixels
    low, high = (
        ordered[np.arange(len(images)), (last * share).astype(int)][:, None, None]
        for share in (0.03, 0.97)
    )
    return ((images - low) / np.maximum(high - low, 0.08)).clip(0, 1)


def _draw_ellipse(rng: Rng, n: int, smallest: float, largest: float) -> Masks:
    """Returns a random ellipse in each frame, with radii in pixels: (n, 28, 28) bool."""
    across = (COLUMNS - uniform(rng, n, 0, SIDE)) / uniform(rng, n, smallest, largest)
    down = (ROWS - uniform(rng, n, 0, SIDE)) / uniform(rng, n, smallest, largest)
    return across**2 + down**2 < 1


def _blur(images: Floats) -> Floats:
    """Returns the mean of each pixel and its eight neighbours, 0 outside the image."""
    padded = geometry.pad(images, 1)
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]  # (n, 28, 30)
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
