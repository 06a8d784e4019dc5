"""Settings of a server: access control, and limits that keep its memory and its queues bounded."""

from dataclasses import dataclass, field

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """Limits on the bodies and the duration of requests."""

    body_bytes: int = 20_000_000
    all_body_bytes: int = 1_000_000_000  # of all requests in flight together
    body_seconds: float = 20.0  # until the whole body has arrived
    response_seconds: float = 60.0


@dataclass(frozen=True)
class Settings:
    """How a server answers, and to whom."""

    token: str | None = None  # required as "Authorization: Bearer …"; None: no token
    hosts: tuple[str, ...] | None = LOOPBACK  # accepted in the Host header; None: any
    cors: tuple[str, ...] = ()  # origins whose pages may send requests
    limits: Limits = field(default_factory=Limits)
    access_log: bool = False  # whether to write a line of JSON on stderr for each request
    threads: int = 2  # that decode photos and run the model
