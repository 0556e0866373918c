"""What the server refuses: by the rules of metadata, of the kind, and of what cannot change."""

from collections.abc import Callable, Iterator
from typing import Any

from sandbox.apiserver import accessrules, errors, names, podrules, rules, scalingrules, structural
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
_KINDS: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "ClusterRole": accessrules.role,
    "ClusterRoleBinding": accessrules.binding,
    "ConfigMap": rules.config_map,
    "ControllerRevision": rules.revision,
    "CustomResourceDefinition": rules.definition,
    "DaemonSet": podrules.daemon_set,
    "Deployment": podrules.deployment,
    "EndpointSlice": accessrules.endpoint_slice,
    "Endpoints": accessrules.endpoints,
    "Event": rules.event,
    "HorizontalPodAutoscaler": scalingrules.autoscaler,
    "Ingress": accessrules.ingress,
    "Lease": rules.lease,
    "NetworkPolicy": accessrules.network_policy,
    "Pod": podrules.pod,
    "PodDisruptionBudget": scalingrules.disruption_budget,
    "ReplicaSet": podrules.workload,
    "Role": accessrules.role,
    "RoleBinding": accessrules.binding,
    "Secret": rules.secret,
    "Service": rules.service,
}
_CHANGES: dict[str, Callable[[Object, Object], Iterator[Cause]]] = {
    "ClusterRoleBinding": rules.keeps_role,
    "ConfigMap": rules.keeps_data,
    "ControllerRevision": rules.keeps_revision,
    "DaemonSet": rules.keeps_selector,
    "Deployment": rules.keeps_selector,
    "Namespace": rules.keeps_phase,
    "Pod": podrules.keeps_spec,
    "ReplicaSet": rules.keeps_selector,
    "RoleBinding": rules.keeps_role,
    "Secret": rules.keeps_data,
    "Service": rules.keeps_address,
}
_STATUSES: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "Deployment": podrules.deployment_status,
    "ReplicaSet": podrules.replica_set_status,
}


def check_identity(
    resource: Resource, obj: Object, old: Object, fields: tuple[str, ...] = names.IDENTITY
) -> None:
    """Refuse a change that makes another object of an object."""
    _refuse(resource, obj, list(names.identity(obj, old, fields)))


def check_new(resource: Resource, obj: Object) -> None:
    """Refuse a new object that is invalid."""
    _refuse_new(resource, obj, [*names.metadata(resource, obj["metadata"]), *_own(resource, obj)])


def check_changed(resource: Resource, obj: Object, old: Object, subresource: str) -> None:
    """Refuse a change that makes an object invalid or touches what cannot change."""
    changes = None if subresource == "binding" else _CHANGES.get(resource.kind)
    found = [*names.metadata(resource, obj["metadata"]), *names.finalizers(obj, old)]
    if changes and not resource.is_custom:
        found += changes(obj, old)
    if subresource == "status" and not resource.is_custom:  # which leaves all else as it was
        found += _STATUSES[resource.kind](obj["status"]) if resource.kind in _STATUSES else ()
    else:
        found += _own(resource, obj)
    _refuse_new(resource, obj, found)


def _refuse_new(resource: Resource, obj: Object, causes: list[Cause]) -> None:
    more = structural.unchecked(resource, causes) if resource.is_custom else []
    _refuse(resource, obj, [*causes, *more])


def _own(resource: Resource, obj: Object) -> list[Cause]:
    if resource.is_custom:
        return structural.validate(obj, resource)
    rule = _KINDS.get(resource.kind)
    return list(rule(obj)) if rule else []


def _refuse(resource: Resource, obj: Object, causes: list[Cause]) -> None:
    if causes:
        raise errors.invalid(resource, obj["metadata"].get("name", ""), causes)
