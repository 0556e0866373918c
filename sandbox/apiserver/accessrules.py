"""The rules of routes into a cluster, of endpoints, and of who may do what."""

from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import names
from sandbox.apiserver.causes import not_supported, required, wrong
from sandbox.apiserver.errors import Cause

Object = dict[str, Any]
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_SUBJECTS = ("ServiceAccount", "User", "Group")


def ingress(obj: Object) -> Iterator[Cause]:
    """Check an Ingress."""
    spec = obj["spec"]
    rules = spec.get("rules") or []
    if not rules and not spec.get("defaultBackend"):
        yield wrong("spec", None, "either `defaultBackend` or `rules` must be specified")
    for i, rule in enumerate(rules):
        path, host = f"spec.rules[{i}]", rule.get("host", "")
        if host and not names.SUBDOMAIN.match(host.removeprefix("*.")):
            yield wrong(f"{path}.host", host, names.SUBDOMAIN_TEXT)
        if "http" in rule and not rule["http"].get("paths"):
            yield required(f"{path}.http.paths")
        for j, entry in enumerate(rule.get("http", {}).get("paths") or []):
            yield from _ingress_path(entry, f"{path}.http.paths[{j}]")


def _ingress_path(entry: Object, path: str) -> Iterator[Cause]:
    kind, route = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
    elif kind not in _PATH_TYPES:
        yield not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    elif kind != "ImplementationSpecific" and not route.startswith("/"):
        yield wrong(f"{path}.path", route, "must be an absolute path")


def network_policy(obj: Object) -> Iterator[Cause]:
    """Check a NetworkPolicy."""
    for i, kind in enumerate(obj["spec"].get("policyTypes") or []):
        if kind not in ("Ingress", "Egress"):
            yield not_supported(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress"))


def role(obj: Object) -> Iterator[Cause]:
    """Check a Role or a ClusterRole."""
    for i, rule in enumerate(obj.get("rules") or []):
        path = f"rules[{i}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if urls := rule.get("nonResourceURLs"):
            if obj["kind"] == "Role":
                text = "namespaced rules cannot apply to non-resource URLs"
                yield wrong(f"{path}.nonResourceURLs", urls, text)
            continue
        if not rule.get("apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


def binding(obj: Object) -> Iterator[Cause]:
    """Check a RoleBinding or a ClusterRoleBinding."""
    is_wide = obj["kind"] == "ClusterRoleBinding"
    reference, kinds = obj["roleRef"], ("ClusterRole",) if is_wide else ("Role", "ClusterRole")
    if (kind := reference.get("kind", "")) not in kinds:
        yield not_supported("roleRef.kind", kind, kinds)
    if not reference.get("name"):
        yield required("roleRef.name")
    for i, subject in enumerate(obj.get("subjects") or []):
        if not subject.get("name"):
            yield required(f"subjects[{i}].name")
        if subject.get("kind") not in _SUBJECTS:
            yield not_supported(f"subjects[{i}].kind", subject.get("kind"), _SUBJECTS)
        if is_wide and subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            yield required(f"subjects[{i}].namespace")


def endpoints(obj: Object) -> Iterator[Cause]:
    """Check Endpoints; those of the loopback network are allowed here, since pods have them."""
    for i, subset in enumerate(obj.get("subsets") or []):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(f"subsets[{i}]", "must specify `addresses` or `notReadyAddresses`")
        for group in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(group) or []):
                if not names.is_address(address.get("ip", "")):
                    place = f"subsets[{i}].{group}[{j}].ip"
                    yield wrong(place, address.get("ip", ""), names.ADDRESS_TEXT)


def endpoint_slice(obj: Object) -> Iterator[Cause]:
    """Check an EndpointSlice."""
    kind = obj.get("addressType", "")
    if not kind:
        yield required("addressType")
    elif kind not in _ADDRESS_TYPES:
        yield not_supported("addressType", kind, _ADDRESS_TYPES)
    for i, endpoint in enumerate(obj.get("endpoints") or []):
        path, addresses = f"endpoints[{i}].addresses", endpoint.get("addresses") or []
        if not addresses:
            yield required(path, "must contain at least 1 address")
        for j, address in enumerate(addresses):
            if kind in ("IPv4", "IPv6") and not names.is_address(address):
                yield wrong(f"{path}[{j}]", address, names.ADDRESS_TEXT)
