"""The rules of pods and of the workloads that make them."""

import re
from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import names, selectors
from sandbox.apiserver.causes import duplicate, forbidden, negative, not_supported, required, wrong
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.quantity import amount

Object = dict[str, Any]
HIGHEST_PORT = 65535
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PERCENT = re.compile(r"^[0-9]+%$")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
    "used for validation is '[0-9]+%')"
)
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def workload(obj: Object) -> Iterator[Cause]:
    """Check what Deployments, ReplicaSets and DaemonSets have in common."""
    spec = obj["spec"]
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from negative(spec, name, "spec")
    selector, found = spec.get("selector"), spec["template"]["metadata"].get("labels") or {}
    if selector is None:
        yield required("spec.selector")
    elif not selector:
        yield wrong("spec.selector", {}, f"empty selector is invalid for {obj['kind'].lower()}")
    if selector is None or not selectors.matches(selector, found):
        yield wrong("spec.template.metadata.labels", found, "`selector` does not match template `labels`")
    yield from names.labels(found, "spec.template.labels")
    yield from _pod_spec(spec["template"]["spec"], "spec.template.spec")
    if (policy := spec["template"]["spec"].get("restartPolicy")) != "Always":
        yield not_supported("spec.template.spec.restartPolicy", policy, ("Always",))


def deployment(obj: Object) -> Iterator[Cause]:
    """Check a Deployment."""
    yield from workload(obj)
    spec = obj["spec"]
    yield from _strategy(spec["strategy"], ("Recreate", "RollingUpdate"), "spec.strategy")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and 0 <= deadline <= ready:
        yield wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def daemon_set(obj: Object) -> Iterator[Cause]:
    """Check a DaemonSet."""
    yield from workload(obj)
    yield from _strategy(obj["spec"]["updateStrategy"], ("RollingUpdate", "OnDelete"), "spec.updateStrategy")


def pod(obj: Object) -> Iterator[Cause]:
    """Check a Pod."""
    yield from _pod_spec(obj["spec"], "spec")


def _strategy(strategy: Object, choices: tuple[str, ...], path: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in choices:
        yield not_supported(f"{path}.type", kind, choices)
    elif kind != "RollingUpdate" and rolling is not None:
        yield forbidden(f"{path}.rollingUpdate", f"may not be specified when strategy `type` is '{kind}'")
    elif rolling:
        missing, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        yield from _share(missing, f"{path}.rollingUpdate.maxUnavailable", highest=100)
        yield from _share(surge, f"{path}.rollingUpdate.maxSurge")
        if {str(missing), str(surge)} <= {"0", "0%"}:
            text = "may not be 0 when `maxSurge` is 0"
            yield wrong(f"{path}.rollingUpdate.maxUnavailable", missing, text)


def _share(value: Any, path: str, highest: int | None = None) -> Iterator[Cause]:
    """Check a number of pods, or a percentage of them."""
    if isinstance(value, int):
        if value < 0:
            yield wrong(path, value, "must be greater than or equal to 0")
    elif not _PERCENT.match(value):
        yield wrong(path, value, _PERCENT_TEXT)
    elif highest is not None and int(value[:-1]) > highest:
        yield wrong(path, value, f"must not be greater than {highest}%")


def _pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    volumes = [volume.get("name", "") for volume in spec.get("volumes") or []]
    for i, name in enumerate(volumes):
        if name in volumes[:i]:
            yield duplicate(f"{path}.volumes[{i}].name", name)
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    taken: list[str] = []
    for group in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(group) or []):
            place = f"{path}.{group}[{i}]"
            yield from _container(container, place, volumes)
            if (name := container.get("name", "")) in taken:
                yield duplicate(f"{place}.name", name)
            taken.append(name)
    yield from negative(spec, "terminationGracePeriodSeconds", path)


def _container(container: Object, path: str, volumes: list[str]) -> Iterator[Cause]:
    for key in ("name", "image"):
        if not container.get(key):
            yield required(f"{path}.{key}")
    if (name := container.get("name")) and not names.LABEL.match(name):
        yield wrong(f"{path}.name", name, names.LABEL_TEXT)
    if (policy := container.get("imagePullPolicy")) not in _PULL_POLICIES:
        yield not_supported(f"{path}.imagePullPolicy", policy, _PULL_POLICIES)
    for group, rule in (("ports", _port), ("env", _variable)):
        for i, item in enumerate(container.get(group) or []):
            yield from rule(item, f"{path}.{group}[{i}]")
    for i, mount in enumerate(container.get("volumeMounts") or []):
        yield from _mount(mount, f"{path}.volumeMounts[{i}]", volumes)
    yield from _probes(container, path)
    yield from _resources(container["resources"], f"{path}.resources")


def _probes(container: Object, path: str) -> Iterator[Cause]:
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        ways = [way for way in ("exec", "httpGet", "tcpSocket", "grpc") if probe and way in probe]
        if probe is not None and not ways:
            yield required(f"{path}.{name}", "must specify a handler type")
        for way in ways[1:]:
            yield forbidden(f"{path}.{name}.{way}", "may not specify more than 1 handler type")


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    limits = resources.get("limits") or {}
    for name, wanted in (resources.get("requests") or {}).items():
        if name in limits and amount(wanted) > amount(limits[name]):
            text = f"must be less than or equal to {name} limit of {limits[name]}"
            yield wrong(f"{path}.requests", wanted, text)


def _port(port: Object, path: str) -> Iterator[Cause]:
    number = port.get("containerPort", 0)
    if not number:
        yield required(f"{path}.containerPort")
    else:
        yield from port_number(number, f"{path}.containerPort")
    yield from protocol(port, path)


def port_number(number: Any, path: str) -> Iterator[Cause]:
    """Check a port; a name is left alone."""
    if isinstance(number, int) and not 0 < number <= HIGHEST_PORT:
        yield wrong(path, number, "must be between 1 and 65535, inclusive")


def protocol(port: Object, path: str) -> Iterator[Cause]:
    """Check the protocol of a port."""
    if port.get("protocol") not in _PROTOCOLS:
        yield not_supported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)


def _variable(variable: Object, path: str) -> Iterator[Cause]:
    if not variable.get("name"):
        yield required(f"{path}.name")
    if variable.get("value") and variable.get("valueFrom"):
        yield wrong(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")


def _mount(mount: Object, path: str, volumes: list[str]) -> Iterator[Cause]:
    if (name := mount.get("name", "")) not in volumes:
        yield Cause("FieldValueNotFound", f"{path}.name", f'Not found: "{name}"')
    if not mount.get("mountPath"):
        yield required(f"{path}.mountPath")


_FIXED_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def keeps_spec(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse changes of a pod that would need another pod."""
    if _fixed(obj["spec"]) != _fixed(old["spec"]):
        yield forbidden("spec", _FIXED_TEXT)


def _fixed(spec: Object) -> Object:
    loose = ("activeDeadlineSeconds", "tolerations")
    fixed = {key: value for key, value in spec.items() if key not in loose}
    for group in ("containers", "initContainers"):
        fixed[group] = [{**container, "image": ""} for container in spec.get(group) or []]
    return fixed
