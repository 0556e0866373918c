"""What the server refuses about a built-in object: names, labels, owners, and the rules of its kind."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.apiserver import errors, selectors, structural
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SERVICE_LABEL = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_PATH_SEGMENT = re.compile(r"^(?!\.{1,2}$)[^/%]+$")
_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
_LONGEST_LABEL, _LONGEST_NAME, _HIGHEST_PORT = 63, 253, 65535
_ANNOTATIONS_SIZE = 256 * 1024

_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def check_new(resource: Resource, obj: Object) -> None:
    """Refuse a new object that is invalid."""
    _refuse(resource, obj, [*_metadata(resource, obj["metadata"]), *_own(resource, obj)])


def check_changed(resource: Resource, obj: Object, old: Object) -> None:
    """Refuse a change that makes an object invalid or touches what cannot change."""
    changes = [] if resource.is_custom else list(_CHANGES.get(resource.kind, _nothing)(obj, old))
    found = [*_metadata(resource, obj["metadata"]), *_finalizers(obj, old), *changes, *_own(resource, obj)]
    _refuse(resource, obj, found)


def _refuse(resource: Resource, obj: Object, causes: list[Cause]) -> None:
    if causes:
        raise errors.invalid(resource, obj["metadata"].get("name", ""), causes)


def _own(resource: Resource, obj: Object) -> Iterator[Cause]:
    if resource.is_custom:
        yield from structural.validate(obj, resource)
    else:
        yield from _KINDS.get(resource.kind, _nothing)(obj)


def _nothing(*_: Object) -> Iterator[Cause]:
    yield from ()


def required(field: str, text: str = "") -> Cause:
    """A field is missing."""
    return Cause("FieldValueRequired", field, "Required value" + (f": {text}" if text else ""))


def wrong(field: str, value: Any, text: str) -> Cause:
    """A value is not allowed."""
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown}: {text}")


def forbidden(field: str, text: str) -> Cause:
    """A field may not be set, or not now."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {text}")


def not_supported(field: str, value: Any, choices: tuple[str, ...]) -> Cause:
    """A value is none of the choices."""
    listed = ", ".join(json.dumps(choice) for choice in choices)
    return Cause(
        "FieldValueNotSupported", field, f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
    )


def _metadata(resource: Resource, meta: Object) -> Iterator[Cause]:
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from _name(resource, name)
    yield from _labels(meta.get("labels") or {}, "metadata.labels")
    annotations = meta.get("annotations") or {}
    for key in annotations:
        yield from _label_key(key.lower(), "metadata.annotations")
    if sum(len(k) + len(v) for k, v in annotations.items()) > _ANNOTATIONS_SIZE:
        text = f"Too long: may not be more than {_ANNOTATIONS_SIZE} bytes"
        yield Cause("FieldValueTooLong", "metadata.annotations", text)
    yield from _owners(meta.get("ownerReferences") or [])
    for finalizer in meta.get("finalizers") or []:
        yield from _label_key(finalizer, "metadata.finalizers")


def _name(resource: Resource, name: str) -> Iterator[Cause]:
    if resource.group == "rbac.authorization.k8s.io":
        if not _PATH_SEGMENT.match(name):
            yield wrong("metadata.name", name, "may not contain '/'")
        return
    pattern, text, longest = _NAME_RULES.get(
        "" if resource.is_custom else resource.plural, (_SUBDOMAIN, _SUBDOMAIN_TEXT, _LONGEST_NAME)
    )
    if len(name) > longest:
        yield wrong("metadata.name", name, f"must be no more than {longest} characters")
    if not pattern.match(name):
        yield wrong("metadata.name", name, text)


_NAME_RULES = {
    "namespaces": (_LABEL, _LABEL_TEXT, _LONGEST_LABEL),
    "services": (_SERVICE_LABEL, _SERVICE_TEXT, _LONGEST_LABEL),
}


def _labels(labels: dict[str, str], field: str) -> Iterator[Cause]:
    for key, value in labels.items():
        yield from _label_key(key, field)
        if len(value) > _LONGEST_LABEL:
            yield wrong(field, value, f"must be no more than {_LONGEST_LABEL} bytes")
        elif value and not _QUALIFIED.match(value):
            yield wrong(field, value, _VALUE_TEXT)


