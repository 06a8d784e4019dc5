"""What `/metrics` reports, for Prometheus."""

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# With several processes, this environment variable names the folder where all of them count.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # histogram buckets
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one process.

    Attributes:
        requests_held: requests of this process whose response has not begun.
        bytes_held: bytes of their bodies.
    """

    def __init__(self) -> None:
        self.requests_held = self.bytes_held = 0
        self._registry = CollectorRegistry()
        counter: dict[str, Any] = {"registry": self._registry}
        gauge = {**counter, "multiprocess_mode": "livesum"}  # the sum over processes that are alive
        self.requests = Counter(
            "wardrobe_requests", "Requests.", ["route", "method", "status"], **counter
        )
        self.seconds = Histogram(
            "wardrobe_request_seconds", "Request duration.", ["route"], buckets=SECONDS, **counter
        )
        self.in_flight = Gauge("wardrobe_requests_in_flight", "Requests in flight.", **gauge)
        self.images = Counter("wardrobe_images", "Images classified.", ["model"], **counter)
        self.batches = Histogram(
            "wardrobe_batch_images", "Images in a batch.", ["model"], buckets=IMAGES, **counter
        )
        self.waiting = Gauge(
            "wardrobe_waiting_images", "Images queued or being classified.", ["model"], **gauge
        )

    def render(self) -> bytes:
        """Returns the metrics, of all processes together, in Prometheus's text format."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()  # its own: the process's would count twice
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
