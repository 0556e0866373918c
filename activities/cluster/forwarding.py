"""A Service as the target: what it leads to stands for a template, and its endpoints for pods."""

from temporalio.exceptions import ApplicationError

from activities.cluster import marks
from activities.cluster.api import Object
from activities.cluster.daemons import addresses
from activities.cluster.workloads import without_toolkit
from canary.observation import Workload
from canary.spec import CanarySpec, WorkloadKind

KEPT = (
    "selector",
    "ports",
    "externalName",
    "sessionAffinity",
    "sessionAffinityConfig",
    "publishNotReadyAddresses",
    "internalTrafficPolicy",
    "trafficDistribution",
)
"""What of a Service says where it leads; the rest is assigned, or opens it to the outside."""


def as_workload(spec: CanarySpec, found: Object) -> Object:
    """A Service in the form of a workload; a workload as it is."""
    if spec.target.kind is not WorkloadKind.SERVICE:
        return found
    live = found.get("spec") or {}
    leads = {key: live[key] for key in KEPT if key in live}
    leads["ports"] = [_without_node_port(port) for port in leads.get("ports") or []]
    leads["type"] = "ExternalName" if "externalName" in leads else "ClusterIP"
    return {**found, "spec": {"template": {"service": leads}}}


def _without_node_port(port: Object) -> Object:
    return {key: value for key, value in port.items() if key != "nodePort"}


def primary_service(spec: CanarySpec, target: Object) -> Object:
    """The primary of a Service in the form of a workload: a Service that leads where the target does."""
    metadata = target["metadata"]
    body = marks.metadata(spec, spec.primary, without_toolkit(metadata.get("labels")))
    body["metadata"]["annotations"] = without_toolkit(metadata.get("annotations"))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        **body,
        "spec": dict(target["spec"]["template"]["service"]),
    }


def refuse_without_port(spec: CanarySpec, target: Object) -> None:
    """Let no Service become the primary to whose port the routes do not lead: users would get 503."""
    ports = [port["port"] for port in target["spec"]["template"]["service"]["ports"]]
    if spec.service.port not in ports:
        known = ", ".join(map(str, ports)) or "none"
        text = (
            f"Service {spec.target.name} has no port {spec.service.port}, which the routes lead to; it has "
            f"{known}: give it that port again."
        )
        raise ApplicationError(text, type="NotFound", non_retryable=True)


def read_service(found: Object, endpoints: Object | None) -> Workload:
    """A Service as a workload: each address that answers is a pod; without one it waits for the first."""
    metadata = found["metadata"]
    count = addresses(endpoints)
    return Workload(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        desired=max(count, 1),
        updated=count,
        replicas=count,
        available=count,
        ready=count,
    )
