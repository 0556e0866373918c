"""Where objects live on an API server.

Names are put into addresses as they stand, and clients fold `..` away: what is no part of an address would
lead to another object, read and written by the worker's rights.
"""

import re

from temporalio.exceptions import ApplicationError

APPS = "/apis/apps/v1"
CORE = "/api/v1"
ISTIO = "/apis/networking.istio.io/v1beta1"
AUTOSCALING = "/apis/autoscaling/v2"
SECURITY = "/apis/security.istio.io/v1beta1"
FLAGGER = "/apis/flagger.app/v1beta1"

_PLURALS = {
    "Deployment": (APPS, "deployments"),
    "DaemonSet": (APPS, "daemonsets"),
    "ReplicaSet": (APPS, "replicasets"),
    "ControllerRevision": (APPS, "controllerrevisions"),
    "Service": (CORE, "services"),
    "ConfigMap": (CORE, "configmaps"),
    "Secret": (CORE, "secrets"),
    "Endpoints": (CORE, "endpoints"),
    "Pod": (CORE, "pods"),
    "Event": (CORE, "events"),
    "VirtualService": (ISTIO, "virtualservices"),
    "DestinationRule": (ISTIO, "destinationrules"),
    "HorizontalPodAutoscaler": (AUTOSCALING, "horizontalpodautoscalers"),
    "AuthorizationPolicy": (SECURITY, "authorizationpolicies"),
    "PeerAuthentication": (SECURITY, "peerauthentications"),
    "RequestAuthentication": (SECURITY, "requestauthentications"),
    "Sidecar": (ISTIO, "sidecars"),
    "EnvoyFilter": ("/apis/networking.istio.io/v1alpha3", "envoyfilters"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "PodMonitor": ("/apis/monitoring.coreos.com/v1", "podmonitors"),
    "Canary": (FLAGGER, "canaries"),
    "MetricTemplate": (FLAGGER, "metrictemplates"),
    "AlertProvider": (FLAGGER, "alertproviders"),
}
_PART = re.compile(r"[^/%?#\\\s]+")
_SHOWN = 60


def collection(kind: str, namespace: str | None = None) -> str:
    """The path of a kind's collection, in one namespace or in all."""
    group, plural = _PLURALS[kind]
    return f"{group}/namespaces/{part(namespace)}/{plural}" if namespace else f"{group}/{plural}"


def one(kind: str, namespace: str, name: str) -> str:
    """The path of one object."""
    group, plural = _PLURALS[kind]
    return f"{group}/namespaces/{part(namespace)}/{plural}/{part(name)}"


def namespace_path(name: str) -> str:
    """The path of a Namespace."""
    return f"{CORE}/namespaces/{part(name)}"


def is_part(name: str) -> bool:
    """Whether an address can hold a name, between two slashes."""
    return bool(_PART.fullmatch(name)) and name not in (".", "..")


def part(name: str) -> str:
    """Give a name back, if an address can hold it.

    Raises:
        ApplicationError: it would lead elsewhere, for good.
    """
    if not is_part(name):
        text = f"No object of a cluster can be called {name[:_SHOWN]!r}: it would lead to another's address."
        raise ApplicationError(text, type="NoName", non_retryable=True)
    return name
