"""Data sets: where the arrays come from, and the splits. The test split stays closed until evaluation opens it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe.data import fashion_mnist, image_folder, synthetic
from wardrobe.errors import DataMissingError, UsageError
from wardrobe.labels import CLASS_NAMES
from wardrobe.terminal import console

VALIDATION_IMAGES = 5_000  # of the official 60,000
SYNTHETIC_TRAIN_IMAGES, SYNTHETIC_TEST_IMAGES = 60_000, 10_000
SYNTHETIC_SEED = 0  # names the wardrobe; a run's own seed does not change the data
FOLDER_SHARE = 0.15  # of each class to validation, and as much to the test split

TEST, VALIDATION = "test", "validation"  # the splits that a model can be scored on
AUTO, FASHION_MNIST, SYNTHETIC = "auto", "fashion-mnist", "synthetic"


@dataclass(frozen=True)
class Split:
    """Images and their labels."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,), index into class_names

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice | npt.NDArray[np.int64]) -> "Split":
        return Split(self.images[which], self.labels[which])

    def __add__(self, other: "Split") -> "Split":
        return Split(
            np.concatenate([self.images, other.images]), np.concatenate([self.labels, other.labels])
        )


@dataclass(frozen=True)
class Dataset:
    """A data set with its three splits. Only evaluation/scoring.py may call `open_test`; a test holds this."""

    name: str  # "fashion-mnist", "synthetic", or the folder's path
    source: str  # where it lies, or how it is made
    class_names: tuple[str, ...]
    sums: dict[str, str]  # file or folder → its checksum
    train: Split
    validation: Split
    test_size: int
    open_test: Callable[[], Split]

    @property
    def is_synthetic(self) -> bool:
        return self.name == SYNTHETIC

    def holding_out(self, count: int | None) -> "Dataset":
        """Returns the data set with `count` images left in validation, and its others trained on; itself for None."""
        if count is None or count >= len(self.validation):
            return self
        return replace(
            self, train=self.train + self.validation[count:], validation=self.validation[:count]
        )

    def describe(self) -> dict[str, object]:
        """Returns what run.json says of the data."""
        sizes = {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": self.test_size,
        }
        return {
            "source": self.source,
            "class_names": list(self.class_names),
            "sums": self.sums,
            "splits": sizes,
        }

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Returns the images of each class in the training and the validation split; the test split stays closed."""
        splits = {"train": self.train.labels, "validation": self.validation.labels}
        counts = {
            name: np.bincount(labels, minlength=len(self.class_names))
            for name, labels in splits.items()
        }
        return {
            name: {split: int(counts[split][i]) for split in splits}
            for i, name in enumerate(self.class_names)
        }


def load_data(
    name: str = AUTO,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    held_out: int | None = None,
) -> Dataset:
    """Opens a data set.

    Args:
        name: "auto" (Fashion-MNIST if it can be had, else the synthetic wardrobe), "fashion-mnist", "synthetic", or a
            folder with a sub-folder a class.
        data_dir: where the Fashion-MNIST files lie; see `fashion_mnist.locate` for the places searched after it.
        limit: trains on this many images at most, the first of the split's fixed order; validation and test stay whole.
        held_out: leaves this many images in validation and trains on its others too; None leaves it whole.

    Raises:
        UsageError: `limit` is below 1, or `name` is none of these.
        DataError: the data is not usable, or (not for "auto") cannot be had.
    """
    if limit is not None and limit < 1:
        raise UsageError(
            f"--limit {limit} is no number of images; give 1 or more, or leave it out to train on all"
        )
    if not name:
        raise UsageError("--data is empty; give 'auto', 'fashion-mnist', 'synthetic', or a folder")
    files = Path(data_dir) if data_dir is not None else None
    if name == AUTO:
        dataset = _fashion_mnist_or_synthetic(files, limit)
    elif name == FASHION_MNIST:
        dataset = _fashion_mnist(files)
    elif name == SYNTHETIC:
        dataset = _synthetic(limit)
    else:
        dataset = _folder(Path(name))
    dataset = dataset.holding_out(held_out)
    return replace(dataset, train=dataset.train[:limit])


def stratified_split(
    labels: npt.NDArray[np.int64], held_out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Splits indices in two, each class in the same share, always the same way for the same labels.

    Both parts come in a fixed mixed order. RandomState, not Generator: NumPy promises that its stream never changes
    (NEP 19), so the split is the same for everyone.

    Args:
        labels: (n,) class indices.
        held_out: how many indices the second part gets; shared out by class size, at least one a class.

    Returns:
        The kept and the held-out indices.
    """
    random = np.random.RandomState(0)
    kept, out = [], []
    for label in np.unique(labels):
        indices = random.permutation(np.flatnonzero(labels == label))
        count = max(1, round(held_out * len(indices) / len(labels)))
        out.append(indices[:count])
        kept.append(indices[count:])
    return random.permutation(np.concatenate(kept)), random.permutation(np.concatenate(out))


