"""`wardrobe serve`: starts and stops the studio and the API on one port, without TensorFlow."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from wardrobe.errors import UsageError
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.engines import count_cores
from wardrobe.serving.middleware import JSONCORSMiddleware, RequestMiddleware, RootPathMiddleware
from wardrobe.serving.routes import ERROR_HANDLERS, PAGE, Service
from wardrobe.serving.settings import (
    PROXIES,
    Limits,
    Settings,
    accept_hosts,
    accept_origins,
    accept_proxies,
    accept_root_path,
    is_loopback,
)
from wardrobe.serving.workers import Callback, run_workers

KEEP_ALIVE_SECONDS = 30  # that a connection may be idle
SHUTDOWN_SECONDS = 30  # that requests in flight have to finish after SIGTERM
# Seconds, least and most, that open connections have to send their first request after SIGTERM.
MIN_GRACE_SECONDS, MAX_GRACE_SECONDS = 0.1, 2.0
HEALTH = "/v2/health/live", "/v2/health/ready"  # for load balancers, which have no token
BASELINE = "baseline"  # the model that is shown next to the default model
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
    service = Service((classifier, *others), settings.threads)
    app = Starlette(
        routes=service.routes(), exception_handlers=ERROR_HANDLERS, lifespan=service.lifespan
    )
    app.add_middleware(
        RequestMiddleware, metrics=service.metrics, settings=settings, public_paths={*PAGE, *HEALTH}
    )
    if settings.cors:
        # Outside of RequestMiddleware, because a browser's preflight request carries no token.
        app.add_middleware(JSONCORSMiddleware, origins=settings.cors)
    app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))
    return app


class Server(uvicorn.Server):
    """Answers every open connection before it stops.

    uvicorn drops connections that it has not accepted yet, and those without a request.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callback) -> None:
        """Prepares a server that calls `on_ready` once it accepts connections."""
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting connections, answers the open ones, then stops."""
        pending = [connection for each in sockets or () for connection in _accept_pending(each)]
        for each in sockets or ():
            each.close()  # new connections are refused from here on
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in pending:
            await loop.connect_accepted_socket(self._make_protocol, connection)
        await self._wait_for_requests()
        await super().shutdown(sockets)

    async def _wait_for_requests(self) -> None:
        """Waits until each connection has sent a request: on a busy machine that takes a while."""
        await asyncio.sleep(MIN_GRACE_SECONDS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MAX_GRACE_SECONDS - MIN_GRACE_SECONDS
        while loop.time() < deadline and any(
            # `cycle` is a connection's current request; None before the first.
            getattr(connection, "cycle", connection) is None
            for connection in self.server_state.connections
        ):
            await asyncio.sleep(MIN_GRACE_SECONDS)

    def _make_protocol(self) -> asyncio.Protocol:
        protocol_class: Any = self.config.http_protocol_class
        state = self.lifespan.state
        return protocol_class(config=self.config, server_state=self.server_state, app_state=state)


def _accept_pending(listening: socket.socket) -> Iterator[socket.socket]:
    """Yields the connections in the socket's backlog."""
    listening.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listening.accept()[0]


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
    )
    # Loaded here even if workers answer, so that a bad model is reported once.
    app = _load_app(sources, settings)
    listening = _listen(host, port)
    url = _format_url(host, listening, token)
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
    # A browser does not send what follows #; the page reads it.
    fragment = f"#token={quote(token)}" if token else ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{fragment}"


def _load_app(sources: Sequence[str | None], settings: Settings) -> Starlette:
    classifiers = [Classifier.load(source, settings.threads) for source in sources]
    return create_app(*classifiers, settings=settings)


def _load_and_serve(
    sources: Sequence[str | None], settings: Settings, listening: socket.socket, on_ready: Callback
) -> None:
    _serve(_load_app(sources, settings), listening, on_ready)


def _serve(app: Starlette, listening: socket.socket, on_ready: Callback) -> None:
    """Answers requests until Ctrl-C or SIGTERM."""
    # A malformed form is reported to the client; the parser would also log it.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # they are in create_app
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after the shutdown
        Server(config, on_ready).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Of IPv6 addresses, :: is that of IPv4 as well.
        is_dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(
            (host, port), family=family, backlog=2048, dualstack_ipv6=is_dual
        )
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UsageError(
            f"--host {host} --port {port} is not available ({reason}); give another port, or "
            "--port 0 for a free one"
        ) from error
