"""What a Service gets from the server: addresses and ports of its own, and what its type decides."""

import ipaddress
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sandbox.apiserver.causes import wrong
from sandbox.apiserver.errors import Cause

Object = dict[str, Any]
Others = Callable[[], Iterable[Object]]
_NETWORK = ipaddress.ip_network("10.96.0.0/16")
_NODE_PORTS = range(30000, 32768)
_HEADLESS = "None"
_addresses = itertools.count(1)
# Addresses that somebody asked for: the count leaves them out. Nobody here comes to its end.
_chosen: set[str] = set()
_ports = itertools.cycle(_NODE_PORTS)
_FAMILIES = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
# What only some types have: it goes with its type, unless the same request changes it.
_OF_TYPES = {
    "externalTrafficPolicy": ("NodePort", "LoadBalancer"),
    "healthCheckNodePort": ("LoadBalancer",),
    "allocateLoadBalancerNodePorts": ("LoadBalancer",),
    "loadBalancerClass": ("LoadBalancer",),
    **dict.fromkeys((*_FAMILIES, "internalTrafficPolicy"), ("ClusterIP", "NodePort", "LoadBalancer")),
}


def follow_type(obj: Object, old: Object) -> None:
    """Carry over, in place, what the old Service was given, and drop what the new type does not have."""
    spec, before = obj["spec"], old["spec"]
    kind = spec["type"]
    if before.get("clusterIP") and kind in _OF_TYPES["clusterIP"]:
        for name in (*_FAMILIES, "healthCheckNodePort"):
            if name in before:
                spec.setdefault(name, before[name])
    if kind in ("NodePort", "LoadBalancer"):
        _keep_ports(spec, before)
    if kind != before["type"]:
        _drop(spec, before)


def _keep_ports(spec: Object, before: Object) -> None:
    known = {(p["port"], p["protocol"]): p["nodePort"] for p in before.get("ports") or [] if "nodePort" in p}
    for port in spec.get("ports") or []:
        place = (port.get("port"), port.get("protocol"))
        if place in known:
            port.setdefault("nodePort", known[place])


def _drop(spec: Object, before: Object) -> None:
    for name, kinds in _OF_TYPES.items():
        is_external = name == "externalTrafficPolicy" and spec.get("externalIPs")
        if spec["type"] not in kinds and not is_external and spec.get(name) == before.get(name):
            spec.pop(name, None)
    given = {port.get("nodePort") for port in before.get("ports") or []}
    for port in spec.get("ports") or []:
        if spec["type"] in ("ClusterIP", "ExternalName") and port.get("nodePort") in given:
            port.pop("nodePort", None)


def allocate(obj: Object, old: Object | None, others: Others) -> Iterator[Cause]:
    """Give a Service, in place, its addresses and ports; say what is wrong with those that it asks for.

    What it has already is not looked for among the *others*, which may be thousands.
    """
    spec = obj["spec"]
    if spec["type"] == "ExternalName":
        return
    before = old["spec"].get("clusterIP") if old else None
    if before is None or spec.get("clusterIP") != before:
        yield from _allocate_address(spec, others)
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        ports = (port for other in others() for port in other["spec"].get("ports") or [])
        yield from _allocate_ports(spec, {port.get("nodePort") for port in ports})


def _allocate_address(spec: Object, others: Others) -> Iterator[Cause]:
    wanted = spec.get("clusterIP")
    if wanted == _HEADLESS:
        return
    if not wanted:
        free = (str(_NETWORK[number % _NETWORK.num_addresses]) for number in _addresses)
        spec["clusterIP"] = next(address for address in free if address not in _chosen)
    elif any(other["spec"].get("clusterIP") == wanted for other in others()):
        text = f"failed to allocate IP {wanted}: provided IP is already allocated"
        yield wrong("spec.clusterIPs", [wanted], text)
    elif ipaddress.ip_address(wanted) not in _NETWORK:
        text = f"failed to allocate IP {wanted}: the provided network does not match the current range"
        yield wrong("spec.clusterIPs", [wanted], text)
    else:
        _chosen.add(wanted)


def _allocate_ports(spec: Object, taken: set[Any]) -> Iterator[Cause]:
    is_balanced = spec["type"] == "LoadBalancer"
    if is_balanced and spec.get("externalTrafficPolicy") == "Local" and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = _free(taken)
    for i, port in enumerate(spec.get("ports") or []):
        wanted, place = port.get("nodePort"), f"spec.ports[{i}].nodePort"
        if not wanted and not (is_balanced and spec.get("allocateLoadBalancerNodePorts") is False):
            port["nodePort"] = _free(taken)
        elif wanted and wanted not in _NODE_PORTS:
            text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            yield wrong(place, wanted, text)
        elif wanted and wanted in taken:
            yield wrong(place, wanted, "provided port is already allocated")


def _free(taken: set[Any]) -> int:
    return next(port for port in _ports if port not in taken)
