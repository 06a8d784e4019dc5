"""What a job in bulk is to classify: listed once, cut into parts, kept beside the answers.

A part is a row group of a Parquet file: of the user's own, or of _input.parquet, into which the paths of pictures are
written. Its answers stand in a file of their own, part-000123.parquet, which is there whole or not at all; so each
picture is answered once, however often the job is stopped and started again.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe.bulk.store import Store, filesystem, is_address, open_file, printable, to_absolute
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.inference.predict import EXTENSIONS, Failure, find_pictures

JOB, INPUT = "_job.json", "_input.parquet"  # readers of Parquet folders pass over names with "_"
LARGEST, SMALLEST = 1_000, 32  # pictures of a part; one that is broken off is done again
PARTS = 16  # a worker at least, room permitting: so none waits long for the last
LISTED = pa.schema(
    [("path", pa.binary()), ("error", pa.string())]
)  # a path's bytes may be no UTF-8


@dataclass(frozen=True)
class Part:
    """Rows that one worker answers in one go.

    Attributes:
        number: the part's own, from 0.
        file: a Parquet file's place; INPUT for the job's own.
        group: its row group.
        first, rows: the file's rows before it, and those in it.
    """

    number: int
    file: str
    group: int
    first: int
    rows: int

    @property
    def name(self) -> str:
        return f"part-{self.number:06d}.parquet"


@dataclass(frozen=True)
class Table:
    """A Parquet file, and how many rows are in each of its row groups."""

    file: str
    rows: list[int]


@dataclass(frozen=True)
class Job:
    """All that is to be classified, and with what.

    Attributes:
        inputs: as given, from the root.
        model_sha256: of the model's files.
        tables: what the parts are row groups of.
    """

    inputs: list[str]
    model: str
    model_sha256: str
    versions: dict[str, str]
    tables: list[Table]

    def parts(self) -> Iterator[Part]:
        number = 0
        for table in self.tables:
            first = 0
            for group, rows in enumerate(table.rows):
                yield Part(number, table.file, group, first, rows)
                number, first = number + 1, first + rows

    @property
    def images(self) -> int:
        return sum(sum(table.rows) for table in self.tables)


def read_job(store: Store) -> Job | None:
    """Returns the job whose answers a folder holds; None where it is empty.

    Raises:
        UsageError: it holds something else.
    """
    names = store.names()
    if JOB in names:
        with open_file(store / JOB) as file:
            fields = json.load(file)
        return Job(**{**fields, "tables": [Table(**table) for table in fields["tables"]]})
    if any(not name.startswith((".", "_")) for name in names):
        raise UsageError(
            f"--out {store.place} is not empty and holds no job to go on with; give a new or empty folder"
        )
    return None


def read_model_files(file: Path) -> dict[str, bytes]:
    """Returns the files of a model, by their names in a job's folder → bytes, the one to open first."""
    files = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
    return {f"_model{each.suffix}": each.read_bytes() for each in files if each.is_file()}


def write_job(
    store: Store, job: Job, inputs: Sequence[str], model: Mapping[str, bytes], workers: int
) -> Job:
    """Lists what `inputs` name, keeps list, model and job in the folder, and returns the job with its tables.

    The model lies there so that every node has it, and a worker that is started again too.

    Raises:
        UsageError: a Parquet file lacks the columns. WardrobeError: there is nothing to classify.
    """
    tables: list[Table] = []

    def pictures() -> Iterator[str | Failure]:
        for each in find_inputs(inputs):
            if isinstance(each, Table):
                tables.append(each)
            else:
                yield each

    first, rest = _until_a_success(pictures())
    if not tables and (not first or isinstance(first[-1], Failure)):
        failure = first[0] if first else Failure(inputs[0], "nothing is in it")
        assert isinstance(failure, Failure)
        raise WardrobeError(
            f"{failure.path}: {failure.error}; give pictures, or a folder, list or Parquet file of them"
        )
    store.make()
    own = _written(store, chain(first, rest), workers)
    for name, content in model.items():
        with store.writing(name) as path:
            path.write_bytes(content)
    job = Job(
        job.inputs,
        job.model,
        job.model_sha256,
        job.versions,
        [*([own] if own.rows else []), *tables],
    )
    with store.writing(JOB) as path:
        path.write_text(json.dumps(asdict(job), indent=2) + "\n", encoding="utf-8")
    return job


def _until_a_success(
    found: Iterator[str | Failure],
) -> tuple[list[str | Failure], Iterator[str | Failure]]:
    first = []
    for each in found:
        first.append(each)
        if not isinstance(each, Failure):
            break
    return first, found


