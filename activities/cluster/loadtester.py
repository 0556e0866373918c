"""The manifests of a workload's own load tester, as Kurator deploys them (dossier on Kurator, §5.3)."""

from activities.cluster import marks
from activities.cluster.api import Object
from canary.spec import CanarySpec

IMAGE = "ghcr.io/fluxcd/flagger-loadtester:0.29.0"
PORT = 8080
KINDS = ("Deployment", "Service")


def objects(spec: CanarySpec) -> tuple[Object, ...]:
    """The Deployment and the Service of a load tester."""
    assert spec.test_loader is not None  # noqa: S101 — narrows for the type checker; the caller has looked
    name = spec.test_loader.name
    metadata = {
        "name": name,
        "namespace": spec.namespace,
        "labels": {"app": name, marks.CANARY: marks.owner(spec.target.name)},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name},
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
                },
                "spec": {"containers": [_container()]},
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
    return deployment, service


def _container() -> Object:
    probe = {
        "exec": {"command": ["wget", "--quiet", "--tries=1", "--spider", f"http://localhost:{PORT}/healthz"]},
        "timeoutSeconds": 5,
    }
    return {
        "name": "loadtester",
        "image": IMAGE,
        "command": ["./loadtester", f"-port={PORT}", "-log-level=info", "-timeout=1h"],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {
            "limits": {"cpu": "1000m", "memory": "512Mi"},
            "requests": {"cpu": "10m", "memory": "32Mi"},
        },
        "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": 10001},
    }
