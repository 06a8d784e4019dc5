"""`wardrobe predict --engine ray`: real Ray and files; each image once, whatever is killed."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    WARDROBE,
    Result,
    environment,
    free_port,
    is_running,
    refused,
    wait_until,
    wardrobe,
    wardrobe_here,
)
from PIL import Image, ImageDraw

from wardrobe.data import synthetic
from wardrobe.errors import WardrobeError
from wardrobe.labels import CLASS_NAMES
from wardrobe.photo.listing import Failure
from wardrobe.terminal import progress

pytest.importorskip("ray", reason="Ray is not installed: pip install 'wardrobe-cnn[scale]'")

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from wardrobe.bulk import inputs as bulk_inputs
from wardrobe.bulk import lease, manifest
from wardrobe.bulk.preparation import Preparer
from wardrobe.bulk.store import JOB, Store, printable
from wardrobe.bulk.worker import Worker
from wardrobe.onnx_runtime import PRETRAINED

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A Ray cluster of one node with two cores: its address, and the process id of its head."""
    port = free_port()
    # The token of the cluster. Ray would look for it in the home folder, which each call replaces.
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    start = ("-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}")
    small = ("--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000")
    head = subprocess.Popen(
        [sys.executable, *start, *small],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path_factory.mktemp("head"),
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert head.stdout is not None
    assert any("Ray runtime started" in line for line in iter(head.stdout.readline, ""))
    yield f"127.0.0.1:{port}", head.pid
    for process in [head.pid, *find_descendants(head.pid)]:  # a graceful stop takes half a minute
        os.kill(process, signal.SIGKILL)
    head.communicate()
    patch.undo()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic garments in all input forms: files, some corrupted; a list; an archive; Parquet."""
    root = tmp_path_factory.mktemp("shop").resolve()
    photos = root / "my photos"
    (photos / "été [2024]").mkdir(parents=True)
    images = [png(image) for image in synthetic.draw(60, seed=5)[0]]
    for i, image in enumerate(images[:40]):
        (photos / ("été [2024]" if i % 2 else "") / f"{i:02} it's.png").write_bytes(image)
    with Image.open(io.BytesIO(images[0])) as small:
        from pillow_heif import from_pillow

        from_pillow(small.resize((300, 300)).convert("RGB")).save(photos / "large.heic", quality=95)
    (photos / "words.jpg").write_text("a text file")
    (photos / "two\nlines.png").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff.png")).write_bytes(images[1])
    (root / "apart.png").write_bytes(images[40])
    lines = [
        "",
        f"file://{root}/apart.png",
        f"{photos}/00 it's.png",
        "my photos/02 it's.png",
        f"{root}/gone.png",
    ]
    (root / "list.txt").write_text("\n".join(lines * 2))
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        for i in (41, 42):
            archive.writestr(f"{i}.png", images[i])
        archive.writestr("notes.md", "not an image")
    write_tables(root, images)
    return root


def write_tables(root: Path, images: list[bytes]) -> None:
    """Writes Parquet in three forms: bytes with paths, Hugging Face's, and only paths."""
    (root / "tables").mkdir()
    named = pa.table(
        {
            "path": ["a", None, "c"],
            "bytes": [images[43], images[44], None],
            "error": ["x", "y", "z"],
        }
    )
    pq.write_table(named, root / "tables" / "named.parquet", row_group_size=2)
    hugging = [{"bytes": image, "path": "x.png"} for image in images[45:50]] + [
        {"bytes": b"?", "path": None},
        None,
    ]
    pq.write_table(
        pa.table({"image": hugging, "label": range(7)}),
        root / "tables" / "hf.parquet",
        row_group_size=3,
    )
    pq.write_table(
        pa.table({"path": [str(root / "apart.png"), str(root / "away.png")]}),
        root / "paths.parquet",
    )


def png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def predict_on_ray(*arguments: object, cwd: Path) -> Result:
    return wardrobe("predict", "--engine", "ray", *arguments, cwd=cwd)


def read_rows(folder: Path) -> Rows:
    return pq.read_table(folder).to_pylist()


@pytest.fixture(scope="module")
def finished(cluster: tuple[str, int], shop: Path) -> tuple[Result, dict[str, dict[str, Any]]]:
    """A finished job over all inputs of the shop, and its answers by path."""
    given = [
        "my photos",
        "missing.jpg",
        "list.txt",
        f"zip://*.png::file://{shop}/more.zip",
        "tables",
        "paths.parquet",
    ]
    result = predict_on_ray(
        *given, "--out", "answers", "--ray-address", cluster[0], "--json", cwd=shop
    )
    assert result.returncode == 0, result.stderr
    rows = read_rows(shop / "answers")
    assert len({row["path"] for row in rows}) == len(rows)  # a duplicate is answered once
    return result, {row["path"]: row for row in rows}


def test_the_answers_are_those_of_predict(finished: tuple[Result, Any], shop: Path) -> None:
    _, rows = finished
    expected = json.loads(
        wardrobe("predict", shop / "my photos", shop / "missing.jpg", "--json", cwd=shop).stdout
    )
    assert len(expected["predictions"]) == 42
    assert len(expected["failed"]) == 3
    for each in expected["predictions"]:
        row = rows[printable(each["path"])]
        assert (row["label"], row["not_sure"], row["reason"]) == (
            each["label"],
            each["not_sure"],
            each["reason"],
        )
        assert row["familiarity"] == pytest.approx(each["familiarity"], rel=1e-6)
        assert row["confidence"] == pytest.approx(each["confidence"], abs=1e-6)
        assert row["probabilities"] == pytest.approx(each["probabilities"], abs=1e-6)
        assert list(row["probabilities"]) == list(CLASS_NAMES)
        assert row["error"] is None
    for each in expected["failed"]:
        nothing = {
            **dict.fromkeys(rows[each["path"]]),
            "path": each["path"],
            "error": each["error"],
        }
        assert rows[each["path"]] == nothing


def test_lists_addresses_archives_and_parquet_are_read(
    finished: tuple[Result, Any], shop: Path
) -> None:
    _, rows = finished
    numbered = [f"{shop}/tables/hf.parquet#{i}" for i in range(7)]
    archived = [f"zip://{i}.png::file://{shop}/more.zip" for i in (41, 42)]
    good = [
        f"file://{shop}/apart.png",
        f"{shop}/apart.png",
        *archived,
        "a",
        f"{shop}/tables/named.parquet#1",
    ]
    assert [rows[path]["error"] for path in good + numbered[:5]] == [None] * 11
    errors = {
        path: rows[path]["error"]
        for path in ("c", *numbered[5:], f"{shop}/gone.png", f"{shop}/away.png")
    }
    assert list(errors.values()) == [
        "the row has no bytes",
        "not an image, or corrupted; expected JPEG, PNG or another image format",
        "the row has no bytes",
        "does not exist",
        "does not exist",
    ]
    assert len(rows) == 45 + 11 + 5
    assert (
        rows[f"{shop}/apart.png"]["probabilities"]
        == rows[f"file://{shop}/apart.png"]["probabilities"]
    )


def test_the_json_counts_images_and_failures(finished: tuple[Result, Any], shop: Path) -> None:
    result, rows = finished
    said = json.loads(result.stdout)
    failed = sum(row["error"] is not None for row in rows.values())
    assert said["out"] == str(shop / "answers")
    assert (said["model"], said["images"], said["failed"], said["images_before"]) == (
        "photo",
        len(rows),
        failed,
        0,
    )
    assert said["workers"] == 2
    assert said["images_per_second"] == pytest.approx(len(rows) / said["seconds"])
    assert all(re.match(r"\d+ of \d+ images", line) for line in result.stderr.splitlines()), (
        result.stderr
    )


def test_finished_parts_are_not_done_again(finished: tuple[Result, Any], shop: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (shop / "answers").iterdir()}
    given = json.loads((shop / "answers/_job.json").read_text())["inputs"]
    result = predict_on_ray(*given, "--out", "answers", cwd=shop)
    assert result.returncode == 0, result.stderr
    count, failed = len(finished[1]), sum(row["error"] is not None for row in finished[1].values())
    assert f"{count} already done" in result.stdout
    assert result.stdout.splitlines()[-1].startswith(
        f"Written: {shop}/answers; {failed} of {count} images failed"
    )
    assert {path.name: path.stat().st_mtime_ns for path in (shop / "answers").iterdir()} == before


def test_one_process_writes_at_a_time(finished: tuple[Result, Any], shop: Path) -> None:
    given = json.loads((shop / "answers/_job.json").read_text())["inputs"]
    with Store(str(shop / "answers")).lock():
        result = wardrobe_here("predict", "--engine", "ray", *given, "--out", "answers", cwd=shop)
    refused(
        result, 1, f"--out {shop}/answers is in use by another process; wait for it, or stop it"
    )


def test_a_second_job_writes_nothing_before_it_holds_the_folder(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)

    def predict(out: str) -> Result:
        return wardrobe_here("predict", "--engine", "ray", "a.png", "--out", out, cwd=tmp_path)

    for out in (str(tmp_path / "o"), "memory://o"):
        store = Store(out)
        with store.lock():
            before = store.list_names()
            refused(predict(out), 1, f"--out {out} is in use by another process")
            assert store.list_names() == before
        assert store.list_names() == set()
    assert not (tmp_path / "o").exists()


def test_the_lease_of_a_killed_job_is_taken_over(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DEAD_SECONDS", 0)
    memory.pipe_file("/o/_lease-000003", b"left")
    with Store("memory://o").lock():
        assert Store("memory://o").list_names() == {"_lease-000004"}
    memory.pipe_file("/o/_lease-000001", b"left")
    create = memory.pipe_file

    def lose(path: str, value: bytes, mode: str) -> None:  # another that waits is faster
        create("/o/_lease-000002", b"its")
        create(path, value, mode=mode)

    monkeypatch.setattr(type(memory), "pipe_file", lambda _, *given, **named: lose(*given, **named))
    with pytest.raises(WardrobeError, match="in use"), Store("memory://o").lock():
        pass
    assert memory.cat_file("/o/_lease-000002") == b"its"


def test_the_answers_of_another_job_are_kept(finished: tuple[Result, Any], shop: Path) -> None:
    before = {path.name: path.read_bytes() for path in (shop / "answers").iterdir()}
    given = json.loads((shop / "answers/_job.json").read_text())["inputs"]

    def predict(*arguments: str) -> Result:
        return wardrobe_here("predict", "--engine", "ray", *arguments, cwd=shop)

    refused(predict("my photos", "--out", "answers"), 2, "6 inputs (", "now 1 (", "another folder")
    refused(
        predict(*given, "--out", "answers", "--model", "baseline"),
        2,
        "model photo (",
        "now baseline (",
    )
    refused(predict("apart.png", "--out", "my photos"), 2, "is not empty")
    stored = shop / "answers/_job.json"
    job = json.loads(stored.read_text())
    code = {"versions": job["code"]["versions"] | {"onnxruntime": "0.1"}, "source_sha256": ""}
    stored.write_text(json.dumps(job | {"code": job["code"] | code}))
    refused(
        predict(*given, "--out", "answers"),
        2,
        "onnxruntime 0.1, now",
        "; the source code of commit",
    )
    (table,) = (each for each in job["tables"] if each["file"].endswith("hf.parquet"))
    part = shop / "answers/part-000004.parquet"  # of that file
    part.write_bytes(before[part.name][:100])  # damaged, so it would be done again
    table["state"] = "1 bytes"
    stored.write_text(json.dumps(job))
    refused(predict(*given, "--out", "answers"), 2, "hf.parquet has changed", "(1 bytes, now")
    stored.write_text("{")
    refused(predict(*given, "--out", "answers"), 2, "_job.json is corrupted, or of another version")
    part.write_bytes(before[part.name])
    stored.write_bytes(before[stored.name])
    assert {path.name: path.read_bytes() for path in (shop / "answers").iterdir()} == before


# Killed processes


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 320 links to one image, which is slow enough to interrupt the job."""
    image = Image.effect_noise((700, 900), 60).convert("RGB")
    ImageDraw.Draw(image).polygon(
        [(200, 200), (500, 200), (600, 400), (480, 800), (220, 800)], fill=(180, 40, 40)
    )
    (tmp_path / "many").mkdir()
    image.save(tmp_path / "many" / "000.png")
    for i in range(1, 320):
        os.link(tmp_path / "many" / "000.png", tmp_path / "many" / f"{i:03}.png")
    return tmp_path


def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [str(WARDROBE), "predict", "--engine", "ray", "many", "--out", "answers", "--json"]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(cwd),
    )


def list_parts(folder: Path) -> dict[str, int]:
    """Returns the finished parts, and the time when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}


def find_descendants(process: int) -> dict[int, str]:
    """Returns the descendants of a process: process id → command line."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int(
                    (folder / "stat").read_text().rpartition(")")[2].split()[1]
                )
                names[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # ended meanwhile
                continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {each: names.get(each, "") for each in found - {process}}


def find_ray_workers(process: int, *, busy: bool = False) -> list[int]:
    """Returns the process ids of Ray workers, or only of those that are classifying a part."""
    return [
        each
        for each, name in find_descendants(process).items()
        if name.startswith("ray::MapWorker") and (not busy or ".submit" in name)
    ]


def test_each_image_is_answered_once_whatever_is_killed(
    cluster: tuple[str, int], many: Path
) -> None:
    answers, (address, head) = many / "answers", cluster
    first = start(many)  # on a Ray of its own
    wait_until(lambda: len(list_parts(answers)) >= 2, first)
    its = find_ray_workers(first.pid)
    assert its
    first.kill()
    first.communicate()
    wait_until(lambda: not any(map(is_running, its)))  # they end with it
    done = list_parts(answers)
    assert len(done) < 10

    second = start(many, "--ray-address", address)
    wait_until(lambda: len(list_parts(answers)) > len(done), second)
    second.send_signal(signal.SIGINT)
    out, err = second.communicate()
    *shown, last = err.splitlines()
    assert (json.loads(out), last) == ({"error": "interrupted"}, "wardrobe: error: interrupted")
    assert all(re.match(r"\d+ of \d+ images|wardrobe: resuming", line) for line in shown), err
    assert second.returncode == 130
    wait_until(lambda: not find_ray_workers(head))
    assert done.items() <= list_parts(answers).items()
    done = list_parts(answers)
    assert len(done) < 10

    third = start(many, "--ray-address", address)
    wait_until(lambda: len(list_parts(answers)) > len(done), third)
    busy = wait_until(lambda: find_ray_workers(head, busy=True), third)
    os.kill(busy[0], signal.SIGKILL)
    output, errors = third.communicate()
    assert third.returncode == 0, errors
    assert json.loads(output)["images_before"] == 32 * len(done)
    assert done.items() <= list_parts(answers).items()  # nothing was done again
    names = [Path(row["path"]).name for row in read_rows(answers)]
    assert sorted(names) == sorted(path.name for path in (many / "many").iterdir())
    assert {path.name for path in answers.iterdir()} == {
        *list_parts(answers), JOB, manifest.INPUT, "_model.onnx"
    }  # fmt: skip


# Without Ray: workers and inputs


@pytest.fixture
def memory() -> Iterator[Any]:
    """An object store: the file system of fsspec in memory."""
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def run_job(out: str, inputs: list[str], workers: int = 1) -> tuple[manifest.Job, Rows]:
    """Classifies every part of a job in this process."""
    store, model = Store(out), manifest.read_model_files(PRETRAINED / "photo-int8.onnx")
    with store.lock():
        job = manifest.write_job(
            store, manifest.Job(inputs, "photo", "", {}, "", []), inputs, model, workers
        )
    worker = Worker(list(model), out)
    for part in job.parts():
        report = worker.classify_part(part)
        assert (report.name, report.images) == (part.name, part.rows)
    read = [
        pq.read_table(io.BytesIO(fsspec.open(store / part.name).open().read()))
        for part in job.parts()
    ]
    rows: Rows = pa.concat_tables(read).to_pylist()
    return job, rows


def test_an_object_store_is_read_and_written(memory: Any) -> None:
    for name in ("a", "b [1]", "sub/c"):
        memory.pipe_file(f"/shop/{name}.png", png(synthetic.draw_one(3, np.random.default_rng(0))))
    memory.pipe_file("/shop/notes.md", b"not an image")
    memory.pipe_file("/list.txt", b"memory://shop/a.png\nmemory://shop/gone.png\nnowhere://x.png\n")
    _, rows = run_job(
        "memory://answers", ["memory://shop", "memory://list.txt", "memory://shop/*.png"]
    )
    errors = {row["path"]: row["error"] for row in rows}
    assert [row["path"] for row in rows] == [
        "memory:///shop/a.png", "memory:///shop/b [1].png", "memory:///shop/sub/c.png", "memory://shop/a.png",
        "memory://shop/gone.png", "nowhere://x.png",
    ]  # fmt: skip
    assert [*errors.values()][:5] == [None, None, None, None, "does not exist"]
    assert "nowhere" in str(errors["nowhere://x.png"])
    assert manifest.read_job(Store("memory://answers")) is not None


def test_the_size_of_parts_grows_with_the_number_of_images(tmp_path: Path) -> None:
    def rows_of_parts(images: int, workers: int) -> list[int]:
        out, paths = tmp_path / f"{images}", tmp_path / "list.txt"
        paths.write_text("".join(f"/{i}.png\n" for i in range(images)))
        out.mkdir()
        asked = manifest.Job([], "", "", {}, "", [])
        return [
            part.rows
            for part in manifest.write_job(
                Store(str(out)), asked, [str(paths)], {}, workers
            ).parts()
        ]

    assert rows_of_parts(70, 2) == [32, 32, 6]
    assert rows_of_parts(3200, 2) == [100] * 32
    assert rows_of_parts(40_500, 2) == [1000] * 40 + [500]


def test_a_damaged_row_group_is_rows_with_errors(tmp_path: Path) -> None:
    image = png(synthetic.draw_one(3, np.random.default_rng(0)))
    table = pa.table({"image": [image] * 6})
    pq.write_table(
        table, tmp_path / "t.parquet", row_group_size=3, use_dictionary=False, compression="zstd"
    )
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    second = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(1).column(0)
    for i in range(second.total_compressed_size):
        content[second.data_page_offset + i] = 255
    (tmp_path / "t.parquet").write_bytes(content)
    _, rows = run_job(str(tmp_path / "out"), [str(tmp_path / "t.parquet")])
    assert [row["path"] for row in rows] == [f"{tmp_path}/t.parquet#{i}" for i in range(6)]
    assert [row["error"] is None for row in rows] == [True] * 3 + [False] * 3
    assert "cannot be read" in rows[5]["error"]


POISON = """
import os, signal
from wardrobe import photo

def poison(source):
    os.write(1, b"a line of a library")
    name = os.path.basename(source)
    if name == "once" and not os.path.exists(source + " tried"):
        open(source + " tried", "w")
        os._exit(1)
    if name == "raises":
        raise ZeroDivisionError("of OpenCV")
    if name == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "memory":
        bytearray(4_000_000_000)
    if name == "endless":
        seconds, _ = signal.getitimer(signal.ITIMER_REAL)
        signal.setitimer(signal.ITIMER_REAL, seconds / 1000)
        while True:
            pass
    return prepare(os.path.dirname(source) + "/good")

prepare, photo.prepare_or_reason = photo.prepare_or_reason, poison
"""


def test_an_image_that_ends_its_process_is_one_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)  # Python imports it as it starts
    monkeypatch.syspath_prepend(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")  # would be waited for
    names = ["raises", "once", "crashes", "endless", "memory", "good"]
    for name in names:
        (tmp_path / name).write_bytes(png(synthetic.draw_one(3, np.random.default_rng(0))))
    lines = [str(tmp_path / name) for name in [*names, "pipe.png", "."]]
    (tmp_path / "list.txt").write_text("\n".join([*lines, "a\0b"]))
    _, rows = run_job(str(tmp_path / "out"), [str(tmp_path / "list.txt")])
    assert [row["error"] for row in rows] == [
        "cannot be prepared (ZeroDivisionError: of OpenCV)",
        None,
        "cannot be prepared (its process ended with SIGSEGV)",
        "cannot be prepared (it took more than 120 s)",
        "cannot be prepared (MemoryError: )",
        None,
        *["not a file, or a broken link"] * 2,
        "does not exist",
    ]
    assert all((row["error"] is None) == (row["label"] is not None) for row in rows)


def test_a_worker_that_cannot_prepare_images_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="at its start: its process ended with exit status 3"):
        Preparer().prepare([b"?"])


def test_a_large_row_group_is_several_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MAX_ROWS", 2)
    images = [png(image) for image in synthetic.draw(7, seed=5)[0]]
    names = [f"{i}.png" for i in range(7)]
    pq.write_table(
        pa.table({"bytes": images, "path": names}), tmp_path / "t.parquet", row_group_size=5
    )
    out = Store(str(tmp_path / "out"))
    job, rows = run_job(out.location, [str(tmp_path / "t.parquet")])
    assert [part.rows for part in job.parts()] == [2, 2, 1, 2]
    assert [row["path"] for row in rows] == names
    worker = Worker(["_model.onnx"], out.location)
    first, second, third, last = job.parts()
    for part in (second, first, third, last):  # in any order, as after an interruption
        before = pq.read_table(out / part.name)
        Path(out / part.name).unlink()
        worker.classify_part(part)
        assert pq.read_table(out / part.name).equals(before)


def test_a_folder_without_images_is_read_as_parquet(tmp_path: Path) -> None:
    (tmp_path / "_old").mkdir()
    for name in ("b.parquet", "a.parquet", "_old/c.parquet", ".d.parquet"):
        pq.write_table(pa.table({"bytes": [b"x", b"y"]}), tmp_path / name)
    names = ["a.parquet", "b.parquet"]
    (tmp_path / "answers").mkdir()  # of an earlier job, in the same folder
    for name in (JOB, "part-000000.parquet"):
        pq.write_table(pa.table({"path": ["x.png"]}), tmp_path / "answers" / name)
    for given in (str(tmp_path), f"file://{tmp_path}/[ab]*"):
        found = list(bulk_inputs.find_inputs([given]))
        tables = [each for each in found if isinstance(each, bulk_inputs.Table)]
        assert [(Path(each.file).name, each.rows) for each in tables] == [(x, [2]) for x in names]
        assert len(found) == 2
    assert list(bulk_inputs.find_inputs([f"{tmp_path}/answers/p*.parquet"])) == []
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "e.parquet").write_bytes(b"?")
    assert list(bulk_inputs.find_inputs([str(tmp_path)])) == [f"{tmp_path}/c.png"]
    (failure,) = bulk_inputs.find_inputs([f"{tmp_path}/e.parquet"])
    assert isinstance(failure, Failure)
    assert failure.error.startswith("not a Parquet file, or corrupted")


# Progress


class Stream(io.StringIO):
    """A stderr that is a terminal, or is not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: terminal  # type: ignore[method-assign]


def test_progress_is_lines_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    monkeypatch.setattr(sys, "stderr", shown := Stream(False))
    with progress.count_images(10_000, 4_000) as advance:
        wait_until(lambda: "4,000 of 10,000 images\n" in shown.getvalue())
        advance(3_000)
        wait_until(lambda: "7,000 of 10,000 images, " in shown.getvalue())
    assert re.search(
        r"7,000 of 10,000 images, [\d,]+ per second, \d:\d\d:\d\d left\n", shown.getvalue()
    )


def test_progress_is_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := Stream(True))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.count_images(10_000, 4_000) as advance:
        advance(3_000)
    plain = re.sub(r"\x1b\[[\d;?]*\w", "", shown.getvalue())
    assert re.search(r"images .* 7000/10000 [\d,]+/s \d:\d\d:\d\d left", plain)


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["a.png", "--engine", "spark"], 2, ["--engine spark is unknown", "'ray'"]),
        (["a.png", "--out", "o"], 2, ["--out cannot be given with --engine local"]),
        (
            ["a.png", "--workers", "2", "--ray-address", "auto"],
            2,
            ["--ray-address, --workers cannot be given"],
        ),
        (["a.png", "--engine", "ray"], 2, ["without --out", "--out DIR"]),
        (
            ["a.png", "--engine", "ray", "--out", "o", "--csv", "x.csv"],
            2,
            ["--csv cannot be given with --engine ray"],
        ),
        (
            ["a.png", "--engine", "ray", "--out", "o", "--top", "2"],
            2,
            ["--top cannot be given with --engine ray"],
        ),
        (
            ["a.png", "--engine", "ray", "--out", "o", "--save-input", "s"],
            2,
            ["--save-input cannot be given"],
        ),
        (["-", "--engine", "ray", "--out", "o"], 2, ["'-' cannot be given with --engine ray"]),
        (["a.png", "--engine", "ray", "--out", "o", "--workers", "0"], 2, ["--workers"]),
        (
            ["a.png", "--engine", "ray", "--out", "o", "--model", "nowhere"],
            1,
            ["nowhere does not exist"],
        ),
        (["b.png", "--engine", "ray", "--out", "o"], 1, ["b.png: does not exist"]),
        (["bare", "--engine", "ray", "--out", "o"], 1, ["no image in this folder"]),
        (["nowhere://x", "--engine", "ray", "--out", "o"], 2, ["nowhere://x cannot be opened"]),
        (
            ["x.parquet", "--engine", "ray", "--out", "o"],
            2,
            ["has the columns x", "'bytes' or 'image'"],
        ),
        (
            ["a.png", "--engine", "ray", "--out", "o", "--ray-address", "127.0.0.1:9"],
            1,
            ["no Ray cluster answers at 127"],
        ),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, arguments: list[str], status: int, words: list[str]
) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    (tmp_path / "bare").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    refused(wardrobe_here("predict", *arguments, cwd=tmp_path), status, *words)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("package", ["ray", "pyarrow", "fsspec"])
def test_a_missing_package_is_named_with_its_install_command(tmp_path: Path, package: str) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    code = f"import sys; sys.modules[{package!r}] = None; from wardrobe.cli import main; main()"
    given = ["predict", "a.png", "--engine", "ray", "--out", "o"]
    result = subprocess.run(
        [sys.executable, "-c", code, *given],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    refused(
        result, 1, f"the package {package} is not installed", "pip install 'wardrobe-cnn[scale]'"
    )
    assert not (tmp_path / "o").exists()


def test_local_predict_does_not_import_ray(tmp_path: Path) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    for given in (["predict", "a.png"], ["predict", "--help"]):
        result = subprocess.run(
            [sys.executable, "-X", "importtime", str(WARDROBE), *given],
            cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 0
        imported = {
            line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines()
        }
        assert not imported & {"ray", "pyarrow", "fsspec"}
