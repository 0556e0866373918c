"""The manifests of a load tester: Flagger's, as Kurator deploys it, or ours, which a token guards.

Flagger's runs any command for anyone who reaches it (T17). Ours does so for those who carry a Secret's token.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from activities.cluster import configs, marks
from activities.cluster.api import Object
from canary.loadtester import LoadTester

IMAGE = "ghcr.io/fluxcd/flagger-loadtester:0.29.0"
PORT = 8080
KINDS = ("Deployment", "Service")
TOKEN_LENGTH = 32
"""Bytes."""
_USER = 10001
"""Neither image needs more than this one's rights."""
_MOUNT = "/etc/loadtester"


@dataclass(frozen=True)
class Guard:
    """What makes a load tester a guarded one: an image of ours, and the Secret with its token."""

    image: str
    secret: Object
    namespaces: str = ""
    """A pattern that the namespace of a canary has to match; empty: those of all."""


def objects(tester: LoadTester, labels: Mapping[str, str], guard: Guard | None = None) -> tuple[Object, ...]:
    """The Deployment and the Service of a load tester."""
    metadata = _metadata(tester, {marks.LOAD_TESTER: marks.GUARDED if guard else marks.OPEN, **labels})
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {"app": tester.name}},
            "template": {
                "metadata": {"labels": {"app": tester.name}, "annotations": _notes(guard)},
                "spec": _guarded_pod(tester, guard) if guard else {"containers": [_open_container()]},
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": tester.name},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
    return deployment, service


def new_secret(tester: LoadTester, labels: Mapping[str, str]) -> Object:
    """A Secret with a token that nobody has seen; nobody can change it either."""
    token = base64.b64encode(secrets.token_urlsafe(TOKEN_LENGTH).encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(tester, {marks.LOAD_TESTER: marks.GUARDED, **labels}),
        "type": "Opaque",
        "immutable": True,
        "data": {"token": token},
    }


def _metadata(tester: LoadTester, labels: Mapping[str, str]) -> Object:
    own = {"app": tester.name, **labels}
    return {"name": tester.name, "namespace": tester.namespace, "labels": own}


def _notes(guard: Guard | None) -> dict[str, str]:
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    # With another token the pod is another one: it reads its token when it starts.
    return scraped | ({marks.REVISION: configs.hash_of(guard.secret)} if guard else {})


def _open_container() -> Object:
    probe = {
        "exec": {"command": ["wget", "--quiet", "--tries=1", "--spider", f"http://localhost:{PORT}/healthz"]},
        "timeoutSeconds": 5,
    }
    return {
        **_container(IMAGE, probe),
        "command": ["./loadtester", f"-port={PORT}", "-log-level=info", "-timeout=1h"],
        "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": _USER},
    }


def _guarded_pod(tester: LoadTester, guard: Guard) -> Object:
    """A pod without rights in the cluster, whose commands can write nothing but `/tmp`."""
    options = [f"--port={PORT}", f"--token-file={_MOUNT}/token", "--state=/tmp/gates.json"]
    if guard.namespaces:
        options.append(f"--namespace-regexp={guard.namespaces}")
    container = {
        **_container(guard.image, {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 5}),
        "command": ["python", "-m", "sandbox", "loadtester", *options],
        "volumeMounts": [
            {"name": "token", "mountPath": _MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 — the pod's own
        ],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "token", "secret": {"secretName": tester.name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


def _container(image: str, probe: Object) -> Object:
    return {
        "name": "loadtester",
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {
            # As an API server writes them, or each apply would be a change.
            "limits": {"cpu": "1", "memory": "512Mi"},
            "requests": {"cpu": "10m", "memory": "32Mi"},
        },
    }
