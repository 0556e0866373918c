"""The rules of the kinds that are not workloads."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import names
from sandbox.apiserver.causes import duplicate, forbidden, negative, not_supported, required, wrong
from sandbox.apiserver.containerrules import port_name, port_number, protocol
from sandbox.apiserver.errors import Cause

Object = dict[str, Any]
_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def service(obj: Object) -> Iterator[Cause]:
    """Check a Service."""
    spec = obj["spec"]
    ports, kind = spec.get("ports") or [], spec["type"]
    if kind not in _SERVICE_TYPES:
        yield not_supported("spec.type", kind, _SERVICE_TYPES)
    if kind == "ExternalName":
        yield from _external_name(spec.get("externalName", ""))
    yield from _service_choices(spec)
    if kind != "ExternalName" and not ports and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for i, port in enumerate(ports):
        yield from _port(port, ports[:i], f"spec.ports[{i}]", is_alone=len(ports) == 1)
    yield from names.labels(spec.get("selector") or {}, "spec.selector")


def _external_name(name: str) -> Iterator[Cause]:
    if not name:
        yield required("spec.externalName")
    elif not names.SUBDOMAIN.match(name):
        yield wrong("spec.externalName", name, names.SUBDOMAIN_TEXT)


_POLICIES = ("Cluster", "Local")
_LONGEST_AFFINITY = 86400


def _service_choices(spec: Object) -> Iterator[Cause]:
    """Check the fields that have a few values."""
    affinity = spec.get("sessionAffinity")
    if affinity not in ("ClientIP", "None"):
        yield not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if seconds is not None and not 0 < seconds <= _LONGEST_AFFINITY:
        text = f"must be greater than 0 and less than {_LONGEST_AFFINITY}"
        yield wrong("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, text)
    if (policy := spec.get("internalTrafficPolicy", "Cluster")) not in _POLICIES:
        yield not_supported("spec.internalTrafficPolicy", policy, _POLICIES)
    is_external = spec["type"] in ("NodePort", "LoadBalancer") or spec.get("externalIPs")
    if (policy := spec.get("externalTrafficPolicy")) and not is_external:
        text = "may only be set for externally-accessible services"
        yield wrong("spec.externalTrafficPolicy", policy, text)
    elif policy and policy not in _POLICIES:
        yield not_supported("spec.externalTrafficPolicy", policy, _POLICIES)
    if spec.get("ipFamilyPolicy") == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        yield wrong("spec.ipFamilyPolicy", "RequireDualStack", text)
    yield from _cluster_ip(spec.get("clusterIP"))


def _cluster_ip(address: str | None) -> Iterator[Cause]:
    if address and address != "None" and not names.is_address(address):
        yield wrong("spec.clusterIPs[0]", address, names.ADDRESS_TEXT)


def _port(port: Object, before: list[Object], path: str, *, is_alone: bool) -> Iterator[Cause]:
    name = port.get("name", "")
    if not name and not is_alone:
        yield required(f"{path}.name")
    elif name and not names.LABEL.match(name):
        yield wrong(f"{path}.name", name, names.LABEL_TEXT)
    elif name and name in [other.get("name") for other in before]:
        yield duplicate(f"{path}.name", name)
    yield from port_number(port.get("port", 0), f"{path}.port")
    yield from protocol(port, path)
    yield from port_number(port.get("targetPort"), f"{path}.targetPort")
    if isinstance(target := port.get("targetPort"), str):
        yield from port_name(target, f"{path}.targetPort")
    identity = {key: port.get(key) for key in ("protocol", "port")}
    if identity in [{key: other.get(key) for key in identity} for other in before]:
        yield duplicate(path, identity)


def config_map(obj: Object) -> Iterator[Cause]:
    """Check the keys of a ConfigMap."""
    for group in ("data", "binaryData"):
        for key in obj.get(group) or {}:
            if not _KEY.match(key) or len(key) > names.LONGEST_NAME:
                yield wrong(f"{group}[{key}]", key, _KEY_TEXT)
            elif key.startswith("..") or key == ".":
                yield wrong(f"{group}[{key}]", key, f"must not be '{key}'")
    for key in (obj.get("data") or {}).keys() & (obj.get("binaryData") or {}).keys():
        yield wrong(f"data[{key}]", key, "duplicate of key present in binaryData")


_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def secret(obj: Object) -> Iterator[Cause]:
    """Check a Secret: its type says which keys it must have."""
    yield from config_map(obj)
    kind, data = obj.get("type", ""), obj.get("data") or {}
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        yield required("data[username]")
        yield required("data[password]")
    annotations, account = obj["metadata"].get("annotations") or {}, "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not annotations.get(account):
        yield required(f"metadata.annotations[{account}]")
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif "docker" in kind and not _is_json(data[key]):
            yield wrong(f"data[{key}]", "<secret contents redacted>", "invalid character")


def _is_json(encoded: str) -> bool:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError:
        return False
    return True


def keeps_phase(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse a phase of a namespace that its deletion does not bring."""
    is_going, phase = bool(old["metadata"].get("deletionTimestamp")), obj["status"].get("phase")
    if is_going and phase != "Terminating":
        text = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        yield wrong("status.Phase", phase, text)
    if not is_going and phase != "Active":
        yield wrong("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")