def _label_key(key: str, field: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if not name:
        yield wrong(field, key, "name part must be non-empty")
    elif len(name) > _LONGEST_LABEL:
        yield wrong(field, key, f"name part must be no more than {_LONGEST_LABEL} bytes")
    elif not _QUALIFIED.match(name):
        yield wrong(field, key, _NAME_TEXT)
    if slash and not _SUBDOMAIN.match(prefix):
        yield wrong(field, key, f"prefix part {_SUBDOMAIN_TEXT}")


def _owners(owners: list[Object]) -> Iterator[Cause]:
    for owner in owners:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield wrong(f"metadata.ownerReferences.{key}", owner.get(key, ""), "must not be empty")
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield wrong("metadata.ownerReferences", owners, "Only one reference can have Controller set to true")


def _finalizers(obj: Object, old: Object) -> Iterator[Cause]:
    if not old["metadata"].get("deletionTimestamp"):
        return
    known = old["metadata"].get("finalizers") or []
    added = [name for name in obj["metadata"].get("finalizers") or [] if name not in known]
    if added:
        listed = ", ".join(json.dumps(name) for name in added)
        yield forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{listed}}}",
        )


def _count(spec: Object, name: str, path: str) -> Iterator[Cause]:
    value = spec.get(name)
    if isinstance(value, int) and value < 0:
        yield wrong(f"{path}.{name}", value, "must be greater than or equal to 0")


def _workload(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from _count(spec, name, "spec")
    selector, labels = spec.get("selector"), spec["template"]["metadata"].get("labels") or {}
    if selector is None:
        yield required("spec.selector")
    elif not selector:
        yield wrong("spec.selector", {}, "empty selector is invalid for deployment")
    if selector is None or not selectors.matches(selector, labels):
        yield wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from _labels(labels, "spec.template.labels")
    yield from _pod_spec(spec["template"]["spec"], "spec.template.spec")
    if (policy := spec["template"]["spec"].get("restartPolicy")) != "Always":
        yield not_supported("spec.template.spec.restartPolicy", policy, ("Always",))


def _deployment(obj: Object) -> Iterator[Cause]:
    yield from _workload(obj)
    spec = obj["spec"]
    yield from _strategy(spec["strategy"], ("Recreate", "RollingUpdate"), "spec.strategy")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and 0 <= deadline <= ready:
        yield wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _daemon_set(obj: Object) -> Iterator[Cause]:
    yield from _workload(obj)
    yield from _strategy(obj["spec"]["updateStrategy"], ("RollingUpdate", "OnDelete"), "spec.updateStrategy")


def _strategy(strategy: Object, choices: tuple[str, ...], path: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in choices:
        yield not_supported(f"{path}.type", kind, choices)
    elif kind != "RollingUpdate" and rolling is not None:
        yield forbidden(f"{path}.rollingUpdate", f"may not be specified when strategy `type` is '{kind}'")
    elif rolling:
        sizes = [str(rolling.get(name, 0)) for name in ("maxUnavailable", "maxSurge")]
        if all(size in ("0", "0%") for size in sizes):
            text = "may not be 0 when `maxSurge` is 0"
            yield wrong(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), text)


def _pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    volumes = [volume.get("name", "") for volume in spec.get("volumes") or []]
    yield from _unique(volumes, f"{path}.volumes")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    names: list[str] = []
    for group in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(group) or []):
            yield from _container(container, f"{path}.{group}[{i}]", volumes)
            name = container.get("name", "")
            if name in names:
                yield Cause("FieldValueDuplicate", f"{path}.{group}[{i}].name", f'Duplicate value: "{name}"')
            names.append(name)
    yield from _count(spec, "terminationGracePeriodSeconds", path)


def _unique(names: list[str], path: str) -> Iterator[Cause]:
    for i, name in enumerate(names):
        if name in names[:i]:
            yield Cause("FieldValueDuplicate", f"{path}[{i}].name", f'Duplicate value: "{name}"')


