"""`wardrobe serve`: the studio's page and the API, on one port. No TensorFlow in the process."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from wardrobe import __version__, api_docs
from wardrobe.classifier import Classifier
from wardrobe.errors import UsageError
from wardrobe.guard import LOOPBACK, Guard, Limits
from wardrobe.predict import cores
from wardrobe.routes import PAGE, Service, add_routes

KEEP_ALIVE, ENDING = 30, 30  # seconds that a connection may be idle; that requests have to end in after SIGTERM
SETTLING = 0.3  # seconds in which requests come in of those who are connected when the server ends
HEALTH = "/v2/health/live", "/v2/health/ready"  # asked by those that watch over a server
BESIDE, NONE = "seed", "none"  # the model that the page shows beside another; the word for no such model


@dataclass(frozen=True)
class Settings:
    """How a server lets itself be asked."""

    token: str | None = None  # that has to be given; None: anyone may ask
    hosts: tuple[str, ...] | None = LOOPBACK  # names that it answers to; None: any
    cors: tuple[str, ...] = ()  # origins whose pages may ask
    limits: Limits = field(default_factory=Limits)
    log: bool = False  # whether to write a line of JSON on stderr for each request
    threads: int = 2  # that read pictures


def create_app(classifier: Classifier, *others: Classifier, settings: Settings | None = None) -> FastAPI:
    """Returns the server as an ASGI application.

    Args:
        classifier: the model that is served.
        others: models that the studio shows beside it.
    """
    settings = settings or Settings()
    service = Service((classifier, *others), settings.threads)
    app = FastAPI(
        title="Wardrobe", version=__version__, description=api_docs.DESCRIPTION, lifespan=service.running,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    add_routes(app, service)
    app.add_middleware(
        Guard,
        metrics=service.metrics,
        limits=settings.limits,
        token=settings.token,
        hosts=settings.hosts,
        open_to_all={*PAGE, *HEALTH},
        log=settings.log,
    )
    if settings.cors:  # outermost: a browser asks first whether it may, and has no token then
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors, allow_methods=["*"], allow_headers=["*"])
    return app


class Server(uvicorn.Server):
    """Answers all who got a connection before it ends; uvicorn drops those whose connection it had not yet taken up."""

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
        await asyncio.sleep(SETTLING)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _taken_up(listening: socket.socket) -> Iterator[socket.socket]:
    """Yields the connections that wait to be taken up."""
    listening.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listening.accept()[0]


def run(
    model: str | None,
    beside: str | None,
    *,
    host: str,
    port: int,
    token: str | None = None,
    insecure: bool = False,
    cors: Sequence[str] = (),
    log: bool = False,
    timeout: float = Limits.reading,
) -> None:
    """Serves a model until Ctrl-C or SIGTERM, then ends what is in flight.

    Args:
        model: as in `Classifier.load`.
        beside: a second model for the page to show, or "none"; None: "seed" beside the shipped model, else none.
        timeout: seconds in which a request's body must have come.
        token: asked of everyone; None: anyone may ask, of other machines only where `insecure`.

    Raises:
        UsageError: the address cannot be had, or other machines could ask without a token.
        ModelError, RunError: see `Classifier.load`.
    """
    local = host in LOOPBACK
    if not local and token is None and not insecure:
        raise UsageError(
            f"--host {host} lets other machines ask; give --token TOKEN, or --insecure to let anyone who reaches it"
        )
    beside = beside or (BESIDE if model is None else NONE)
    others = [] if beside == NONE else [Classifier.load(beside)]
    settings = Settings(token, LOOPBACK if local else None, tuple(cors), Limits(reading=timeout), log, threads=cores())
    app = create_app(Classifier.load(model), *others, settings=settings)
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    secret = f"#token={quote(token)}" if token else ""  # what follows # is not sent; the page reads it
    print(f"Wardrobe studio: http://{shown}:{listening.getsockname()[1]}/{secret}  (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=ENDING,
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises again what ended it
        Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UsageError(
            f"--host {host} --port {port} cannot be had ({reason}); give others; --port 0 is any that is free"
        ) from error