def event(obj: Object) -> Iterator[Cause]:
    """Check an Event."""
    is_core = obj["apiVersion"] == "v1"
    about = obj.get("involvedObject" if is_core else "regarding") or {}
    namespace, mine = about.get("namespace", ""), obj["metadata"].get("namespace", "")
    if namespace != mine and (namespace or mine != "default"):
        yield wrong("involvedObject.namespace", namespace, "does not match event.namespace")
    for name in () if is_core else ("reportingController", "reportingInstance", "action", "reason"):
        if not obj.get(name):
            yield required(name)


def lease(obj: Object) -> Iterator[Cause]:
    """Check a Lease."""
    seconds = obj["spec"].get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    yield from negative(obj["spec"], "leaseTransitions", "spec")


def definition(obj: Object) -> Iterator[Cause]:
    """Check a CustomResourceDefinition."""
    spec = obj["spec"]
    if obj["metadata"].get("name") != f"{spec['names'].get('plural')}.{spec.get('group')}":
        yield wrong("metadata.name", obj["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    if not spec.get("group"):
        yield required("spec.group")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield not_supported("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    for name in ("plural", "kind"):
        if not spec["names"].get(name):
            yield required(f"spec.names.{name}")
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield wrong("spec.versions", versions, "must have exactly one version marked as storage version")
    bare = [i for i, v in enumerate(versions) if not (v.get("schema") or {}).get("openAPIV3Schema")]
    for i in bare:
        yield required(f"spec.versions[{i}].schema.openAPIV3Schema", "schemas are required")


def keeps_selector(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse another selector."""
    if obj["spec"].get("selector") != old["spec"].get("selector"):
        yield wrong("spec.selector", obj["spec"].get("selector"), "field is immutable")


def keeps_data(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse another type of a Secret, and changes of what is immutable."""
    if obj["kind"] == "Secret" and obj.get("type") != old.get("type"):
        yield wrong("type", obj.get("type"), "field is immutable")
    if not old.get("immutable"):
        return
    changed = [n for n in ("data", "binaryData") if obj.get(n) != old.get(n)]
    for name in changed if obj.get("immutable") else ["immutable", *changed]:
        yield forbidden(name, "field is immutable when `immutable` is set")


def keeps_address(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse another cluster IP."""
    before, after = old["spec"].get("clusterIP"), obj["spec"].get("clusterIP")
    if before and before not in ("None", after) and obj["spec"]["type"] != "ExternalName":
        yield wrong("spec.clusterIPs[0]", [after], "may not change once set")


def keeps_role(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse another role in a binding."""
    if obj["roleRef"] != old["roleRef"]:
        yield wrong("roleRef", obj["roleRef"], "cannot change roleRef")


def revision(obj: Object) -> Iterator[Cause]:
    """Check a ControllerRevision."""
    if obj.get("data") is None:
        yield required("data", "data is mandatory")
    if obj["revision"] < 0:
        yield wrong("revision", obj["revision"], "must be greater than or equal to 0")


def keeps_revision(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse other data in a ControllerRevision."""
    if obj.get("data") != old.get("data"):
        yield wrong("data", obj.get("data"), "field is immutable")
