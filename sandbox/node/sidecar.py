"""Which pods have Istio's sidecar, and what stands for it.

Istio adds a container when the pod is created. Here no one intervenes there: the node decides when it binds
the pod, notes it in the annotation that Istio's injector leaves too, and serves the metrics the proxy would.
The pod's containers stay as they were written.
"""

import json
from http import HTTPStatus

from sandbox.node.http11 import TEXT, Answer, HttpServer, Request
from sandbox.node.podinfo import METRICS_TYPE
from sandbox.node.telemetry import SidecarMetrics, Workload
from sandbox.objects import Object, labels_of

STATUS = "sidecar.istio.io/status"
INJECT = "sidecar.istio.io/inject"
PORT = 15020


def is_injected(namespace: Object, pod: Object) -> bool:
    """Tell whether Istio would inject this pod: the pod's own word counts before its namespace's."""
    meta = pod["metadata"]
    if pod["spec"].get("hostNetwork"):
        return False
    own = meta.get("labels", {}).get(INJECT) or meta.get("annotations", {}).get(INJECT)
    if own is not None:
        return bool(own == "true")
    labels = labels_of(namespace)
    asked = labels.get("istio-injection")
    return asked == "enabled" if asked else "istio.io/rev" in labels


def injection_note() -> dict[str, str]:
    """Return the annotation of an injected pod."""
    return {
        STATUS: json.dumps({"initContainers": None, "containers": ["istio-proxy"], "revision": "default"})
    }


def workload_of(pod: Object, owner_name: str) -> Workload:
    """Tell whom a pod's sidecar works for."""
    labels = labels_of(pod)
    app = labels.get("app") or labels.get("app.kubernetes.io/name") or owner_name
    version = labels.get("version") or labels.get("app.kubernetes.io/version") or "latest"
    return Workload(owner_name, pod["metadata"]["namespace"], app, version)


async def serve_metrics(metrics: SidecarMetrics, address: str) -> HttpServer:
    """Serve the sidecar's metrics where Istio does; the application's own are scraped from its own port."""

    def answer(request: Request) -> Answer:
        if request.target.partition("?")[0] == "/stats/prometheus":
            return Answer(HTTPStatus.OK, metrics.text().encode(), METRICS_TYPE)
        return Answer(HTTPStatus.NOT_FOUND, b"404 page not found\n", TEXT)

    server = HttpServer(answer)
    await server.start(address, PORT)
    return server
