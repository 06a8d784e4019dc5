"""A person's own photos as a data set: one sub-folder a class, each photo prepared as `predict` prepares it."""

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

FEWEST_IMAGES = 3  # a class: one each to train, to validate and to test
NAMED_AT_MOST = 5  # broken images named one by one; the rest are counted


@dataclass(frozen=True)
class FolderImages:
    """What a folder holds."""

    class_names: tuple[str, ...]  # the sub-folders' names, sorted
    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,), index into class_names
    sha256: str  # of every used file's path and bytes, in order


def read_image_folder(root: Path) -> FolderImages:
    """Reads every image below `root`; broken ones are named on stderr, counted and skipped.

    Raises:
        UsageError: `root` is no folder.
        DataError: fewer than two classes, or a class with fewer than `FEWEST_IMAGES` readable images.
    """
    if not root.is_dir():
        raise UsageError(
            f"--data {root} is neither 'auto', 'fashion-mnist', 'synthetic' nor a folder; "
            "give one of these, or a folder with one sub-folder a class"
        )
    class_folders = sorted(
        child for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")
    )
    if len(class_folders) < 2:
        raise DataError(
            f"{root} has {len(class_folders)} sub-folders, expected at least 2; put each class's images in its own"
        )
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    digest = hashlib.sha256()
    for label, class_folder in enumerate(class_folders):
        of_class = _read_class(class_folder)
        if len(of_class) < FEWEST_IMAGES:
            raise DataError(
                f"class folder {class_folder} has {len(of_class)} readable images, expected at least "
                f"{FEWEST_IMAGES} (one each to train, validate and test); add images or remove the folder"
            )
        for path, image in of_class.items():
            images.append(image)
            labels.append(label)
            digest.update(os.fsencode(path.relative_to(root).as_posix()) + path.read_bytes())
    names = tuple(folder.name for folder in class_folders)
    return FolderImages(names, np.stack(images), np.array(labels), digest.hexdigest())


def _read_class(class_folder: Path) -> dict[Path, npt.NDArray[np.uint8]]:
    """Reads a class's images; names those that are broken, and counts copies, which would stand in two splits."""
    images: dict[Path, npt.NDArray[np.uint8]] = {}
    seen: set[bytes] = set()
    broken = copies = 0
    paths = _files(class_folder)
    with ThreadPoolExecutor() as pool:
        prepared = list(pool.map(photo.prepare_or_reason, paths))
    for path, image in zip(paths, prepared, strict=True):
        if isinstance(image, str):
            broken += 1
            if broken <= NAMED_AT_MOST:
                console.warn(f"{path} cannot be used: {image}; skipped")
            continue
        if image.tobytes() in seen:
            copies += 1
            continue
        seen.add(image.tobytes())
        images[path] = image
    if broken:
        console.warn(f"{class_folder}: {broken} files skipped in all, {len(images)} images used")
    if copies:
        console.warn(
            f"{class_folder}: {copies} images are copies of others once reduced to 28x28; used once"
        )
    return images


def _files(folder: Path) -> list[Path]:
    found = [
        Path(parent) / name
        for parent, _, names in os.walk(
            folder
        )  # does not follow links to folders, so it cannot loop
        for name in names
        if not name.startswith(".")
    ]
    return sorted(path for path in found if not path.is_fifo())  # which would be waited for
