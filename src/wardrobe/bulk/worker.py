"""A worker: reads the rows of a part, prepares and classifies the images, writes the answers."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe import photo
from wardrobe.bulk.inputs import find_image_column, has_path_column
from wardrobe.bulk.manifest import INPUT, Part
from wardrobe.bulk.preparation import Content, Preparer, first_line
from wardrobe.bulk.store import Store, find_filesystem, is_address, open_file, printable
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.predict import CHUNK
from wardrobe.inference.streams import MAX_BYTES
from wardrobe.photo.listing import Failure

BATCH_ROWS = 256  # rows read at once, so that memory does not grow with the row group
BUFFER_BYTES = 1 << 20  # of a column read at once; only a page, some 1,000 rows, is held whole
FETCH_THREADS = 16  # images fetched from addresses at once
FETCH_LOCK = threading.Lock()  # for file systems that are not thread-safe

Row = tuple[str, Content]  # an image's name in the answers; the image, also by its address
Fetched = tuple[str, Content | Future[Content]]


@dataclass(frozen=True)
class PartResult:
    """The result of a part: the file of its answers, their number, and how many failed."""

    name: str
    images: int
    failed: int


class Worker:
    """Classifies parts, one after the other, in one thread. Ray Data calls it with a row per part.

    Args:
        model: names of the model's files in `out`, the one to load first.
        out: location of the folder of the answers.
    """

    def __init__(self, model: Sequence[str], out: str) -> None:
        self._store = Store(out)
        with tempfile.TemporaryDirectory() as folder:
            for name in model:
                with open_file(self._store / name) as file:
                    (Path(folder) / name).write_bytes(file.read())
            self._classifier = Classifier.load(Path(folder) / model[0], threads=1)
        self._schema = make_answer_schema(self._classifier.class_names)
        self._pool = ThreadPoolExecutor(FETCH_THREADS)  # waits on the network, not on a core
        self._preparer = Preparer()
        self._rows: Iterator[Row] = iter(())  # of the row group that is being read
        self._at = "", 0, 0  # its file, its number, and the row in it that `_rows` yields next

    def __call__(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """Classifies a part, given and reported as a dictionary."""
        return asdict(self.classify_part(Part(**part)))

    def classify_part(self, part: Part) -> PartResult:
        """Classifies a part and writes its answers under its name."""
        chunks = self._prefetch(self._read_rows(part))
        answers = list(chain.from_iterable(map(self._classify, chunks)))
        with self._store.atomic_write(part.name) as path:
            pq.write_table(pa.Table.from_pylist(answers, self._schema), path)
        failed = sum(answer["error"] is not None for answer in answers)
        return PartResult(part.name, len(answers), failed)

    def _read_rows(self, part: Part) -> Iterator[Row]:
        """Yields the rows of a part.

        A row group can only be read from its start. So it is read on from where the last part
        ended, or the rows before the part are skipped.
        """
        file, group, next_row = self._at
        if (file, group) != (part.file, part.group) or next_row > part.skip:
            self._rows, next_row = self._read_group(part), 0
        self._at = ("", 0, 0)  # until the last row: an error ends `_rows`
        yield from islice(self._rows, part.skip - next_row, part.skip - next_row + part.rows)
        self._at = part.file, part.group, part.skip + part.rows

    def _read_group(self, part: Part) -> Iterator[Row]:
        """Yields the rows of a row group. One that cannot be read is a failure, so none is lost."""
        is_input, number = part.file == INPUT, part.first - part.skip  # of the row in the file
        try:
            with (
                open_file(self._store / INPUT if is_input else part.file) as stream,
                pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False) as table,
            ):
                columns = ["path", "error"] if is_input else _find_columns(table.schema_arrow)
                for batch in table.iter_batches(BATCH_ROWS, [part.group], columns=columns):
                    for row in batch.to_pylist():
                        name = f"{printable(part.file)}#{number}"
                        yield _parse_input(row) if is_input else _parse_row(row, name)
                        number += 1
        except (OSError, pa.ArrowException) as error:
            if is_input:  # the job's own file: the error is temporary, and no path may be lost
                raise
            reason = f"the row of the Parquet file cannot be read ({str(error).splitlines()[0]})"
            while True:  # as many as the reader takes
                name = f"{printable(part.file)}#{number}"
                yield name, Failure(name, reason)
                number += 1

    def _prefetch(self, rows: Iterator[Row]) -> Iterator[list[Fetched]]:
        """Yields rows in chunks. While one is classified, the addresses of the next are fetched."""

        def start_fetch(content: Content) -> Content | Future[Content]:
            if isinstance(content, str) and is_address(content):
                return self._pool.submit(fetch, content)
            return content

        def start_chunk() -> list[Fetched]:
            return [(name, start_fetch(content)) for name, content in islice(rows, CHUNK)]

        # `pairwise` starts the next chunk before it yields the current one.
        for chunk, _ in pairwise(chain(iter(start_chunk, []), [[]])):
            yield chunk

    def _classify(self, chunk: Sequence[Fetched]) -> list[dict[str, Any]]:
        contents = [each.result() if isinstance(each, Future) else each for _, each in chunk]
        pixels = self._preparer.prepare(contents)
        tiles = [each for each in pixels if not isinstance(each, str)]  # (28, 28) uint8 each
        images = np.stack(tiles) if tiles else np.empty((0, photo.SIDE, photo.SIDE), np.uint8)
        answers = iter(self._classifier.classify(images))
        return [
            {"path": name, "error": each}
            if isinstance(each, str)
            else {"path": name, "error": None, **next(answers).to_json()}
            for (name, _), each in zip(chunk, pixels, strict=True)
        ]


def make_answer_schema(class_names: Sequence[str]) -> pa.Schema:
    """Returns the columns of the answers. A failed image has only "path" and "error"."""
    probabilities = pa.struct([(name, pa.float32()) for name in class_names])
    return pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            ("confidence", pa.float32()),  # six digits are enough
            ("not_sure", pa.bool_()),
            ("reason", pa.string()),
            ("familiarity", pa.float32()),
            ("probabilities", probabilities),
            ("error", pa.string()),
        ]
    )


def _find_columns(schema: pa.Schema) -> list[str]:
    """Returns the columns to read from a user's Parquet file."""
    column = find_image_column(schema)
    if column is None:  # the file has changed since it was listed
        raise pa.ArrowInvalid("the column of images is missing")
    return ["path", column] if has_path_column(schema) else [column]


