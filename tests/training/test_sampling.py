"""An epoch has every image once, or the hard examples several times, and always the same length."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from wardrobe.data import Dataset, augment, batches
from wardrobe.data.clothing_photos import ClothingPhotos, Photos
from wardrobe.models import recipes
from wardrobe.training import loop, sampling

BASELINE = recipes.get("baseline")


@pytest.fixture(scope="module")
def dataset(drawn_data: Dataset) -> Dataset:
    return replace(drawn_data, train=drawn_data.train[:600])


class FakeModel:
    """A model that is right about every image except the hard ones."""

    def __init__(self, dataset: Dataset, hard: npt.NDArray[np.int64]) -> None:
        self.logits = 5 * np.eye(10)[dataset.train.labels]
        self.output_shape = self.logits.shape
        self.logits[hard] *= -1

    def predict(self, *_: Any, **__: Any) -> npt.NDArray[np.floating]:
        return self.logits


def read_images(given: dict[str, Any]) -> npt.NDArray[np.uint8]:
    return np.concatenate([images for images, _ in given["x"].as_numpy_iterator()])[..., 0]


def counts(dataset: Dataset, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Returns how often each training image is among `images`."""
    number = {image.tobytes(): i for i, image in enumerate(dataset.train.images)}
    return np.bincount([number[image.tobytes()] for image in images], minlength=len(dataset.train))


def test_every_epoch_has_every_image_once_in_a_new_order(dataset: Dataset) -> None:
    model: Any = None  # not used before there are hard examples
    first, second = (
        read_images(sampling.make_epoch_batches(BASELINE, dataset, model, 0, epoch))
        for epoch in (0, 1)
    )
    assert (counts(dataset, first) == 1).all()
    assert (counts(dataset, second) == 1).all()
    assert (first != second).any()


def test_hard_examples_are_repeated_from_the_third_epoch(dataset: Dataset) -> None:
    hard = np.arange(0, 600, 5)
    model: Any = FakeModel(dataset, hard)
    recipe = replace(BASELINE, hard_fraction=0.2)
    for epoch in range(4):
        seen = counts(
            dataset, read_images(sampling.make_epoch_batches(recipe, dataset, model, 0, epoch))
        )
        assert seen.sum() == 600
        if epoch < sampling.WARMUP_EPOCHS:
            assert (seen == 1).all()
        else:
            assert seen[hard].min() >= 3
            others = np.delete(seen, hard) > 0
            assert others.mean() == pytest.approx(sampling.EASY_FRACTION, abs=0.05)


def test_no_two_rounds_share_a_turn_and_no_image_is_augmented_in_vain(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    sizes: list[int] = []

    def record(recipe: Any, images: Any, chosen: Any, seed: int, turn: int) -> Any:
        turns.append(turn)
        sizes.append(len(chosen))
        return images[chosen]

    monkeypatch.setattr(augment, "augment", record)
    model: Any = FakeModel(dataset, np.arange(240))
    for epoch in range(5):
        recipe = replace(BASELINE, hard_fraction=0.4)
        sampling.make_epoch_batches(recipe, dataset, model, 0, epoch)
    assert turns == list(range(2 + 3 * 3))  # two epochs over all images, then three rounds each
    assert sizes == [600, 600, *3 * [276, 276, 48]]  # 40 % of 600, a tenth of the others


def test_the_images_keep_their_labels(dataset: Dataset) -> None:
    model: Any = FakeModel(dataset, np.arange(60))
    given = sampling.make_epoch_batches(replace(BASELINE, hard_fraction=0.1), dataset, model, 0, 2)
    number = {image.tobytes(): i for i, image in enumerate(dataset.train.images)}
    for images, labels in given["x"].as_numpy_iterator():
        expected = [dataset.train.labels[number[image.tobytes()]] for image in images[..., 0]]
        assert labels.tolist() == expected


def test_losses_are_cross_entropies(dataset: Dataset) -> None:
    model = loop.compile_model(BASELINE, 10, seed=0, steps=1)
    found = sampling.compute_losses(model, dataset.train)
    expected = model.evaluate(
        **batches.from_arrays(dataset.train.images[..., None], dataset.train.labels, 100), verbose=0
    )[0]
    assert found.shape == (600,)
    assert found.mean() == pytest.approx(expected, rel=1e-4)


def test_batches_from_a_function_keep_their_order() -> None:
    def batch(number: int) -> batches.Batch:
        return np.full((2, 28, 28, 1), number, np.float32), np.full((2, 3), number, np.float32)

    got = [
        (float(x[0, 0, 0, 0]), float(y[0, 0]))
        for x, y in batches.from_function(batch, 30)["x"].as_numpy_iterator()
    ]
    assert got == [(number, number) for number in range(30)]


def test_an_epoch_has_the_recipes_shares_of_photos_warped_and_unknown_images(
    dataset: Dataset,
) -> None:
    kinds = np.array(["dress", "shoes", "hat"] * 10)
    grey = np.full((30, 28, 28), 77, np.uint8)  # recognised after a warp by its constant tone
    photos = Photos(grey, kinds)
    mixed = replace(dataset, photos=ClothingPhotos("", {}, photos, photos))
    recipe = replace(
        BASELINE, photo_fraction=0.3, warp_fraction=0.2, unknown_fraction=0, batch_size=64
    )
    model: Any = None
    first, again = (
        list(sampling.make_epoch_batches(recipe, mixed, model, 0, 3)["x"].as_numpy_iterator())
        for _ in range(2)
    )
    targets = np.concatenate([each for _, each in first])
    assert targets.shape == (600, 11)
    assert [len(each) for _, each in first] == [64] * 9 + [24]
    assert all(np.array_equal(one[0], two[0]) for one, two in zip(first, again, strict=True))
    shoes, none = targets.sum(axis=1) == 3, targets[:, -1] == 1
    assert shoes.sum() == none.sum() == 60, "a third of 180 photos each, every photo equally often"
    assert (targets[shoes][:, [5, 7, 9]] == 1).all()
    images = np.concatenate([each for each, _ in first])[..., 0]
    unchanged = counts_of_known(dataset, images)
    assert unchanged == pytest.approx(300, abs=3), "half of the images are as they were"
    halves = targets[:300].sum(axis=1) == 3
    assert 15 <= halves.sum() <= 45, "photos are spread over the epoch"


def test_unknown_images_have_the_target_of_no_class(dataset: Dataset) -> None:
    photos = Photos(dataset.train.images[:9], np.array(["pants"] * 9))
    mixed = replace(dataset, photos=ClothingPhotos("", {}, photos, photos))
    recipe = replace(BASELINE, photo_fraction=0.1, unknown_fraction=0.5)
    model: Any = None
    given = sampling.make_epoch_batches(recipe, mixed, model, 0, 0)["x"].as_numpy_iterator()
    targets = np.concatenate([each for _, each in given])
    assert (targets.sum(axis=1) == 1).all()
    assert targets[:, -1].mean() == pytest.approx(0.5, abs=0.07)


def counts_of_known(dataset: Dataset, images: npt.NDArray[np.uint8]) -> int:
    """Returns how many of `images` are training images, unchanged."""
    known = {image.tobytes() for image in dataset.train.images}
    return sum(image.tobytes() in known for image in images)
