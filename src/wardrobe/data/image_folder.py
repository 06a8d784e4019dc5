"""A folder of images as a data set: one subfolder per class, prepared as photos are."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.errors import DataError, UsageError
from wardrobe.terminal import console, progress

MIN_IMAGES = 3  # of a class: one each for training, validation and test
MAX_WARNINGS = 5  # of one kind, such as unreadable images; the others are only counted

Tile = npt.NDArray[np.uint8]  # (28, 28), 0-255, as `photo.prepare` returns
# Pixels of an image → the first file that has them. The keys are pixels, so that a copy in another
# format is recognised as a duplicate.
Tiles = dict[bytes, Path]


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder."""

    class_names: tuple[str, ...]  # the subfolders' names, sorted
    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,), index into class_names
    sha256: str  # of the path and bytes of every file used, in order


def read_image_folder(root: Path) -> FolderImages:
    """Reads every image below `root`.

    Unreadable images, duplicates, and images that are in several classes are reported on stderr.
    They are skipped, so that no two splits share an image.

    Raises:
        UsageError: `root` is not a folder.
        DataError: there are fewer than two classes, or a class has fewer than `MIN_IMAGES` images
            that are readable and in no other class.
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
    listed = [list_files(class_folder) for class_folder in class_folders]
    tiles_of = prepare_files(root, [path for paths in listed for path in paths])
    classes = [
        _drop_duplicates(folder, {path: tiles_of[path] for path in paths if path in tiles_of})
        for folder, paths in zip(class_folders, listed, strict=True)
    ]
    _drop_contradictions(root, classes)
    digest = hashlib.sha256()
    for class_folder, tiles in zip(class_folders, classes, strict=True):
        if len(tiles) < MIN_IMAGES:
            raise DataError(
                f"{class_folder} has {len(tiles)} usable images, expected at least "
                f"{MIN_IMAGES} for training, validation and test; add images or remove the folder"
            )
        for path in tiles.values():
            digest.update(os.fsencode(path.relative_to(root).as_posix()) + path.read_bytes())
    pixels = np.frombuffer(b"".join(tile for tiles in classes for tile in tiles), np.uint8)
    labels = np.repeat(np.arange(len(classes)), [len(tiles) for tiles in classes])
    names = tuple(folder.name for folder in class_folders)
    return FolderImages(
        names, pixels.reshape(-1, photo.SIDE, photo.SIDE), labels, digest.hexdigest()
    )


def prepare_files(root: Path, paths: Sequence[Path]) -> dict[Path, Tile]:
    """Prepares images on every core, with progress on stderr: path → tile, in the order of `paths`.

    Files that are not readable images are reported on stderr and skipped.

    Args:
        root: the folder that has them, for the report.
    """
    tiles: dict[Path, Tile] = {}
    unreadable: dict[Path, str] = {}
    with progress.count_images(len(paths), 0) as advance, ThreadPoolExecutor() as pool:
        # Pillow and OpenCV release the GIL.
        for path, tile in zip(paths, pool.map(photo.prepare_or_reason, paths), strict=True):
            if isinstance(tile, str):
                unreadable[path] = tile
            else:
                tiles[path] = tile
            advance(1)
    for path in [*unreadable][:MAX_WARNINGS]:
        console.warn(f"{path} skipped: {unreadable[path]}")
    if unreadable:
        console.warn(f"{root}: {len(unreadable)} files skipped, {len(tiles)} images used")
    return tiles


def _drop_duplicates(class_folder: Path, tiles: dict[Path, Tile]) -> Tiles:
    """Keeps the first of images with the same pixels."""
    kept: Tiles = {}
    for path, tile in tiles.items():
        kept.setdefault(tile.tobytes(), path)
    if len(kept) < len(tiles):
        count = len(tiles) - len(kept)
        console.warn(f"{class_folder}: {count} duplicates at 28x28 pixels, each used once")
    return kept


def _drop_contradictions(root: Path, classes: list[Tiles]) -> None:
    """Removes the images that are in several classes: at most one of their labels is right.

    They could also end up in two splits.
    """
    owners = Counter(tile for tiles in classes for tile in tiles)
    contradictions = [tile for tile, count in owners.items() if count > 1]
    for number, tile in enumerate(contradictions):
        first, second, *_ = (tiles.pop(tile) for tiles in classes if tile in tiles)
        if number < MAX_WARNINGS:
            console.warn(
                f"{first} and {second} are the same image in two classes, at 28x28 pixels; "
                "neither is used; remove the one whose class is wrong"
            )
    if len(contradictions) > MAX_WARNINGS:
        console.warn(
            f"{root}: {len(contradictions)} images are in several classes; none of them is used"
        )


def list_files(folder: Path) -> list[Path]:
    """Returns the files in a folder and those below it, sorted, without hidden ones."""
    paths = [
        Path(parent) / name
        for parent, _, names in os.walk(folder)  # does not follow links, so it cannot loop
        for name in names
        if not name.startswith(".")
    ]
    return sorted(path for path in paths if not path.is_fifo())  # reading a FIFO would block
