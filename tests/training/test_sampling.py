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


def test_an_epoch_has_the_recipes_shares_of_photos_and_warped_images(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TURN", "SCALE", "ASPECT", "SHEAR", "SHIFT", "GAMMA", "ERASE_PROBABILITY"):
        monkeypatch.setattr(augment, name, 0.0)  # warps only mirror, so that images are recognised
    grey = np.full((30, 28, 28), 77, np.uint8)
    photos = Photos(grey, np.array(["shoes", "hat"] * 15))
    mixed = replace(dataset, photos=ClothingPhotos("", {}, photos, photos))
    recipe = replace(
        BASELINE, photo_fraction=0.3, warp_fraction=0.2, unknown_fraction=0, batch_size=64
    )
    model: Any = None
    first, again = (
        list(sampling.make_epoch_batches(recipe, mixed, model, 0, 3)["x"].as_numpy_iterator())
        for _ in range(2)
    )
    assert [len(each) for each, _ in first] == [64] * 9 + [24]
    assert all(np.array_equal(one[0], two[0]) for one, two in zip(first, again, strict=True))
    images = np.concatenate([each for each, _ in first])[..., 0]
    targets = np.concatenate([each for _, each in first])
    assert targets.shape == (600, 11)
    shoes, none = targets.sum(axis=1) == 3, targets[:, -1] == 1
    assert shoes.sum() == none.sum() == 90, "every photo equally often"
    assert (targets[shoes][:, [5, 7, 9]] == 1).all()
    is_photo = (images == 77).all(axis=(1, 2))
    np.testing.assert_array_equal(is_photo, shoes | none)
    assert 60 <= is_photo[:300].sum() <= 120, "photos are spread over the epoch"
    label = {image.tobytes(): i for image, i in zip(*_split(dataset), strict=True)}
    mirrored = {image[:, ::-1].tobytes(): i for image, i in zip(*_split(dataset), strict=True)}
    labels = [({**mirrored, **label})[image.tobytes()] for image in images[~is_photo]]
    assert targets[~is_photo].argmax(axis=1).tolist() == labels
    is_changed = [image.tobytes() not in label for image in images[~is_photo]]
    assert np.mean(is_changed) == pytest.approx(0.5 * 120 / 420, abs=0.06), "half are mirrored"


def test_unknown_images_have_the_target_of_no_class(dataset: Dataset) -> None:
    photos = Photos(dataset.train.images[:9], np.array(["pants"] * 9))
    mixed = replace(dataset, photos=ClothingPhotos("", {}, photos, photos))
    recipe = replace(BASELINE, photo_fraction=0.1, unknown_fraction=0.5)
    model: Any = None
    given = sampling.make_epoch_batches(recipe, mixed, model, 0, 0)["x"]
    batches_of = list(given.as_numpy_iterator())
    targets = np.concatenate([each for _, each in batches_of])
    assert (targets.sum(axis=1) == 1).all()
    assert targets[:, -1].mean() == pytest.approx(0.5, abs=0.07)
    images = np.concatenate([each for each, _ in batches_of])[..., 0]
    known = {image.tobytes() for image in dataset.train.images}
    is_known = np.array([image.tobytes() in known for image in images])
    assert not is_known[targets[:, -1] == 1].any(), "an unknown image is a garment as it was"


def _split(dataset: Dataset) -> tuple[npt.NDArray[np.uint8], list[int]]:
    return dataset.train.images, dataset.train.labels.tolist()