def _written(store: Store, pictures: Iterator[str | Failure], workers: int) -> Table:
    """Writes the paths of pictures into INPUT, a row group a part."""
    few = list(islice(pictures, LARGEST * PARTS * workers))
    size = min(LARGEST, max(SMALLEST, math.ceil(len(few) / (PARTS * workers))))
    pictures, rows = chain(few, pictures), []
    with store.writing(INPUT) as path, pq.ParquetWriter(path, LISTED) as writer:
        while some := list(islice(pictures, size)):
            failures = [each if isinstance(each, Failure) else None for each in some]
            paths = [each.path if isinstance(each, Failure) else each for each in some]
            columns = [[_bytes(each) for each in paths], [each and each.error for each in failures]]
            writer.write_table(pa.table(columns, LISTED), row_group_size=size)
            rows.append(len(some))
    return Table(INPUT, rows)


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def find_inputs(inputs: Sequence[str]) -> Iterator[str | Failure | Table]:
    """Yields what `inputs` name, each once: pictures, by their paths from the root, and Parquet files.

    Raises:
        UsageError: a Parquet file lacks the columns, or an address's file system is not there.
    """
    if len(inputs) == 1 and os.path.isdir(inputs[0]):  # noqa: PTH112
        yield from _named(
            inputs[0]
        )  # which names nothing twice, so that ten million paths need not be kept
        return
    seen = set()
    for each in chain.from_iterable(map(_named, inputs)):
        key = each.file if isinstance(each, Table) else each
        if key not in seen:
            seen.add(key)
            yield each


def _named(given: str) -> Iterator[str | Failure | Table]:
    if given.lower().endswith(".txt"):
        yield from _lines(given)
        return
    places = _at_address(given) if is_address(given) else _in_folders(given)
    for place in places:
        if isinstance(place, str) and place.lower().endswith(".parquet"):
            yield from _of_parquet(to_absolute(place))
        else:
            yield (
                to_absolute(place)
                if isinstance(place, str)
                else Failure(to_absolute(place.path), place.error)
            )


def _lines(file: str) -> Iterator[str | Failure]:
    """Yields the paths of a list, one a line."""
    try:
        with open_file(file) as lines:
            for line in lines:
                path = line.decode("utf-8", "surrogateescape").strip("\r\n\ufeff")
                if path.strip():
                    yield to_absolute(path)
    except OSError as error:
        yield Failure(
            to_absolute(file),
            "it does not exist" if isinstance(error, FileNotFoundError) else str(error),
        )


def _in_folders(given: str) -> Iterator[str | Failure]:
    """Yields pictures as `predict.find_pictures` does, and of a folder without any its Parquet files."""
    pictures = find_pictures([given])
    first = next(pictures)
    if isinstance(first, Failure) and Path(given).is_dir():
        tables = [
            each
            for each in sorted(Path(given).rglob("*.parquet"))
            if not _is_hidden(each.relative_to(given).parts)
        ]
        if tables:
            yield from map(str, tables)
            return
    yield first
    yield from pictures


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _at_address(given: str) -> Iterator[str | Failure]:
    """Yields what an address names: a file, those that match a pattern with "*", or a folder's with all below it."""
    first, chained, rest = given.partition(
        "::"
    )  # zip://*.png::s3://bucket/photos.zip: files in a file
    ending = os.path.splitext(first)[1].lower()  # noqa: PTH122
    files, path = filesystem(given)
    if "*" not in first and (ending in EXTENSIONS or ending == ".parquet"):
        yield given
        return
    try:
        matches = files.glob(path) if "*" in first else files.find(path)
    except Exception as error:  # each file system has classes of its own
        yield Failure(given, f"it cannot be listed ({type(error).__name__}: {error})")
        return
    pictures = [each for each in matches if os.path.splitext(each)[1].lower() in EXTENSIONS]  # noqa: PTH122
    found = pictures or [each for each in matches if each.lower().endswith(".parquet")]
    yield from (files.unstrip_protocol(each) + chained + rest for each in found)
    if not found:
        yield Failure(given, "no picture is there")


def _of_parquet(file: str) -> Iterator[str | Failure | Table]:
    """Yields a Parquet file that holds pictures, or the paths that one without any lists."""
    try:
        with open_file(file) as stream, pq.ParquetFile(stream) as table:
            schema, about = table.schema_arrow, table.metadata
            rows = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
            if find_bytes_column(schema) is not None:
                yield Table(file, rows)
                return
            if find_path_column(schema) is None:
                raise UsageError(
                    f"{file} has the columns {', '.join(schema.names)}; expected binary 'bytes' or 'image', "
                    f"or text 'path'"
                )
            for batch in table.iter_batches(columns=["path"]):
                yield from (to_absolute(path) for path in batch.column(0).to_pylist() if path)
    except (OSError, pa.ArrowException) as error:
        yield Failure(
            file,
            f"it is no Parquet file that can be read ({printable(str(error)).splitlines()[0]})",
        )


def find_bytes_column(schema: pa.Schema) -> str | None:
    """Returns the column that holds pictures: binary, or Hugging Face's struct of bytes and path."""
    for name in ("bytes", "image"):
        kind = schema.field(name).type if schema.get_field_index(name) >= 0 else None
        if isinstance(kind, pa.StructType):
            kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else None
        if kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return name
    return None


def find_path_column(schema: pa.Schema) -> str | None:
    """Returns "path" where that column is there and holds text."""
    kind: Any = schema.field("path").type if schema.get_field_index("path") >= 0 else None
    return (
        "path"
        if kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind))
        else None
    )
