"""The middleware around every request: access, limits, security headers, metrics and the log.

Plain ASGI, because it counts a body while it arrives and a response while it leaves. Starlette's
TrustedHostMiddleware and RequestBodyLimitMiddleware do not fit: they answer in plain text, not with
the API's JSON errors, and limit neither a body's time nor the bytes of all bodies together.
"""

import asyncio
import hmac
import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardrobe.errors import BodyError
from wardrobe.serving.http.content_encoding import decompress
from wardrobe.serving.metrics import Metrics
from wardrobe.serving.settings import ANY, Limits, Settings, normalize_host, normalize_origin

SECURITY_HEADERS = {  # of every response
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
RAW_SECURITY_HEADERS = [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that disconnected
CLOSE = {"connection": "close"}  # for answers that leave the rest of a body unread


class RequestMiddleware:
    """Passes a request to `app` if it is allowed and within limits, and counts and logs it."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, settings: Settings, public_paths: Set[str]
    ) -> None:
        """Wraps an ASGI application; `public_paths` need no token."""
        self.app, self.metrics, self.settings = app, metrics, settings
        self.public_paths = public_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)  # lifespan: no request to guard
            return
        started, headers = time.perf_counter(), Headers(scope=scope)
        limits = self.settings.limits

        def record() -> None:
            self.metrics.in_flight.dec()
            self._record(scope, headers, send_wrapper, time.perf_counter() - started)

        plain = decompress(receive, headers, limits.body_bytes)
        send_wrapper = _SendWrapper(send, limits, self.metrics, record)
        receive_wrapper = _ReceiveWrapper(plain, limits, self.metrics, send_wrapper)
        self.metrics.requests_held += 1
        self.metrics.in_flight.inc()
        try:
            path = scope["path"].removeprefix(self.settings.root_path) or "/"
            app = self._refuse(scope["method"], path, headers) or self.app
            async with send_wrapper.timeout:
                await app(scope, receive_wrapper, send_wrapper)
        except TimeoutError:
            error = f"there was no answer within {limits.response_seconds:g} s; retry in 5 s"
            await send_wrapper.send_error(503, error, {"retry-after": "5"})
        except asyncio.CancelledError:  # by _ReceiveWrapper, or by a server that stops
            await send_wrapper.send_error(
                503, "the server stops; retry in 5 s", {"retry-after": "5"}
            )
        except Exception:
            await send_wrapper.send_error(500, "the server failed; its log says where", CLOSE)
            raise  # uvicorn logs the traceback
        finally:
            send_wrapper.end()  # for requests whose response did not end
            receive_wrapper.release()  # after the response: until then the body is in memory

    def _refuse(self, method: str, path: str, headers: Headers) -> Response | None:
        """Returns the response to a request that is not allowed, or None."""
        hosts, token = self.settings.hosts, self.settings.token
        host, is_public = headers.get("host", ""), path in self.public_paths
        name = normalize_host(host) or host
        # A page on another host could resolve its own name to this machine (DNS rebinding). The
        # browser would then send requests here, but with that name in the Host header. A load
        # balancer that checks the health in HTTP/1.0 sends none.
        is_known = hosts is None or any(fnmatchcase(name, each) for each in hosts)
        if not is_known and (host or not is_public):
            expected = f"expected {', '.join(hosts or ())} or a name given with --allow-host"
            return _make_response(421, f"the Host header is {name!r}; {expected}")
        if token is not None and not is_public:
            sent = headers.get("authorization", "").encode("latin-1")
            # In constant time, so that the time does not give the token away.
            if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
                error = "the token is missing or wrong; send Authorization: Bearer TOKEN"
                return _make_response(401, error, {"www-authenticate": "Bearer"})
        # Against pages of other sites, which can send anything but a token.
        if token is None and method not in ("GET", "HEAD") and self._is_cross_origin(headers):
            error = f"the request comes from a page of {headers.get('origin', 'another origin')}"
            return _make_response(403, f"{error}; expected this server's, or an origin of --cors")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.settings.limits.body_bytes:
            return _make_response(413, _describe_too_large(self.settings.limits), CLOSE)
        return None

    def _is_cross_origin(self, headers: Headers) -> bool:
        """Returns whether a page that is neither the server's own nor of `cors` sent a request.

        Browsers tell so in Sec-Fetch-Site, or, over plain HTTP from another machine, in Origin
        alone. Other clients send neither. Source: https://words.filippo.io/csrf/.
        """
        origin, site = headers.get("origin", ""), headers.get("sec-fetch-site")
        if ANY in self.settings.cors or origin in self.settings.cors:
            return False
        if site is not None or not origin:
            return site not in (None, "same-origin", "none")
        scheme = origin.partition(":")[0]  # that of a proxy may differ from the server's
        own = normalize_origin(f"{scheme}://{headers.get('host', '')}")
        return own is None or normalize_origin(origin) != own

    def _record(
        self, scope: Scope, headers: Headers, response: "_SendWrapper", seconds: float
    ) -> None:
        """Counts and logs a request."""
        route = getattr(scope.get("route"), "path", "other")  # a pattern: few labels for Prometheus
        status = response.status or 500  # what uvicorn sends if the application fails
        self.metrics.requests.labels(route, scope["method"], status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if self.settings.access_log:
            length = headers.get("content-length", "")
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "id": response.id,
                "client": (scope.get("client") or ["unknown"])[0].removeprefix("::ffff:"),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
                "bytes_in": int(length) if length.isdecimal() else None,
                "bytes_out": response.bytes_sent,
            }
            print(json.dumps(line), file=sys.stderr, flush=True)


class RootPathMiddleware:
    """Answers under a path prefix, whether or not the proxy strips it from the path."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """Wraps an ASGI application; `root_path` is the prefix, "" for none."""
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root, path = self.root_path, scope.get("path", "")

        async def send_relative(message: Message) -> None:
            headers = MutableHeaders(raw=message.get("headers", []))
            if "location" in headers:  # the proxy may have changed scheme and host
                location = urlsplit(headers["location"])
                headers["location"] = location._replace(scheme="", netloc="").geturl()
            await send(message)

        if scope["type"] == "http" and root:
            # The prefix may be the beginning of a route, as /api is.
            is_route = any(each.matches(scope)[0] is not Match.NONE for each in scope["app"].routes)
            if is_route or not f"{path}/".startswith(f"{root}/"):
                scope["path"] = root + path  # as ASGI has it
            scope["root_path"] = root
        await self.app(scope, receive, send_relative if scope["type"] == "http" else send)


class JSONCORSMiddleware(CORSMiddleware):
    """Starlette's CORSMiddleware with errors in JSON."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """Lets pages of `origins` send requests; "*" stands for any."""
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=["Inference-Header-Content-Length", "Retry-After", "X-Request-ID"],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        error = f"{bytes(response.body).decode()}; --cors allows {', '.join(self.allow_origins)}"
        return _make_response(response.status_code, error, {"vary": response.headers["vary"]})


class _ReceiveWrapper:
    """Receives a body within the limits."""

    def __init__(
        self, receive: Receive, limits: Limits, metrics: Metrics, response: "_SendWrapper"
    ) -> None:
        self._receive, self._limits, self._metrics = receive, limits, metrics
        self._response = response
        self._watcher: asyncio.Task[None] | None = None
        self._deadline = time.monotonic() + limits.body_seconds  # of the whole body: no slow drip
        self._bytes, self._is_complete = 0, False

    async def __call__(self) -> Message:
        if self._is_complete:
            return await self._receive()  # waits for the client to disconnect
        limits = self._limits
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError as error:
            reason = f"the body did not arrive within {limits.body_seconds:g} s; send it again"
            raise BodyError(408, reason) from error
        size = len(message.get("body", b""))
        self._bytes += size
        self._metrics.bytes_held += size  # of all requests: the memory is shared
        self._is_complete = not message.get("more_body", False)
        if self._bytes > limits.body_bytes:
            raise BodyError(413, _describe_too_large(limits))
        if self._metrics.bytes_held > limits.all_body_bytes:
            held = f"the bodies in flight exceed {limits.all_body_bytes:,} bytes"
            raise BodyError(503, f"{held}; retry in a second")
        request = asyncio.current_task()
        if self._is_complete and message["type"] == "http.request" and request is not None:
            self._watcher = asyncio.create_task(self._cancel_if_client_leaves(request))
        return message

    async def _cancel_if_client_leaves(self, request: asyncio.Task[Any]) -> None:
        """Cancels a request whose client disconnects, so that nothing is computed for it."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._response.has_ended:
            self._response.status = CLIENT_CLOSED_REQUEST
            request.cancel()

    def release(self) -> None:
        """Stops counting the body as held, and waiting for the client to disconnect."""
        if self._watcher is not None:
            self._watcher.cancel()
        self._metrics.bytes_held -= self._bytes
        self._bytes = 0


class _SendWrapper:
    """Sends a response with the headers that every response has.

    It records the request before it sends the last byte: a client that has the whole response may
    ask another process for the metrics before this one runs again.
    """

    def __init__(
        self, send: Send, limits: Limits, metrics: Metrics, record: Callable[[], None]
    ) -> None:
        self._send, self._metrics, self._record = send, metrics, record
        self._seconds = limits.response_seconds
        self.timeout = asyncio.timeout(self._seconds)
        self._start: Message = {}
        self.id, self.status, self.bytes_sent = uuid.uuid4().hex[:12], 0, 0
        self.has_begun = self.has_ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # Sent with the body: if the body is empty, the last byte is part of the headers.
            self._start = message
            return
        is_first, self.status = not self.status, self._start["status"]
        self.bytes_sent += len(message.get("body", b""))
        self.begin()
        if message.get("more_body", False):  # the client may be slow, or the response has no end
            self.timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)
        else:
            self.end()
        if is_first:
            request_id = (b"x-request-id", self.id.encode())
            headers = [*self._start["headers"], *RAW_SECURITY_HEADERS, request_id]
            await self._send({**self._start, "headers": headers})
        await self._send(message)

    async def send_error(self, status: int, error: str, headers: Mapping[str, str]) -> None:
        """Sends an error, unless a response has started or the client has disconnected."""
        if not self.status:
            response = _make_response(status, error, headers)
            await self(
                {"type": "http.response.start", "status": status, "headers": response.raw_headers}
            )
            await self({"type": "http.response.body", "body": response.body})

    def begin(self) -> None:
        """Stops counting the request as held, once: it has nothing more to classify."""
        if not self.has_begun:
            self.has_begun = True
            self._metrics.requests_held -= 1

    def end(self) -> None:
        """Records the request, once."""
        self.begin()
        if not self.has_ended:
            self.has_ended = True
            self._record()


def _make_response(
    status: int, error: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": error}, status, headers)


def _describe_too_large(limits: Limits) -> str:
    return f"the body is too large; expected at most {limits.body_bytes:,} bytes, send less at once"
