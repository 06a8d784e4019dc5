"""Synthetic data: seeded, unlimited, shaped like Fashion-MNIST, too hard for a linear model."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from wardrobe.data import load_data, synthetic
from wardrobe.data.test_split import open_test_split
from wardrobe.runs import Run


def test_the_same_seed_draws_the_same_images_and_another_seed_does_not() -> None:
    images, labels = synthetic.draw(20, seed=1)
    np.testing.assert_array_equal(images, synthetic.draw(20, seed=1)[0])
    assert (images != synthetic.draw(20, seed=2)[0]).any(axis=(1, 2)).all()
    assert images.shape == (20, 28, 28)
    assert images.dtype == np.uint8
    assert labels.tolist() == [*range(10), *range(10)]


def test_any_slice_of_the_sequence_gives_the_same_images() -> None:
    images, labels = synthetic.draw(30)
    later, later_labels = synthetic.draw(10, first=20)
    np.testing.assert_array_equal(images[20:], later)
    np.testing.assert_array_equal(labels[20:], later_labels)
    assert synthetic.draw(2, first=10**9)[0].shape == (2, 28, 28)


@pytest.mark.parametrize("label", range(10))
def test_garments_are_visible_fit_the_frame_and_vary(label: int) -> None:
    images = np.stack(
        [synthetic.draw_one(label, np.random.default_rng(i)) for i in range(40)]
    ).astype(float)
    covered = (images > 15).mean(axis=(1, 2))
    assert covered.min() > 0.02, "a garment is invisible"
    assert covered.max() < 0.75, "a garment fills the frame"
    brightest = images.max(axis=(1, 2))
    assert brightest.max() > 2 * brightest.min(), "brightness does not vary"
    rows, columns = images.sum(axis=2) @ np.arange(28), images.sum(axis=1) @ np.arange(28)
    total = images.sum(axis=(1, 2))
    assert (rows / total).std() > 0.8, "height does not vary"
    assert (columns / total).std() > 0.8, "position does not vary"


def test_a_network_learns_the_images_and_a_linear_model_does_not(
    drawn_training: tuple[Run, object],
) -> None:
    images, labels = synthetic.draw(6_000)
    flat = images.reshape(len(images), -1) / 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        linear = (
            LogisticRegression(max_iter=60)
            .fit(flat[:4_000], labels[:4_000])
            .score(flat[4_000:], labels[4_000:])
        )
    assert linear < 0.70
    network = drawn_training[0].metrics()["accuracy"]  # two epochs on as many images
    assert network > linear + 0.10


def test_the_splits_share_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    # Fewer images than the 5,000 and 10,000 of real use, which take a while to draw.
    monkeypatch.setattr("wardrobe.data.load.VALIDATION_IMAGES", 500)
    monkeypatch.setattr("wardrobe.data.load.SYNTHETIC_TEST_IMAGES", 700)
    monkeypatch.setattr("wardrobe.data.load.SYNTHETIC_TRAIN_IMAGES", 1_200)
    dataset = load_data("synthetic")
    splits = [
        {image.tobytes() for image in each.images}
        for each in (dataset.train, dataset.validation, open_test_split(dataset))
    ]
    assert [len(each) for each in splits] == [700, 500, 700]
    assert len(set.union(*splits)) == 1_900
