"""A worker of a job in bulk: reads a part's rows, prepares and classifies them, writes their answers. Knows no Ray."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe import photo
from wardrobe.bulk.manifest import INPUT, Part, find_bytes_column, find_path_column
from wardrobe.bulk.store import Store, filesystem, is_address, open_file, printable
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.predict import CHUNK, Failure

ROWS = 256  # read of a Parquet file at once, so that memory does not grow with its row groups
BUFFER = 1 << 20  # bytes of a column read at once; only a page, some 1,000 rows, is held whole
READERS = 16  # pictures fetched from addresses at once
WRITTEN = 1_000  # answers in a row group
ONE_AT_A_TIME = threading.Lock()  # for file systems that are not made for several threads

Content = str | bytes | Failure  # a path or an address, a file's bytes, or why there is none
Row = tuple[str, Content]  # a picture's name in the answers, and where it is
Pixels = npt.NDArray[np.uint8] | str  # (28, 28), or why there are none


@dataclass(frozen=True)
class Report:
    """What a worker says of a part that it has done: the file of the answers, how many there are, how many failed."""

    name: str
    images: int
    failed: int


class Worker:
    """Classifies parts, one after the other, in one thread.

    Args:
        model: the names of the model's files, the one to open first.
        out: the folder of the answers, where they lie.
    """

    def __init__(self, model: Sequence[str], out: str) -> None:
        cv2.setNumThreads(1)  # every core has a worker
        self._store = Store(out)
        with tempfile.TemporaryDirectory() as folder:
            for name in model:
                with open_file(self._store / name) as file:
                    (Path(folder) / name).write_bytes(file.read())
            self._classifier = Classifier.load(Path(folder) / model[0], threads=1)
        self._schema = answers_schema(self._classifier.class_names)
        self._readers = ThreadPoolExecutor(READERS)

    def answer(self, part: Part) -> Report:
        """Answers a part and writes the answers under its name."""
        images = failed = 0
        answers: list[dict[str, Any]] = []
        with self._store.writing(part.name) as path, pq.ParquetWriter(path, self._schema) as writer:

            def flush() -> None:
                writer.write_table(pa.Table.from_pylist(answers, self._schema))
                answers.clear()

            for chunk in self._fetched(self._rows(part)):
                answers += self._answers(chunk)
                images += len(chunk)
                failed += sum(answer["error"] is not None for answer in answers[-len(chunk) :])
                if len(answers) >= WRITTEN:
                    flush()
            flush()
        return Report(part.name, images, failed)

    def _rows(self, part: Part) -> Iterator[Row]:
        """Yields a part's rows; those that cannot be read as failures, so that none is lost."""
        file = self._store / INPUT if part.file == INPUT else part.file
        read = 0
        try:
            with (
                open_file(file) as stream,
                pq.ParquetFile(stream, buffer_size=BUFFER, pre_buffer=False) as table,
            ):
                names, contents = _columns(table.schema_arrow, part)
                for batch in table.iter_batches(ROWS, [part.group], columns=[*names, *contents]):
                    for row in batch.to_pylist():
                        yield _row(row, part, read)
                        read += 1
        except (OSError, pa.ArrowException) as error:
            if (
                part.file == INPUT
            ):  # ours, and there: what is wrong will pass, and the paths must not be lost
                raise
            reason = f"its row of the Parquet file cannot be read ({str(error).splitlines()[0]})"
            yield from (_unread(part, row, reason) for row in range(read, part.rows))

    def _fetched(self, rows: Iterator[Row]) -> Iterator[list[tuple[str, Callable[[], Content]]]]:
        """Yields rows in chunks; while one is worked on, what stands at addresses is fetched for the next."""

        def begun() -> list[tuple[str, Callable[[], Content]]]:
            return [(name, self._fetch(content)) for name, content in islice(rows, CHUNK)]

        chunk = begun()
        while chunk:
            following = begun()
            yield chunk
            chunk = following

    def _fetch(self, content: Content) -> Callable[[], Content]:
        if isinstance(content, str) and is_address(content):
            future: Future[Content] = self._readers.submit(fetch, content)
            return future.result
        return lambda: content

    def _answers(
        self, chunk: Sequence[tuple[str, Callable[[], Content]]]
    ) -> Iterator[dict[str, Any]]:
        pixels = [prepare(content()) for _, content in chunk]
        good = [each for each in pixels if not isinstance(each, str)]
        found = self._classifier.classify(
            np.stack(good) if good else np.empty((0, photo.SIDE, photo.SIDE), np.uint8)
        )
        at = 0
        for (name, _), each in zip(chunk, pixels, strict=True):
            answer: dict[str, Any] = {"path": name, "error": None}
            if isinstance(each, str):
                answer["error"] = each
            else:
                chances, reason = found.ranked(at), found.reason(at)
                label, confidence = next(iter(chances.items()))
                answer |= {"label": label, "confidence": confidence, "probabilities": chances}
                answer |= {"not_sure": reason is not None, "reason": reason}
                at += 1
            yield answer


def answers_schema(class_names: Sequence[str]) -> pa.Schema:
    """Returns the columns of the answers; those of a picture that could not be read are null but path and error."""
    return pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            ("confidence", pa.float32()),
            ("not_sure", pa.bool_()),
            ("reason", pa.string()),
            ("probabilities", pa.struct([(name, pa.float32()) for name in class_names])),
            ("error", pa.string()),
        ]
    )


def _columns(schema: pa.Schema, part: Part) -> tuple[list[str], list[str]]:
    """Returns the columns that are read of a part's file: of the row's name, of what is in it."""
    if part.file == INPUT:
        return ["path"], ["error"]
    column = find_bytes_column(schema)
    if column is None:
        raise pa.ArrowInvalid("the column of pictures is gone")
    named = find_path_column(schema)
    return [named] if named else [], [column]


def _row(row: Mapping[str, Any], part: Part, number: int) -> Row:
    if part.file == INPUT:
        path = row["path"].decode("utf-8", "surrogateescape")
        return printable(path), path if row["error"] is None else Failure(path, row["error"])
    name = row.get("path") or _numbered(part, number)
    content = row["bytes"] if "bytes" in row else row["image"]
    if isinstance(content, Mapping):
        content = content["bytes"] if content["bytes"] is not None else content.get("path")
    return name, Failure(name, "the row has no bytes") if content is None else content


def _numbered(part: Part, number: int) -> str:
    return f"{printable(part.file)}#{part.first + number}"


def _unread(part: Part, number: int, reason: str) -> Row:
    name = _numbered(part, number)
    return name, Failure(name, reason)


def fetch(address: str) -> Content:
    """Returns the bytes of a picture at an address, or why there are none."""
    try:
        files, path = filesystem(address)
        with contextlib.nullcontext() if files.async_impl else ONE_AT_A_TIME:
            content: bytes = files.cat_file(path)
    except FileNotFoundError:
        return Failure(address, "it does not exist")
    except Exception as error:  # each file system has classes of its own
        return Failure(address, f"it cannot be read ({_first_line(error)})")
    return content


def prepare(content: Content) -> Pixels:
    """Returns what the model sees of a picture, or why it cannot; whatever goes wrong, the job goes on."""
    if isinstance(content, Failure):
        return content.error
    if isinstance(content, str) and not os.path.isfile(content):  # noqa: PTH113  a pipe would be waited for
        return (
            "it is no file, or leads to none" if os.path.lexists(content) else "it does not exist"
        )
    try:
        return photo.prepare_or_reason(content)
    except Exception as error:
        return f"it cannot be prepared ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
