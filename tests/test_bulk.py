"""`wardrobe predict --engine ray`: real Ray, real files; each picture once, whatever is killed on the way."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WARDROBE, Result, environment, refused, wardrobe
from PIL import Image, ImageDraw

from wardrobe import synthetic
from wardrobe.labels import CLASS_NAMES
from wardrobe.predict import Failure

pytest.importorskip("ray", reason="Ray is not installed: pip install 'wardrobe[scale]'")

import fsspec  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from wardrobe import manifest, part_worker  # noqa: E402
from wardrobe.classifier import PRETRAINED  # noqa: E402
from wardrobe.store import Store, printable  # noqa: E402

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A cluster of one node with two cores in processes of its own: its address, and the first process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    patch = pytest.MonkeyPatch()  # the cluster's own token, which Ray would seek in the home that each call has anew
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    head = subprocess.Popen(
        [*ray, "--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path_factory.mktemp("head"),
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    assert head.stdout is not None
    assert any("Ray runtime started" in line for line in iter(head.stdout.readline, ""))
    yield f"127.0.0.1:{port}", head.pid
    head.terminate()
    head.communicate(timeout=60)
    patch.undo()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn garments in every form that is read: files, some of them broken; a list; an archive; Parquet."""
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
    lines = ["", f"file://{root}/apart.png", f"{photos}/00 it's.png", "my photos/02 it's.png", f"{root}/gone.png"]
    (root / "list.txt").write_text("\n".join(lines * 2))
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        for i in (41, 42):
            archive.writestr(f"{i}.png", images[i])
        archive.writestr("notes.md", "no picture")
    write_tables(root, images)
    return root


def write_tables(root: Path, images: list[bytes]) -> None:
    """Writes Parquet of three kinds: bytes with paths, Hugging Face's, and paths alone."""
    (root / "tables").mkdir()
    named = pa.table({"path": ["a", None, "c"], "bytes": [images[43], images[44], None], "error": ["x", "y", "z"]})
    pq.write_table(named, root / "tables" / "named.parquet", row_group_size=2)
    hugging = [{"bytes": image, "path": "x.png"} for image in images[45:50]] + [{"bytes": b"?", "path": None}, None]
    pq.write_table(pa.table({"image": hugging, "label": range(7)}), root / "tables" / "hf.parquet", row_group_size=3)
    pq.write_table(pa.table({"path": [str(root / "apart.png"), str(root / "away.png")]}), root / "paths.parquet")


def png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def bulk(*arguments: object, cwd: Path) -> Result:
    return wardrobe("predict", "--engine", "ray", *arguments, cwd=cwd)


def rows_in(folder: Path) -> Rows:
    return pq.read_table(folder).to_pylist()


@pytest.fixture(scope="module")
def answered(cluster: tuple[str, int], shop: Path) -> tuple[Result, dict[str, dict[str, Any]]]:
    """A job over all that the shop has, and its answers by path."""
    given = ["my photos", "missing.jpg", "list.txt", f"zip://*.png::file://{shop}/more.zip", "tables", "paths.parquet"]
    result = bulk(*given, "--out", "answers", "--address", cluster[0], "--json", cwd=shop)
    assert result.returncode == 0, result.stderr
    rows = rows_in(shop / "answers")
    assert len({row["path"] for row in rows}) == len(rows)  # what is named twice is answered once
    return result, {row["path"]: row for row in rows}


def test_the_answers_are_those_of_predict(answered: tuple[Result, Any], shop: Path) -> None:
    _, rows = answered
    expected = json.loads(wardrobe("predict", shop / "my photos", shop / "missing.jpg", "--json", cwd=shop).stdout)
    assert len(expected["predictions"]) == 42
    assert len(expected["failed"]) == 3
    for each in expected["predictions"]:
        row = rows[printable(each["path"])]
        assert (row["label"], row["not_sure"], row["reason"]) == (each["label"], each["not_sure"], each["reason"])
        assert row["confidence"] == pytest.approx(each["confidence"], abs=1e-6)
        assert row["probabilities"] == pytest.approx(each["probabilities"], abs=1e-6)
        assert list(row["probabilities"]) == list(CLASS_NAMES)
        assert row["error"] is None
    for each in expected["failed"]:
        nothing = {**dict.fromkeys(rows[each["path"]]), "path": each["path"], "error": each["error"]}
        assert rows[each["path"]] == nothing


def test_lists_addresses_archives_and_parquet_are_read(answered: tuple[Result, Any], shop: Path) -> None:
    _, rows = answered
    numbered = [f"{shop}/tables/hf.parquet#{i}" for i in range(7)]
    archived = [f"zip://{i}.png::file://{shop}/more.zip" for i in (41, 42)]
    good = [f"file://{shop}/apart.png", f"{shop}/apart.png", *archived, "a", f"{shop}/tables/named.parquet#1"]
    assert [rows[path]["error"] for path in good + numbered[:5]] == [None] * 11
    errors = {path: rows[path]["error"] for path in ("c", *numbered[5:], f"{shop}/gone.png", f"{shop}/away.png")}
    assert list(errors.values()) == [
        "the row has no bytes",
        "it is no picture, or a damaged one; expected JPEG, PNG or the like",
        "the row has no bytes",
        "it does not exist",
        "it does not exist",
    ]
    assert len(rows) == 45 + 11 + 5
    assert rows[f"{shop}/apart.png"]["probabilities"] == rows[f"file://{shop}/apart.png"]["probabilities"]


