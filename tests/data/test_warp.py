"""Warped images keep what makes them a tile: a light garment on black, near its place."""

import numpy as np
import pytest

from wardrobe.data import augment, synthetic

IMAGES, _ = synthetic.draw(200, seed=0)


def test_a_warp_follows_from_its_generator_alone() -> None:
    first, again, other = (augment.warp(np.random.default_rng(seed), IMAGES) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).all(), "every image is changed anew"
    assert first.shape == IMAGES.shape
    assert first.dtype == np.uint8


def test_warped_garments_stay_in_the_frame_on_black(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "ERASE_PROBABILITY", 0)
    warped = augment.warp(np.random.default_rng(0), IMAGES)
    area, expected = (warped > 0).mean(axis=(1, 2)), (IMAGES > 0).mean(axis=(1, 2))
    assert (area / expected).min() > 0.6, "a garment was cut off"
    assert (area / expected).max() < 2
    rows = np.arange(28)
    centres = [(each.sum(axis=2) @ rows) / each.sum(axis=(1, 2)) for each in (warped, IMAGES)]
    assert np.abs(centres[0] - centres[1]).max() < 5, "pixels"
    assert warped[:, 0, 0].max() == 0, "the background is not black"


def test_half_of_the_images_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TURN", "SCALE", "ASPECT", "SHEAR", "SHIFT", "GAMMA", "ERASE_PROBABILITY"):
        monkeypatch.setattr(augment, name, 0.0)
    warped = augment.warp(np.random.default_rng(0), IMAGES)
    is_same = (warped == IMAGES).all(axis=(1, 2))
    is_mirrored = (warped == IMAGES[:, :, ::-1]).all(axis=(1, 2))
    assert (is_same | is_mirrored).all(), "something else than the mirroring changed"
    assert is_mirrored.mean() == pytest.approx(0.5, abs=0.12)


def test_unknowns_are_no_garment_any_more() -> None:
    unknowns = augment.make_unknowns(np.random.default_rng(0), IMAGES)
    assert unknowns.shape == IMAGES.shape
    assert unknowns.dtype == np.uint8
    assert (unknowns != IMAGES).any(axis=(1, 2)).mean() > 0.99
    has_same_pixels = np.array(
        [
            np.array_equal(np.sort(one, axis=None), np.sort(other, axis=None))
            for one, other in zip(unknowns, IMAGES, strict=True)
        ]
    )
    assert has_same_pixels.mean() == pytest.approx(0.5, abs=0.12), "half have swapped quarters"
    close_up = unknowns[~has_same_pixels]
    assert (close_up > 0).mean() > 2 * (IMAGES > 0).mean() * 0.6, "texture does not fill the frame"
