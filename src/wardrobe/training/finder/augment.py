"""Training batches of the finder: photos and masks, warped and recoloured together."""

import cv2
import numpy as np
import numpy.typing as npt

from wardrobe.photo.finder import SIDE
from wardrobe.photo.garment import largest_component
from wardrobe.rng import make_rng
from wardrobe.training.finder.recipe import FinderRecipe
from wardrobe.training.finder.teacher import SIDE as PHOTO_SIDE
from wardrobe.training.finder.teacher import Examples

Floats = npt.NDArray[np.floating]
Tiles = npt.NDArray[np.uint8]  # (m, 28, 28), 0-255, light on black
Rng = np.random.Generator
ERODED = np.ones((3, 3), np.uint8)  # a pixel at the edge shows the old background


def make_batch(
    recipe: FinderRecipe, examples: Examples, tiles: Tiles, seed: int, epoch: int, number: int
) -> tuple[Floats, Floats]:
    """Returns batch `number` of an epoch: photos (b, 96, 96, 3), 0-255, and masks (b, 96, 96), 0-1.

    Each epoch has another order, which starts again at its end.
    """
    order = make_rng("order", seed, epoch).permutation(len(examples))
    places = np.arange(recipe.batch_size) + number * recipe.batch_size
    chosen = order.take(places, mode="wrap")
    rng = make_rng("changes", seed, epoch, number)
    pairs = [augment(recipe, rng, *compose(recipe, rng, examples, tiles, i)) for i in chosen]
    photos, masks = zip(*pairs, strict=True)
    return np.stack(photos), np.stack(masks)


def compose(
    recipe: FinderRecipe, rng: Rng, examples: Examples, tiles: Tiles, i: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Returns photo `i` and its mask, or puts another photo together: a garment on new ground."""
    kind = rng.random()
    if kind < recipe.tile_probability:
        photo, mask = make_garment(rng, examples, tiles)
    elif kind < recipe.tile_probability + recipe.crop_probability:
        photo, mask = examples.photos[i], np.asarray(cv2.erode(examples.masks[i], ERODED), np.uint8)
    else:
        return examples.photos[i], examples.masks[i]
    share = cv2.GaussianBlur(mask, (3, 3), 0)[..., None] / np.float32(255)
    ground = crop_photo(rng, examples, 0.35, 0.6)
    return (photo * share + ground * (1 - share)).astype(np.uint8), mask


def make_garment(
    rng: Rng, examples: Examples, tiles: Tiles
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Returns cloth of a photo with the shape and the light of a tile, and its mask, 0-255."""
    tile = np.pad(tiles[rng.integers(len(tiles))], 2)
    light = cv2.resize(tile, (PHOTO_SIDE, PHOTO_SIDE), interpolation=cv2.INTER_CUBIC)
    mask = largest_component(light > 12).astype(np.uint8) * 255
    cloth = crop_photo(rng, examples, 0.2, 0.4)
    shade = np.float32(0.5) + light[..., None] / np.float32(510)  # 0.5 to 1
    return (cloth * shade).astype(np.uint8), mask


def crop_photo(rng: Rng, examples: Examples, least: float, most: float) -> npt.NDArray[np.uint8]:
    """Returns a random square of a photo, `least` to `most` of its side, enlarged to its size."""
    photo = examples.photos[rng.integers(len(examples))]
    side = int(len(photo) * rng.uniform(least, most))
    top, left = rng.integers(0, len(photo) - side, 2)
    piece = photo[top : top + side, left : left + side]
    return np.asarray(cv2.resize(piece, photo.shape[:2]), np.uint8)


def augment(
    recipe: FinderRecipe, rng: Rng, photo: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> tuple[Floats, Floats]:
    """Changes one photo (s, s, 3) and its mask (s, s), both 0-255.

    Returns:
        The photo (96, 96, 3), 0-255, and the mask (96, 96), 0-1.
    """
    matrix = _draw_matrix(recipe, rng, len(photo))
    # Outside its edge, the photo is reflected, and so is its mask.
    warped, where = (
        cv2.warpAffine(each, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
        for each in (photo, mask)
    )
    tones, share = warped.astype(np.float32), where.astype(np.float32) / np.float32(255)
    if rng.random() < recipe.plain_probability:
        tones = replace_background(rng, tones, share)
    return recolour(rng, tones), share


def _draw_matrix(recipe: FinderRecipe, rng: Rng, side: int) -> npt.NDArray[np.float64]:
    """Returns the 2x3 matrix of mirroring, scale, stretch, rotation and shift, photo to network."""
    scale = np.exp(rng.uniform(-recipe.max_zoom, recipe.max_zoom)) * SIDE / side
    stretch, angle = np.exp(rng.normal(0, recipe.stretch)), rng.normal(0, recipe.tilt)
    mirror = rng.choice((-1, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror * stretch, 1 / stretch])
    centre = (SIDE - 1) / 2 + rng.normal(0, recipe.shift * SIDE, 2)  # of the photo, in pixels
    return np.column_stack([linear, centre - linear @ np.full(2, (side - 1) / 2)])


def replace_background(rng: Rng, tones: Floats, share: Floats) -> Floats:
    """Puts the garment on one colour, most often a light one, as in a shop's photos."""
    tone = rng.choice((255, rng.uniform(180, 255), rng.uniform(0, 255)))
    colour = (tone + rng.normal(0, 12, 3)).clip(0, 255)
    slope = rng.normal(0, 8, 2) @ np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].reshape(2, -1)
    background = colour + slope.reshape(SIDE, SIDE, 1)
    return (tones * share[..., None] + background * (1 - share[..., None])).astype(np.float32)


def recolour(rng: Rng, tones: Floats) -> Floats:
    """Changes brightness, white balance, saturation, contrast and gamma, and adds noise."""
    tones = tones * np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3)).astype(np.float32)
    grey = tones.mean(2, keepdims=True)
    tones = grey + (tones - grey) * rng.uniform(0.5, 1.4)
    middle = tones.mean()
    tones = middle + (tones - middle) * rng.uniform(0.7, 1.3)
    tones = 255 * (tones.clip(0, 255) / 255) ** float(np.exp(rng.normal(0, 0.2)))
    noise = rng.standard_normal(tones.shape, np.float32) * np.float32(rng.uniform(0, 5))
    return (tones + noise).clip(0, 255)