def _parse_input(row: Mapping[str, Any]) -> Row:
    """Reads a row of the job's own list of paths."""
    path = row["path"].decode("utf-8", "surrogateescape")
    return printable(path), path if row["error"] is None else Failure(path, row["error"])


def _parse_row(row: Mapping[str, Any], name: str) -> Row:
    """Reads a row of a user's Parquet file; `name` is for a row without a path."""
    name = row.get("path") or name
    content = row["bytes"] if "bytes" in row else row["image"]
    if isinstance(content, Mapping):
        content = content["bytes"] if content["bytes"] is not None else content.get("path")
    return name, Failure(name, "the row has no bytes") if content is None else content


def fetch(address: str) -> Content:
    """Returns the bytes of an image at an address, or why there are none."""
    try:
        filesystem, path = find_filesystem(address)
        with contextlib.nullcontext() if filesystem.async_impl else FETCH_LOCK:
            content: bytes = filesystem.cat_file(path, end=MAX_BYTES + 1)
    except FileNotFoundError:
        return Failure(address, "does not exist")
    except Exception as error:  # each file system has its own exceptions
        return Failure(address, f"cannot be read ({first_line(error)})")
    if len(content) > MAX_BYTES:
        return Failure(address, f"more than {MAX_BYTES:,} bytes; make it smaller")
    return content
