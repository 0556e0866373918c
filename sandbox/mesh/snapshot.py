"""What the cluster holds at one moment, and how host names are found in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.objects import Object

DOMAIN = "svc.cluster.local"
# What an Istio sidecar routes as connections; of the first it routes by the name in the handshake only.
ENCRYPTED = ("https", "tls", "kubernetes.io/wss")
CONNECTIONS = ("tcp", "mongo", "mysql", "redis", *ENCRYPTED)
REQUESTS = ("http", "http2", "grpc", "kubernetes.io/h2c", "kubernetes.io/ws")


@dataclass(frozen=True)
class Snapshot:
    """The objects a configuration is made from, by `namespace/name`."""

    services: Mapping[str, Object]
    endpoints: Mapping[str, Object]
    pods: Mapping[str, Object]
    virtual_services: Mapping[str, Object]
    destination_rules: Mapping[str, Object]
    gateways: Mapping[str, Object]

    def service_named(self, host: str, namespace: str) -> str | None:
        """Find the Service that `host` means in `namespace`: a name without a dot, or the whole one.

        To Istio `name.namespace` is a host of the world outside.
        """
        name, _, rest = full_name(host, namespace).partition(".")
        place, _, domain = rest.partition(".")
        key = f"{place}/{name}"
        return key if domain == DOMAIN and key in self.services else None


def full_name(host: str, namespace: str) -> str:
    """Give the host that is meant in a namespace; one with a dot in it means itself."""
    return host if "." in host or host.startswith("*") else f"{host}.{namespace}.{DOMAIN}"


def qualified(key: str) -> str:
    """Give the full DNS name of the Service at `namespace/name`."""
    namespace, _, name = key.partition("/")
    return f"{name}.{namespace}.{DOMAIN}"


def spellings(key: str) -> list[str]:
    """List the names a client in any namespace can use for the Service at `namespace/name`."""
    namespace, _, name = key.partition("/")
    return [f"{name}.{namespace}{tail}" for tail in ("", ".svc", f".{DOMAIN}")]


def ports_of(service: Object) -> list[Object]:
    """List the ports of a Service that HTTP can arrive at; a UDP port may have the same number."""
    return [one for one in service["spec"].get("ports") or [] if one.get("protocol", "TCP") == "TCP"]


def protocol_of(port: Object) -> str:
    """Tell what a port says that it speaks, as Istio reads it: `appProtocol` before the port's name."""
    return str(port.get("appProtocol") or (port.get("name") or "").partition("-")[0]).lower()


def by_age(objects: Mapping[str, Object]) -> list[tuple[str, Object]]:
    """Sort the oldest objects first, as Istio lets the oldest win."""
    return sorted(objects.items(), key=lambda item: (item[1]["metadata"]["creationTimestamp"], item[0]))
