"""Several processes train the weights of one; a lost process; resuming; launchers."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from conftest import WARDROBE, Result, environment, free_port, once, refused, wardrobe_here

from wardrobe.errors import RunError, UsageError
from wardrobe.training.distributed import collectives, launch
from wardrobe.training.distributed.launch import Process

Killed = tuple[
    Path, list[tuple[int, str, list[str]]]
]  # the folder; exit status, stdout and stderr of both


class Trainer:
    """One of several `wardrobe train` processes."""

    def __init__(self, command: Sequence[object], cwd: Path, name: str) -> None:
        self.out, self.err = cwd / f"{name}.out", cwd / f"{name}.err"
        quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # to compile
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [*map(str, command)], cwd=cwd, env=environment(cwd) | quick, stdout=out, stderr=err
            )

    def wait_for(self, text: str) -> None:
        while text not in self.out.read_text():
            assert self.process.poll() is None, self.err.read_text()
            time.sleep(0.1)

    def ended(self) -> tuple[int, str, list[str]]:
        """Returns exit status, stdout, and the lines of stderr."""
        status = self.process.wait()
        return status, self.out.read_text(), self.err.read_text().splitlines()


def started(
    cwd: Path,
    *arguments: object,
    within: Sequence[Sequence[str]] = ((), ()),
    host: str = "127.0.0.1",
) -> Any:
    """Starts the same command in two processes; returns both."""
    together = ("--coordinator", f"{host}:{free_port()}", "--num-processes", 2)
    return [
        Trainer(
            [*within[i], WARDROBE, "train", *arguments, *together, "--process-id", i],
            cwd,
            f"process-{i}",
        )
        for i in range(2)
    ]


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory, few_of_own: Path) -> Killed:
    """A run of two processes, the second killed after the first epoch, and how both ended."""

    def made(cwd: Path) -> Result:
        shutil.copytree(few_of_own, cwd / "own")
        first, second = started(cwd, "baseline", "--data", "own", "--epochs", 4000, "--out", "run")
        first.wait_for("epoch 1/4000")
        children = (
            Path(f"/proc/{second.process.pid}/task/{second.process.pid}/children")
            .read_text()
            .split()
        )
        os.kill(int(children[0]), signal.SIGKILL)
        return Result([], 0, json.dumps([first.ended(), second.ended()]), "")

    cwd, result = once(tmp_path_factory, "two", made)
    return cwd, json.loads(result.stdout)


def test_a_lost_process_ends_the_job_with_one_line(killed: Killed) -> None:
    cwd, ((status, out, said), (other_status, _, other_said)) = killed
    done = len((cwd / "run/history.csv").read_text().splitlines()) - 1
    shown = len(re.findall("^epoch ", out, re.M))
    assert done - 1 <= shown <= done  # an epoch is shown once it is kept
    assert (status, other_status) == (1, 1)
    assert len(said) == len(other_said) == 1, said + other_said
    assert said[0].startswith("wardrobe: error: ")
    assert f"{done} of 4000 epochs are done; resume with the same options on every host:" in said[0]
    assert said[0].endswith("wardrobe train --resume run")
    assert "process 1 of 2 was killed by SIGKILL; start it again on every host" in other_said[0]
    assert json.loads((cwd / "run/run.json").read_text())["status"] == "interrupted"


def test_two_processes_train_the_weights_of_one(killed: Killed, tmp_path: Path) -> None:
    snapshot = killed[0] / "run/snapshots/epoch-0001.npz"  # ten steps on
    one = wardrobe_here(
        "train",
        "baseline",
        "--data",
        killed[0] / "own",
        "--epochs",
        1,
        "--out",
        "one",
        cwd=tmp_path,
    )
    assert one.returncode == 0, one.stderr
    alone = keras.saving.load_model(tmp_path / "one/model.keras").get_weights()
    with np.load(snapshot) as together:
        for name, weights in zip(together.files, alone, strict=True):
            np.testing.assert_allclose(
                together[name].astype(np.float32), weights, rtol=1e-3, atol=1e-4
            )
    histories = [
        (folder / "history.csv").read_text().splitlines()
        for folder in (killed[0] / "run", tmp_path / "one")
    ]
    losses = [float(rows[1].split(",")[3]) for rows in histories]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_run_resumes_in_two_processes_or_in_one(killed: Killed, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(killed[0] / "run", tmp_path / name)
        info = json.loads((tmp_path / name / "run.json").read_text())
        done = len((tmp_path / name / "history.csv").read_text().splitlines()) - 1
        info["recipe"]["epochs"] = done + 2
        change = {"epoch": done + 1, "step": 10, "learning_rate": 5e-4}
        info["learning_rate_changes"] = [change]
        (tmp_path / name / "run.json").write_text(json.dumps(info))
    first, second = started(tmp_path, "--resume", "two", "--json")
    assert wardrobe_here("train", "--resume", "one", cwd=tmp_path).returncode == 0
    status, printed, said = first.ended()
    assert status == 0, said
    assert json.loads(printed)["status"] == "done"
    assert (tmp_path / "two/model.onnx").is_file()
    assert second.ended()[:2] == (0, '{"process_id": 1, "num_processes": 2, "status": "done"}\n')
    rows = [
        (tmp_path / name / "history.csv").read_text().splitlines()[-1].split(",")
        for name in ("one", "two")
    ]
    assert [row[0] for row in rows] == [str(done + 2)] * 2
    assert [float(row[2]) for row in rows] == pytest.approx([5e-4] * 2)
    assert float(rows[0][3]) == pytest.approx(float(rows[1][3]), rel=0.05)


# The network namespaces of a test, named so that two runs of the tests do not share them.
HOSTS = {i: f"wardrobe-{os.getpid()}-{i}" for i in (1, 2)}


@pytest.fixture
def two_hosts() -> Iterator[Callable[[], None]]:
    """Links two network namespaces, 10.77.0.1 and 10.77.0.2; yields what cuts the link."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("two hosts need root, and the command ip of iproute2")

    def ip(command: str) -> None:
        subprocess.run(["ip", *command.split()], check=True)

    for i in (1, 2):
        ip(f"netns add {HOSTS[i]}")
        named = Path(f"/etc/netns/{HOSTS[i]}/hosts")
        named.parent.mkdir(parents=True)
        named.write_text(f"127.0.0.1 localhost\n10.77.0.{i} {socket.gethostname()}\n")
    ends = [f"wardrobe-{i} netns {HOSTS[i]}" for i in (1, 2)]
    ip(f"link add {ends[0]} type veth peer name {ends[1]}")
    for i in (1, 2):
        ip(f"-n {HOSTS[i]} addr add 10.77.0.{i}/24 dev wardrobe-{i}")
        ip(f"-n {HOSTS[i]} link set lo up")
        ip(f"-n {HOSTS[i]} link set wardrobe-{i} up")
    yield lambda: ip(f"-n {HOSTS[2]} link set wardrobe-2 down")
    for i in (1, 2):
        ip(f"netns delete {HOSTS[i]}")
        shutil.rmtree(f"/etc/netns/{HOSTS[i]}")


