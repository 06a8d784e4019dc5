"""A load generator: sends the same request over many connections, and measures the latency.

`python -m benchmarks.speed.load_generator` runs it as a process, so that it shares only the machine
with the server. Every connection sends its next request once the last one is answered. To be fast,
it reads only the status and length of a response.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any


class Client(asyncio.Protocol):
    """A connection that repeats a request until a time."""

    def __init__(self, request: bytes, end: float) -> None:
        self.request, self.end = request, end  # end: by time.perf_counter()
        self.latencies: list[float] = []  # seconds
        self.refused = 0
        self.closed = asyncio.get_running_loop().create_future()  # None, or an error
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        if self._sent_at > self.end:
            self.transport.close()
            return
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        self._received = b""
        if lines[0].split()[1] == b"200":
            self.latencies.append(time.perf_counter() - self._sent_at)
        else:
            self.refused += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(exc)


async def measure_load(
    host: str, port: int, request: bytes, connections: int, seconds: float
) -> dict[str, Any]:
    """Sends a request repeatedly over several connections.

    Args:
        seconds: how long.

    Returns:
        "rate": responses per second; "p50", "p99": latency in seconds, None without responses;
        "refused": responses with a status other than 200; "lost": broken connections.
    """
    loop, start = asyncio.get_running_loop(), time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Client(request, start + seconds), host, port)
        for _ in range(connections)
    ]
    clients = [client for _, client in opened]
    errors = await asyncio.gather(*(client.closed for client in clients))
    elapsed = time.perf_counter() - start
    latencies = sorted(each for client in clients for each in client.latencies)
    return {
        "rate": len(latencies) / elapsed,
        "p50": latencies[len(latencies) // 2] if latencies else None,
        "p99": latencies[int(len(latencies) * 0.99)] if latencies else None,
        "refused": sum(client.refused for client in clients),
        "lost": sum(error is not None for error in errors),
    }


def encode_request(path: str, body: bytes, content_type: str, port: int) -> bytes:
    """Returns a POST request as bytes of HTTP/1.1."""
    head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Type: {content_type}"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def main() -> None:
    """Prints the result of `measure_load`.

    Arguments: port, path, content type, file of the body, connections, seconds.
    """
    port, path, content_type, file, connections, seconds = sys.argv[1:]
    request = encode_request(path, Path(file).read_bytes(), content_type, int(port))
    load = measure_load("127.0.0.1", int(port), request, int(connections), float(seconds))
    print(json.dumps(asyncio.run(load)))


if __name__ == "__main__":
    main()
