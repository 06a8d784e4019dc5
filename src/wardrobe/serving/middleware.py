"""What every request passes through: access control, limits on size and time, log and metrics.

Plain ASGI, without a base class: it counts the bytes of a body as they arrive and sees each part of
the answer. Starlette's own middleware would not make it shorter: TrustedHostMiddleware answers in
plain text instead of JSON, as does RequestBodyLimitMiddleware where a route reads no body, and neither
limits the time of a body or the memory that all bodies hold.
"""

import asyncio
import hmac
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardrobe.errors import WardrobeError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {  # of every answer
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
SAFE = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
METRICS_FOLDER = (
    "PROMETHEUS_MULTIPROC_DIR"  # the variable that names where processes count together
)
CLIENT_CLOSED_REQUEST = 499  # nginx's status of a request whose sender has gone
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # edges of histograms
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Limits:
    """What a request may ask for."""

    body: int = 20_000_000  # bytes
    held: int = 1_000_000_000  # bytes of all bodies that are held at a time
    reading: float = 20.0  # seconds in which a body must have come
    answering: float = 60.0  # seconds in which it must be answered


class Metrics:
    """What /metrics tells, and how many requests are held."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.held, self.held_bytes = 0, 0  # requests that are being answered, and their bodies

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"wardrobe_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, label: str, edges: Sequence[float]) -> Histogram:
            return Histogram(
                f"wardrobe_{name}", text, [label], registry=self.registry, buckets=edges
            )

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(
                f"wardrobe_{name}",
                text,
                labels,
                registry=self.registry,
                multiprocess_mode="livesum",
            )

        self.requests = counter("requests", "Requests answered.", "route", "method", "status")
        self.images = counter("images", "Images classified.", "model")
        self.seconds = histogram(
            "request_seconds", "From a request to the last byte of its answer.", "route", SECONDS
        )
        self.batches = histogram("batch_images", "Images of a batch.", "model", IMAGES)
        self.waiting = gauge("waiting_images", "Images that wait or are being classified.", "model")
        self.in_flight = gauge("requests_in_flight", "Requests being answered.")

    def told(self) -> CollectorRegistry:
        """Returns what there is to tell: of all processes, where several answer (see workers.py)."""
        if METRICS_FOLDER not in os.environ:
            return self.registry
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together


class BodyError(WardrobeError):
    """A body that is too large or comes too slowly; `status` is what it is answered with."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RequestGuard:
    """Lets a request pass to `app`, within limits, and tells of it."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        limits: Limits,
        token: str | None,
        hosts: tuple[str, ...] | None,
        open_to_all: Set[str],
        access_log: bool,
    ) -> None:
        """Wraps an ASGI application.

        Args:
            token: that has to be given as "Authorization: Bearer …"; None: anyone may ask.
            hosts: names by which the server may be called, against pages that rebind a name to this machine; None: any.
            open_to_all: paths that need no token.
            access_log: whether to write a line of JSON on stderr for each request.
        """
        self.app, self.metrics, self.limits = app, metrics, limits
        self.token, self.hosts, self.open_to_all, self.access_log = (
            token,
            hosts,
            open_to_all,
            access_log,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, body = time.perf_counter(), _Body(receive, self.limits, self.metrics)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }

        def end() -> None:
            self.metrics.in_flight.dec()
            self._tell(scope, headers, answer, time.perf_counter() - started)

        answer = _Answer(send, end)
        self.metrics.held += 1
        self.metrics.in_flight.inc()
        try:
            refusal = self._refusal(scope["path"], headers)
            if refusal is not None:
                await answer.refuse(*refusal)
            else:
                await self._passed(scope, body, answer)
        finally:
            answer.end()  # for requests that get no whole answer
            body.forget()
            self.metrics.held -= 1

    def _refusal(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[int, str, dict[str, str]] | None:
        host = (
            headers.get("host", "").rpartition("]")[0].lstrip("[")
            or headers.get("host", "").partition(":")[0]
        )
        if self.hosts is not None and host not in self.hosts:
            return 421, f"this server is not called {host!r}; ask for {' or '.join(self.hosts)}", {}
        given = headers.get("authorization", "").encode("latin-1")
        may_ask = self.token is None or path in self.open_to_all
        if not may_ask and not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            return (
                401,
                "give the token, as the header Authorization: Bearer TOKEN",
                {"www-authenticate": "Bearer"},
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.limits.body:
            return 413, _too_large(self.limits), {"connection": "close"}
        return None

    async def _passed(self, scope: Scope, body: "_Body", answer: "_Answer") -> None:
        try:
            async with asyncio.timeout(self.limits.answering):
                await self.app(scope, body, answer)
        except TimeoutError:
            await answer.refuse(
                503,
                f"no answer within {self.limits.answering:g} s; ask again",
                {"retry-after": "5"},
            )

    def _tell(
        self, scope: Scope, headers: Mapping[str, str], answer: "_Answer", seconds: float
    ) -> None:
        route = getattr(scope.get("route"), "path", "other")
        status = answer.status or 500  # which uvicorn answers where nothing was
        self.metrics.requests.labels(route, scope["method"], status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if self.access_log:
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "id": answer.id,
                "client": (scope.get("client") or ["unknown"])[0],
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
                "bytes_in": headers.get("content-length"),
                "bytes_out": answer.bytes,
            }
            print(json.dumps(line), file=sys.stderr, flush=True)


class _Body:
    """Receives a body, as large and as slow as the limits allow."""

    def __init__(self, receive: Receive, limits: Limits, metrics: Metrics) -> None:
        self._receive, self._limits, self._metrics = receive, limits, metrics
        self._got, self._until, self._whole = 0, time.monotonic() + limits.reading, False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()  # waits for who asked to go
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                message = await self._receive()
        except TimeoutError as error:
            raise BodyError(
                408, f"the body did not come within {self._limits.reading:g} s; send it again"
            ) from error
        self._got += len(message.get("body", b""))
        self._metrics.held_bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._got > self._limits.body:
            raise BodyError(413, _too_large(self._limits))
        if self._metrics.held_bytes > self._limits.held:
            raise BodyError(
                503, f"{self._limits.held:,} bytes are held already; ask again in a second"
            )
        return message

    def forget(self) -> None:
        """Counts the body as held no longer."""
        self._metrics.held_bytes -= self._got
        self._got = 0


class _Answer:
    """Sends an answer, with the headers that all have.

    The request is counted and logged before the last byte is sent: a client that has the whole answer
    may ask another process for the metrics before this one runs again.
    """

    def __init__(self, send: Send, count: Callable[[], None]) -> None:
        self._send, self._count = send, count
        self._start: Message = {}
        self.id, self.status, self.bytes, self.has_ended = uuid.uuid4().hex[:12], 0, 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return  # sent with the body: where that is empty, the last byte is one of these
        is_first, self.status = not self.status, self._start["status"]
        self.bytes += len(message.get("body", b""))
        if not message.get("more_body", False):
            self.end()
        if is_first:
            headers = [*self._start["headers"], *SAFE, (b"x-request-id", self.id.encode())]
            await self._send({**self._start, "headers": headers})
        await self._send(message)

    def end(self) -> None:
        """Counts and logs the request, once."""
        if not self.has_ended:
            self.has_ended = True
            self._count()

    async def refuse(self, status: int, error: str, headers: Mapping[str, str]) -> None:
        """Answers with an error, where nothing was answered yet."""
        if self.status:
            return
        body = json.dumps({"error": error}).encode()
        described: dict[str, Any] = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **headers,
        }
        start = [(name.encode(), value.encode()) for name, value in described.items()]
        await self({"type": "http.response.start", "status": status, "headers": start})
        await self({"type": "http.response.body", "body": body})


def _too_large(limits: Limits) -> str:
    return f"the body is too large, expected at most {limits.body:,} bytes; send fewer or smaller pictures"
