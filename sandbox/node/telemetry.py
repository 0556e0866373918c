"""Metrics of a pod in Prometheus' text format: podinfo's own, and those its sidecar would count.

The sidecar here is inside the server, so it sees neither the client's identity (`source_*` are "unknown")
nor the route taken: `destination_service` is named after the workload.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Envoy's own buckets, which Istio uses as they are.
MILLISECONDS = (
    *(0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0),
    *(30000.0, 60000.0, 300000.0, 600000.0, 1800000.0, 3600000.0),
)


class Workload(NamedTuple):
    """Whom the sidecar works for."""

    name: str
    namespace: str
    app: str
    version: str


class Histogram:
    """Counts of observations up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Yield the samples, buckets cumulated."""
        below = 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound:g}"}} {below}'
        below += self._counts[-1]
        yield f'{name}_bucket{{{labels},le="+Inf"}} {below}'
        yield f"{name}_sum{{{labels}}} {self._sum!r}"
        yield f"{name}_count{{{labels}}} {below}"


class AppMetrics:
    """What podinfo counts itself."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._durations: dict[tuple[str, str, int], Histogram] = defaultdict(lambda: Histogram(SECONDS))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests[status] += 1
        self._durations[method, route, status].observe(seconds)

    def text(self) -> str:
        """Render all samples."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# HELP http_requests_total The total number of HTTP requests."
        yield "# TYPE http_requests_total counter"
        for status, count in self._requests.items():
            yield f'http_requests_total{{status="{status}"}} {count}'
        yield "# HELP http_request_duration_seconds Seconds spent serving HTTP requests."
        yield "# TYPE http_request_duration_seconds histogram"
        for (method, route, status), histogram in self._durations.items():
            labels = f'method="{method}",path="{route}",status="{status}"'
            yield from histogram.lines("http_request_duration_seconds", labels)


class SidecarMetrics:
    """What Istio's proxy counts for a workload."""

    def __init__(self, workload: Workload) -> None:
        self._labels = _istio_labels(workload)
        self._requests: Counter[int] = Counter()
        self._durations: dict[int, Histogram] = defaultdict(lambda: Histogram(MILLISECONDS))

    def observe(self, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests[status] += 1
        self._durations[status].observe(seconds * 1000)

    def text(self) -> str:
        """Render all samples."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# TYPE istio_requests_total counter"
        for status, count in self._requests.items():
            yield f"istio_requests_total{{{self._of(status)}}} {count}"
        yield "# TYPE istio_request_duration_milliseconds histogram"
        for status, histogram in self._durations.items():
            yield from histogram.lines("istio_request_duration_milliseconds", self._of(status))

    def _of(self, status: int) -> str:
        return f'{self._labels},response_code="{status}"'


def _istio_labels(workload: Workload) -> str:
    host = f"{workload.name}.{workload.namespace}.svc.cluster.local"
    unknown = "unknown"
    labels: Mapping[str, str] = {
        "reporter": "destination",
        "source_workload": unknown,
        "source_workload_namespace": unknown,
        "source_canonical_service": unknown,
        "source_canonical_revision": "latest",
        "source_principal": unknown,
        "source_app": unknown,
        "source_version": unknown,
        "source_cluster": unknown,
        "destination_workload": workload.name,
        "destination_workload_namespace": workload.namespace,
        "destination_canonical_service": workload.app,
        "destination_canonical_revision": workload.version,
        "destination_principal": unknown,
        "destination_app": workload.app,
        "destination_version": workload.version,
        "destination_cluster": "Kubernetes",
        "destination_service": host,
        "destination_service_name": workload.name,
        "destination_service_namespace": workload.namespace,
        "request_protocol": "http",
        "grpc_response_status": "",
        "response_flags": "-",
        "connection_security_policy": "none",
    }
    return ",".join(f'{name}="{value}"' for name, value in labels.items())
