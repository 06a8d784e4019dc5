"""Settings of a server: access control, and limits that keep its memory and its queues bounded."""

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from wardrobe.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORTS = {"http": 80, "https": 443}
ANY = "*"
PROXIES = "127.0.0.1,::1"  # uvicorn's default


@dataclass(frozen=True)
class Limits:
    """Limits on the bodies and the duration of requests."""

    body_bytes: int = 20_000_000
    all_body_bytes: int = 400_000_000  # of all requests in flight; parsed, up to 3 times as much
    body_seconds: float = 20.0  # until the whole body has arrived
    response_seconds: float = 60.0


@dataclass(frozen=True)
class Settings:
    """How a server answers, and to whom."""

    token: str | None = None  # required as "Authorization: Bearer …"; None: no token
    hosts: tuple[str, ...] | None = LOOPBACK  # accepted in the Host header; None: any
    cors: tuple[str, ...] = ()  # origins whose pages may send requests, or "*"
    root_path: str = ""  # the path prefix under which a proxy offers the server
    proxies: tuple[str, ...] = ()  # addresses and networks whose X-Forwarded headers are believed
    limits: Limits = field(default_factory=Limits)
    access_log: bool = False  # whether to write a line of JSON on stderr for each request
    threads: int = 2  # that decode photos and run the model
    training_refusal: str | None = None  # why a page may not train, in one line; None: it may


def accept_hosts(host: str, allow_host: Sequence[str]) -> tuple[str, ...] | None:
    """Returns the hosts to accept in the Host header when the server listens on `host`.

    Args:
        allow_host: further names, "*.example.com" for all subdomains, or "*" for any.

    Raises:
        UsageError: a name is malformed.
    """
    if not (is_loopback(host) or allow_host):
        return None
    names = [*LOOPBACK, normalize_host(host) or host]
    for each in allow_host:
        name = normalize_host(each)
        if name is None:
            raise UsageError(
                f"--allow-host {each!r} is not a host name; give one such as shop.example, or "
                "*.shop.example for all its subdomains"
            )
        names.append(name)
    return tuple(dict.fromkeys(names))


def accept_origins(cors: Sequence[str]) -> tuple[str, ...]:
    """Returns origins as browsers write them, or "*" for any.

    Raises:
        UsageError: one is malformed, or "null", which all pages without an origin share.
    """
    origins = []
    for each in cors:
        origin = each if each == ANY else normalize_origin(each)
        if origin is None:
            raise UsageError(
                f"--cors {each!r} is not an origin; give scheme, host and port without a path, "
                "such as https://shop.example, or '*' for any"
            )
        origins.append(origin)
    return tuple(origins)


def accept_root_path(root_path: str) -> str:
    """Returns a path prefix with a slash at its beginning and none at its end; "" for none.

    Raises:
        UsageError: it is not a path.
    """
    path = "/" + root_path.strip("/")
    if not re.fullmatch(r"/[^\s?#]*", path) or "//" in path:
        raise UsageError(f"--root-path {root_path!r} is not a path; give one such as /wardrobe")
    return path.rstrip("/")


def accept_proxies(addresses: str) -> tuple[str, ...]:
    """Returns the networks of a list with commas, "*" for any.

    Raises:
        UsageError: an element is not an IP address or network.
    """
    if addresses.strip() == ANY:
        return (ANY,)
    try:
        given = filter(None, map(str.strip, addresses.split(",")))
        networks = [ip_network(each, False) for each in given]
    except ValueError as error:
        raise UsageError(
            f"--forwarded-allow-ips: {error}; give addresses such as 10.0.0.1,172.16.0.0/12, or '*'"
        ) from error
    # How a socket for IPv6 and IPv4 names IPv4 addresses.
    mapped = [f"::ffff:{each.network_address}/{96 + each.prefixlen}" for each in networks]
    return (*map(str, networks), *(name for name in mapped if "." in name))


def refuse_training(allow: bool | None, workers: int, is_local: bool) -> str | None:
    """Returns why a page may not start a training, in one line; None if it may.

    Args:
        allow: what --allow-training says; None: neither yes nor no.
        workers: processes of the server.
        is_local: whether only pages of this machine can send requests.
    """
    if allow is False:
        return "Training is switched off; start the server without --no-allow-training."
    if allow is None and not is_local:
        return "Others may use this server; start it with --allow-training to train here."
    if workers > 1:
        return "Training needs one process; start the server without --workers."
    if sys.platform == "win32":
        return "A page cannot train on Windows; use the command: wardrobe train."
    if any(find_spec(name) is None for name in ("keras", "tensorflow")):
        return "Keras is not installed; run: pip install 'wardrobe-cnn[train]'."
    return None


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a server that listens on `host`."""
    name = normalize_host(host) or host
    with suppress(ValueError):
        return ip_address(name).is_loopback
    return name in LOOPBACK


@lru_cache(1024)  # of every request, and nearly always the same
def normalize_host(text: str) -> str | None:
    """Returns a host as browsers write it, without its port, brackets and final dot.

    None if the text is malformed. Browsers write names in lower case and punycode.
    """
    if not re.fullmatch(r"[^\s/?#@,]+", text):
        return None
    is_bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    try:
        parts = urlsplit(f"//[{text}]" if is_bare_ipv6 else f"//{text}")
        host = (parts.hostname or "").removesuffix(".").encode("idna").decode()
        is_valid = bool(host) and parts.port != 0  # the port of malformed text raises ValueError
    except ValueError:
        return None
    with suppress(ValueError):
        host = str(ip_address(host))
    return host if is_valid else None


def normalize_origin(text: str) -> str | None:
    """Returns an origin as browsers write it, without a default port; None if it is malformed."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = normalize_host(parts.netloc)
    rest = parts.path.strip("/") + parts.query + parts.fragment
    if not parts.scheme or host is None or ANY in host or rest:
        return None
    name = f"[{host}]" if ":" in host else host
    is_default = port in (None, DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{name}" if is_default else f"{parts.scheme}://{name}:{port}"
