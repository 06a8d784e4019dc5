"""Which files in a folder are photos: one rule for training, `predict`, your own photos and Ray."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T", str, Path)
# SVG, PDF and EPS are tried, so that the error names them.
EXTENSIONS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".webp", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".ppm",
    ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".ico", ".svg",
    ".pdf", ".eps",
}  # fmt: skip
# In a file name without an extension, a dot may precede something else: "look 2.5", "a.jpg?w=60".
AN_EXTENSION = re.compile(r"\.[^\W\d_]\w*")
# First bytes of JPEG, PNG, GIF, BMP, TIFF, WebP, HEIC and AVIF, JPEG 2000.
AN_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|BM....\0\0\0\0|II\*\0|MM\0\*|RIFF....WEBP"
    rb"|....ftyp(he|hevc|avi|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)
RUNS = "run folder"  # a reason, as messages give it
# Folders that programs put among photos, in lower case, and what they are.
NOT_PHOTOS = {
    "runs": RUNS,
    **dict.fromkeys(("@eadir", "@tmp", "#snapshot", "@recently-snapshot"), "made by a file server"),
    **dict.fromkeys(("#recycle", "@recycle", "$recycle.bin", "recycler"), "recycle bin"),
    **dict.fromkeys(("__macosx", "system volume information", "lost+found"), "system folder"),
}
MAX_NAMED = 5  # folders that a message lists


@dataclass(frozen=True)
class Failure:
    """A path that cannot be used, and why."""

    path: str
    error: str


def find_photos(root: str, ignored: dict[str, str]) -> Iterator[str | Failure]:
    """Yields the path of every photo below a folder, and a failure for what cannot be read.

    A photo has the extension of an image. A file without an extension is one if it begins as one.
    Hidden files and folders, run folders and those of `NOT_PHOTOS` are ignored. Names are sorted.
    Links to folders come last. Each folder is entered once, so that no link loops or repeats one.

    Args:
        ignored: filled with the ignored folders that are not hidden: path → reason.
    """
    unreadable: list[OSError] = []
    # A link to a folder that contains `root` would list it again.
    seen = {_identify(str(parent)) for parent in Path(root).resolve().parents}
    waiting = [root]
    for start in waiting:  # grows by links to folders, as they are found
        if not _enter(start, seen):
            ignored[start] = "link to a folder that is listed already"
            continue
        for parent, folders, names in os.walk(start, onerror=unreadable.append):
            visible = [name for name in sorted(folders) if not name.startswith(".")]
            folders.clear()
            for name in visible:
                path = os.path.join(parent, name)
                if reason := find_reason(path):
                    ignored[path] = reason
                elif os.path.islink(path):
                    waiting.append(path)
                elif _enter(path, seen):
                    folders.append(name)
            for name in sorted(names):
                path = os.path.join(parent, name)
                if not name.startswith(".") and _is_photo(path):
                    is_file = os.path.isfile(path)
                    yield path if is_file else Failure(path, "not a file, or a broken link")
    for error in unreadable:
        yield Failure(str(error.filename), str(error.strerror).lower())


def _enter(folder: str, seen: set[tuple[int, int]]) -> bool:
    """Adds a folder to `seen`; returns False if it was there."""
    identity = _identify(folder)
    is_new = identity not in seen
    seen.add(identity)
    return is_new


def _identify(folder: str) -> tuple[int, int]:
    """Returns the device and the inode, which are the same for a folder and links to it."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def find_reason(folder: str) -> str | None:
    """Returns why a folder is ignored; None if it is not."""
    is_run = os.path.isfile(os.path.join(folder, "run.json"))
    return RUNS if is_run else NOT_PHOTOS.get(os.path.basename(folder).lower())


def _is_photo(path: str) -> bool:
    """Returns whether a file has an image's extension, or none and begins as an image.

    A broken link or a file that cannot be read counts, so that whoever reads it says why not.
    """
    extension = os.path.splitext(path)[1].lower()
    if AN_EXTENSION.fullmatch(extension):
        return extension in EXTENSIONS
    if not os.path.isfile(path):  # a FIFO would block
        return os.path.islink(path)
    try:
        with open(path, "rb") as file:
            return AN_IMAGE.match(file.read(16)) is not None
    except OSError:
        return True


def is_ignored(path: str, given: str) -> bool:
    """Returns whether a match of the pattern `given` is hidden or in a folder of `NOT_PHOTOS`.

    Parts that the pattern names itself are not: `runs/*.png` has those in runs.
    """
    parts = set(re.split(r"[/\\]", path)) - set(re.split(r"[/\\]", given))
    return any(part.startswith(".") or part.lower() in NOT_PHOTOS for part in parts)


def find_matches(pattern: str, glob: Callable[[str], Iterable[T]]) -> list[T]:
    """Returns the sorted matches of a pattern; without one, its brackets are meant as they are."""
    return sorted(glob(pattern)) or sorted(glob(pattern.replace("[", "[[]")))


def describe_ignored(root: str, ignored: dict[str, str]) -> str:
    """Returns one line that says which folders below `root` were ignored, and why."""
    named = [
        f"{os.path.relpath(path, root)} ({reason})"
        for path, reason in [*ignored.items()][:MAX_NAMED]
    ]
    more = len(ignored) - len(named)
    return f"{root}: ignored {', '.join(named)}{f' and {more} more' if more else ''}"
