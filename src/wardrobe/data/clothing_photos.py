"""Photos of clothing, taken by users: found or downloaded, checked by SHA-256, and prepared.

They are clothing-dataset-small, CC0, in its published splits. Photos of one's own can be added.

Source: Alexey Grigorev, github.com/alexeygrigorev/clothing-dataset-small.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wardrobe.data.dataset import TEST, TRAIN, VALIDATION
from wardrobe.data.download import cache_folder, download_archive, raise_if_disk_error
from wardrobe.data.folder_layout import group_photos
from wardrobe.data.image_folder import Prepared, prepare_files
from wardrobe.errors import DataError, DataMissingError, UsageError
from wardrobe.labels import CLASS_NAMES
from wardrobe.photo import copies
from wardrobe.photo.listing import find_photos
from wardrobe.terminal import console

# The ten kinds of photos, by folder name → class names that count as correct. No class is correct
# for hats, shorts and skirts.
KINDS: dict[str, tuple[str, ...]] = {
    "dress": ("Dress",),
    "longsleeve": ("Pullover",),
    "outwear": ("Coat",),
    "pants": ("Trouser",),
    "shirt": ("Shirt",),
    "shoes": ("Sandal", "Sneaker", "Ankle boot"),
    "t-shirt": ("T-shirt/top",),
    "hat": (),
    "shorts": (),
    "skirt": (),
}
KNOWN_KINDS = tuple(kind for kind, accepted in KINDS.items() if accepted)
OTHER = "other"  # folder name of photos of one's own that show none of the ten classes
EXTRA = "extra"
# Folder name in lower case → kind, class name or OTHER.
FOLDER_NAMES = {name.casefold(): name for name in (*CLASS_NAMES, *KINDS, OTHER) if "/" not in name}
NAME = "clothing-photos"

COMMIT = "36364be1969242c019705255cd87aed00c73a939"
URL = f"https://codeload.github.com/alexeygrigorev/clothing-dataset-small/tar.gz/{COMMIT}"
PAGE = "https://github.com/alexeygrigorev/clothing-dataset-small"
# Split → SHA-256 of its files; see `compute_checksum`. GitHub may compress an archive anew, so its
# own checksum is not constant.
PUBLISHED: dict[str, str] = {
    TRAIN: "9eb73bb8252b750a89d00916804e9a5bdfe89f20dd3dbbd1e8d31666d712d271",
    VALIDATION: "6d116b3ac31d9ce3378e38dfa299a35fc0490ebff6f7255f678afb7b62f8ba6e",
    TEST: "04ffa7269ef71d3c3142e05543c7dca3088a3463ffaf9d500a65abd539dd654c",
}
# A photo in the archive: top folder, split, kind, name. Nothing else is extracted.
MEMBER = re.compile(rf"[^/]+/((?:{'|'.join(PUBLISHED)})/(?:{'|'.join(KINDS)})/[\w-]+\.jpg)")


@dataclass(frozen=True)
class Photos:
    """Prepared photos and what they show."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0-255, as `photo.prepare` returns
    kinds: npt.NDArray[np.str_]  # (n,), of KINDS; in photos of one's own also class names, OTHER
    paths: tuple[Path, ...] = ()  # n files, if they are from files

    def __len__(self) -> int:
        return len(self.kinds)

    def select(self, chosen: npt.NDArray[np.bool_]) -> "Photos":
        """Returns the chosen photos (n,)."""
        paths = tuple(itertools.compress(self.paths, chosen))
        return Photos(self.images[chosen], self.kinds[chosen], paths)

    def __add__(self, other: "Photos") -> "Photos":
        return Photos(
            np.concatenate([self.images, other.images]), np.concatenate([self.kinds, other.kinds])
        )

    def targets(self, class_names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Returns multi-hot targets (n, k + 1): 1 for each class that counts as correct.

        The last column is 1 if none of the k classes does.
        """
        kinds, row = np.unique(self.kinds, return_inverse=True)
        accepted = np.array([np.isin(class_names, accepted_classes(kind)) for kind in kinds])
        accepted = accepted.reshape(len(kinds), len(class_names))[row]  # (n, k), also if n is 0
        none = ~accepted.any(axis=1, keepdims=True)
        return np.concatenate([accepted, none], axis=1).astype(np.float32)


@dataclass(frozen=True)
class ClothingPhotos:
    """The photos to train on and to choose with. `data.test_split` opens the test photos."""

    source: str  # the folder
    checksums: dict[str, str]  # "clothing-photos/train" and so on → SHA-256
    train: Photos
    validation: Photos


def accepted_classes(kind: str) -> tuple[str, ...]:
    """Returns the classes that count as correct for a kind, a class name, or OTHER."""
    return KINDS.get(kind, tuple(name for name in CLASS_NAMES if name == kind))


def find(photos_dir: Path | None = None) -> Path | None:
    """Returns the folder of the splits: `photos_dir`, `$WARDROBE_PHOTOS`, or that in the cache.

    Returns None if neither is given and the cache has none.

    Raises:
        UsageError: the given folder does not have the subfolders train and validation.
    """
    from_environment = os.environ.get("WARDROBE_PHOTOS")
    if photos_dir is not None:
        return _check_layout(photos_dir, f"--photos-dir {photos_dir}")
    if from_environment:
        return _check_layout(Path(from_environment), f"$WARDROBE_PHOTOS {from_environment}")
    cached = cache_folder(NAME)
    return cached if cached.is_dir() else None


def locate(photos_dir: Path | None = None) -> Path:
    """Returns the folder of the splits as `find` does, downloading them into the cache if needed.

    Raises:
        UsageError: as in `find`.
        DataMissingError: the photos cannot be downloaded.
        DataError: the download cannot be stored, or another process is downloading.
    """
    return find(photos_dir) or _fetch(cache_folder(NAME))


def load_photos(photos_dir: Path | None = None, extra: Path | None = None) -> ClothingPhotos:
    """Opens and prepares the photos of `train` and `validation`.

    Files that cannot be read are reported on stderr and skipped.

    Args:
        photos_dir: as in `find`; it may be another data set with the same layout.
        extra: folder of labelled photos to add to `train`, with one subfolder per kind, class
            name, or `other` for none of the ten. Photos that are one of `train` or `validation`,
            also at another size or quality, or the same file as one of `test`, are left out.

    Raises:
        UsageError: a folder does not have the expected subfolders.
        DataMissingError, DataError: as in `locate`; or a folder has no photo that can be
            used, none of `validation` shows one of the ten classes, or the cache does not have the
            published photos.
    """
    root = locate(photos_dir)
    folders = {TRAIN: root / TRAIN, VALIDATION: root / VALIDATION}
    if extra is not None:
        folders[EXTRA] = extra
    listed = {split: list_photos(folder) for split, folder in folders.items()}
    prepared = prepare_files(root, [path for paths in listed.values() for path in paths])
    photos = {split: _collect(folders[split], listed[split], prepared) for split in listed}
    if extra is not None:
        photos[EXTRA] = _drop_known(photos, prepared, root / TEST)
    if not any(accepted_classes(kind) for kind in photos[VALIDATION].kinds):
        raise DataError(
            f"{folders[VALIDATION]} has no photo of one of the ten classes; add some in "
            f"{', '.join(KNOWN_KINDS)}"
        )
    # Of the files that could be read; each was just read, so none of them fails here.
    checksums = {split: compute_checksum(folders[split], photos[split].paths) for split in photos}
    _check_published(root, checksums)
    return ClothingPhotos(
        source=str(root),
        checksums={f"{NAME}/{split}": checksum for split, checksum in checksums.items()},
        train=photos[TRAIN] + photos[EXTRA] if extra is not None else photos[TRAIN],
        validation=photos[VALIDATION],
    )


def count_photos(root: Path) -> dict[str, dict[str, int]]:
    """Returns the number of files of each kind in the folder `root`: kind → split → number.

    Raises:
        UsageError: it does not have the expected subfolders.
    """
    splits = {split: [*list_photos(root / split).values()] for split in (TRAIN, VALIDATION)}
    kinds = sorted({kind for listed in splits.values() for kind in listed})
    return {kind: {split: splits[split].count(kind) for split in splits} for kind in kinds}


def read_split(root: Path, split: str) -> Photos:
    """Prepares the photos of one split of the folder `root`.

    Raises:
        UsageError: it does not have the expected subfolders. DataError: it has no photo
        that can be used.
    """
    listed = list_photos(root / split)
    return _collect(root / split, listed, prepare_files(root / split, list(listed)))


def list_photos(folder: Path) -> dict[Path, str]:
    """Returns the files in the subfolders of `folder`, sorted: path → kind, class name or OTHER.

    Raises:
        UsageError: it is not a folder, or a subfolder has another name.
    """
    allowed = ", ".join(FOLDER_NAMES)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give one with subfolders such as {allowed}")
    listed: dict[Path, str] = {}
    groups = group_photos(folder)
    groups.pop("", None)  # photos beside the folders have no kind
    for child, paths in groups.items():
        name = FOLDER_NAMES.get(child.casefold())
        if name is None:
            raise UsageError(
                f"{folder / child} is not named after a kind; rename it to one of {allowed}"
            )
        listed |= dict.fromkeys(paths, name)
    return listed


def compute_checksum(root: Path, paths: Iterable[Path]) -> str:
    """Returns the SHA-256 over the relative paths and contents of photos.

    In `root`, it is that of `sha256sum */* | LC_ALL=C sort | sha256sum`.
    """
    names = {path: os.fsencode(path.relative_to(root).as_posix()) for path in paths}
    lines = sorted(_hash_file(path).encode() + b"  " + names[path] + b"\n" for path in names)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _list_files(folder: Path) -> list[Path]:
    found = find_photos(str(folder), {}) if folder.is_dir() else ()
    return [Path(each) for each in found if isinstance(each, str)]


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_layout(root: Path, given: str) -> Path:
    if not all((root / split).is_dir() for split in (TRAIN, VALIDATION)):
        raise UsageError(
            f"{given} does not have the folders {TRAIN} and {VALIDATION}; give a folder with "
            f"{TRAIN}/KIND/*.jpg and {VALIDATION}/KIND/*.jpg, as in {PAGE}"
        )
    return root


def _check_published(root: Path, checksums: Mapping[str, str]) -> None:
    """Warns if the photos are not the published ones; in the cache, that is an error."""
    different = [split for split in (TRAIN, VALIDATION) if checksums[split] != PUBLISHED[split]]
    if not different:
        return
    text = f"{root} does not have the published photos in {' and '.join(different)}"
    if root == cache_folder(NAME):
        raise DataError(f"{text}; delete this folder to download them again")
    console.warn(f"{text}; its own are used")


def _drop_known(
    photos: Mapping[str, Photos], prepared: Mapping[Path, Prepared], test: Path
) -> Photos:
    """Returns the extra photos without those that are in another split.

    Args:
        test: folder of the test photos, if it is there. They are compared by checksum alone.
    """
    extra = photos[EXTRA]
    known = [*photos[TRAIN].paths, *photos[VALIDATION].paths]
    thumbnails = np.stack([prepared[path].thumbnail for path in (*known, *extra.paths)])
    is_copy = copies.group_copies(thumbnails)[len(known) :] < len(known)
    tiles = {prepared[path].tile.tobytes() for path in known}
    tested = {_hash_file(path) for path in _list_files(test)}
    is_known = [
        prepared[path].tile.tobytes() in tiles or _hash_file(path) in tested for path in extra.paths
    ]
    is_new = ~(is_copy | np.array(is_known))
    if not is_new.all():
        dropped = extra.paths[int(is_new.argmin())]  # the first that is not new
        console.warn(
            f"{dropped} is also in train, validation or test; it is not added "
            f"({int((~is_new).sum())} such photos)"
        )
    return extra.select(is_new)


def _collect(folder: Path, listed: Mapping[Path, str], prepared: Mapping[Path, Prepared]) -> Photos:
    """Returns the photos that could be prepared, in the order of `listed`."""
    paths = [path for path in listed if path in prepared]
    if not paths:
        raise DataError(f"{folder} has no photo that can be used; add some to its subfolders")
    kinds = np.array([listed[path] for path in paths])
    return Photos(np.stack([prepared[path].tile for path in paths]), kinds, tuple(paths))


def _fetch(target: Path) -> Path:
    """Downloads the published photos to the folder `target`; returns it."""
    advice = "give the folder of the photos with --photos-dir"
    try:
        is_published = download_archive(URL, target, MEMBER, _is_published)
    except OSError as error:
        raise_if_disk_error(error, target, advice)
        raise DataMissingError(
            f"the clothing photos are not in {target}, and the download from {URL} failed "
            f"({type(error).__name__}); try again to resume it, or get {PAGE} and {advice}"
        ) from error
    if not is_published:
        raise DataMissingError(
            f"{URL} does not have the published clothing photos; get {PAGE} and {advice}"
        )
    return target


def _is_published(root: Path) -> bool:
    folders = {split: root / split for split in PUBLISHED}
    found = {split: compute_checksum(each, _list_files(each)) for split, each in folders.items()}
    return found == PUBLISHED
