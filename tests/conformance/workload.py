"""What a test rolls out: a podinfo Deployment with its Service, and the Canary document over it."""

from typing import Any

from canary.documents.resolve import resolve
from canary.spec import CanarySpec
from tests.conformance.waiting import NAMED

NAME = "podinfo"
GOOD, BETTER, BEST = "6.1.0", "6.2.0", "6.4.0"
BAD, FAILING = ("6.3.0", "/status/500") if NAMED else ("6.3.0-err10", "/")
"""A bad version, and what its users ask for: the sandbox's fails of itself, podinfo where it is asked to."""
PORT = 9898
LABEL = "durable-canary.dev/conformance"
"""On every namespace of a story."""

Object = dict[str, Any]


def namespace(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"istio-injection": "enabled", LABEL: "true"}},
    }


def deployment(place: str, *, tag: str = GOOD, replicas: int = 2, **container: Any) -> Object:
    labels = {"app": NAME}
    podinfo = {
        "name": "podinfod",
        "image": image(tag),
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": place, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
                },
                "spec": {"containers": [podinfo]},
            },
        },
    }


def daemon_set(place: str) -> Object:
    """The same pods, one on each node, of which a new one is ready before the old one goes."""
    found = deployment(place)
    spec = {key: found["spec"][key] for key in ("selector", "template")}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {**found, "kind": "DaemonSet", "spec": {**spec, "updateStrategy": strategy}}


def versioned(place: str, tag: str) -> Object:
    """A pod of one version, which a Service finds by that."""
    found, labels = deployment(place, tag=tag, replicas=1), {"version": tag}
    found["metadata"] |= {"name": f"{NAME}-{tag.replace('.', '-')}", "labels": labels}
    found["spec"]["selector"] = {"matchLabels": labels}
    found["spec"]["template"]["metadata"]["labels"] = labels
    return found


def service(place: str, **selector: str) -> Object:
    """A Service that leads to the workload's pods, or to those that are said."""
    ports = [{"name": "http", "port": PORT, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": place},
        "spec": {"selector": selector or {"app": NAME}, "ports": ports},
    }


def autoscaler(smallest: int, largest: int) -> Object:
    """An autoscaler of the workload; nothing here measures CPUs, so that it scales by its bounds alone."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": smallest,
            "maxReplicas": largest,
            "metrics": [{"type": "Resource", "resource": metric}],
        },
    }


def config_map(annotations: dict[str, str] | None = None, **data: str) -> Object:
    """The ConfigMap `settings`."""
    metadata = {"name": "settings", "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def routes(place: str) -> Object:
    """Routes at the gateway as a workload has them without a canary."""
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": NAME, "namespace": place},
        "spec": {
            "hosts": [f"{place}.example.com"],
            "gateways": ["istio-system/public-gateway"],
            "http": [{"route": [{"destination": {"host": NAME, "port": {"number": PORT}}}]}],
        },
    }


def image(tag: str) -> str:
    return f"ghcr.io/stefanprodan/podinfo:{tag}"


def success_rate(interval: str = "4s") -> Object:
    return {"name": "request-success-rate", "interval": interval, "thresholdRange": {"min": 99}}


def document(place: str, *, spec: Object | None = None, **analysis: Any) -> Object:
    """A Canary as Flagger reads it; *analysis* and *spec* are merged over a quick one."""
    quick: Object = {"interval": "1s", "threshold": 2}
    if not analysis.keys() & {"iterations", "stepWeights"}:
        quick |= {"stepWeight": 10, "maxWeight": 50}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": NAME, "namespace": place},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "service": {
                "port": PORT,
                "targetPort": "http",
                "gateways": ["istio-system/public-gateway", "mesh"],
                "hosts": [f"{place}.example.com"],
            },
            "analysis": quick | analysis,
            **(spec or {}),
        },
    }


def spec_of(canary: Object, cluster: str, *others: Object) -> CanarySpec:
    """What the engine is handed for a Canary, by the command line's own reading."""
    found = resolve([canary, *others], cluster)
    assert not [mistake for mistake in found.mistakes if not mistake.is_warning], found.mistakes
    return found.canaries[0].spec
