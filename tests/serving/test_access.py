"""Who may send requests: host names, reverse proxies, pages of other origins."""

import re
import socket
from collections.abc import Iterator

import pytest
import requests
from conftest import Server, serving

from wardrobe.errors import UsageError
from wardrobe.serving.settings import accept_hosts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy."""
    options = ["--allow-host", "Bücher.example.", "--allow-host", "*.shop.example"]
    folder = tmp_path_factory.mktemp("access")
    with serving(folder, "--compare-with", "none", *options) as started:
        yield started


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("LocalHost.:8000", 200),
        ("127.0.0.1:443", 200),
        ("[0:0:0:0:0:0:0:1]:80", 200),
        ("XN--bcher-kva.example:8443", 200),
        ("eu.shop.example", 200),
        ("shop.example", 421),
        ("evil.example:8000", 421),
        ("evil.example@localhost", 421),
        ("localhost.evil.example", 421),
        ("localhost:port", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_known_host_names_are_accepted(server: Server, host: str, status: int) -> None:
    answer = requests.get(server.url + "/v2", headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert "expected 127.0.0.1, localhost, ::1, xn--bcher-kva.example" in answer.json()["error"]
        assert "--allow-host" in answer.json()["error"]


@pytest.mark.parametrize(("path", "status"), [("/v2/health/live", 200), ("/v2", 421)])
def test_a_health_check_may_omit_the_host(server: Server, path: str, status: int) -> None:
    with socket.create_connection(server.address) as plain:
        plain.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert plain.makefile("rb").readline().split()[1] == str(status).encode()


def test_a_server_for_other_machines_accepts_any_host_unless_names_are_given() -> None:
    assert accept_hosts("0.0.0.0", ()) is None
    assert accept_hosts("127.0.0.2", ()) == ("127.0.0.1", "localhost", "::1", "127.0.0.2")
    named = accept_hosts("2001:DB8::0:5", ("shop.example:443", "[::2]"))
    assert named == ("127.0.0.1", "localhost", "::1", "2001:db8::5", "shop.example", "::2")


@pytest.mark.parametrize("name", ["https://shop.example", "shop.example/app", "a b", "a..b", ""])
def test_a_malformed_host_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--allow-host {name!r} is not a host name")):
        accept_hosts("127.0.0.1", [name])