def test_a_cut_link_ends_the_job_with_one_line(
    two_hosts: Callable[[], None], few_of_own: Path, tmp_path: Path
) -> None:
    within = [("ip", "netns", "exec", HOSTS[i]) for i in (1, 2)]
    arguments = ("baseline", "--data", few_of_own, "--epochs", 4000, "--out", "run")
    first, second = started(tmp_path, *arguments, within=within, host="10.77.0.1")
    first.wait_for("epoch 1/4000")
    two_hosts()
    for each in (first, second):
        status, _, said = each.ended()
        assert status == 1
        assert len(said) == 1, said
        assert (
            "cannot reach the others: one of them died or was not started, or the network is down"
            in said[0]
        )
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9000"}, None),
        (
            {"WORLD_SIZE": "4", "RANK": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9000"},
            Process("127.0.0.1:9000", 4, 3),
        ),
        (
            {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": "127.0.0.1:1,127.0.0.2:2",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": "1",
            },
            Process("127.0.0.1:1", 2, 1),
        ),
        (
            {
                "SLURM_JOB_ID": "4097",
                "SLURM_STEP_NODELIST": "localhost,other[01-04]",
                "SLURM_STEP_NUM_TASKS": "5",
                "SLURM_PROCID": "2",
            },
            Process("localhost:61441", 5, 2),
        ),
    ],
)
def test_launchers_are_detected(environment: dict[str, str], expected: Process | None) -> None:
    assert launch.detect_process(None, None, None, environment) == expected


