"""Augmentation: each step does what its name says and is deterministic for a seed."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from wardrobe.data import augment
from wardrobe.models import recipes

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (400, 28, 28), np.uint8)


def test_alternating_flip_mirrors_every_image_every_other_epoch() -> None:
    first = augment.draw_first_mirrored(len(IMAGES), seed=3)
    assert 0.4 < first.mean() < 0.6
    epochs = [augment.alternate_flip(IMAGES, first, epoch) for epoch in range(4)]
    for one, next_one in itertools.pairwise(epochs):
        np.testing.assert_array_equal(one, next_one[:, :, ::-1])
    np.testing.assert_array_equal(epochs[0][first], IMAGES[first][:, :, ::-1])
    np.testing.assert_array_equal(epochs[0][~first], IMAGES[~first])


def test_images_shift_by_whole_pixels_in_both_directions() -> None:
    shifted = augment.shift(np.random.default_rng(0), IMAGES, 2)
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2)))
    offsets = set()
    for before, after in zip(padded, shifted, strict=True):
        matches = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if (before[y : y + 28, x : x + 28] == after).all()
        ]
        assert len(matches) == 1
        offsets.update(matches)
    assert len(offsets) == 25


def test_erase_fills_a_rectangle_with_noise_in_some_images() -> None:
    white = np.full((2000, 28, 28), 255, np.uint8)
    changed = (augment.erase(np.random.default_rng(0), white, 0.25) != 255) & (white == 255)
    erased = changed.any((1, 2))
    assert erased.mean() == pytest.approx(0.25, abs=0.03)
    for mask in changed[erased]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.8  # some noise pixels are 255 by chance, also at an edge of the box
        assert box.size <= 0.4 * 28**2
    assert (white == 255).all(), "erase changed its input"


def test_a_recipe_without_augmentation_gets_its_images_unchanged() -> None:
    chosen = np.array([5, 3, 3])
    np.testing.assert_array_equal(
        augment.augment(recipes.get("baseline"), IMAGES, chosen, 0, 0), IMAGES[chosen]
    )


def test_the_same_seed_and_epoch_give_the_same_images() -> None:
    recipe = replace(
        recipes.get("baseline"), alternating_flip=True, max_shift=1, erase_probability=0.5
    )

    def augmented(seed: int, epoch: int) -> list[int]:
        return augment.augment(recipe, IMAGES, np.arange(50), seed, epoch).ravel().tolist()

    assert augmented(0, 0) == augmented(0, 0)
    assert augmented(0, 0) != augmented(0, 1) != augmented(1, 1)
