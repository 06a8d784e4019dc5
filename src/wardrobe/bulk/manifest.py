"""What a job has to classify: listed once, divided into parts, stored next to the answers.

A part is rows of a row group of a Parquet file: one of the user's, or _input.parquet with the paths
of the images. Its answers are a file of their own, part-000123.parquet, written atomically. So each
image is answered once, however often the job is interrupted and resumed.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe.bulk.inputs import Table, find_inputs, read_state
from wardrobe.bulk.store import JOB, Store, open_file
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.photo.listing import Failure
from wardrobe.runs.provenance import (
    compute_source_checksum,
    git_commit,
    list_differences,
    package_versions,
)

INPUT = "_input.parquet"  # readers of Parquet folders skip names with "_"
MAX_ROWS, MIN_ROWS = 1_000, 32  # images per part; an interrupted part is done again
PARTS_PER_WORKER = 16  # at least, where MIN_ROWS allows: no worker waits long for the last one
ANSWER_PACKAGES = (  # they affect the answers
    *("wardrobe", "onnxruntime", "opencv-python-headless", "pillow", "numpy"),
)
ENGINE_PACKAGES = {".xml": ("openvino",), ".tflite": ("ai-edge-litert",)}  # by model file
INPUT_SCHEMA = pa.schema([("path", pa.binary()), ("error", pa.string())])  # paths may not be UTF-8


@dataclass(frozen=True)
class Part:
    """Rows that one worker classifies in one call.

    Attributes:
        number: the number of the part, from 0.
        file: location of a Parquet file, or INPUT for the job's own.
        group: the row group in it.
        skip: number of rows in the group before the part.
        first: number of rows in the file before the part.
        rows: number of rows in the part.
    """

    number: int
    file: str
    group: int
    skip: int
    first: int
    rows: int

    @property
    def name(self) -> str:
        return f"part-{self.number:06d}.parquet"


@dataclass(frozen=True)
class Job:
    """The images to classify, and the model.

    Attributes:
        inputs: the arguments, as absolute paths or addresses.
        model: the model, as the user named it.
        model_sha256: SHA-256 of the model's files.
        code: versions and source code that affect the answers, from `describe_code`.
        listed: when the images were listed.
        tables: the Parquet files whose row groups are divided into the parts.
    """

    inputs: list[str]
    model: str
    model_sha256: str
    code: dict[str, Any]
    listed: str
    tables: list[Table]

    def parts(self) -> Iterator[Part]:
        number = 0
        for table in self.tables:
            first = 0
            for group, rows in enumerate(table.rows):
                for skip in range(0, rows, MAX_ROWS):
                    size = min(MAX_ROWS, rows - skip)
                    yield Part(number, table.file, group, skip, first, size)
                    number, first = number + 1, first + size  # parts are numbered over all files

    @property
    def images(self) -> int:
        return sum(sum(table.rows) for table in self.tables)


def read_job(store: Store) -> Job | None:
    """Returns the job whose answers a folder holds; None if the folder is empty.

    Raises:
        UsageError: the folder holds something else.
    """
    names = store.list_names()
    if JOB in names:
        try:
            with open_file(store / JOB) as file:
                fields = json.load(file)
            return Job(**{**fields, "tables": [Table(**table) for table in fields["tables"]]})
        except (ValueError, TypeError, KeyError):
            raise UsageError(
                f"{store / JOB} is corrupted, or of another version of Wardrobe; give --out a new "
                "folder"
            ) from None
    if any(not name.startswith((".", "_")) for name in names):
        raise UsageError(
            f"--out {store.location} is not empty and holds no job to resume; give a new or empty "
            "folder"
        )
    return None


def now() -> str:
    """Returns the time in UTC, such as 2026-11-28 09:30 UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def describe_code(suffix: str) -> dict[str, Any]:
    """Returns the versions and the source code that affect the answers of a model file."""
    versions = package_versions()
    names = *ANSWER_PACKAGES, *ENGINE_PACKAGES.get(suffix, ())
    return {
        "versions": {name: versions.get(name) for name in names},
        "git_commit": git_commit(),
        "source_sha256": compute_source_checksum(),
    }


