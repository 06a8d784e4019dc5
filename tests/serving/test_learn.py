"""Learn: trainings that a page starts, controls, follows and downloads."""

import base64
import http.client
import io
import json
import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from conftest import Result, Server, is_running, serving, wait_until
from fake_runs import append, make_run
from PIL import Image

from wardrobe import runs
from wardrobe.errors import StorageError
from wardrobe.models import recipes
from wardrobe.runs import Run, StepsWriter, read_control
from wardrobe.runs.run import HISTORY_FIELDS
from wardrobe.serving.learn.training import folders, jobs
from wardrobe.serving.learn.training.jobs import Jobs
from wardrobe.serving.learn.training.requests import Training

FOLLOWERS = 100
TILES = [base64.b64encode(bytes(range(i, i + 196)) * 4).decode() for i in range(0, 60, 6)]
PIXELS = TILES[0]
CLASSES = [{"name": "Tasche", "images": TILES[5:]}, {"name": "Schuh é", "images": TILES[:5]}]
BASELINE = {"recipe": "baseline", "data": "synthetic"}


@contextmanager
def follow(url: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """Yields the events of a run: (name, data)."""
    with closing(requests.get(f"{url}/events", stream=True, timeout=120)) as response:
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        yield parse_events(response.iter_lines())


def parse_events(lines: Iterator[bytes]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        field, _, value = line.decode().partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def wait_for(stream: Iterator[tuple[str, Any]], name: str, **fields: Any) -> Any:
    """Reads events until one has this name and these fields."""
    for event, data in stream:
        if event == name and fields.items() <= data.items():
            return data
    raise AssertionError(f"the stream ended without {name} {fields}")


def control(url: str, **body: Any) -> requests.Response:
    return requests.post(f"{url}/control", json=body)


def see_paused(url: str) -> list[Any]:
    """Returns the first events of a paused run, up to its status."""
    with follow(url) as stream:
        seen = [next(stream)]
        while seen[-1][0] != "status":
            seen.append(next(stream))
        return seen


@pytest.mark.timeout(900)  # Keras is loaded twice
def test_a_training_outlives_servers_and_kills(tmp_path: Path, few_of_own: Path) -> None:
    asked = {"recipe": "baseline", "data": str(few_of_own), "settings": {"epochs": "4000"}}
    with serving(tmp_path, "--compare-with", "none") as first:
        answer = requests.post(f"{first.url}/api/runs", json=asked)
        assert answer.status_code == 202, answer.text
        name = answer.json()["name"]
        path, url = tmp_path / "runs" / name, f"{first.url}/api/runs/{name}"
        second = requests.post(f"{first.url}/api/runs", json=asked)
        assert second.status_code == 409
        assert f"{name} is being trained" in second.json()["error"]
        with follow(url) as stream:
            wait_for(stream, "status", status="starting")
            wait_for(stream, "status", status="running")
            assert control(url, action="pause").status_code == 200
            assert wait_for(stream, "status", status="paused")["learning_rate"] == 0.001
        assert control(url, action="pause").status_code == 409
        with ThreadPoolExecutor(FOLLOWERS) as pool:
            seen = list(pool.map(see_paused, [url] * FOLLOWERS))
        assert seen == [seen[0]] * FOLLOWERS
        assert dict(seen[0])["steps"]["rows"]
        first.kill()
    process = json.loads((path / runs.JOB).read_text())["pid"]
    assert is_running(process)
    with serving(tmp_path, "--compare-with", "none") as server:
        url = f"{server.url}/api/runs/{name}"
        assert requests.get(f"{server.url}/api/runs").json()["training"] == name
        with follow(url) as stream:
            wait_for(stream, "status", status="paused")
            assert control(url, learning_rate=0.001).status_code == 200  # the same as before
            assert control(url, action="continue").status_code == 200
            assert wait_for(stream, "steps")["rows"]
            assert wait_for(stream, "history")["rows"]
            os.kill(process, signal.SIGKILL)
            wait_for(stream, "status", status="interrupted")
        assert control(url, action="pause").status_code == 409
        before = len(Run(path).history())
        assert control(url, action="resume").status_code == 200
        with follow(url) as stream:
            wait_until(lambda: len(Run(path).history()) > before)
            server.process.send_signal(signal.SIGTERM)
            assert {event for event, _ in stream} <= {"steps", "history", "status", "frame"}
    wait_until(lambda: folders.find_status(path)[0] == runs.INTERRUPTED)
    epochs = [row["epoch"] for row in Run(path).history()]
    assert epochs == list(range(1, len(epochs) + 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, drawn_training: tuple[Run, Result]) -> Path:
    """A working directory with a finished run, and with folders that are none."""
    root = tmp_path_factory.mktemp("learn")
    finished = root / "runs" / "finished"
    shutil.copytree(drawn_training[0].path, finished)
    (finished / "secret.txt").symlink_to("/etc/passwd")
    (root / "runs" / "link").symlink_to(finished)
    for name, content in {
        **{"broken": "{", "list": "[]", "old": "{}", ".hidden": "{}"},
        "strange": '{"recipe": 3, "started": 1, "status": "done"}',
    }.items():
        (root / "runs" / name).mkdir()
        (root / "runs" / name / "run.json").write_text(content)
    odd = make_run(root, "odd\udcfc", status=runs.DONE, data="/p\udcfc")
    odd.write_history([dict.fromkeys(HISTORY_FIELDS[:-1], float("nan")) | {"epoch": 1}])
    (root / "runs" / "empty").mkdir()
    return root


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, "--compare-with", "none") as started:
        yield started
    assert started.stderr == ""


def test_runs_are_listed_and_damaged_ones_skipped_with_the_reason(server: Server) -> None:
    answer = requests.get(f"{server.url}/api/runs").json()
    assert [each["name"] for each in answer["runs"]] == ["odd\udcfc", "finished"]
    finished = answer["runs"][1]
    assert (finished["status"], finished["split"], finished["epochs_done"]) == ("done", "test", 2)
    assert finished["accuracy"] > 0.5
    assert len(finished["class_names"]) == 10
    skipped = {each["name"]: each["error"] for each in answer["skipped"]}
    assert skipped.keys() == {"broken", "list", "old", "strange"}
    assert "is not valid JSON" in skipped["broken"]
    assert (answer["training"], answer["allowed"], answer["reason"]) == (None, True, None)


def test_a_finished_run_is_described_and_followed(server: Server) -> None:
    url = f"{server.url}/api/runs/finished"
    details = requests.get(url).json()
    assert details["epochs"] == [0, 1, 2]
    assert details["info"]["status"] == details["summary"]["status"] == "done"
    assert details["metrics"]["accuracy"] == details["summary"]["accuracy"]
    assert details["summary"]["recipe_title"] == "baseline (changed: epochs)"
    assert [row["epoch"] for row in details["history"]] == [1, 2]
    assert details["command"].startswith("wardrobe train baseline --data synthetic")
    assert details["python"].splitlines() == [
        "import wardrobe",
        "wardrobe.train('baseline', data='synthetic', settings={'epochs': '2'}, limit=4000)",
    ]
    received: dict[str, Any] = {}
    with follow(url) as stream:
        while "frame" not in received:
            received.update([next(stream)])
    assert received["frame"]["epoch"] == 2
    assert received["history"]["rows"] == details["history"]
    assert received["status"]["status"] == "done"
    assert received["steps"]["rows"][-1][0] == 2


def test_a_run_is_downloaded_without_checkpoints_and_links(server: Server, folder: Path) -> None:
    answer = requests.get(f"{server.url}/api/runs/finished/run.zip")
    assert "finished.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        assert zipped.testzip() is None
        names = {*zipped.namelist()}
        model = zipped.read("finished/model.onnx")
    assert model == (folder / "runs/finished/model.onnx").read_bytes()
    assert {"finished/run.json", "finished/snapshots/epoch-0001.npz"} <= names
    assert not any("checkpoint" in name or "secret" in name for name in names)


@pytest.mark.parametrize("name", ["nothing", "empty", "link", ".hidden", "..", "%2e%2e", "a%00b"])
@pytest.mark.parametrize("end", ["", "/events", "/run.zip", "/control"])
def test_what_is_no_run_gets_404(server: Server, name: str, end: str) -> None:
    method = "POST" if end == "/control" else "GET"
    connection = http.client.HTTPConnection(*server.address)
    connection.request(method, f"/api/runs/{name}{end}", b'{"action": "pause"}')
    answer = connection.getresponse()
    assert answer.status == 404
    assert "error" in json.loads(answer.read())


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("broken", 400, "is not valid JSON"),
        ("broken/events", 200, "is not valid JSON"),
        ("strange", 400, "is damaged ("),
        ("strange/events", 200, '"status": "failed"'),
    ],
)
def test_a_damaged_run_is_a_one_line_error(
    server: Server, path: str, status: int, words: str
) -> None:
    answer = requests.get(f"{server.url}/api/runs/{path}")
    assert (answer.status_code, words in answer.text) == (status, True)


