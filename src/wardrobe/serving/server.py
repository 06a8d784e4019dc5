"""`wardrobe serve`: starts and stops the studio and the API on one port, without TensorFlow."""

import contextlib
import errno
import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from wardrobe.errors import UsageError
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.engines import count_cores
from wardrobe.serving.http.connections import IDLE_SECONDS, SHUTDOWN_SECONDS, Connection, Server
from wardrobe.serving.http.middleware import (
    JSONCORSMiddleware,
    RequestMiddleware,
    RootPathMiddleware,
)
from wardrobe.serving.routes import DOCS, ERROR_HANDLERS, PAGE, Service
from wardrobe.serving.settings import (
    PROXIES,
    Limits,
    Settings,
    accept_hosts,
    accept_origins,
    accept_proxies,
    accept_root_path,
    is_loopback,
    refuse_training,
)
from wardrobe.serving.workers import Callback, Sockets, run_workers
from wardrobe.terminal import console

HEALTH = "/v2/health/live", "/v2/health/ready"  # for load balancers, which have no token
BASELINE = "baseline"  # the model that is shown next to the default model
NO_IPV6 = errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT
NO_MODEL = "none"  # value of --compare-with


def create_app(
    classifier: Classifier, *others: Classifier, settings: Settings | None = None
) -> Starlette:
    """Returns the server as an ASGI application.

    Args:
        classifier: the model that answers the API.
        others: further models for the studio to compare.
    """
    settings = settings or Settings()
    service = Service((classifier, *others), settings)
    app = Starlette(
        routes=service.routes(), exception_handlers=ERROR_HANDLERS, lifespan=service.lifespan
    )
    public = {*PAGE, DOCS, *HEALTH}
    app.add_middleware(
        RequestMiddleware, metrics=service.metrics, settings=settings, public_paths=public
    )
    if settings.cors:
        # Outside of RequestMiddleware, because a browser's preflight request carries no token.
        app.add_middleware(JSONCORSMiddleware, origins=settings.cors)
    app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))
    app.state.stop = service.learn.stop
    return app


def run(
    model: str | None,
    compare_with: str | None,
    *,
    host: str,
    port: int,
    token: str | None = None,
    no_auth: bool = False,
    allow_host: Sequence[str] = (),
    cors: Sequence[str] = (),
    root_path: str = "",
    forwarded_allow_ips: str = PROXIES,
    access_log: bool = False,
    body_timeout: float = Limits.body_seconds,
    workers: int = 1,
    allow_training: bool | None = None,
) -> None:
    """Serves a model until Ctrl-C or SIGTERM, then finishes the requests in flight.

    Args:
        model: as in `Classifier.load`.
        compare_with: a second model for the studio, or "none"; None: "baseline" next to the default
            model, no second model next to another.
        token: that every request must carry; None: no token, which hosts other than this machine
            allow only with `no_auth`.
        allow_host: names of this server besides those of this machine, such as its name in DNS.
        root_path: path prefix under which a proxy offers the server.
        forwarded_allow_ips: addresses and networks of proxies, with commas between them, whose
            X-Forwarded-For is believed; "*" for all.
        body_timeout: seconds in which the body of a request must arrive.
        workers: processes, 1 or more, which share the cores.
        allow_training: whether a page may start trainings; None: if only pages of this machine can
            send requests.

    Raises:
        UsageError: the address is not available, an option is malformed, or other machines could
            send requests without a token.
        ModelError, RunError: see `Classifier.load`.
    """
    if not is_loopback(host) and token is None and not no_auth:
        raise UsageError(
            f"--host {host} is open to other machines; give --token TOKEN, or --no-auth to allow "
            "everyone who can reach it"
        )
    compare_with = compare_with or (BASELINE if model is None else NO_MODEL)
    sources = [model] if compare_with == NO_MODEL else [model, compare_with]
    settings = Settings(
        token=token,
        hosts=accept_hosts(host, allow_host),
        cors=accept_origins(cors),
        root_path=accept_root_path(root_path),
        proxies=accept_proxies(forwarded_allow_ips),
        limits=Limits(body_seconds=body_timeout),
        access_log=access_log,
        threads=max(count_cores() // workers, 1),  # of each worker
        training_refusal=refuse_training(
            allow_training, workers, is_loopback(host) and not (allow_host or cors or root_path)
        ),
    )
    # Loaded here even if workers answer, so that a bad model is reported once.
    app = _load_app(sources, settings)
    listening = _listen(host, port)
    url = _format_url(host, listening[0], token)
    line = f"Wardrobe studio: {url}  (press Ctrl-C to stop)"
    on_ready = partial(print, line, flush=True)
    if workers == 1:
        _serve(app, listening, on_ready)
    else:
        run_workers(partial(_load_and_serve, sources, settings), listening, workers, on_ready)


def _format_url(host: str, listening: socket.socket, token: str | None) -> str:
    """Returns an address that a browser opens, even if the server listens on all interfaces."""
    address, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, host)
    # A browser does not send what follows #; the page reads it. A log must not keep the token.
    shown = quote(token or "") if sys.stdout.isatty() else "TOKEN"
    fragment = f"#token={shown}" if token else ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{fragment}"


def _load_app(sources: Sequence[str | None], settings: Settings) -> Starlette:
    classifiers = [Classifier.load(source, settings.threads) for source in sources]
    return create_app(*classifiers, settings=settings)


def _load_and_serve(
    sources: Sequence[str | None], settings: Settings, listening: Sockets, on_ready: Callback
) -> None:
    _serve(_load_app(sources, settings), listening, on_ready)


def _serve(app: Starlette, listening: Sockets, on_ready: Callback) -> NoReturn:
    """Answers requests until Ctrl-C or SIGTERM, then exits: 1 if one was not answered, or 0."""
    # A malformed form is reported to the client; the parser would also log it.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    # A parsed body is many lists without cycles; looking for cycles would take most of its time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # they are in create_app
        http=Connection,
        ws="none",
        timeout_keep_alive=IDLE_SECONDS,
    )
    server = Server(config, on_ready, app.state.stop)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after the shutdown
        server.run(sockets=[*listening])
    if server.unanswered:
        stopped = (
            f"{server.unanswered} requests had no answer {SHUTDOWN_SECONDS} s after the signal"
        )
        console.warn(f"error: {stopped} to stop; the clients have to send them again")
    sys.stdout.flush()
    # At once: Python would wait for threads that decode images, without a limit.
    os._exit(1 if server.unanswered else 0)


def _listen(host: str, port: int) -> Sockets:
    """Listens at an address; at both of localhost, if this machine has IPv6."""
    hosts = ("127.0.0.1", "::1") if host.lower() == "localhost" else (host,)
    sockets: list[socket.socket] = []
    for each in hosts:
        family = socket.AF_INET6 if ":" in each else socket.AF_INET
        # Of IPv6 addresses, :: is that of IPv4 as well.
        is_dual = each == "::" and socket.has_dualstack_ipv6()
        try:
            sockets.append(
                socket.create_server(
                    (each, port), family=family, backlog=2048, dualstack_ipv6=is_dual
                )
            )
        except OSError as error:
            if sockets and error.errno in NO_IPV6:
                break
            reason = str(error.strerror or error).partition(" (while")[0]
            raise UsageError(
                f"--host {host} --port {port} is not available ({reason}); give another port, or "
                "--port 0 for a free one"
            ) from error
        port = sockets[0].getsockname()[1]
    return sockets
