"""Training images as photos show them: what is done to them can be seen, and is the same for the same seed."""

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


def of(label: int, drawn: Drawn) -> tuple[warp.Floats, warp.Masks]:
    """The drawn images of one class, 0-1, and their masks."""
    images, masks, labels = drawn
    return images[labels == label].astype(np.float32) / 255, masks[labels == label]


def test_a_mask_is_the_garment_with_its_holes() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 5:20, 8:18] = 200
    images[0, 10:12, 10:12] = 0  # a dark print: garment all the same
    images[1, 5:20, 8:18] = 200
    images[1, 5:12, 12:14] = 0  # a neck, open to the outside
    masks = photo_augment.garment_masks(images)
    assert masks[0, 5:20, 8:18].all()
    assert masks[0].sum() == 150
    assert masks[1].sum() == 150 - 14


def test_the_same_seed_gives_the_same_batch_and_another_does_not(drawn: Drawn) -> None:
    def batch(seed: int) -> tuple[warp.Floats, warp.Floats]:
        return photo_augment.simulate_photos(np.random.default_rng(seed), *drawn, CLASS_NAMES)

    (first, targets), (again, same), (other, _) = batch(1), batch(1), batch(2)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(targets, same)
    assert np.abs(first - other).mean() > 10
    assert first.shape == (400, 28, 28, 1)
    assert first.dtype == targets.dtype == np.float32
    assert first.min() >= 0 and 200 < first.max() <= 255


def test_some_become_none_of_the_ten_and_are_said_to_be(drawn: Drawn) -> None:
    labels = drawn[2]
    _, targets = photo_augment.simulate_photos(np.random.default_rng(0), *drawn, CLASS_NAMES)
    assert targets.shape == (400, 11)
    none = targets[:, 10] == 1
    assert none.mean() == pytest.approx(photo_augment.UNKNOWN, abs=0.05)
    np.testing.assert_array_equal(targets[~none].argmax(axis=1), labels[~none])
    np.testing.assert_array_equal(targets.sum(axis=1), 1)
    for classes, share in ((CLASS_NAMES, 0.0), (tuple("abcdefghij"), photo_augment.UNKNOWN)):
        _, targets = photo_augment.simulate_photos(np.random.default_rng(0), *drawn, classes, share)
        assert not targets[
            :, 10
        ].any()  # nor for a person's own classes, of which shorts may be one


def test_the_garment_fills_the_frame_as_photo_py_makes_it(drawn: Drawn) -> None:
    images = drawn[0]
    small = np.zeros((400, 44, 44), np.float32)
    small[:, 20:34, 4:18] = (images[:, ::2, ::2] / 255).astype(
        np.float32
    )  # half the size, in a corner
    _, soft = warp.warp(np.random.default_rng(0), small, small > 0.05)
    sides = [
        max(np.ptp(np.flatnonzero((one > 0.5).any(axis))) + 1 for axis in (0, 1)) for one in soft
    ]
    assert np.median(sides) == pytest.approx(photo.tile.GARMENT_SIDE, abs=1.5)


def test_long_sleeves_are_spread_and_the_body_stays() -> None:
    images = np.zeros((50, 28, 28), np.float32)
    images[:, 2:26, 9:19] = 0.8  # body
    images[:, 3:24, 3:7] = images[:, 3:24, 21:25] = 0.5  # sleeves, hanging
    images[:, 3:6, 6:22] = 0.8  # shoulders
    masks = images > 0
    assert photo_augment.has_long_sleeves(masks).all()
    short = masks.copy()
    short[:, 10:, :8] = short[:, 10:, 20:] = False
    assert not photo_augment.has_long_sleeves(short).any()
    room = ((0, 0), (8, 8), (8, 8))
    roomy, roomy_masks = np.pad(images, room), np.pad(masks, room)
    spread, spread_masks = photo_augment.spread_sleeves(
        np.random.default_rng(0), roomy, roomy_masks
    )
    np.testing.assert_array_equal(spread[:, 20:33, 19:25], roomy[:, 20:33, 19:25])
    widths = spread_masks.any(1).sum(1)
    assert roomy_masks.any(1).sum(1).max() == 22 and widths.max() >= 36
    assert np.median(widths) > 24


def test_a_pair_is_two_shoes(drawn: Drawn) -> None:
    images, masks = of(SNEAKER, drawn)
    _, paired = photo_augment.pair_shoes(np.random.default_rng(0), images, masks)
    pieces = [cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 for mask in paired]
    assert np.mean(np.array(pieces) >= 2) > 0.3  # the others overlap
    assert paired.any((1, 2)).all()


def test_seen_from_above_a_shoe_is_the_same_on_both_sides(drawn: Drawn) -> None:
    images, masks = photo_augment.view_from_above(np.random.default_rng(0), *of(SNEAKER, drawn))
    np.testing.assert_allclose(images, images[:, :, ::-1], atol=1e-5)
    np.testing.assert_array_equal(masks, masks[:, :, ::-1])
    heights, widths = masks.any(2).sum(1), masks.any(1).sum(1)
    assert (heights > 1.5 * widths).all()


def test_shorts_are_cut_from_trousers_and_skirts_from_dresses(drawn: Drawn) -> None:
    for label, kept_end in ((TROUSER, 0), (DRESS, -1)):
        images, masks = of(label, drawn)
        _, cut = photo_augment.make_unknowns(
            np.random.default_rng(0), images, masks, np.full(len(images), label)
        )
        for before, after in zip(masks, cut, strict=True):
            rows, left = np.flatnonzero(before.any(1)), np.flatnonzero(after.any(1))
            assert left[kept_end] == rows[kept_end]
            assert 0.3 < len(left) / len(rows) < 0.7


def test_what_is_drawn_is_no_garment_and_never_blank(drawn: Drawn) -> None:
    images, masks = of(SNEAKER, drawn)
    made, _ = photo_augment.make_unknowns(
        np.random.default_rng(0), images, masks, np.full(len(images), SNEAKER)
    )
    assert (np.abs(made - images).mean((1, 2)) > 0.02).all()
    assert (np.ptp(made.reshape(len(made), -1), axis=1) > 0.1).mean() > 0.95


def test_tones_are_stretched_as_photo_py_does(drawn: Drawn) -> None:
    images, masks = of(BAG, drawn)
    stretched = photo_augment.stretch(images, masks.astype(np.float32))
    for image, mask, ours in zip(images, masks, stretched, strict=True):
        theirs = photo.tile.normalise_light((image * 255).round().astype(np.uint8), mask)
        assert np.abs(ours - theirs)[mask].mean() < 0.06
