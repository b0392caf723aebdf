"""What one process counts of its own requests. What several processes must agree about is read from the database instead:
`reference.flows.statistics`.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Tally:
    """Counters of one application; they begin at zero with it.

    Attributes:
        registry: for the metrics page.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "turnstile_http_requests",
            "Requests that this process has answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._problems = Counter(
            "turnstile_http_problems",
            "Requests that this process has answered with a problem, by its kind.",
            ("route", "problem"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "turnstile_http_request_duration_seconds",
            "From the head of a request to its answer, in this process.",
            ("method", "route"),
            registry=self.registry,
            buckets=_BUCKETS_S,
        )

    def answered(self, method: str, route: str, status: int, problem: str, took_s: float) -> None:
        """Count one request.

        Args:
            method: of the route, so that nobody makes up new ones.
            route: with its parameters' names and not their values.
            status: of the answer.
            problem: its kind; empty without.
            took_s: seconds.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(took_s)
        if problem:
            self._problems.labels(route, problem).inc()
