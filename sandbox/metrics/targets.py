"""Which pods are scraped, and where."""

import dataclasses

from sandbox.objects import Object

SIDECAR_PORT = 15020
SIDECAR_PATH = "/stats/prometheus"
SIDECAR_STATUS = "sidecar.istio.io/status"
SIDECAR = "istio-proxy"
JOB = "kubernetes-pods"


@dataclasses.dataclass(frozen=True)
class Target:
    """One address to scrape, and the labels its samples get."""

    url: str
    labels: tuple[tuple[str, str], ...]


def targets_of(pod: Object) -> frozenset[Target]:
    """Return what to scrape of a pod while it runs: its sidecar, and what its annotations ask for."""
    meta, status = pod["metadata"], pod.get("status", {})
    address = status.get("podIP")
    if status.get("phase") != "Running" or not address:
        return frozenset()
    annotations = meta.get("annotations") or {}
    places = {(str(SIDECAR_PORT), SIDECAR_PATH)} if _has_sidecar(pod, annotations) else set()
    if annotations.get("prometheus.io/scrape") == "true":
        port = annotations.get("prometheus.io/port") or _first_port(pod)
        places.add((port, annotations.get("prometheus.io/path") or "/metrics"))
    return frozenset(_target(meta, address, port, path) for port, path in places)


def _target(meta: Object, address: str, port: str, path: str) -> Target:
    labels = {
        "instance": f"{address}:{port}",
        "job": JOB,
        "namespace": meta["namespace"],
        "pod": meta["name"],
    }
    return Target(f"http://{address}:{port}/{path.removeprefix('/')}", tuple(labels.items()))


def _has_sidecar(pod: Object, annotations: dict[str, str]) -> bool:
    spec = pod.get("spec", {})
    containers = [*spec.get("containers", []), *spec.get("initContainers", [])]
    return SIDECAR_STATUS in annotations or any(container["name"] == SIDECAR for container in containers)


def _first_port(pod: Object) -> str:
    ports = [port for c in pod["spec"]["containers"] for port in c.get("ports", [])]
    return str(ports[0]["containerPort"]) if ports else "80"
