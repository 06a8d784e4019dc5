"""`wardrobe predict --engine ray`: classifies millions of images into Parquet files.

Ray starts the workers, gives them parts and restarts those that die. The output folder is the only
record of what is done, so any interrupted job can be resumed.
"""

import contextlib
import hashlib
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe.bulk import manifest, ray_cluster
from wardrobe.bulk.manifest import Job, Part
from wardrobe.bulk.ray_cluster import LOCAL
from wardrobe.bulk.store import Store, open_file, printable, to_absolute
from wardrobe.bulk.worker import Worker
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.inference.classifier import name_model, resolve_model
from wardrobe.inference.engines import count_cores
from wardrobe.terminal import console, progress

MAX_TRIES = 6  # of a part whose worker dies: Ray would retry for ever an image that kills it
READ_THREADS = 16  # finished parts read at once
CLUSTER_WORKERS = 64  # that a cluster's parts are sized for, if --workers is not given


def classify(
    inputs: Sequence[str],
    model: str | None = None,
    *,
    out: str,
    ray_address: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Classifies images into Parquet files, or resumes an interrupted job.

    Args:
        inputs: images, folders, glob patterns, .txt lists and Parquet files; paths or addresses.
        model: as in `Classifier.load`.
        out: folder for the answers, a path or an address that is the same on every node.
        ray_address: of a Ray cluster; None: $RAY_ADDRESS, or Ray is started on this machine.
        workers: number of processes; None: one per core.

    Returns:
        The JSON object of `wardrobe predict --engine ray --json`.

    Raises:
        UsageError: `out` holds the answers of another job, or an argument is wrong.
        ModelError, RunError: see `Classifier.load`.
        WardrobeError: there is nothing to classify, no cluster, or a part cannot be written.
    """
    if find_spec("ray") is None:  # before anything is listed
        raise ModuleNotFoundError("no package ray", name="ray")
    start = time.perf_counter()
    store, address = Store(out), ray_address or os.environ.get("RAY_ADDRESS", LOCAL)
    file = resolve_model(model)
    with contextlib.ExitStack() as stack:
        stack.enter_context(store.lock())  # before anything is read or written
        job, model_names = _prepare_job(store, inputs, model, file, address, workers)
        names = store.list_names()
        parts = list(job.parts())
        counts = _count_answers(store, [part for part in parts if part.name in names])
        left = [part for part in parts if part.name not in counts]
        before, failed = (sum(each) for each in zip((0, 0), *counts.values(), strict=True))
        manifest.check_unchanged(job, {part.file for part in left})
        done, processes = before, 0
        if left:
            processes = stack.enter_context(ray_cluster.connect(address, workers))
            advance = stack.enter_context(progress.count_images(job.images, before))
        for report in _run(left, {"model": model_names, "out": store.location}, processes):
            _check_written(store, report["name"])
            done, failed = done + report["images"], failed + report["failed"]
            advance(report["images"])
        store.remove_partial_files()
    seconds = time.perf_counter() - start
    return {
        "model": job.model,
        "out": store.location,
        "images": done,
        "failed": failed,
        "images_before": before,
        "seconds": seconds,
        "images_per_second": (done - before) / seconds,
        "workers": processes,
    }


def _prepare_job(
    store: Store,
    inputs: Sequence[str],
    model: str | None,
    file: Path,
    address: str,
    workers: int | None,
) -> tuple[Job, list[str]]:
    """Returns the job of a folder, or a new one; and the names of the model's files there."""
    files = manifest.read_model_files(file)
    checksum = hashlib.sha256(b"".join(files.values())).hexdigest()
    absolute = [printable(to_absolute(each)) for each in inputs]
    code = manifest.describe_code(file.suffix)
    new = Job(absolute, name_model(model, file), checksum, code, manifest.now(), [])
    job = manifest.read_job(store)
    if job is not None:
        differences = manifest.list_changes(job, new)
        if differences:
            raise UsageError(
                f"--out {store.location} holds a job that differs: {'; '.join(differences)}; "
                "restore what it was started with to resume it, or give another folder"
            )
        console.warn(f"resuming the job of {job.listed}: images added since are not part of it")
    ray_cluster.check_reachable(address)  # before ten million images are listed
    if job is None:
        expected = workers or (count_cores() if address == LOCAL else CLUSTER_WORKERS)
        job = manifest.write_job(store, new, inputs, files, expected)
    return job, list(files)


def _count_answers(store: Store, parts: Sequence[Part]) -> dict[str, tuple[int, int]]:
    """Returns the number of answers in each finished part, and how many have an error.

    A part that is damaged, such as by a power failure, is left out: it is done again.
    """

    def count(part: Part) -> tuple[int, int] | None:
        try:
            with open_file(store / part.name) as file, pq.ParquetFile(file) as answers:
                errors = answers.read(["error"])["error"]
        except (OSError, pa.ArrowException):
            return None
        return (part.rows, part.rows - errors.null_count) if len(errors) == part.rows else None

    with ThreadPoolExecutor(READ_THREADS) as pool:
        counts = zip(parts, pool.map(count, parts), strict=True)
        return {part.name: each for part, each in counts if each is not None}


def _check_written(store: Store, name: str) -> None:
    if store.is_local and not Path(store / name).is_file():
        raise WardrobeError(
            f"a worker wrote {store / name}, but it is not on this machine; give --out a folder "
            "that all machines share, or an address such as s3://bucket/answers"
        )


def _run(
    parts: Sequence[Part], arguments: Mapping[str, Any], workers: int
) -> Iterator[dict[str, Any]]:
    """Classifies parts with that many workers, and yields the report of each when it is done."""
    if not parts:
        return
    import ray.data  # here: it takes seconds, and a finished job needs none

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a part may be of any size
    context.max_consecutive_actor_init_deaths = workers  # killed as they start, they are replaced
    size = min(workers, len(parts))
    with warnings.catch_warnings():
        # Deprecated, but Ray 2.60 has no other limit on how often a task is retried.
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
        rows = ray.data.from_items([asdict(part) for part in parts], override_num_blocks=len(parts))
        reports = rows.map(
            Worker,
            compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
            num_cpus=1,  # one thread a worker
            max_task_retries=MAX_TRIES - 1,
            fn_constructor_kwargs=dict(arguments),
        )
    try:
        yield from reports.iter_rows()
    except ray.exceptions.RayError as error:
        cause = str(error).partition("\n\nThe above exception was")[0].strip().splitlines()[-1]
        raise WardrobeError(
            f"a worker failed ({cause}); fix this, then run the same command again to resume"
        ) from error
