"""The rules of containers: their ports, variables, mounts, probes and resources."""

import re
from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import names
from sandbox.apiserver.causes import duplicate, forbidden, negative, not_supported, required, wrong
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.quantity import amount

Object = dict[str, Any]
HIGHEST_PORT = 65535
_CHOICES = {
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
}
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_PORT_NAME = re.compile(r"^[-a-z0-9]+$")
_LONGEST_PORT_NAME = 15
_PORT_NAME_TEXT = "must contain only alpha-" + "numeric characters (a-z, 0-9), and hyphens (-)"
_VARIABLE = re.compile(r"^[ -<>-~]+$")
_VARIABLE_TEXT = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_WAYS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def container(found: Object, path: str, spec: Object) -> Iterator[Cause]:
    """Check a container of a pod."""
    for key in ("name", "image"):
        if not found.get(key):
            yield required(f"{path}.{key}")
    if name := found.get("name"):
        yield from names.label(name, f"{path}.name")
    for key, choices in _CHOICES.items():
        if found.get(key) not in choices:
            yield not_supported(f"{path}.{key}", found.get(key), choices)
    yield from _ports(found.get("ports") or [], f"{path}.ports", on_host=bool(spec.get("hostNetwork")))
    for i, variable in enumerate(found.get("env") or []):
        yield from _variable(variable, f"{path}.env[{i}]")
    if any(not source.keys() & {"configMapRef", "secretRef"} for source in found.get("envFrom") or []):
        yield wrong(f"{path}.envFrom", "", "must specify one of: `configMapRef` or `secretRef`")
    volumes = [volume.get("name", "") for volume in spec.get("volumes") or []]
    yield from _mounts(found.get("volumeMounts") or [], path, volumes)
    yield from _probes(found, path, spec)
    yield from _resources(found["resources"], f"{path}.resources")


def _ports(ports: list[Object], path: str, *, on_host: bool) -> Iterator[Cause]:
    known: list[str] = []
    for i, port in enumerate(ports):
        place, number, host = f"{path}[{i}]", port.get("containerPort", 0), port.get("hostPort")
        if name := port.get("name"):
            yield from port_name(name, f"{place}.name")
            if name in known:
                yield duplicate(f"{place}.name", name)
            known.append(name)
        if not number:
            yield required(f"{place}.containerPort")
        else:
            yield from port_number(number, f"{place}.containerPort")
        yield from port_number(host, f"{place}.hostPort")
        if on_host and host and host != number:
            yield wrong(f"{place}.hostPort", host, "must match `containerPort` when `hostNetwork` is true")
        yield from protocol(port, place)


def port_number(number: Any, path: str) -> Iterator[Cause]:
    """Check a port; a name is left alone."""
    if isinstance(number, int) and not 0 < number <= HIGHEST_PORT:
        yield wrong(path, number, "must be between 1 and 65535, inclusive")


def port_name(name: str, path: str) -> Iterator[Cause]:
    """Check the name of a port."""
    if len(name) > _LONGEST_PORT_NAME:
        yield wrong(path, name, f"must be no more than {_LONGEST_PORT_NAME} characters")
    if not _PORT_NAME.match(name):
        yield wrong(path, name, _PORT_NAME_TEXT)
    elif "--" in name:
        yield wrong(path, name, "must not contain consecutive hyphens")
    elif name.startswith("-") or name.endswith("-"):
        yield wrong(path, name, "must not begin or end with a hyphen")
    if not any("a" <= letter <= "z" for letter in name):
        yield wrong(path, name, "must contain at least one letter (a-z)")


def protocol(port: Object, path: str) -> Iterator[Cause]:
    """Check the protocol of a port."""
    if port.get("protocol") not in _PROTOCOLS:
        yield not_supported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)


def _variable(variable: Object, path: str) -> Iterator[Cause]:
    name, source = variable.get("name", ""), variable.get("valueFrom")
    if not name:
        yield required(f"{path}.name")
    elif not _VARIABLE.match(name):
        yield wrong(f"{path}.name", name, _VARIABLE_TEXT)
    if source is not None:
        yield from _source(variable, source, path)


