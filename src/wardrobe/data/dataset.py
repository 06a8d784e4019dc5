"""The types of a data set: `Split`, images with labels, and `Dataset`, its three splits."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # that module needs this one
    from wardrobe.data.clothing_photos import ClothingPhotos

TRAIN = "train"
TEST, VALIDATION = "test", "validation"  # the splits that a model can be scored on
AUTO, FASHION_MNIST, SYNTHETIC = "auto", "fashion-mnist", "synthetic"
NAMES = AUTO, FASHION_MNIST, SYNTHETIC  # of data sets; all others are folders or files


@dataclass(frozen=True)
class Split:
    """Images and their labels."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,), index into class_names

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice | npt.NDArray[np.int64]) -> "Split":
        return Split(self.images[which], self.labels[which])

    def __repr__(self) -> str:
        return f"Split({len(self):,} images)"

    def __add__(self, other: "Split") -> "Split":
        return Split(
            np.concatenate([self.images, other.images]), np.concatenate([self.labels, other.labels])
        )


def tile_images(images: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Returns images (n, h, w) as one, in rows of `columns`; the rest of the last row is black."""
    count, height, width = images.shape
    rows = -(-count // columns)
    padded = np.pad(images, ((0, rows * columns - count), (0, 0), (0, 0)))
    grid = padded.reshape(rows, columns, height, width).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width)


@dataclass(frozen=True)
class Dataset:
    """A data set with its three splits. The test split is opened by `data.test_split` alone."""

    name: str  # "fashion-mnist", "synthetic", or the folder's path
    source: str  # the folder of the files, or how the images are made
    class_names: tuple[str, ...]
    checksums: dict[str, str]  # file or algorithm → checksum
    train: Split
    validation: Split
    test_size: int  # images
    _load_test: Callable[[], Split]  # lazy: nothing reads it by accident
    # Split → folder that it is from, if an image folder has folders for its splits.
    split_folders: dict[str, str] | None = None
    photos: "ClothingPhotos | None" = None  # for a recipe that is trained on photos as well

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} train, {len(self.validation):,} validation"
        classes = f"{len(self.class_names)} classes"
        return f"Dataset({self.name!r}, {classes}, {sizes}, {self.test_size:,} test)"

    @property
    def is_synthetic(self) -> bool:
        return self.name == SYNTHETIC

    @property
    def public_name(self) -> str:
        """The name without the path of a folder, for files that are shared with others.

        A folder with the name of a built-in data set gets a slash: "synthetic/".
        """
        last = Path(self.name).name
        is_folder = last != self.name
        return f"{last}/" if is_folder and last in NAMES else last

    def with_validation_size(self, count: int | None) -> "Dataset":
        """Returns the data set with `count` validation images, the others added to training.

        Returns the data set itself if `count` is None or at least the number of validation images.
        """
        if count is None or count >= len(self.validation):
            return self
        return replace(
            self, train=self.train + self.validation[count:], validation=self.validation[:count]
        )

    def describe(self) -> dict[str, object]:
        """Returns the entry "dataset" of run.json."""
        sizes = len(self.train), len(self.validation), self.test_size
        found: dict[str, object] = {
            "source": self.source,
            "class_names": list(self.class_names),
            "checksums": self.checksums,
            "splits": dict(zip(("train", "validation", "test"), sizes, strict=True)),
        }
        if self.split_folders is not None:
            found["split_folders"] = self.split_folders
        if self.photos is not None:
            splits = {"train": self.photos.train, "validation": self.photos.validation}
            found["photos"] = {
                "source": self.photos.source,
                "splits": {name: len(each) for name, each in splits.items()},
            }
        return found

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Returns the number of training and validation images of each class."""
        splits = {"train": self.train, "validation": self.validation}
        return {
            name: {split: int((each.labels == i).sum()) for split, each in splits.items()}
            for i, name in enumerate(self.class_names)
        }
