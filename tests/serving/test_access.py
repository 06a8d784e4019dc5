"""Who may send requests: host names, reverse proxies, pages of other origins."""

import errno
import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from conftest import Server, serving

from wardrobe.errors import UsageError
from wardrobe.serving import server as server_module
from wardrobe.serving.settings import (
    accept_hosts,
    accept_origins,
    accept_proxies,
    accept_root_path,
    refuse_training,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy."""
    options = ["--allow-host", "Bücher.example.", "--allow-host", "*.shop.example"]
    options += ["--root-path", "api/"]  # the beginning of routes too
    options += ["--cors", "HTTPS://Shop.example:443/", "--cors", "chrome-extension://abc"]
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


@pytest.mark.parametrize("prefix", ["", "/api"], ids=["stripped", "kept"])
def test_a_proxy_may_strip_the_root_path(server: Server, prefix: str) -> None:
    url = server.url + prefix
    for path in ("/", "/studio.js", "/v2", "/api/models"):
        assert requests.get(url + path, allow_redirects=False).status_code == 200
    answer = requests.get(url + "/v2/", allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/api/v2")
    assert requests.get(url + "/openapi.json").json()["servers"] == [{"url": "/api"}]
    answer = requests.get(url + "/nothing")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "there is no path /api/nothing; see /api/openapi.json"},
    )


def test_the_page_of_the_root_path_ends_with_a_slash(server: Server) -> None:
    answer = requests.get(server.url + "/api", allow_redirects=False)
    assert answer.headers["location"] == "/api/"
    assert requests.get(server.url + "/apiary").status_code == 404


def test_a_root_path_is_normalized_or_refused() -> None:
    given = ("", "/", "app", "/app/", "/a/b")
    assert [accept_root_path(each) for each in given] == ["", "", "/app", "/app", "/a/b"]
    for path in ("https://shop.example/app", "/a b", "/a?b"):
        with pytest.raises(UsageError, match=re.escape(f"--root-path {path!r} is not a path")):
            accept_root_path(path)


def test_proxies_are_addresses_and_networks() -> None:
    assert accept_proxies("") == ()
    assert accept_proxies("*") == ("*",)
    expected = ("10.0.0.0/8", "::1/128", "::ffff:10.0.0.0/104")
    assert accept_proxies("10.0.0.0/8, ::1") == expected
    with pytest.raises(UsageError, match=r"--forwarded-allow-ips: 'proxy\.local' does not"):
        accept_proxies("proxy.local")


def test_both_families_are_answered_and_only_proxies_name_the_client(tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    options = ["--host", "::", "--no-auth", "--access-log", "--forwarded-allow-ips", "127.0.0.0/8"]
    with serving(tmp_path, "--compare-with", "none", *options) as server:
        assert server.url.startswith("http://[::1]:")
        for url in (server.url, "http://{}:{}".format(*server.address)):
            for headers in ({}, {"X-Forwarded-For": "203.0.113.9"}):
                assert requests.get(url + "/v2", headers=headers).status_code == 200
    clients = [json.loads(line)["client"] for line in server.stderr.splitlines()]
    assert clients == ["::1", "::1", "127.0.0.1", "203.0.113.9"]


def test_localhost_is_both_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")

    def listen(host: str) -> list[str]:
        sockets = server_module._listen(host, 0)
        addresses = [each.getsockname() for each in sockets]
        for each in sockets:
            each.close()
        assert len({port for _, port, *_ in addresses}) == 1
        return [address for address, *_ in addresses]

    assert [listen(each) for each in ("localhost", "LOCALHOST")] == [["127.0.0.1", "::1"]] * 2
    assert [listen(each) for each in ("127.0.0.1", "::1")] == [["127.0.0.1"], ["::1"]]
    create = socket.create_server

    def create_without_ipv6(address: tuple[str, int], **options: Any) -> socket.socket:
        if options["family"] == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return create(address, **options)

    monkeypatch.setattr(socket, "create_server", create_without_ipv6)
    assert listen("localhost") == ["127.0.0.1"]
    with pytest.raises(UsageError, match="--host ::1 --port 0 is not available"):
        listen("::1")


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "a%20b"), (False, "TOKEN")])
def test_the_token_is_printed_only_to_a_terminal(
    is_terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: is_terminal))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = server_module._format_url("127.0.0.1", listening, "a b")
    assert url.endswith(f"/#token={shown}")


SHOP, EVIL = "https://shop.example", "https://evil.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),  # no browser
        ({"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}, 400),
        ({"Origin": "chrome-extension://abc"}, 400),
        ({"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}, 400),
        ({"Sec-Fetch-Site": "none"}, 400),
        ({"Origin": EVIL}, 403),
        ({"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://shop.example.evil.example"}, 403),
        # Over plain HTTP from another machine, and behind a proxy that answers HTTPS:
        ({"Host": "eu.shop.example:443", "Origin": "https://eu.shop.example"}, 400),
        ({"Host": "LOCALHOST:8000", "Origin": "http://localhost:8000"}, 400),
        ({"Host": "[::1]:8000", "Origin": "http://[::1]:8000"}, 400),
        ({"Host": "eu.shop.example:8000", "Origin": "http://eu.shop.example"}, 403),
    ],
)
def test_pages_of_other_origins_are_refused(
    server: Server, headers: dict[str, str], status: int
) -> None:
    text = {"Content-Type": "text/plain", **headers}  # which needs no preflight
    answer = requests.post(server.url + "/v1/models/wardrobe:predict", data="{}", headers=text)
    assert answer.status_code == status
    assert ("an origin of --cors" in answer.json()["error"]) == (status == 403)
    assert requests.get(server.url + "/v2", headers=headers).status_code == 200


@pytest.mark.parametrize(("origin", "status"), [(SHOP, 200), (EVIL, 400)])
def test_a_preflight_request_gets_cors_headers_or_a_json_error(
    server: Server, origin: str, status: int
) -> None:
    names = "authorization,content-encoding,content-type,inference-header-content-length"
    headers = {"Origin": origin, "Access-Control-Request-Private-Network": "true"}
    headers |= {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": names}
    answer = requests.options(server.url + "/v2/models/wardrobe/infer", headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["access-control-allow-headers"] == names
        assert answer.headers["access-control-allow-private-network"] == "true"
        exposed = requests.get(server.url + "/v2", headers={"Origin": SHOP}).headers
        assert exposed["access-control-expose-headers"] == (
            "Inference-Header-Content-Length, Retry-After, X-Request-ID"
        )
    else:
        assert "access-control-allow-origin" not in answer.headers
        error = f"Disallowed CORS origin; --cors allows {SHOP}, chrome-extension://abc"
        assert answer.json() == {"error": error}


def test_origins_are_compared_as_browsers_write_them() -> None:
    given = ("http://LOCALHOST:80/", "https://[0::1]:443", "http://bücher.example:443", "*")
    expected = ("http://localhost", "https://[::1]", "http://xn--bcher-kva.example:443", "*")
    assert accept_origins(given) == expected


@pytest.mark.parametrize(
    "origin",
    [
        *("shop.example", "localhost:3000", f"{SHOP}/app", f"{SHOP}?x", f"{SHOP}#x", "https://"),
        *("https://*.shop.example", "https://a,https://b", "https://me@shop.example", "null", ""),
    ],
)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--cors {origin!r} is not an origin")):
        accept_origins([origin])


def test_training_is_allowed_where_only_this_machine_can_ask() -> None:
    assert refuse_training(None, 1, is_local=True) is None
    assert refuse_training(True, 1, is_local=False) is None
    for given, words in {
        (None, 1, False): "--allow-training",
        (False, 1, True): "--no-allow-training",
        (True, 2, True): "--workers",
    }.items():
        assert words in str(refuse_training(*given))
