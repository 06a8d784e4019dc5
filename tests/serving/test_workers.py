"""`wardrobe serve --workers`: several processes on one port, as clients and Prometheus see them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from conftest import (
    WARDROBE,
    Server,
    environment,
    is_running,
    refused,
    serving,
    wait_until,
    wardrobe,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, "--workers", 2, "--compare-with", "none", "--access-log") as started:
        yield started


def find_workers(parent: int) -> set[int]:
    """Returns the process ids of the workers."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(each) for each in children if b"spawn_main" in command_line(each)}


def command_line(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def test_metrics_aggregate_all_workers(server: Server) -> None:
    wait_until(lambda: len(find_workers(server.process.pid)) == 2)
    before = server.metric("wardrobe_requests_total")
    for _ in range(20):
        assert (
            requests.get(server.url + "/v2").status_code == 200
        )  # a new connection each, accepted by either worker
    assert server.metric("wardrobe_requests_total") == before + 21
    assert server.metric("wardrobe_requests_in_flight") == 1


def test_a_killed_worker_is_restarted(server: Server) -> None:
    wait_until(lambda: len(find_workers(server.process.pid)) == 2)
    first = find_workers(server.process.pid)
    os.kill(min(first), signal.SIGKILL)
    wait_until(lambda: len(find_workers(server.process.pid) - first) == 1)
    for _ in range(20):
        assert requests.get(server.url + "/v2/health/ready").status_code == 200
    assert server.metric("wardrobe_requests_in_flight") == 1


def test_workers_exit_with_their_parent(tmp_path: Path) -> None:
    command = [str(WARDROBE), "serve", "--port", "0", "--workers", "2", "--compare-with", "none"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        url = first.stdout.readline().split()[2]
        wait_until(lambda: len(find_workers(first.pid)) == 2)
        left = find_workers(first.pid)
        assert requests.get(url).status_code == 200
        first.kill()
        wait_until(lambda: not any(map(is_running, left)))
    with pytest.raises(requests.ConnectionError):
        requests.get(url)


def test_invalid_options_are_reported_once(tmp_path: Path) -> None:
    refused(wardrobe("serve", "--workers", 0, cwd=tmp_path), 2, "--workers")
    refused(
        wardrobe("serve", "--workers", 2, "--model", "no.onnx", cwd=tmp_path),
        1,
        "no.onnx does not exist",
    )
