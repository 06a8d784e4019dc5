"""Changes to training images: each keeps the garment, is the same for the same seed, and does what its name says."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from wardrobe.data import augment
from wardrobe.models import recipes

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (400, 28, 28), np.uint8)


def test_every_image_is_mirrored_every_other_turn() -> None:
    first = augment.draw_first_mirrored(len(IMAGES), seed=3)
    assert 0.4 < first.mean() < 0.6
    turns = [augment.alternate_flip(IMAGES, first, turn) for turn in range(4)]
    for one, next_one in itertools.pairwise(turns):
        np.testing.assert_array_equal(one, next_one[:, :, ::-1])
    np.testing.assert_array_equal(turns[0][first], IMAGES[first][:, :, ::-1])
    np.testing.assert_array_equal(turns[0][~first], IMAGES[~first])


def test_images_are_moved_by_whole_pixels_each_way() -> None:
    moved = augment.shift(np.random.default_rng(0), IMAGES, 2)
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2)))
    seen = set()
    for before, after in zip(padded, moved, strict=True):
        places = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if (before[y : y + 28, x : x + 28] == after).all()
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 25


def test_a_rectangle_of_some_images_is_filled_with_noise() -> None:
    white = np.full((2000, 28, 28), 255, np.uint8)
    changed = (augment.erase(np.random.default_rng(0), white, 0.25) != 255) & (white == 255)
    hit = changed.any((1, 2))
    assert hit.mean() == pytest.approx(0.25, abs=0.03)
    for mask in changed[hit]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.8  # noise is 255 by chance now and then, and may end a row with it
        assert box.size <= 0.4 * 28**2
    assert (white == 255).all(), "what was given was written into"


def test_a_recipe_that_asks_for_nothing_gets_its_images() -> None:
    chosen = np.array([5, 3, 3])
    np.testing.assert_array_equal(
        augment.augment(recipes.get("baseline"), IMAGES, chosen, 0, 0), IMAGES[chosen]
    )


def test_the_same_seed_and_turn_give_the_same_images() -> None:
    recipe = replace(
        recipes.get("baseline"), alternating_flip=True, max_shift=1, erase_probability=0.5
    )

    def made(seed: int, turn: int) -> list[int]:
        return augment.augment(recipe, IMAGES, np.arange(50), seed, turn).ravel().tolist()

    assert made(0, 0) == made(0, 0)
    assert made(0, 0) != made(0, 1) != made(1, 1)
