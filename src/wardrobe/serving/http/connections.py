"""uvicorn with limits on its connections, and with a shutdown that answers the open ones.

uvicorn limits neither the head of a request, nor its time, nor the number of idle connections. Its
other parser, h11, limits the bytes of the head, but answers a tenth fewer requests per second.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from wardrobe.serving.http.middleware import RAW_SECURITY_HEADERS

try:
    import resource
except ImportError:  # Windows has no limit on open files
    resource = None  # type: ignore[assignment]

MAX_HEAD_BYTES = 64_000  # request line and headers; nginx's default is 40 kB
MAX_HEADERS = 100
MAX_PIPELINED = 32  # requests that a connection may send before it has the answer to the first
MAX_CONNECTIONS = 1_000  # of each process
SPARE_FILES = 64  # open files of the process that are not connections
# Until a connection has sent the head of its next request, or has read the last response.
IDLE_SECONDS = 30
SHUTDOWN_SECONDS = 20  # that requests in flight have to finish after SIGTERM
ANSWER_SECONDS = 2  # for the answers to those that have not
# Seconds, least and most, that open connections have to send their first request after SIGTERM.
MIN_GRACE_SECONDS, MAX_GRACE_SECONDS = 0.1, 2.0


class Connection(HttpToolsProtocol):
    """A connection of uvicorn with limits."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._bytes_since_progress = 0
        self._refusal = 400, "the request is not valid HTTP/1.1; send it again"
        if len(self.connections) > _count_allowed():
            self._make_room()

    def is_idle(self) -> bool:
        """Returns whether the server waits for the client."""
        return self.cycle is None or self.cycle.response_complete or self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._bytes_since_progress += len(data)
        super().data_received(data)
        if self._bytes_since_progress > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse_head()
            raise ValueError  # the parser's way to stop; uvicorn then calls send_400_response
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = 429, f"more than {MAX_PIPELINED} requests wait; read the responses"
            raise ValueError
        self._bytes_since_progress = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_since_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bytes_since_progress = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not a request to the application, and closes the connection."""
        status, error = self._refusal
        content = json.dumps({"error": error}).encode()
        headers = [
            *RAW_SECURITY_HEADERS,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + content)
        self.transport.close()

    def _refuse_head(self) -> None:
        limits = f"{MAX_HEAD_BYTES:,} bytes and {MAX_HEADERS} headers"
        self._refusal = 431, f"the request's head is too large; expected at most {limits}"

    def _make_room(self) -> None:
        """Closes the connection that is idle for longest, or this one if all others are busy."""
        others = (each for each in self.connections if isinstance(each, Connection))
        idle = [each for each in others if each is not self and each.is_idle()]
        if not idle:
            self._refusal = 503, f"{_count_allowed():,} connections are open; retry in a second"
            self.send_400_response("")
            return
        oldest = min(idle, key=lambda each: each.idle_since)
        oldest.transport.abort()
        self.connections.discard(oldest)  # now: several connections are accepted at once


def _count_allowed() -> int:
    """Returns the limit on connections: below the process's limit on open files."""
    if resource is None:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)


class Server(uvicorn.Server):
    """Closes idle connections, and answers every open connection before it stops.

    uvicorn drops connections that it has not accepted yet, and those without a request.

    Attributes:
        unanswered: requests that were not finished in time when it stopped.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], object],
        on_stop: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepares a server.

        Args:
            on_ready: called once it accepts connections.
            on_stop: called when it begins to stop; it has to end the responses without end.
        """
        super().__init__(config)
        self._on_ready, self._on_stop, self.unanswered = on_ready, on_stop, 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once per second
            latest = asyncio.get_running_loop().time() - IDLE_SECONDS
            for each in tuple(self.server_state.connections):
                if isinstance(each, Connection) and each.is_idle() and each.idle_since < latest:
                    each.transport.abort()  # close() would wait until the client has read all
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting connections, answers the open ones, then stops."""
        self._on_stop()
        pending = [connection for each in sockets or () for connection in _accept_pending(each)]
        for each in sockets or ():
            each.close()  # new connections are refused from here on
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in pending:
            await loop.connect_accepted_socket(self._make_protocol, connection)
        await self._wait_for_requests()
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await super().shutdown(sockets)
        except TimeoutError:
            tasks = tuple(self.server_state.tasks)
            self.unanswered = len(tasks)
            for task in tasks:
                task.cancel()  # RequestMiddleware answers with 503
            if tasks:
                await asyncio.wait(tasks, timeout=ANSWER_SECONDS)
            await self.lifespan.shutdown()

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
