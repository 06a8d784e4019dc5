"""Opens Fashion-MNIST, the synthetic images or a folder of images as a `Dataset`."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe.data import clothing_photos, image_folder, synthetic
from wardrobe.data.dataset import (
    AUTO,
    FASHION_MNIST,
    SYNTHETIC,
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    Split,
)
from wardrobe.data.fashion_mnist import files, forms
from wardrobe.errors import DataMissingError, UsageError
from wardrobe.labels import CLASS_NAMES
from wardrobe.models.recipes import Recipe
from wardrobe.terminal import console

VALIDATION_IMAGES = 5_000  # of the 60,000 published training images
SYNTHETIC_TRAIN_IMAGES, SYNTHETIC_TEST_IMAGES = 60_000, 10_000
SYNTHETIC_SEED = 0  # fixed: the seed of a run does not change its data
FOLDER_FRACTION = 0.15  # of a folder's images for validation, and as many for test


def load_data(
    name: str = AUTO,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    held_out: int | None = None,
) -> Dataset:
    """Opens a data set.

    Args:
        name: "auto" (Fashion-MNIST if available, otherwise synthetic images), "fashion-mnist",
            "synthetic", a folder with one subfolder per class, or with train and, if wanted,
            validation and test above them, or a folder or file of Fashion-MNIST.
        data_dir: folder or file of Fashion-MNIST; `fashion_mnist.files.find` says where else it is
            looked for.
        limit: number of training images, taken from the start of the split's fixed order; None:
            all. Validation and test stay whole.
        held_out: number of validation images to keep; the others are added to training. None:
            all.

    Raises:
        UsageError: `limit` is below 1, or `name` is empty.
        DataError: the data is not usable or, except for "auto", not available.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} is too small; give 1 or more, or leave it out for all")
    if not name:
        raise UsageError("--data is empty; give 'auto', 'fashion-mnist', 'synthetic', or a folder")
    place = Path(data_dir) if data_dir is not None else None
    if name == AUTO:
        dataset = _load_fashion_mnist_or_synthetic(place, limit)
    elif name == FASHION_MNIST:
        dataset = _load_fashion_mnist(place)
    elif name == SYNTHETIC:
        dataset = _draw_synthetic(limit)
    elif files.is_copy(Path(name)):
        dataset = _load_fashion_mnist(Path(name))
    else:
        dataset = _load_folder(Path(name))
    dataset = dataset.with_validation_size(held_out)
    return replace(dataset, train=dataset.train[:limit])  # the order is shuffled: a random sample


def load_training_data(
    recipe: Recipe,
    name: str = AUTO,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    photos_dir: str | Path | None = None,
    extra_photos: str | Path | None = None,
) -> Dataset:
    """Opens all data that a recipe is trained on: a data set, and photos if the recipe has some.

    Args:
        name, data_dir, limit: as in `load_data`.
        photos_dir, extra_photos: as in `clothing_photos.load_photos`.

    Raises:
        UsageError, DataError: as in `load_data` and `load_photos`; photos are given for a recipe
            without, or the data set has other classes than Fashion-MNIST.
    """
    if not recipe.photo_fraction and (photos_dir is not None or extra_photos is not None):
        option = "--photos-dir" if extra_photos is None else "--extra-photos"
        raise UsageError(f"{option} is for the recipe photo, not {recipe.name}; leave it out")
    dataset = load_data(name, data_dir, limit, recipe.held_out)
    if not recipe.photo_fraction:
        return dataset
    if dataset.class_names != CLASS_NAMES:
        raise UsageError(
            f"the recipe {recipe.name} mixes in photos of Fashion-MNIST's ten classes, but --data "
            f"{name} has others; train another recipe on it"
        )
    paths = (Path(each) if each is not None else None for each in (photos_dir, extra_photos))
    photos = clothing_photos.load_photos(*paths)
    # One set of checksums, so that whatever compares data compares the photos too.
    return replace(dataset, photos=photos, checksums=dataset.checksums | photos.checksums)


