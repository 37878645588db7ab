"""Counters in the format of Prometheus, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Of one server; labels take no value that a client can make up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "synthood_requests", "Answered requests.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "synthood_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.images = Counter("synthood_images", "Images by decision.", ["decision"], registry=self.registry)
        self.waiting = Gauge("synthood_images_waiting", "Accepted images without an answer.", registry=self.registry)
        self.decoded = Gauge("synthood_images_decoded", "Of them, those that wait for a pass.", registry=self.registry)
        self.held = Gauge("synthood_held_bytes", "Of the bodies of requests under way.", registry=self.registry)
        self.batches = Histogram(
            "synthood_batch_images", "Images of a forward pass.", buckets=IMAGES, registry=self.registry
        )
        self.passes = Histogram(
            "synthood_pass_seconds", "Time of a forward pass.", buckets=SECONDS, registry=self.registry
        )
        for decision in ("known", "unknown", "unreadable"):
            self.images.labels(decision)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)
