"""A folder of images as a data set: one subfolder per class, prepared as photos are."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe import photo
from wardrobe.data.dataset import TRAIN
from wardrobe.data.folder_layout import MAX_WARNINGS, SPLITS, find_layout, normalize
from wardrobe.errors import DataError, UsageError
from wardrobe.photo import copies
from wardrobe.terminal import console, progress

# A file in a folder of images that are 28x28 already, such as drawings of a page. They are coarser
# than the photos that `copies` compares: two circles would be copies.
TILES = "tiles.txt"
# Pixels of an image → the first file that has them. The keys are pixels, so that a copy in another
# format is recognised as a duplicate.
Tiles = dict[bytes, Path]


@dataclass(frozen=True)
class Prepared:
    """What is kept of a photo."""

    tile: npt.NDArray[np.uint8]  # (28, 28), 0-255, as `photo.prepare` returns
    thumbnail: npt.NDArray[np.uint8]  # (12, 12, 3), of the whole photo, to find copies of it


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder."""

    class_names: tuple[str, ...]  # the subfolders' names, printable, sorted
    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255
    labels: npt.NDArray[np.int64]  # (n,), index into class_names
    splits: npt.NDArray[np.str_]  # (n,), the split of each; without split folders, TRAIN
    groups: npt.NDArray[np.int64]  # (n,), the same number for copies of one photo
    split_folders: dict[str, str]  # split → folder name; empty if the folder has no splits
    checksums: dict[str, str]  # SHA-256 of the path and bytes of every file used, in order


def read_image_folder(root: Path) -> FolderImages:
    """Reads every image below `root`: CLASS/…, or train/CLASS/…, validation/CLASS/…, test/CLASS/….

    Unreadable images, duplicates, and images that are in several classes are reported on stderr.
    They are skipped. So are copies, in another size or quality, of images in another split folder.

    Raises:
        UsageError: `root` is not a folder.
        DataError: the layout is not clear, there are fewer than two classes, or a class has too few
            images that are readable and in no other class.
    """
    if not root.is_dir():
        raise UsageError(
            f"--data {root} is neither 'auto', 'fashion-mnist', 'synthetic' nor a folder; "
            "give one of these, or a folder with one subfolder per class"
        )
    layout = find_layout(root)
    names = sorted(layout.classes[TRAIN], key=normalize)  # of the folders
    if len(names) < 2:
        raise DataError(
            f"{root} has {len(names)} subfolders, expected at least 2; put the images "
            "of each class into their own subfolder"
        )
    class_names = _name_classes(root, names)
    prepared, classes = _prepare_classes(root, {name: layout.list_class(name) for name in names})
    paths = [path for tiles in classes for path in tiles.values()]
    labels = np.repeat(np.arange(len(classes)), [len(tiles) for tiles in classes])
    split_of = layout.find_splits()
    splits = np.array([split_of[path] for path in paths], str)
    groups = np.arange(len(paths))
    if not (root / TILES).is_file():
        thumbnails = np.array([prepared[path].thumbnail for path in paths], np.uint8)
        groups = copies.group_copies(thumbnails)
    used = _find_used(root, paths, splits, groups)
    paths = [paths[i] for i in used]
    labels, splits, groups = labels[used], splits[used], groups[used]
    _check_counts(root, names, labels, splits, groups, layout.folders)
    return FolderImages(
        class_names,
        np.stack([prepared[path].tile for path in paths]),
        labels,
        splits,
        groups,
        layout.folders,
        _compute_checksums(root, paths, splits, layout.folders),
    )