def stratified_split(
    labels: npt.NDArray[np.int64], held_out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Splits indices into two parts with the same class proportions, always in the same way.

    scikit-learn's StratifiedShuffleSplit would do, but its choice may change between versions.
    `RandomState` has a stream that NumPy promises never to change (NEP 19).

    Args:
        labels: (n,) class indices.
        held_out: size of the second part, divided among the classes by their size, at least one
            of each class.

    Returns:
        The kept and the held-out indices, each in a fixed shuffled order.
    """
    random = np.random.RandomState(0)  # fixed: every run has the same validation images
    kept, out = [], []
    for label in np.unique(labels):
        indices = random.permutation(np.flatnonzero(labels == label))
        count = max(1, round(held_out * len(indices) / len(labels)))  # at least one of each class
        out.append(indices[:count])
        kept.append(indices[count:])
    return random.permutation(np.concatenate(kept)), random.permutation(np.concatenate(out))


def _load_fashion_mnist_or_synthetic(data_dir: Path | None, limit: int | None) -> Dataset:
    try:
        return _load_fashion_mnist(data_dir)
    except DataMissingError as error:
        console.notice(
            "THIS IS NOT FASHION-MNIST",
            f"Fashion-MNIST is not available: {error}.\n\n"
            "Synthetic images are used instead: ten classes of clothing drawn by code. Scores on "
            "them say nothing about Fashion-MNIST, and every file that is written says so.",
        )
        return _draw_synthetic(limit)


def _load_fashion_mnist(data_dir: Path | None) -> Dataset:
    copies = files.find(data_dir)

    published = _parse_split(copies["train_images"], copies["train_labels"])
    test = copies["test_images"], copies["test_labels"]  # alone kept in memory, for later
    train, validation = stratified_split(published.labels, VALIDATION_IMAGES)
    return Dataset(
        name=FASHION_MNIST,
        source=", ".join(sorted({str(copy.path.parent) for copy in copies.values()})),
        class_names=CLASS_NAMES,
        checksums={file.name: file.md5 for file in files.FILES.values()},
        train=published[train],
        validation=published[validation],
        test_size=10_000,
        _load_test=lambda: _parse_split(*test),
    )


def _parse_split(images: files.Copy, labels: files.Copy) -> Split:
    return Split(forms.parse_images(images.content), forms.parse_labels(labels.content))


def _draw_synthetic(limit: int | None) -> Dataset:
    # Validation comes first, so that `limit` can cut the training images, which are slow to draw.
    train_images = min(limit or SYNTHETIC_TRAIN_IMAGES, SYNTHETIC_TRAIN_IMAGES - VALIDATION_IMAGES)
    drawn = Split(*synthetic.draw(VALIDATION_IMAGES + train_images, SYNTHETIC_SEED))
    train, validation = drawn[VALIDATION_IMAGES:], drawn[:VALIDATION_IMAGES]
    return Dataset(
        name=SYNTHETIC,
        source=f"drawn by code, seed {SYNTHETIC_SEED}",
        class_names=CLASS_NAMES,
        checksums={"sha256": hashlib.sha256(validation.images.tobytes()).hexdigest()},
        train=train,
        validation=validation,
        test_size=SYNTHETIC_TEST_IMAGES,
        _load_test=lambda: Split(
            *synthetic.draw(SYNTHETIC_TEST_IMAGES, SYNTHETIC_SEED, first=SYNTHETIC_TRAIN_IMAGES)
        ),
    )


def _load_folder(root: Path) -> Dataset:
    found = image_folder.read_image_folder(root)
    images = Split(found.images, found.labels)
    is_split = bool(found.split_folders)
    order = np.arange(len(images))
    if is_split:  # the order of a split that is carved from another is shuffled anyway
        order = np.random.RandomState(0).permutation(order)
    parts = {split: order[found.splits[order] == split] for split in (TRAIN, VALIDATION, TEST)}
    held_out = round(FOLDER_FRACTION * len(parts[TRAIN]))  # images
    for split in (TEST, VALIDATION):
        if not len(parts[split]):
            train = parts[TRAIN]  # indices into `images`
            kept, out = _split_groups(images.labels[train], found.groups[train], held_out)
            parts |= {TRAIN: train[kept], split: train[out]}
    folders = (
        {split: found.split_folders.get(split, found.split_folders[TRAIN]) for split in parts}
        if is_split
        else None
    )
    return Dataset(
        name=str(root.resolve()),
        source=str(root.resolve()),
        class_names=found.class_names,
        checksums=found.checksums,
        train=images[parts[TRAIN]],
        validation=images[parts[VALIDATION]],
        test_size=len(parts[TEST]),
        _load_test=lambda: images[parts[TEST]],
        split_folders=folders,
    )


def _split_groups(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], held_out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Splits indices as `stratified_split` does, but all images of a group into one part.

    The first image of each group is split, and the others follow it.

    Args:
        labels, groups: (n,) class indices, and any number for each group.
    """
    first = np.sort(np.unique(groups, return_index=True)[1])
    others = np.setdiff1d(np.arange(len(groups)), first)
    kept, out = (first[part] for part in stratified_split(labels[first], held_out))
    is_out = np.isin(groups[others], groups[out])
    return np.concatenate([kept, others[~is_out]]), np.concatenate([out, others[is_out]])