def _source(variable: Object, source: Object, path: str) -> Iterator[Cause]:
    kinds = [kind for kind in _SOURCES if kind in source]
    if not kinds:
        listed = ", ".join(f"`{kind}`" for kind in _SOURCES[:-1])
        yield wrong(f"{path}.valueFrom", "", f"must specify one of: {listed} or `{_SOURCES[-1]}`")
    elif variable.get("value"):
        yield wrong(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    elif len(kinds) > 1:
        yield wrong(f"{path}.valueFrom", "", "may not have more than one field specified at a time")
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source and not source[kind].get("key"):
            yield required(f"{path}.valueFrom.{kind}.key")


def _mounts(mounts: list[Object], path: str, volumes: list[str]) -> Iterator[Cause]:
    known: list[str] = []
    for i, mount in enumerate(mounts):
        place, where = f"{path}.volumeMounts[{i}]", mount.get("mountPath", "")
        if (name := mount.get("name", "")) not in volumes:
            yield Cause("FieldValueNotFound", f"{place}.name", f'Not found: "{name}"')
        if not where:
            yield required(f"{place}.mountPath")
        if where in known:
            yield wrong(f"{place}.mountPath", where, "must be unique")
        known.append(where)
        if ".." in mount.get("subPath", "").split("/"):
            yield wrong(f"{path}.volumeMounts.subPath", mount["subPath"], "must not contain '..'")


def _probes(found: Object, path: str, spec: Object) -> Iterator[Cause]:
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := found.get(name)) is None:
            continue
        place = f"{path}.{name}"
        yield from _handler(probe, place)
        for count in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
            yield from negative(probe, count, place)
        successes = probe.get("successThreshold", 1)
        if name != "readinessProbe" and successes != 1:
            yield wrong(f"{place}.successThreshold", successes, "must be 1")
    for name, hook in (found.get("lifecycle") or {}).items():
        if isinstance(hook, dict):
            yield from _handler(hook, f"{path}.lifecycle.{name}")
            yield from _sleep(hook, f"{path}.lifecycle.{name}.sleep", spec)


def _handler(handler: Object, path: str) -> Iterator[Cause]:
    ways = [way for way in _WAYS if way in handler]
    if not ways:
        yield required(path, "must specify a handler type")
    for way in ways[1:]:
        yield forbidden(f"{path}.{way}", "may not specify more than 1 handler type")
    for way in ("httpGet", "tcpSocket"):
        if way in handler:
            port = handler[way].get("port")
            check = port_name if isinstance(port, str) else port_number
            yield from check(port, f"{path}.{way}.port")
    scheme = handler.get("httpGet", {}).get("scheme", "HTTP")
    if scheme not in ("HTTP", "HTTPS"):
        yield not_supported(f"{path}.httpGet.scheme", scheme, ("HTTP", "HTTPS"))
    if "exec" in handler and not handler["exec"].get("command"):
        yield required(f"{path}.exec.command")


def _sleep(hook: Object, path: str, spec: Object) -> Iterator[Cause]:
    seconds, grace = hook.get("sleep", {}).get("seconds", 0), spec.get("terminationGracePeriodSeconds", 0)
    if "sleep" in hook and not 0 <= seconds <= grace:
        text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        yield wrong(path, seconds, text)


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    limits = resources.get("limits") or {}
    for group in ("limits", "requests"):
        for name, wanted in (resources.get(group) or {}).items():
            yield from _resource(name, wanted, f"{path}.{group}[{name}]")
    for name, wanted in (resources.get("requests") or {}).items():
        if name in limits and amount(wanted) > amount(limits[name]):
            text = f"must be less than or equal to {name} limit of {limits[name]}"
            yield wrong(f"{path}.requests", wanted, text)
        elif name not in limits and "/" in name:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def _resource(name: str, wanted: str, path: str) -> Iterator[Cause]:
    if amount(wanted) < 0:
        yield wrong(path, wanted, "must be greater than or equal to 0")
    if name not in _RESOURCES and "/" not in name and not name.startswith("hugepages-"):
        yield wrong(path, name, "must be a standard resource type or fully qualified")
        yield wrong(path, name, "must be a standard resource for containers")
