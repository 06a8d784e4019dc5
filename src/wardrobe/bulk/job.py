"""Pictures by the million: `wardrobe predict --engine ray` on one machine or on many, gone on with after a stop.

Ray starts workers, hands them parts and restarts those that die. What is done and what is left stands in the folder of
the answers alone.
"""

import contextlib
import hashlib
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.dataset

from wardrobe.bulk import manifest, ray_cluster
from wardrobe.bulk.manifest import Job, Part
from wardrobe.bulk.ray_cluster import LOCAL
from wardrobe.bulk.store import Store, printable, to_absolute
from wardrobe.bulk.worker import Worker
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.inference.classifier import SHIPPED, resolve_model
from wardrobe.inference.engines import count_cores
from wardrobe.runs import LATEST
from wardrobe.runs.provenance import package_versions
from wardrobe.terminal import progress

TRIES = 6  # of a part whose worker dies: a picture that kills it must not go round for ever
MANY = 64  # workers that a cluster's parts are cut for, where none are asked for


def classify(
    inputs: Sequence[str],
    model: str | None = None,
    *,
    out: str,
    ray_address: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Classifies all that `inputs` name into Parquet files, or what an earlier call has left to do.

    Args:
        inputs: pictures, folders, patterns, .txt lists and Parquet files, on this machine or at addresses.
        model: as in `Classifier.load`.
        out: the folder of the answers, here or at an address; every node must see it by this name.
        ray_address: of a Ray cluster; None: $RAY_ADDRESS, or else Ray is started on this machine.
        workers: processes that classify; None: one a core.

    Returns:
        What `wardrobe predict --engine ray --json` prints.

    Raises:
        UsageError: `out` holds the answers of another job, or an argument is wrong. ModelError, RunError: see
        `Classifier.load`. WardrobeError: there is nothing to classify, no such cluster, or a part cannot be written.
    """
    if find_spec("ray") is None:  # told before anything is listed
        raise ModuleNotFoundError("no package ray", name="ray")
    began = time.perf_counter()
    store, address = Store(out), ray_address or os.environ.get("RAY_ADDRESS", LOCAL)
    job, model_names = _job(store, inputs, model, address, workers)
    with contextlib.ExitStack() as stack:
        stack.enter_context(store.held())
        names = store.names()
        left = [part for part in job.parts() if part.name not in names]
        before, failed = _answered(store, [part for part in job.parts() if part.name in names])
        done, workers_had = before, 0
        if left:
            workers_had = stack.enter_context(ray_cluster.connect(address, workers))
            advance = stack.enter_context(progress.count_images(job.images, before))
        for report in _reports(left, {"model": model_names, "out": store.place}, workers_had):
            _check_there(store, report["name"])
            done, failed = done + report["images"], failed + report["failed"]
            advance(report["images"])
        store.tidy()
    seconds = time.perf_counter() - began
    return {
        "model": job.model,
        "out": store.place,
        "images": done,
        "failed": failed,
        "images_before": before,
        "seconds": seconds,
        "images_per_second": (done - before) / seconds,
        "workers": workers_had,
    }


def _job(
    store: Store, inputs: Sequence[str], model: str | None, address: str, workers: int | None
) -> tuple[Job, list[str]]:
    """Returns the job that lies in a folder, or a new one; and the names of its model's files there."""
    file = resolve_model(model)
    files = manifest.read_model_files(file)
    name = SHIPPED if model is None else str(file.parent) if model == LATEST else model
    asked = Job(
        [printable(to_absolute(each)) for each in inputs], name, _sum(files), package_versions(), []
    )
    job = manifest.read_job(store)
    if job is not None:
        _check_same(store, job, asked)
    ray_cluster.check_reachable(address)  # before ten million pictures are listed
    if job is None:
        job = manifest.write_job(
            store, asked, inputs, files, workers or (count_cores() if address == LOCAL else MANY)
        )
    return job, list(files)


def _sum(files: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    for content in files.values():
        total.update(content)
    return total.hexdigest()


def _check_same(store: Store, job: Job, asked: Job) -> None:
    """Refuses a folder that holds the answers to other pictures, or those of another model."""
    if job.inputs != asked.inputs:
        raise UsageError(
            f"--out {store.place} holds the answers to {', '.join(job.inputs)}; give these to go on, or another folder"
        )
    if job.model_sha256 != asked.model_sha256:
        raise UsageError(
            f"--out {store.place} holds another model's answers ({job.model}); give that to go on, or another folder"
        )


def _answered(store: Store, parts: Sequence[Part]) -> tuple[int, int]:
    """Returns how many pictures the parts that are there answer, and how many of them could not be read."""
    if not parts:
        return 0, 0
    files = [f"{store.root}/{part.name}" for part in parts]
    answers = pyarrow.dataset.dataset(files, format="parquet", filesystem=store.files)
    return answers.count_rows(), answers.count_rows(
        filter=pyarrow.dataset.field("error").is_valid()
    )


def _check_there(store: Store, name: str) -> None:
    if store.files is None and not Path(store / name).is_file():
        raise WardrobeError(
            f"a worker wrote {store / name}, and it is not there on this machine; give --out a folder that all "
            f"machines share, or an address such as s3://bucket/answers"
        )


def _reports(
    parts: Sequence[Part], arguments: Mapping[str, Any], workers: int
) -> Iterator[dict[str, Any]]:
    """Has parts answered by so many workers, and yields the report of each as it is done."""
    if not parts:
        return
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a part may be of any size
    context.max_consecutive_actor_init_deaths = (
        workers  # killed as they start: others take their place
    )
    with warnings.catch_warnings():
        # Deprecated, but Ray 2.60 has nothing else by which to bound how often a task is tried.
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
        reports = ray.data.from_items(
            [asdict(part) for part in parts], override_num_blocks=len(parts)
        ).map_batches(
            Actor,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(parts)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=1,
            max_task_retries=TRIES - 1,
            fn_constructor_kwargs=dict(arguments),
        )
    try:
        yield from reports.iter_rows()
    except ray.exceptions.RayError as error:
        cause = str(error).partition("\n\nThe above exception was")[0].strip().splitlines()[-1]
        raise WardrobeError(
            f"a worker gave up ({cause}); mend that, then the same call again goes on"
        ) from error


class Actor:
    """A worker as Ray Data calls it: with a batch of one part, column → values."""

    def __init__(self, model: Sequence[str], out: str) -> None:
        self._worker = Worker(model, out)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        number, file, group, first, rows = (batch[field.name][0] for field in fields(Part))
        report = self._worker.answer(
            Part(int(number), str(file), int(group), int(first), int(rows))
        )
        return {name: [value] for name, value in asdict(report).items()}
