"""The Services and DestinationRules of a canary, as Flagger generates them (dossier §3), without I/O."""

from activities.cluster import marks
from activities.cluster.api import Object
from canary.spec import CanarySpec


def service(spec: CanarySpec, name: str, selector: dict[str, str], own_label: dict[str, str]) -> Object:
    """A Service in front of the primary or the canary."""
    body = marks.metadata(spec, name, own_label)
    body["metadata"]["annotations"] = dict(marks.TOOLKIT)
    body["spec"] = {"type": "ClusterIP", "selector": selector, "ports": [service_port(spec)]}
    return {"apiVersion": "v1", "kind": "Service", **body}


def service_port(spec: CanarySpec) -> Object:
    """The port of every Service of a canary."""
    port: Object = {
        "name": spec.service.port_name,
        "protocol": "TCP",
        "port": spec.service.port,
        "targetPort": spec.service.target_port or spec.service.port,
    }
    if spec.service.app_protocol:
        port["appProtocol"] = spec.service.app_protocol
    return port


def destination_rule(spec: CanarySpec, host: str) -> Object:
    """A DestinationRule for one side."""
    rule: Object = {"host": host}
    if spec.service.traffic_policy:
        rule["trafficPolicy"] = spec.service.traffic_policy
    api = {"apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule"}
    return {**api, **marks.metadata(spec, host), "spec": rule}