def _fashion_mnist_or_synthetic(data_dir: Path | None, limit: int | None) -> Dataset:
    try:
        return _fashion_mnist(data_dir)
    except DataMissingError as error:
        console.notice(
            "THIS IS NOT FASHION-MNIST",
            f"Fashion-MNIST could not be had: {error}.\n\n"
            "Training goes on with the synthetic wardrobe: ten kinds of clothing drawn by code. The scores say "
            "nothing about Fashion-MNIST, and every file of this run says so.",
        )
        return _synthetic(limit)


def _fashion_mnist(data_dir: Path | None) -> Dataset:
    paths = fashion_mnist.locate(data_dir)
    whole = Split(
        fashion_mnist.read_images(paths["train_images"]),
        fashion_mnist.read_labels(paths["train_labels"]),
    )
    train, validation = stratified_split(whole.labels, VALIDATION_IMAGES)
    return Dataset(
        name=FASHION_MNIST,
        source=", ".join(sorted({str(path.parent) for path in paths.values()})),
        class_names=CLASS_NAMES,
        sums={file.name: file.md5 for file in fashion_mnist.FILES.values()},
        train=whole[train],
        validation=whole[validation],
        test_size=10_000,
        open_test=lambda: Split(
            fashion_mnist.read_images(paths["test_images"]),
            fashion_mnist.read_labels(paths["test_labels"]),
        ),
    )


def _synthetic(limit: int | None) -> Dataset:
    """Draws validation first, so that the training images, drawn after it, can be cut short by `limit`."""
    train_images = min(limit or SYNTHETIC_TRAIN_IMAGES, SYNTHETIC_TRAIN_IMAGES - VALIDATION_IMAGES)
    drawn = Split(*synthetic.draw(VALIDATION_IMAGES + train_images, SYNTHETIC_SEED))
    return Dataset(
        name=SYNTHETIC,
        source=f"drawn by code, wardrobe {SYNTHETIC_SEED}",
        class_names=CLASS_NAMES,
        sums={"sha256": hashlib.sha256(drawn.images[:VALIDATION_IMAGES].tobytes()).hexdigest()},
        train=drawn[VALIDATION_IMAGES:],
        validation=drawn[:VALIDATION_IMAGES],
        test_size=SYNTHETIC_TEST_IMAGES,
        open_test=lambda: Split(
            *synthetic.draw(SYNTHETIC_TEST_IMAGES, SYNTHETIC_SEED, first=SYNTHETIC_TRAIN_IMAGES)
        ),
    )


def _folder(root: Path) -> Dataset:
    found = image_folder.read_image_folder(root)
    whole = Split(found.images, found.labels)
    held_out = round(FOLDER_SHARE * len(whole))
    rest, test = stratified_split(whole.labels, held_out)
    kept, validation = stratified_split(whole.labels[rest], held_out)
    train, validation = rest[kept], rest[validation]
    return Dataset(
        name=str(root.resolve()),
        source=str(root.resolve()),
        class_names=found.class_names,
        sums={"sha256": found.sha256},
        train=whole[train],
        validation=whole[validation],
        test_size=len(test),
        open_test=lambda: whole[test],
    )
