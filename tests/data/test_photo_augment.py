"""Photo augmentation: each step has its visible effect and is deterministic for a seed."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from wardrobe import photo
from wardrobe.data import photo_augment, synthetic, warp
from wardrobe.labels import CLASS_NAMES

Drawn = tuple[npt.NDArray[np.uint8], warp.Masks, photo_augment.Labels]

TROUSER, PULLOVER, DRESS, SNEAKER, BAG = (
    CLASS_NAMES.index(name) for name in ("Trouser", "Pullover", "Dress", "Sneaker", "Bag")
)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    images, labels = synthetic.draw(400, seed=11)
    return images, photo_augment.garment_masks(images), labels


def of_class(label: int, drawn: Drawn) -> tuple[warp.Floats, warp.Masks]:
    """Returns the synthetic images of one class, scaled to 0-1, and their masks."""
    images, masks, labels = drawn
    return images[labels == label].astype(np.float32) / 255, masks[labels == label]


def test_a_mask_covers_the_garment_and_its_enclosed_holes() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 5:20, 8:18] = 200
    images[0, 10:12, 10:12] = 0  # a dark print, which is part of the garment
    images[1, 5:20, 8:18] = 200
    images[1, 5:12, 12:14] = 0  # a neckline, which is open to the background
    masks = photo_augment.garment_masks(images)
    assert masks[0, 5:20, 8:18].all()
    assert masks[0].sum() == 150
    assert masks[1].sum() == 150 - 14


def test_the_same_seed_gives_the_same_batch_and_another_seed_does_not(drawn: Drawn) -> None:
    def batch(seed: int) -> tuple[warp.Floats, warp.Floats]:
        return photo_augment.simulate_photos(np.random.default_rng(seed), *drawn, CLASS_NAMES)

    (first, targets), (again, same), (other, _) = batch(1), batch(1), batch(2)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(targets, same)
    assert np.abs(first - other).mean() > 10
    assert first.shape == (400, 28, 28, 1)
    assert first.dtype == targets.dtype == np.float32
    assert first.min() >= 0 and 200 < first.max() <= 255


def test_some_images_become_unknowns_with_their_own_target(drawn: Drawn) -> None:
    labels = drawn[2]
    _, targets = photo_augment.simulate_photos(np.random.default_rng(0), *drawn, CLASS_NAMES)
    assert targets.shape == (400, 11)
    unknown = targets[:, 10] == 1
    assert unknown.mean() == pytest.approx(photo_augment.UNKNOWN, abs=0.05)
    np.testing.assert_array_equal(targets[~unknown].argmax(axis=1), labels[~unknown])
    np.testing.assert_array_equal(targets.sum(axis=1), 1)
    for classes, fraction in ((CLASS_NAMES, 0.0), (tuple("abcdefghij"), photo_augment.UNKNOWN)):
        _, targets = photo_augment.simulate_photos(
            np.random.default_rng(0), *drawn, classes, fraction
        )
        # Custom classes get no unknowns either: shorts may be one of them.
        assert not targets[:, 10].any()


def test_the_garment_has_the_size_that_photo_preparation_gives_it(drawn: Drawn) -> None:
    images = drawn[0]
    small = np.zeros((400, 44, 44), np.float32)
    # Half the size, in a corner.
    small[:, 20:34, 4:18] = (images[:, ::2, ::2] / 255).astype(np.float32)
    _, soft = warp.warp(np.random.default_rng(0), small, small > 0.05)
    sides = [
        max(np.ptp(np.flatnonzero((one > 0.5).any(axis))) + 1 for axis in (0, 1)) for one in soft
    ]
    assert np.median(sides) == pytest.approx(photo.tile.GARMENT_SIDE, abs=1.5)


def test_spread_sleeves_moves_long_sleeves_and_keeps_the_body() -> None:
    images = np.zeros((50, 28, 28), np.float32)
    images[:, 2:26, 9:19] = 0.8  # body
    images[:, 3:24, 3:7] = images[:, 3:24, 21:25] = 0.5  # sleeves, hanging
    images[:, 3:6, 6:22] = 0.8  # shoulders
    masks = images > 0
    assert photo_augment.has_long_sleeves(masks).all()
    short = masks.copy()
    short[:, 10:, :8] = short[:, 10:, 20:] = False
    assert not photo_augment.has_long_sleeves(short).any()
    margin = ((0, 0), (8, 8), (8, 8))
    padded, padded_masks = np.pad(images, margin), np.pad(masks, margin)
    spread, spread_masks = photo_augment.spread_sleeves(
        np.random.default_rng(0), padded, padded_masks
    )
    np.testing.assert_array_equal(spread[:, 20:33, 19:25], padded[:, 20:33, 19:25])
    widths = spread_masks.any(1).sum(1)
    assert padded_masks.any(1).sum(1).max() == 22 and widths.max() >= 36
    assert np.median(widths) > 24


def test_pair_shoes_adds_a_second_shoe(drawn: Drawn) -> None:
    images, masks = of_class(SNEAKER, drawn)
    _, paired = photo_augment.pair_shoes(np.random.default_rng(0), images, masks)
    pieces = [cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 for mask in paired]
    assert np.mean(np.array(pieces) >= 2) > 0.3  # the others overlap
    assert paired.any((1, 2)).all()


def test_a_shoe_from_above_is_symmetric_and_tall(drawn: Drawn) -> None:
    images, masks = photo_augment.view_from_above(
        np.random.default_rng(0), *of_class(SNEAKER, drawn)
    )
    np.testing.assert_allclose(images, images[:, :, ::-1], atol=1e-5)
    np.testing.assert_array_equal(masks, masks[:, :, ::-1])
    heights, widths = masks.any(2).sum(1), masks.any(1).sum(1)
    assert (heights > 1.5 * widths).all()


def test_unknowns_are_shorts_cut_from_trousers_and_skirts_cut_from_dresses(drawn: Drawn) -> None:
    for label, kept_end in ((TROUSER, 0), (DRESS, -1)):
        images, masks = of_class(label, drawn)
        _, cut = photo_augment.make_unknowns(
            np.random.default_rng(0), images, masks, np.full(len(images), label)
        )
        for before, after in zip(masks, cut, strict=True):
            rows, left = np.flatnonzero(before.any(1)), np.flatnonzero(after.any(1))
            assert left[kept_end] == rows[kept_end]
            assert 0.3 < len(left) / len(rows) < 0.7


def test_other_unknowns_differ_from_the_garment_and_are_rarely_blank(drawn: Drawn) -> None:
    images, masks = of_class(SNEAKER, drawn)
    unknowns, _ = photo_augment.make_unknowns(
        np.random.default_rng(0), images, masks, np.full(len(images), SNEAKER)
    )
    assert (np.abs(unknowns - images).mean((1, 2)) > 0.02).all()
    assert (np.ptp(unknowns.reshape(len(unknowns), -1), axis=1) > 0.1).mean() > 0.95


def test_stretch_matches_photo_normalisation(drawn: Drawn) -> None:
    images, masks = of_class(BAG, drawn)
    stretched = photo_augment.stretch(images, masks.astype(np.float32))
    for image, mask, ours in zip(images, masks, stretched, strict=True):
        theirs = photo.tile.normalise_light((image * 255).round().astype(np.uint8), mask)
        assert np.abs(ours - theirs)[mask].mean() < 0.06
