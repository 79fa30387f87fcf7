"""What Prometheus reads of a process: requests and their times by route and status. (Of the platform:
``platform_figures``.)"""

from __future__ import annotations

import hmac
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The figures of one process.

    Args:
        shared: the folder through which several processes add up (``PROMETHEUS_MULTIPROC_DIR``); ``None``: there is
        one.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, *, shared: Path | None = None) -> None:
        self._shared = shared
        self._of: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "forecast_api_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "forecast_api_request_seconds",
            "Time from a request to its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is the route's own path, never the one that was asked for."""
        method = method if method in KNOWN_METHODS else "other"
        counted = self._of.get((method, route, status))
        if counted is None:
            counted = self.requests.labels(method, route, str(status)), self.seconds.labels(method, route)
            self._of[method, route, status] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        if self._shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._shared))
        return generate_latest(together)


def may_read(given: str | None, token: str | None, *, development: bool) -> bool:
    """Whether the figures are for who sent ``Authorization: given``: they are the platform's, no tenant's."""
    if token is None:
        return development
    return given is not None and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
