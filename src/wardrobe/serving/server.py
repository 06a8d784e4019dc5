"""`wardrobe serve`: the studio's page and the API, on one port. No TensorFlow in the process."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from wardrobe.errors import UsageError
from wardrobe.inference.classifier import Classifier
from wardrobe.inference.engines import count_cores
from wardrobe.serving.middleware import LOOPBACK, Limits, RequestGuard
from wardrobe.serving.routes import ERROR_HANDLERS, PAGE, Service
from wardrobe.serving.workers import Tell, run_workers

KEEP_ALIVE, ENDING = (
    30,
    30,
)  # seconds that a connection may be idle; that requests have to end in after SIGTERM
SETTLING = (
    0.1,
    2.0,
)  # seconds, least and most, in which who is connected when the server ends can still begin to ask
HEALTH = "/v2/health/live", "/v2/health/ready"  # asked by those that watch over a server
COMPARED, NONE = (
    "baseline",
    "none",
)  # the model that the page shows beside another; the word for no such model


@dataclass(frozen=True)
class Settings:
    """How a server lets itself be asked."""

    token: str | None = None  # that has to be given; None: anyone may ask
    hosts: tuple[str, ...] | None = LOOPBACK  # names that it answers to; None: any
    cors: tuple[str, ...] = ()  # origins whose pages may ask
    limits: Limits = field(default_factory=Limits)
    access_log: bool = False  # whether to write a line of JSON on stderr for each request
    threads: int = 2  # that read pictures


def create_app(
    classifier: Classifier, *others: Classifier, settings: Settings | None = None
) -> Starlette:
    """Returns the server as an ASGI application.

    Args:
        classifier: the model that is served.
        others: models that the studio shows beside it.
    """
    settings = settings or Settings()
    service = Service((classifier, *others), settings.threads)
    app = Starlette(
        routes=service.routes(), exception_handlers=ERROR_HANDLERS, lifespan=service.running
    )
    app.add_middleware(
        RequestGuard,
        metrics=service.metrics,
        limits=settings.limits,
        token=settings.token,
        hosts=settings.hosts,
        open_to_all={*PAGE, *HEALTH},
        access_log=settings.access_log,
    )
    if settings.cors:  # outermost: a browser asks first whether it may, and has no token then
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors, allow_methods=["*"], allow_headers=["*"]
        )
    return app


class Server(uvicorn.Server):
    """Answers all who got a connection before it ends; uvicorn drops those whose connection it had not yet taken up."""

    def __init__(self, config: uvicorn.Config, ready: Tell) -> None:
        """Makes a server that calls `ready` when it answers."""
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends, once who is connected was answered."""
        taken = [connection for each in sockets or () for connection in _taken_up(each)]
        for each in sockets or ():
            each.close()
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in taken:
            await loop.connect_accepted_socket(self._protocol, connection)
        await self._asked()
        await super().shutdown(sockets)

    async def _asked(self) -> None:
        """Waits until each that is connected has asked: a client on a busy machine needs time between the two."""
        least, most = SETTLING
        await asyncio.sleep(least)
        loop = asyncio.get_running_loop()
        end = loop.time() + most - least
        while loop.time() < end and any(
            getattr(each, "cycle", each) is None for each in self.server_state.connections
        ):
            await asyncio.sleep(least)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        return kind(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _taken_up(listening: socket.socket) -> Iterator[socket.socket]:
    """Yields the connections that wait to be taken up."""
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
    cors: Sequence[str] = (),
    access_log: bool = False,
    body_timeout: float = Limits.reading,
    workers: int = 1,
) -> None:
    """Serves a model until Ctrl-C or SIGTERM, then ends what is in flight.

    Args:
        model: as in `Classifier.load`.
        compare_with: a second model for the page to show, or "none"; None: "baseline" beside the shipped model, else none.
        body_timeout: seconds in which a request's body must have come.
        token: asked of everyone; None: anyone may ask, of other machines only where `no_auth`.
        workers: processes that answer, 1 or more, each with its share of the cores.

    Raises:
        UsageError: the address cannot be had, other machines could ask without a token.
        ModelError, RunError: see `Classifier.load`.
    """
    local = host in LOOPBACK
    if not local and token is None and not no_auth:
        raise UsageError(
            f"--host {host} lets other machines ask; give --token TOKEN, or --no-auth to let anyone who reaches it"
        )
    compare_with = compare_with or (COMPARED if model is None else NONE)
    threads = max(count_cores() // workers, 1)
    settings = Settings(
        token,
        LOOPBACK if local else None,
        tuple(cors),
        Limits(reading=body_timeout),
        access_log,
        threads,
    )
    sources = [model] if compare_with == NONE else [model, compare_with]
    app = _app(
        sources, settings
    )  # also where other processes answer: what cannot be loaded is said once, here
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    secret = (
        f"#token={quote(token)}" if token else ""
    )  # what follows # is not sent; the page reads it
    address = f"http://{shown}:{listening.getsockname()[1]}/{secret}"

    def ready() -> None:
        print(f"Wardrobe studio: {address}  (Ctrl-C ends it)", flush=True)

    if workers == 1:
        _answer(app, listening, ready)
    else:
        run_workers(partial(_load_and_answer, sources, settings), listening, workers, ready)


def _app(sources: Sequence[str | None], settings: Settings) -> Starlette:
    return create_app(
        *(Classifier.load(source, settings.threads) for source in sources), settings=settings
    )


def _load_and_answer(
    sources: Sequence[str | None], settings: Settings, listening: socket.socket, ready: Tell
) -> None:
    _answer(_app(sources, settings), listening, ready)


def _answer(app: Starlette, listening: socket.socket, ready: Tell) -> None:
    """Answers until Ctrl-C or SIGTERM."""
    logging.getLogger("python_multipart").setLevel(
        logging.CRITICAL
    )  # a broken form is answered, not told here as well
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=ENDING,
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises again what ended it
        Server(config, ready).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UsageError(
            f"--host {host} --port {port} cannot be had ({reason}); give others; --port 0 is any that is free"
        ) from error
