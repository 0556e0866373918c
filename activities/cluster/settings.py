"""What the worker's clusters file says of one cluster."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class ClusterSettings:
    """What the worker's clusters file says of one cluster."""

    name: str
    prometheus: str | None = None
    prometheus_ca: str | None = None
    """Certificates of authorities that its Prometheus may be signed by, besides the system's, as PEM."""
    load_tester: str | None = None
    guarded_load_tester: str = ""
    """An image of ours for load testers that are deployed there; empty: Flagger's, which serves anyone."""
    reach: str = "apiServer"
    scale_down_delay: timedelta = timedelta(seconds=30)
    root_namespace: str = "istio-system"
    """Istio's own: policies in it hold for every namespace."""
    requires_sidecars: bool = True
    """Whether no canary begins before its primary's pods have Istio's sidecar, or are in ambient mode."""
    task_queue: str = ""
    """Whose workers are to serve it, if not those that are told this."""