BAD_CLASSES: list[tuple[Any, str]] = [
    ([CLASSES[0]], "not a list of 2 to 12"),
    ([CLASSES[0]] * 13, "not a list of 2 to 12"),
    ([CLASSES[0], 3], "another element"),
    ([CLASSES[0], {**CLASSES[0], "name": "TASCHE"}], "two classes are named"),
    ([CLASSES[0], {**CLASSES[0], "name": " "}], "is not valid"),
    ([CLASSES[0], {**CLASSES[0], "name": "../x"}], "is not valid"),
    ([CLASSES[0], {**CLASSES[0], "name": "a\\b"}], "is not valid"),
    ([CLASSES[0], {**CLASSES[0], "name": ".a"}], "is not valid"),
    ([CLASSES[0], {**CLASSES[0], "name": "a\n"}, {**CLASSES[0], "name": "a\tb"}], "is not valid"),
    ([CLASSES[0], {**CLASSES[0], "name": "x" * 61}], "is not valid"),
    ([CLASSES[0], {**CLASSES[0], "name": "Test"}], "cannot be named"),
    ([CLASSES[0], {**CLASSES[0], "name": 3}], "not a string"),
    ([CLASSES[0], {"name": "a", "images": []}], "has 0 images"),
    ([CLASSES[0], {"name": "a", "images": [PIXELS] * 501}], "has 501 images"),
    ([CLASSES[0], {"name": "a", "images": [PIXELS[:-4]]}], "not the base64 of 784"),
    ([CLASSES[0], {"name": "a", "images": [PIXELS + "!"]}], "not the base64 of 784"),
    ([CLASSES[0], {"name": "a", "images": [7]}], "not the base64 of 784"),
]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "recipe and start_from are missing"),
        ({"recipe": "nothing"}, "unknown recipe"),
        ({**BASELINE, "name": "x"}, "unknown field 'name'"),
        ({**BASELINE, "recipe": 3}, "recipe is not a string"),
        ({**BASELINE, "data": "/nowhere"}, "not a folder"),
        ({**BASELINE, "data": "a\0b"}, "not a folder"),
        ({**BASELINE, "data": "x" * 4000}, "not a folder"),
        ({**BASELINE, "seed": 2**32}, "seed is not an integer"),
        ({**BASELINE, "limit": True}, "limit is not an integer"),
        ({**BASELINE, "settings": {"epochs": 3}}, "not an object of strings"),
        ({**BASELINE, "settings": {"epochs": "0"}}, "epochs"),
        ({**BASELINE, "settings": {"epoch": "1"}}, "did you mean 'epochs'?"),
        ({"start_from": "photo", "settings": {"epochs": "0"}}, "epochs"),
        *(({**BASELINE, "classes": each}, words) for each, words in BAD_CLASSES),
    ],
)
def test_a_training_that_cannot_be_is_refused(server: Server, body: Any, words: str) -> None:
    answer = requests.post(f"{server.url}/api/runs", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_network_to_start_from_has_to_exist(server: Server) -> None:
    body = {"start_from": "../finished", "data": "synthetic"}
    answer = requests.post(f"{server.url}/api/runs", json=body)
    assert (answer.status_code, "there is no run" in answer.text) == (404, True)


def test_a_page_of_another_origin_cannot_train(server: Server, folder: Path) -> None:
    before = {*(folder / "runs").iterdir()}
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    answer = requests.post(f"{server.url}/api/runs", json.dumps(BASELINE), headers=headers)
    assert answer.status_code == 403
    assert {*(folder / "runs").iterdir()} == before


def test_own_classes_become_a_folder_of_images_and_starting_can_be_stopped(
    server: Server, folder: Path
) -> None:
    body = {"start_from": "photo", "classes": CLASSES, "seed": 3}
    answer = requests.post(f"{server.url}/api/runs", json=body).json()
    path, url = folder / "runs" / answer["name"], f"{server.url}/api/runs/{answer['name']}"
    images = f"runs/{answer['name']}/images"
    assert answer["command"] == f"wardrobe train --data {images} --seed 3 --from photo"
    assert answer["python"].splitlines()[1] == (
        f"wardrobe.train(data='{images}', seed=3, start_from='photo')"
    )
    assert control(url, action="stop").status_code == 200
    with follow(url) as stream:
        wait_for(stream, "status", status="failed", message="it was stopped before training began")
    summary = requests.get(url).json()["summary"]
    assert (summary["class_names"], summary["epochs"]) == (["Tasche", "Schuh é"], 20)
    with Image.open(path / "images/Schuh é/0002.png") as image:
        assert (image.mode, np.asarray(image).tobytes()) == ("L", base64.b64decode(TILES[1]))
    assert control(url, action="resume").status_code == 409
    # If the signal was lost, the process goes on, and training finds this file.
    assert read_control(Run(path)).stop
    runs.check_new_folder(path)


def test_a_failed_training_says_why(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    answer = requests.post(f"{server.url}/api/runs", json={**BASELINE, "data": str(tmp_path)})
    url = f"{server.url}/api/runs/{answer.json()['name']}"
    with follow(url) as stream:
        message = wait_for(stream, "status", status="failed")["message"]
    assert f"{tmp_path} has" in message
    assert requests.get(url).json()["message"] == message


def test_a_training_in_a_terminal_is_shown_and_controlled(server: Server, folder: Path) -> None:
    run = make_run(folder, "terminal", status=runs.RUNNING)
    url = f"{server.url}/api/runs/terminal"
    assert requests.get(url).json()["summary"]["status"] == "interrupted", "killed long ago"
    with run.lock():
        assert requests.get(f"{server.url}/api/runs").json()["training"] == "terminal"
        assert requests.post(f"{server.url}/api/runs", json=BASELINE).status_code == 409
        with follow(url) as stream:
            assert wait_for(stream, "status", status="running")["seconds_left"] is None
            wait_until(run.followed_path.exists)
            append(run, (1, 1, 0.5, 2.0, 0.1), (1, 2, 1.0, 1.9, 0.2))
            expected = {"rows": [[1, 1, 0.5, 2.0, 0.1], [1, 2, 1.0, 1.9, 0.2]]}
            assert wait_for(stream, "steps") == {**expected, "steps_per_epoch": 2}
            assert wait_for(stream, "status")["seconds_left"] == 9  # of 10 epochs of 1 s
            append(run, (2, 1, 0.5, 1.8, 0.3))
            assert wait_for(stream, "steps")["rows"] == [[2, 1, 0.5, 1.8, 0.3]]
            for body in ({"learning_rate": 0}, {"learning_rate": "x"}, {"action": "x"}, {}):
                assert control(url, **body).status_code == 400
            assert control(url, learning_rate=0.01).json() == {"status": "running"}
            assert control(url, action="pause").json() == {"status": "running"}
            assert (read_control(run).paused, read_control(run).learning_rate) == (True, 0.01)
            assert control(url, action="continue").status_code == 200
            assert control(url, action="stop").status_code == 200
            assert (read_control(run).paused, read_control(run).stop) == (False, True)
            with closing(StepsWriter(run.steps_path, 0)) as writer:  # as when it is resumed
                writer.append((1, 1, 0.5, 2.0, 0.1))
            assert wait_for(stream, "steps")["rows"] == [[1, 1, 0.5, 2.0, 0.1]]
            run.update(status=runs.DONE)
            assert dict(stream)["status"]["status"] == "done"
    assert control(url, learning_rate=0.01).status_code == 409
    assert control(url, action="resume").status_code == 409


def test_a_token_is_needed_and_training_can_be_switched_off(tmp_path: Path) -> None:
    options = ["--compare-with", "none", "--token", "geheim", "--no-allow-training"]
    with serving(tmp_path, *options) as server:
        for path in ("/api/runs", "/api/runs/x", "/api/runs/x/events", "/api/recipes"):
            assert requests.get(server.url + path).status_code == 401
        assert requests.post(f"{server.url}/api/runs", json=BASELINE).status_code == 401
        right = {"Authorization": "Bearer geheim"}
        answer = requests.get(f"{server.url}/api/runs", headers=right).json()
        assert (answer["runs"], answer["allowed"]) == ([], False)
        assert "without --no-allow-training" in answer["reason"]
        refused = requests.post(f"{server.url}/api/runs", json=BASELINE, headers=right)
        assert (refused.status_code, refused.json()["error"]) == (403, answer["reason"])
        assert not (tmp_path / "runs").exists()
        assert requests.get(f"{server.url}/api/recipes", headers=right).json()["recipes"]


def test_training_needs_space_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(jobs, "MIN_FREE_BYTES", 10**18)
    before = {*(folder / "runs").iterdir()}
    with pytest.raises(StorageError, match="free some space") as caught:
        Jobs(None).start(Training("baseline"), {})
    assert caught.value.http_status == 507
    assert {*(folder / "runs").iterdir()} == before


def test_the_announced_epochs_are_those_that_few_images_get() -> None:
    asked = (
        Training("sprint", "synthetic", {}, 0, 600),  # 3 epochs are too few steps
        Training("sprint", "synthetic", {"epochs": "2"}, 0, 600),
        Training("sprint", "synthetic"),
        Training("sprint", "/photos"),  # their number is not known yet
        Training(None, "/photos", {}, 0, None, "photo"),  # a trained network needs few steps
    )
    enough = recipes.with_enough_steps(recipes.get("sprint"), 600).epochs
    assert [each.count_epochs() for each in asked] == [enough, 2, 3, None, 20]