def _name_classes(root: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """Returns the classes' names: those of the folders, normalized and printable."""
    names = {console.make_printable(normalize(folder)): folder for folder in folders}
    if len(names) < len(folders):
        twin = next(folder for folder in folders if folder not in names.values())
        raise DataError(
            f"{root / twin} has the name of another class folder; rename or merge one of them"
        )
    return tuple(names)


def _prepare_classes(
    root: Path, listed: Mapping[str, Sequence[Path]]
) -> tuple[dict[Path, Prepared], list[Tiles]]:
    """Prepares the files of each class; returns them, and the tiles of each class to use."""
    prepared = prepare_files(root, [path for paths in listed.values() for path in paths])
    classes = []
    for name, paths in listed.items():
        tiles: Tiles = {}
        readable = [path for path in paths if path in prepared]
        for path in readable:
            tiles.setdefault(prepared[path].tile.tobytes(), path)
        if count := len(readable) - len(tiles):
            console.warn(
                f"{root}, class {name}: {count} duplicates at 28x28 pixels, each used once"
            )
        classes.append(tiles)
    _drop_contradictions(root, classes)
    return prepared, classes


def _find_used(
    root: Path, paths: Sequence[Path], splits: npt.NDArray[np.str_], groups: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Returns the indices of images without a copy in a split that they would leak into.

    A copy of a test image is neither trained on nor validated with. Copies are reported.
    """
    rank = np.array([SPLITS.index(split) for split in splits], int)
    first_rank = np.full(len(paths), len(SPLITS))
    np.minimum.at(first_rank, groups, rank)
    is_used = rank == first_rank[groups]
    copied = np.flatnonzero(groups != np.arange(len(paths)))
    for which, what in (
        (copied[is_used[copied]], "copies are kept in one split"),
        (np.flatnonzero(~is_used), "the copy in the other split is not used"),
    ):
        if len(which):
            console.warn(
                f"{root}: {len(which)} copies of another size or quality, such as "
                f"{paths[which[0]]} and {paths[groups[which[0]]]}; {what}"
            )
    return np.flatnonzero(is_used)


def _check_counts(
    root: Path,
    names: Sequence[str],
    labels: npt.NDArray[np.int64],
    splits: npt.NDArray[np.str_],
    groups: npt.NDArray[np.int64],
    folders: Mapping[str, str],
) -> None:
    """Raises a DataError if a class has too few images for its splits. Copies count once."""
    first = np.isin(np.arange(len(labels)), np.unique(groups, return_index=True)[1])
    for split in [each for each in SPLITS if each in (folders or (TRAIN,))]:
        counts = np.bincount(labels[first & (splits == split)], minlength=len(names))
        least = 1 + len({*SPLITS} - {*folders, TRAIN}) if split == TRAIN else 1
        for name, count in zip(names, counts, strict=True):
            if count < least:
                folder = root / folders.get(split, "") / name
                raise DataError(
                    f"{folder} has {count} usable images, expected at least {least} for training, "
                    "validation and test; add images or remove the folder"
                )


def _compute_checksums(
    root: Path, paths: Sequence[Path], splits: npt.NDArray[np.str_], folders: Mapping[str, str]
) -> dict[str, str]:
    names = {split: f"sha256/{folder}" for split, folder in folders.items()} or {TRAIN: "sha256"}
    digests = {split: hashlib.sha256() for split in names}
    for path, split in zip(paths, splits, strict=True):
        name = normalize(path.relative_to(root).as_posix())
        digests[split].update(os.fsencode(name) + path.read_bytes())
    return {names[split]: digest.hexdigest() for split, digest in digests.items()}


def prepare_files(root: Path, paths: Sequence[Path]) -> dict[Path, Prepared]:
    """Prepares images on every core, with progress on stderr, in the order of `paths`.

    Files that are not readable images are reported on stderr and skipped.

    Args:
        root: the folder that has them, for the report.
    """
    prepared: dict[Path, Prepared] = {}
    unreadable: dict[Path, str] = {}
    with progress.count_images(len(paths), 0) as advance, ThreadPoolExecutor() as pool:
        # Pillow and OpenCV release the GIL.
        for path, found in zip(paths, pool.map(_prepare, paths), strict=True):
            if isinstance(found, str):
                unreadable[path] = found
            else:
                prepared[path] = found
            advance(1)
    for path in [*unreadable][:MAX_WARNINGS]:
        console.warn(f"{path} skipped: {unreadable[path]}")
    if unreadable:
        console.warn(f"{root}: {len(unreadable)} files skipped, {len(prepared)} images used")
    return prepared


def _prepare(path: Path) -> Prepared | str:
    steps = photo.prepare_steps_or_reason(path)
    return steps if isinstance(steps, str) else Prepared(steps.pixels, copies.shrink(steps.photo))


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