def test_the_json_says_how_it_went(answered: tuple[Result, Any], shop: Path) -> None:
    result, rows = answered
    said = json.loads(result.stdout)
    failed = sum(row["error"] is not None for row in rows.values())
    assert said["out"] == str(shop / "answers")
    assert (said["model"], said["images"], said["failed"], said["images_before"]) == ("photo", len(rows), failed, 0)
    assert said["workers"] == 2
    assert said["images_per_second"] == pytest.approx(len(rows) / said["seconds"])
    assert result.stderr == ""


def test_what_is_done_is_not_done_again(answered: tuple[Result, Any], shop: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (shop / "answers").iterdir()}
    given = json.loads((shop / "answers/_job.json").read_text())["inputs"]
    result = bulk(*given, "--out", "answers", cwd=shop)
    assert result.returncode == 0, result.stderr
    count, failed = len(answered[1]), sum(row["error"] is not None for row in answered[1].values())
    assert f"{count} before" in result.stdout
    assert result.stdout.splitlines()[-1].startswith(f"Written: {shop}/answers; {failed} of {count} images failed")
    assert {path.name: path.stat().st_mtime_ns for path in (shop / "answers").iterdir()} == before


def test_the_answers_of_another_job_are_kept(answered: tuple[Result, Any], shop: Path) -> None:
    before = {path.name: path.read_bytes() for path in (shop / "answers").iterdir()}
    given = json.loads((shop / "answers/_job.json").read_text())["inputs"]
    refused(bulk("my photos", "--out", "answers", cwd=shop), 2, "holds the answers to", "another folder")
    other = bulk(*given, "--out", "answers", "--model", "seed", cwd=shop)
    refused(other, 2, "holds another model's answers (photo)")
    refused(bulk("apart.png", "--out", "my photos", cwd=shop), 2, "is not empty")
    assert {path.name: path.read_bytes() for path in (shop / "answers").iterdir()} == before


# Killed on the way


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Pictures enough to be stopped among: 320 links to one that takes a while."""
    image = Image.effect_noise((700, 900), 60).convert("RGB")
    ImageDraw.Draw(image).polygon([(200, 200), (500, 200), (600, 400), (480, 800), (220, 800)], fill=(180, 40, 40))
    (tmp_path / "many").mkdir()
    image.save(tmp_path / "many" / "000.png")
    for i in range(1, 320):
        os.link(tmp_path / "many" / "000.png", tmp_path / "many" / f"{i:03}.png")
    return tmp_path


def started(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(WARDROBE), "predict", "--engine", "ray", "many", "--out", "answers", "--json", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment(cwd),
    )  # fmt: skip


def parts_in(folder: Path) -> dict[str, int]:
    """Returns the parts that are done, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}


def wait_until(what: Callable[[], Any]) -> None:
    for _ in range(6000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass within a minute")


def below(process: int) -> dict[int, str]:
    """Returns all processes that a process has started, and how each is called."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # ended meanwhile
                continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {each: names.get(each, "") for each in found - {process}}


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_each_picture_once_whatever_is_killed(cluster: tuple[str, int], many: Path) -> None:
    answers, (address, head) = many / "answers", cluster
    first = started(many)  # on a Ray of its own
    wait_until(lambda: len(parts_in(answers)) >= 2)
    its = below(first.pid)
    assert any("raylet" in name for name in its.values())
    first.kill()
    first.communicate()
    wait_until(lambda: not any(map(running, its)))  # Ray's processes end with it
    done = parts_in(answers)
    assert len(done) < 10

    second = started(many, "--address", address)
    wait_until(lambda: len(parts_in(answers)) > len(done))
    second.send_signal(signal.SIGINT)
    assert second.communicate(timeout=60) == ("", "wardrobe: error: interrupted\n")
    assert second.returncode == 1
    wait_until(lambda: not [name for name in below(head).values() if "MapWorker" in name])
    assert done.items() <= parts_in(answers).items()
    done = parts_in(answers)
    assert len(done) < 10

    third = started(many, "--address", address)
    wait_until(lambda: [name for name in below(head).values() if "MapBatches" in name and "IDLE" not in name])
    victims = [process for process, name in below(head).items() if "MapWorker" in name]
    os.kill(victims[0], signal.SIGKILL)
    output, errors = third.communicate(timeout=120)
    assert third.returncode == 0, errors
    assert json.loads(output)["images_before"] == 32 * len(done)
    assert done.items() <= parts_in(answers).items()  # nothing was done again
    names = [Path(row["path"]).name for row in rows_in(answers)]
    assert sorted(names) == sorted(path.name for path in (many / "many").iterdir())
    assert {path.name for path in answers.iterdir()} == {*parts_in(answers), *manifest_files()}


def manifest_files() -> set[str]:
    return {manifest.JOB, manifest.INPUT, "_model.onnx"}
