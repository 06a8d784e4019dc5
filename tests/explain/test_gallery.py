"""The images behind a figure of the report: which, and what the page gets of each."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from wardrobe.data import Split
from wardrobe.explain import gallery

LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 1])
CONFIDENCES = np.array([0.9, 0.6, 0.8, 0.7, 1.0, 0.55, 0.99996])
PROBABILITIES = np.where(
    np.arange(2) == PREDICTED[:, None], CONFIDENCES[:, None], 1 - CONFIDENCES[:, None]
)


def test_every_mistake_and_some_right_answers_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def select() -> list[int]:
        return gallery.select_images(LABELS, PREDICTED, PROBABILITIES).tolist()

    assert select() == [0, 2, 1, 3, 5, 4, 6]  # by cell, the most confident first
    monkeypatch.setattr(gallery, "CORRECT", 2)
    assert select() == [0, 1, 3, 5, 4, 6]  # mistakes; the most and the least confident right ones
    monkeypatch.setattr(gallery, "CORRECT", 40)
    monkeypatch.setattr(gallery, "MOST_IMAGES", 4)
    assert select() == [0, 3, 5, 4]  # each cell keeps its most confident one


def test_an_image_is_described_with_its_pixels_and_its_nearest_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
    angles = np.array([0, 10, 80, 70, 90, 20, 100])  # degrees: the less between two, the nearer
    features = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
    shown = np.array([0, 1, 2, 3, 4, 5, 6])
    found = gallery.describe_images(
        Split(images, LABELS), shown, PROBABILITIES, features, ["a", "b"]
    )
    assert (found["index"], found["actual"]) == (shown.tolist(), LABELS.tolist())
    assert found["predicted"] == PREDICTED.tolist()
    assert found["probabilities"][4] == [0, 10_000]  # only all is all
    assert found["probabilities"][6] == [1, 9_999]
    # Image 3 is a 0 taken for a 1: the nearest right images of each.
    assert found["nearest"]["predicted"][3] == [4, 6, -1, -1]
    assert found["nearest"]["actual"][3] == [2, 1, 0, -1]
    assert found["nearest"]["actual"][0] == [1, 2, -1, -1]  # never the image itself
    with Image.open(io.BytesIO(base64.b64decode(found["png"]))) as sheet:
        tiles = np.asarray(sheet)
    np.testing.assert_array_equal(tiles[:, 28 * 6 : 28 * 7], images[6])
    coarse = gallery.describe_images(
        Split(images, LABELS), shown[:1], PROBABILITIES, features, ["a", "b"], levels=16
    )
    with Image.open(io.BytesIO(base64.b64decode(coarse["png"]))) as sheet:
        assert set(np.asarray(sheet).ravel().tolist()) <= set(range(0, 256, 17))
