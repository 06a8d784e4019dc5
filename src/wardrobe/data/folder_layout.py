"""Which photos of an image folder belong to which split and class."""

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardrobe.data.dataset import TEST, TRAIN, VALIDATION
from wardrobe.errors import DataError
from wardrobe.photo.listing import Failure, describe_ignored, find_photos, find_reason
from wardrobe.terminal import console

MAX_WARNINGS = 5  # of one kind, such as unreadable images; the others are only counted
SPLITS = TEST, VALIDATION, TRAIN  # a photo in several is used in the first of them
SPLIT_NAMES = {  # folder name in lower case → split
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
Groups = dict[str, list[Path]]  # name of a subfolder → the photos in it, sorted


@dataclass(frozen=True)
class Layout:
    """The photos of a folder, by split and class."""

    folders: dict[str, str]  # split → folder name; empty if the folder has no splits
    classes: dict[str, Groups]  # split → class → photos; without splits, those of TRAIN

    def list_class(self, name: str) -> list[Path]:
        """Returns the photos of a class in the order of `SPLITS`."""
        return [path for split in SPLITS for path in self.classes.get(split, {}).get(name, [])]

    def find_splits(self) -> dict[Path, str]:
        return {
            path: split
            for split, groups in self.classes.items()
            for paths in groups.values()
            for path in paths
        }


def normalize(name: str) -> str:
    """Returns a name with accents as single characters.

    macOS may write é as e and an accent. The same folder has to give the same classes, splits and
    checksum everywhere.
    """
    return unicodedata.normalize("NFC", name)


def normalize_parts(path: Path) -> list[str]:
    """Returns a key that sorts paths in the same way everywhere."""
    return [normalize(part) for part in path.parts]


def find_layout(root: Path) -> Layout:
    """Lists the photos of an image folder by split and class.

    Raises:
        DataError: it is not clear which folders are the classes.
    """
    groups = group_photos(root)
    splits = {name: SPLIT_NAMES.get(name.casefold()) for name in groups if name}
    if any(splits.values()):
        folders = {split: name for name, split in splits.items() if split}
        classes = {split: _group(root / name, groups[name]) for split, name in folders.items()}
        problem = _find_split_problem(groups, splits) or _find_class_problem(folders, classes)
        for name in folders.values():
            _report_ignored(root / name, _group(root / name, groups[name]), {})
    else:
        folders, classes, problem = {}, {TRAIN: groups}, None
        if stray := groups.pop("", []):
            console.warn(
                f"{root}: ignored {len(stray)} images outside the class folders, such as "
                f"{stray[0].name}"
            )
    parents = {
        path.parent.relative_to(root / folders.get(split, "") / name)
        for split, each in classes.items()
        for name, paths in each.items()
        for path in paths
    }
    if parents and Path() not in parents:  # each of CLASS/…, where classes may be deeper
        example = next(
            path for each in classes.values() for paths in each.values() for path in paths
        )
        problem = problem or f"has images only deeper, such as {example.relative_to(root)}"
    if problem:
        raise DataError(
            f"{root} {problem}; expected one subfolder per class, or the folders train, validation "
            "and test with the same classes in each; move what differs, or give another folder"
        )
    return Layout(folders, classes)


def _find_split_problem(groups: Groups, splits: Mapping[str, str | None]) -> str | None:
    """Returns what is not clear about the folders beside train."""
    names = ", ".join(splits)
    if "" in groups:
        return f"has images beside {names}, such as {groups[''][0].name}"
    if others := [name for name, split in splits.items() if split is None]:
        return f"has {', '.join(others)} beside {', '.join({*splits} - {*others})}"
    if len({*splits.values()}) < len(splits):
        return f"has several folders for one split: {names}"
    return None if TRAIN in splits.values() else f"has {names}, but no train"


def _find_class_problem(folders: Mapping[str, str], classes: Mapping[str, Groups]) -> str | None:
    """Returns what is not clear about the classes of the splits."""
    for split, groups in classes.items():
        if "" in groups:
            return (
                f"has images in {folders[split]} outside of classes, such as {groups[''][0].name}"
            )
        if different := sorted(groups.keys() ^ classes[TRAIN].keys()):
            names = ", ".join(different)
            return f"has other classes in {folders[split]} than in {folders[TRAIN]}: {names}"
    return None


def group_photos(root: Path) -> Groups:
    """Returns the photos in each subfolder; those beside the subfolders have the key "".

    Reports ignored folders and unreadable files on stderr.
    """
    ignored: dict[str, str] = {}
    found = [*find_photos(str(root), ignored)]
    groups = _group(root, [Path(each) for each in found if isinstance(each, str)])
    failures = [each for each in found if isinstance(each, Failure)]
    for failure in failures[:MAX_WARNINGS]:
        console.warn(f"{failure.path} skipped: {failure.error}")
    if len(failures) > MAX_WARNINGS:
        console.warn(f"{root}: {len(failures)} files or folders cannot be read; skipped")
    _report_ignored(root, groups, ignored)
    return groups


def _group(folder: Path, paths: Sequence[Path]) -> Groups:
    groups: Groups = {}
    for path in sorted(paths, key=normalize_parts):
        first, *rest = path.relative_to(folder).parts
        groups.setdefault(first if rest else "", []).append(path)
    return dict(sorted(groups.items()))


def _report_ignored(folder: Path, groups: Groups, ignored: dict[str, str]) -> None:
    """Reports ignored folders and subfolders without an image on stderr."""
    empty: dict[str, str] = {}  # first in the report, as it may be a class
    for child in sorted(folder.iterdir()):
        path = os.path.join(str(folder), child.name)  # noqa: PTH118  as in `find_photos`
        is_listed = child.name in groups or child.name.startswith(".") or path in ignored
        if child.is_dir() and not is_listed and not find_reason(path):
            empty[path] = "no image"
    if reasons := empty | ignored:
        console.warn(describe_ignored(str(folder), reasons))