def _container(container: Object, path: str, volumes: list[str]) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif not _LABEL.match(name):
        yield wrong(f"{path}.name", name, _LABEL_TEXT)
    if not container.get("image"):
        yield required(f"{path}.image")
    if (policy := container.get("imagePullPolicy")) not in ("Always", "IfNotPresent", "Never"):
        yield not_supported(f"{path}.imagePullPolicy", policy, ("Always", "IfNotPresent", "Never"))
    for i, port in enumerate(container.get("ports") or []):
        number = port.get("containerPort", 0)
        if not number:
            yield required(f"{path}.ports[{i}].containerPort")
        elif not 0 < number <= _HIGHEST_PORT:
            text = "must be between 1 and 65535, inclusive"
            yield wrong(f"{path}.ports[{i}].containerPort", number, text)
        yield from _protocol(port, f"{path}.ports[{i}]")
    yield from _environment(container, path)
    for i, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name", "") not in volumes:
            yield Cause(
                "FieldValueInvalid", f"{path}.volumeMounts[{i}].name", f'Not found: "{mount.get("name")}"'
            )
        if not mount.get("mountPath"):
            yield required(f"{path}.volumeMounts[{i}].mountPath")


def _protocol(port: Object, path: str) -> Iterator[Cause]:
    if port.get("protocol") not in ("SCTP", "TCP", "UDP"):
        yield not_supported(f"{path}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))


def _environment(container: Object, path: str) -> Iterator[Cause]:
    for i, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            yield required(f"{path}.env[{i}].name")
        if variable.get("value") and variable.get("valueFrom"):
            text = "may not be specified when `value` is not empty"
            yield wrong(f"{path}.env[{i}].valueFrom", "", text)


def _pod(obj: Object) -> Iterator[Cause]:
    yield from _pod_spec(obj["spec"], "spec")


def _service(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    ports = spec.get("ports") or []
    kind = spec["type"]
    if kind not in ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"):
        yield not_supported("spec.type", kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
    if kind == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
    elif not ports and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    seen: list[Any] = []
    for i, port in enumerate(ports):
        path = f"spec.ports[{i}]"
        name, number = port.get("name", ""), port.get("port", 0)
        if not name and len(ports) > 1:
            yield required(f"{path}.name")
        elif name and not _LABEL.match(name):
            yield wrong(f"{path}.name", name, _LABEL_TEXT)
        elif name and name in [other.get("name") for other in ports[:i]]:
            yield Cause("FieldValueDuplicate", f"{path}.name", f'Duplicate value: "{name}"')
        if not 0 < number <= _HIGHEST_PORT:
            yield wrong(f"{path}.port", number, "must be between 1 and 65535, inclusive")
        yield from _protocol(port, path)
        yield from _port_reference(port.get("targetPort"), f"{path}.targetPort")
        identity = {"protocol": port.get("protocol"), "port": number}
        if identity in seen:
            yield Cause("FieldValueDuplicate", path, f"Duplicate value: {json.dumps(identity)}")
        seen.append(identity)
    yield from _labels(spec.get("selector") or {}, "spec.selector")


def _port_reference(port: Any, path: str) -> Iterator[Cause]:
    if isinstance(port, int) and not 0 < port <= _HIGHEST_PORT:
        yield wrong(path, port, "must be between 1 and 65535, inclusive")


def _config_map(obj: Object) -> Iterator[Cause]:
    for group in ("data", "binaryData"):
        for key in obj.get(group) or {}:
            if not _KEY.match(key) or len(key) > _LONGEST_NAME:
                text = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
                    "or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                )
                yield wrong(f"{group}[{key}]", key, text)


_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _secret(obj: Object) -> Iterator[Cause]:
    yield from _config_map(obj)
    for key in _SECRET_KEYS.get(obj.get("type", ""), ()):
        if key not in (obj.get("data") or {}):
            yield required(f"data[{key}]")


def _event(obj: Object) -> Iterator[Cause]:
    core = obj["apiVersion"] == "v1"
    field = "involvedObject" if core else "regarding"
    namespace = (obj.get(field) or {}).get("namespace", "")
    mine = obj["metadata"].get("namespace", "")
    if namespace != mine and not (not namespace and mine == "default"):
        yield wrong("involvedObject.namespace", namespace, "does not match event.namespace")
    if not core:
        for name in ("reportingController", "reportingInstance", "action", "reason"):
            if not obj.get(name):
                yield required(name)


def _autoscaler(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    target, low, high = spec["scaleTargetRef"], spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    for name in ("kind", "name"):
        if not target.get(name):
            yield required(f"spec.scaleTargetRef.{name}")
    if low < 1:
        yield wrong("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        yield wrong("spec.maxReplicas", high, "must be greater than 0")
    elif high < low:
        yield wrong("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")


def _lease(obj: Object) -> Iterator[Cause]:
    seconds = obj["spec"].get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if obj["spec"].get("leaseTransitions", 0) < 0:
        yield wrong(
            "spec.leaseTransitions", obj["spec"]["leaseTransitions"], "must be greater than or equal to 0"
        )


def _job(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    for name in ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds"):
        yield from _count(spec, name, "spec")
    yield from _pod_spec(spec["template"]["spec"], "spec.template.spec")
    if (policy := spec["template"]["spec"].get("restartPolicy")) not in ("OnFailure", "Never"):
        yield not_supported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never"))


def _disruption_budget(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield wrong("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    yield from _count(spec, "minAvailable", "spec")
    yield from _count(spec, "maxUnavailable", "spec")


def _definition(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    expected = f"{spec['names'].get('plural')}.{spec.get('group')}"
    if obj["metadata"].get("name") != expected:
        text = 'must be spec.names.plural+"."+spec.group'
        yield wrong("metadata.name", obj["metadata"].get("name"), text)
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
    for i, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{i}].schema.openAPIV3Schema", "schemas are required")


def _keeps_selector(obj: Object, old: Object) -> Iterator[Cause]:
    if obj["spec"].get("selector") != old["spec"].get("selector"):
        yield wrong("spec.selector", obj["spec"].get("selector"), "field is immutable")


def _keeps_data(obj: Object, old: Object) -> Iterator[Cause]:
    if obj["kind"] == "Secret" and obj.get("type") != old.get("type"):
        yield wrong("type", obj.get("type"), "field is immutable")
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden("immutable", "field is immutable when `immutable` is set")
    for name in ("data", "binaryData"):
        if obj.get(name) != old.get(name):
            yield forbidden(name, "field is immutable when `immutable` is set")


def _keeps_address(obj: Object, old: Object) -> Iterator[Cause]:
    before, after = old["spec"].get("clusterIP"), obj["spec"].get("clusterIP")
    if before and before != "None" and after != before and obj["spec"]["type"] != "ExternalName":
        yield wrong("spec.clusterIPs[0]", [after], "may not change once set")


_POD_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _keeps_pod(obj: Object, old: Object) -> Iterator[Cause]:
    if _fixed(obj["spec"]) != _fixed(old["spec"]):
        yield forbidden("spec", _POD_TEXT)


def _fixed(spec: Object) -> Object:
    loose = ("activeDeadlineSeconds", "tolerations", "ephemeralContainers")
    fixed = {key: value for key, value in spec.items() if key not in loose}
    for group in ("containers", "initContainers"):
        fixed[group] = [{**container, "image": ""} for container in spec.get(group) or []]
    return fixed


def _keeps_role(obj: Object, old: Object) -> Iterator[Cause]:
    if obj["roleRef"] != old["roleRef"]:
        yield wrong("roleRef", obj["roleRef"], "cannot change roleRef")


def _keeps_revision(obj: Object, old: Object) -> Iterator[Cause]:
    if obj.get("data") != old.get("data"):
        yield wrong("data", obj.get("data"), "field is immutable")


_KINDS: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "ConfigMap": _config_map,
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Event": _event,
    "HorizontalPodAutoscaler": _autoscaler,
    "Job": _job,
    "Lease": _lease,
    "Pod": _pod,
    "PodDisruptionBudget": _disruption_budget,
    "ReplicaSet": _workload,
    "Secret": _secret,
    "Service": _service,
    "StatefulSet": _workload,
}
_CHANGES: dict[str, Callable[[Object, Object], Iterator[Cause]]] = {
    "ClusterRoleBinding": _keeps_role,
    "ConfigMap": _keeps_data,
    "ControllerRevision": _keeps_revision,
    "DaemonSet": _keeps_selector,
    "Deployment": _keeps_selector,
    "Job": _keeps_selector,
    "Pod": _keeps_pod,
    "ReplicaSet": _keeps_selector,
    "RoleBinding": _keeps_role,
    "Secret": _keeps_data,
    "Service": _keeps_address,
    "StatefulSet": _keeps_selector,
}