def test_the_first_host_of_slurm_is_the_coordinator() -> None:
    slurm = {"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}
    for nodes, first in (
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[01-04],m1", "n01"),
        ("n[03,07-09]", "n03"),
    ):
        found = launch.detect_process(None, None, None, {**slurm, "SLURM_STEP_NODELIST": nodes})
        assert found == Process(f"{first}:61441", 2, 0)


def test_the_index_of_a_kubernetes_job_is_the_process_id() -> None:
    assert launch.detect_process(
        "localhost:9000", 3, None, {"JOB_COMPLETION_INDEX": "2"}
    ) == Process("localhost:9000", 3, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--coordinator", "localhost:9000"),
            "--num-processes, --process-id missing: to train in several processes",
        ),
        (("--process-id", "1"), "--coordinator, --num-processes missing"),
        (
            ("--coordinator", "localhost:9000", "--num-processes", "2", "--process-id", "2"),
            "--process-id 2 of --num-processes 2; gi",
        ),
        (
            ("--coordinator", "localhost", "--num-processes", "2", "--process-id", "0"),
            "localhost is not an address; give HOST:PO",
        ),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    refused(wardrobe_here("train", "baseline", *options, cwd=tmp_path), 2, said)


def test_other_backends_than_jax_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    options = ("--coordinator", "localhost:9000", "--num-processes", "2", "--process-id", "0")
    refused(
        wardrobe_here("train", *options, cwd=tmp_path),
        2,
        "KERAS_BACKEND is tensorflow",
        "set it to jax",
    )


@pytest.mark.parametrize(("count", "batch_size"), [(96, 32), (100, 32), (3, 32), (33, 32)])
def test_each_batch_is_divided_evenly(
    monkeypatch: pytest.MonkeyPatch, count: int, batch_size: int
) -> None:
    monkeypatch.setattr(collectives, "_distribution", SimpleNamespace(num_model_replicas=4))
    images, targets = np.arange(count), np.arange(count) % 7
    parts = []
    for process in range(2):
        monkeypatch.setattr(collectives, "_process", Process("localhost:9000", 2, process))
        parts.append(collectives.shard((images, targets), batch_size))
        np.testing.assert_array_equal(parts[-1][1], parts[-1][0] % 7)
    assert len(parts[0][0]) == len(parts[1][0])
    own = collectives.per_process_batch_size(batch_size)
    for step in range(-(-count // batch_size)):
        seen = np.concatenate([share[0][step * own : (step + 1) * own] for share in parts])
        batch = images[step * batch_size : (step + 1) * batch_size]
        assert len(seen) == -(-len(batch) // 4) * 4
        np.testing.assert_array_equal(np.unique(seen), batch)


@pytest.mark.parametrize("count", [7, 8, 1])
def test_the_parts_of_all_processes_make_the_whole(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    parts = []
    for process in range(3):
        monkeypatch.setattr(collectives, "_process", Process("localhost:9000", 3, process))
        parts.append(collectives.local_indices(count))
    assert len({len(part) for part in parts}) == 1
    np.testing.assert_array_equal(np.concatenate(parts)[:count], np.arange(count))


def test_a_process_with_other_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectives, "_process", Process("localhost:9000", 3, 0))
    monkeypatch.setattr(collectives, "broadcast_object", lambda value: value)
    monkeypatch.setattr(collectives, "all_gather", lambda mine: np.array([*mine, 0, 1]))
    with pytest.raises(
        RunError, match="process 1 has different data from process 0; give all hosts the same"
    ):
        collectives.check_equal("data", {"sha256": "0"})


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectives, "_distribution", SimpleNamespace(num_model_replicas=3))
    with pytest.raises(
        UsageError, match="a batch of 32 images cannot be divided evenly among 3 devices"
    ):
        collectives.check_batch_size(32)
