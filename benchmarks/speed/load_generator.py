"""Asks a server the same again and again over many connections, and tells how quickly it answers.

A process of its own, `python -m benchmarks.speed.load_generator`, so that it shares nothing with the server but the machine. The request
is put together once and sent as it is; of an answer only its status and length are read.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any


class Asking(asyncio.Protocol):
    """A connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request, self.until = request, until
        self.seconds: list[float] = []
        self.refused = 0
        self.over = asyncio.get_running_loop().create_future()
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        if self._asked > self.until:
            self.transport.close()
            return
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        self._got = b""
        if lines[0].split()[1] == b"200":
            self.seconds.append(time.perf_counter() - self._asked)
        else:
            self.refused += 1
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(exc)


async def measure(
    host: str, port: int, request: bytes, connections: int, seconds: float
) -> dict[str, Any]:
    """Asks over so many connections for so long.

    Returns:
        "rate": answers a second; "p50", "p99": seconds from question to answer; "refused": answers but 200; "lost":
        connections that broke.
    """
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    made = [
        await loop.create_connection(lambda: Asking(request, began + seconds), host, port)
        for _ in range(connections)
    ]
    lost = await asyncio.gather(*(asking.over for _, asking in made))
    took = time.perf_counter() - began
    each = sorted(one for _, asking in made for one in asking.seconds)
    return {
        "rate": len(each) / took,
        "p50": each[len(each) // 2] if each else None,
        "p99": each[int(len(each) * 0.99)] if each else None,
        "refused": sum(asking.refused for _, asking in made),
        "lost": sum(error is not None for error in lost),
    }


def request_of(path: str, body: bytes, kind: str, port: int) -> bytes:
    """Returns a request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main() -> None:
    """Prints what `measure` returns: arguments are port, path, content type, the body's file, connections, seconds."""
    port, path, kind, file, connections, seconds = sys.argv[1:]
    request = request_of(path, Path(file).read_bytes(), kind, int(port))
    print(
        json.dumps(
            asyncio.run(measure("127.0.0.1", int(port), request, int(connections), float(seconds)))
        )
    )


if __name__ == "__main__":
    main()
