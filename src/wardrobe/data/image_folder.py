"""A folder of images as a data set: one subfolder per class, prepared as photos are."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.errors import DataError, UsageError
from wardrobe.terminal import console

MIN_IMAGES = 3  # of a class: one each for training, validation and test
MAX_WARNINGS = 5  # unreadable images of a class that are named one by one


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder."""

    class_names: tuple[str, ...]  # the subfolders' names, sorted
    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,), index into class_names
    sha256: str  # of the path and bytes of every file used, in order


def read_image_folder(root: Path) -> FolderImages:
    """Reads every image below `root`. Unreadable ones are reported on stderr and skipped.

    Raises:
        UsageError: `root` is not a folder.
        DataError: there are fewer than two classes, or a class has fewer than `MIN_IMAGES` images.
    """
    if not root.is_dir():
        raise UsageError(
            f"--data {root} is neither 'auto', 'fashion-mnist', 'synthetic' nor a folder; "
            "give one of these, or a folder with one subfolder per class"
        )
    class_folders = sorted(
        child for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")
    )
    if len(class_folders) < 2:
        raise DataError(
            f"{root} has {len(class_folders)} subfolders, expected at least 2; put the images of "
            "each class into their own subfolder"
        )
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    digest = hashlib.sha256()
    for label, class_folder in enumerate(class_folders):
        class_images = _read_class(class_folder)
        if len(class_images) < MIN_IMAGES:
            raise DataError(
                f"{class_folder} has {len(class_images)} readable images, expected at least "
                f"{MIN_IMAGES} for training, validation and test; add images or remove the folder"
            )
        for path, image in class_images.items():
            images.append(image)
            labels.append(label)
            digest.update(os.fsencode(path.relative_to(root).as_posix()) + path.read_bytes())
    names = tuple(folder.name for folder in class_folders)
    return FolderImages(names, np.stack(images), np.array(labels), digest.hexdigest())


def _read_class(class_folder: Path) -> dict[Path, npt.NDArray[np.uint8]]:
    """Reads the images of a class. Duplicates are dropped: they could end up in two splits."""
    images: dict[Path, npt.NDArray[np.uint8]] = {}
    seen: set[bytes] = set()
    unreadable = duplicates = 0
    paths = _list_files(class_folder)
    with ThreadPoolExecutor() as pool:  # Pillow and OpenCV release the GIL
        prepared = list(pool.map(photo.prepare_or_reason, paths))  # in the order of `paths`
    for path, image in zip(paths, prepared, strict=True):
        if isinstance(image, str):
            unreadable += 1
            if unreadable <= MAX_WARNINGS:
                console.warn(f"{path} skipped: {image}")
        elif image.tobytes() in seen:
            duplicates += 1
        else:
            seen.add(image.tobytes())  # the tile, not the file: a re-encoded copy is found too
            images[path] = image
    if unreadable:
        console.warn(f"{class_folder}: {unreadable} files skipped, {len(images)} images used")
    if duplicates:
        console.warn(f"{class_folder}: {duplicates} duplicates at 28x28 pixels, each used once")
    return images


def _list_files(folder: Path) -> list[Path]:
    paths = [
        Path(parent) / name
        for parent, _, names in os.walk(folder)  # does not follow links, so it cannot loop
        for name in names
        if not name.startswith(".")
    ]
    return sorted(path for path in paths if not path.is_fifo())  # reading a FIFO would block