def list_changes(job: Job, new: Job) -> list[str]:
    """Returns in what a job differs from a new one, such as "numpy 2.3, now 2.4"."""
    changes = []
    if job.inputs != new.inputs:
        given = [", ".join(each.inputs[:3]) for each in (job, new)]
        changes.append(f"{len(job.inputs)} inputs ({given[0]}), now {len(new.inputs)} ({given[1]})")
    if job.model_sha256 != new.model_sha256:
        pairs = [f"{each.model} (SHA-256 {each.model_sha256[:8]})" for each in (job, new)]
        changes.append(f"model {pairs[0]}, now {pairs[1]}")
    return changes + list_differences(job.code, new.code)


def check_unchanged(job: Job, files: Set[str]) -> None:
    """Raises UsageError if a Parquet file that still has to be read has changed."""
    for table in job.tables:
        if table.file in files and table.state and (state := read_state(table.file)) != table.state:
            raise UsageError(
                f"{table.file} has changed since the job was started ({table.state}, now {state}); "
                "restore it to resume, or give --out another folder"
            )


def read_model_files(file: Path) -> dict[str, bytes]:
    """Returns a model's files: name in the job's folder → bytes. The first is the one to load."""
    # OpenVINO's .xml has its weights in a .bin next to it.
    files = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
    return {f"_model{each.suffix}": each.read_bytes() for each in files if each.is_file()}


def write_job(
    store: Store, job: Job, inputs: Sequence[str], model: Mapping[str, bytes], workers: int
) -> Job:
    """Lists the images, stores list, model and job, and returns the job with its tables.

    The model is stored with the answers, so that every node and every restarted worker has it.

    Raises:
        UsageError: a Parquet file lacks the columns.
        WardrobeError: there is nothing to classify.
    """
    tables: list[Table] = []

    def list_images() -> Iterator[str | Failure]:
        for each in find_inputs(inputs):
            if isinstance(each, Table):
                tables.append(each)
            else:
                yield each

    # Nothing is written before the first image is found.
    images, first = list_images(), []
    for each in images:
        first.append(each)
        if not isinstance(each, Failure):
            break
    if not tables and (not first or isinstance(first[-1], Failure)):
        failure = next((each for each in first if isinstance(each, Failure)), None)
        reason = f"{failure.path}: {failure.error}" if failure else f"{inputs[0]}: empty"
        raise WardrobeError(f"{reason}; give images, or a folder, list or Parquet file of them")
    listed = _write_input(store, chain(first, images), workers)
    for name, content in model.items():
        with store.atomic_write(name) as path:
            path.write_bytes(content)
    job = replace(job, tables=[listed, *tables] if listed.rows else tables)
    with store.atomic_write(JOB) as path:  # last: with this file, the job can be resumed
        path.write_text(json.dumps(asdict(job), indent=2) + "\n", encoding="utf-8")
    return job


def _write_input(store: Store, images: Iterator[str | Failure], workers: int) -> Table:
    """Writes the paths of the images into INPUT, with one row group per part."""
    # Enough paths to know the size of the parts; of more images, all parts have MAX_ROWS.
    head = list(islice(images, MAX_ROWS * PARTS_PER_WORKER * workers))
    size = math.ceil(len(head) / (PARTS_PER_WORKER * workers))
    size = min(MAX_ROWS, max(MIN_ROWS, size))
    images, rows = chain(head, images), []
    with store.atomic_write(INPUT) as path, pq.ParquetWriter(path, INPUT_SCHEMA) as writer:
        while group := list(islice(images, size)):
            pairs = [(e.path, e.error) if isinstance(e, Failure) else (e, None) for e in group]
            paths = [path.encode("utf-8", "surrogateescape") for path, _ in pairs]
            columns = [paths, [error for _, error in pairs]]
            writer.write_table(pa.table(columns, INPUT_SCHEMA), row_group_size=size)
            rows.append(len(group))
    return Table(INPUT, rows, "")
