"""Finds the images that the arguments name: files, folders, patterns, lists, Parquet, addresses."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe.bulk.store import JOB, find_filesystem, is_address, open_file, printable, to_absolute
from wardrobe.errors import UsageError
from wardrobe.inference.predict import find_images
from wardrobe.photo.listing import EXTENSIONS, Failure, find_matches, is_ignored


@dataclass(frozen=True)
class Table:
    """A Parquet file, the number of rows in each row group, and its size and time of change."""

    file: str
    rows: list[int]
    state: str  # from `read_state`; "" for the job's own file


def read_state(file: str) -> str:
    """Returns size and time of change of a file, as far as its file system knows them."""
    filesystem, path = find_filesystem(file)
    try:
        size = f"{filesystem.info(path)['size']:,} bytes"
    except FileNotFoundError:
        return "missing"
    with contextlib.suppress(NotImplementedError):
        return f"{size} of {filesystem.modified(path)}"
    return size


def find_inputs(inputs: Sequence[str]) -> Iterator[str | Failure | Table]:
    """Yields the images, by absolute path or address, and the Parquet files of images. Each once.

    Raises:
        UsageError: a Parquet file lacks the columns, or the file system of an address is unknown.
    """
    found = chain.from_iterable(map(_expand, inputs))
    if len(inputs) == 1 and os.path.isdir(inputs[0]):  # noqa: PTH112
        yield from found  # a folder has no duplicates: no need to remember ten million paths
        return
    seen = set()  # absolute paths: the same image may be named in two ways
    for each in found:
        key = each.file if isinstance(each, Table) else each
        if key not in seen:
            seen.add(key)
            yield each


def find_image_column(schema: pa.Schema) -> str | None:
    """Returns the column of images: binary, or the struct of bytes and path of Hugging Face."""
    for name in ("bytes", "image"):
        kind = schema.field(name).type if schema.get_field_index(name) >= 0 else None
        if isinstance(kind, pa.StructType):
            kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else None
        if kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return name
    return None


def has_path_column(schema: pa.Schema) -> bool:
    """Returns whether there is a text column "path"."""
    if schema.get_field_index("path") < 0:
        return False
    kind = schema.field("path").type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _expand(given: str) -> Iterator[str | Failure | Table]:
    """Yields what one argument names."""
    if given.lower().endswith(".txt"):
        yield from _read_list(given)
        return
    for found in _find_at_address(given) if is_address(given) else _find_in_folders(given):
        if isinstance(found, Failure):
            yield Failure(to_absolute(found.path), found.error)
        elif found.lower().endswith(".parquet"):
            if found != given and _is_answer(found):  # of a job below the same folder
                continue
            yield from _open_parquet(to_absolute(found))
        else:
            yield to_absolute(found)


def _read_list(file: str) -> Iterator[str | Failure]:
    """Yields the paths in a text file, one per line."""
    try:
        with open_file(file) as lines:
            for line in lines:
                path = line.decode("utf-8", "surrogateescape").strip("\r\n\ufeff")
                if path.strip():
                    yield to_absolute(path)
    except FileNotFoundError:
        yield Failure(to_absolute(file), "does not exist")
    except OSError as error:
        yield Failure(to_absolute(file), str(error))


def _find_in_folders(given: str) -> Iterator[str | Failure]:
    """Yields images as `find_images` does; the Parquet files of a folder without images."""
    images = find_images([given])
    first = next(images)  # at least one: an image, or why there is none
    if isinstance(first, Failure) and Path(given).is_dir():
        tables = [
            str(path)
            for path in sorted(Path(given).rglob("*.parquet"))
            if not any(part.startswith((".", "_")) for part in path.relative_to(given).parts)
        ]
        if tables:
            yield from tables
            return
    yield first
    yield from images


def _find_at_address(given: str) -> Iterator[str | Failure]:
    """Yields the file at an address, the matches of a pattern with "*", or all files below it."""
    # zip://*.png::s3://bucket/photos.zip names files in an archive: first::rest
    first, separator, rest = given.partition("::")
    filesystem, path = find_filesystem(given)
    if "*" not in first and _has_suffix(first, {*EXTENSIONS, ".parquet"}):
        yield given
        return
    try:
        is_pattern = "*" in first
        matches = find_matches(path, filesystem.glob) if is_pattern else filesystem.find(path)
    except Exception as error:  # each file system has its own exceptions
        yield Failure(given, f"cannot be listed ({type(error).__name__}: {error})")
        return
    runs = tuple(each.removesuffix("run.json") for each in matches if each.endswith("/run.json"))
    matches = [e for e in matches if not (is_ignored(e, path) or e.startswith(runs))]
    images = [each for each in matches if _has_suffix(each, EXTENSIONS)]
    found = images or [each for each in matches if _has_suffix(each, {".parquet"})]
    yield from (filesystem.unstrip_protocol(each) + separator + rest for each in found)
    if not found:
        yield Failure(given, "no image found")


def _is_answer(file: str) -> bool:
    """Returns whether a Parquet file is in the folder of a job."""
    filesystem, path = find_filesystem(file)
    return bool(filesystem.exists(f"{path.rpartition('/')[0]}/{JOB}"))


def _has_suffix(path: str, suffixes: set[str]) -> bool:
    return os.path.splitext(path)[1].lower() in suffixes  # noqa: PTH122  a Path is slow


def _open_parquet(file: str) -> Iterator[str | Failure | Table]:
    """Yields a Parquet file if it holds images, otherwise the paths that it lists."""
    try:
        with open_file(file) as stream, pq.ParquetFile(stream) as table:
            schema, metadata = table.schema_arrow, table.metadata
            if not metadata.num_rows:
                yield Failure(file, "no row in this Parquet file")
                return
            if find_image_column(schema) is not None:
                groups = range(metadata.num_row_groups)  # from the footer: no image is read
                rows = [metadata.row_group(group).num_rows for group in groups]
                yield Table(file, rows, read_state(file))
                return
            if not has_path_column(schema):
                raise UsageError(
                    f"{file} has the columns {', '.join(schema.names)}; expected binary 'bytes' or "
                    "'image', or text 'path'"
                )
            for batch in table.iter_batches(columns=["path"]):
                paths = batch.column(0).cast(pa.large_binary()).to_pylist()  # may not be UTF-8
                yield from (to_absolute(os.fsdecode(path)) for path in paths if path)
    except (OSError, pa.ArrowException) as error:
        reason = printable(str(error)).splitlines()[0]
        yield Failure(file, f"not a Parquet file, or corrupted ({reason})")
