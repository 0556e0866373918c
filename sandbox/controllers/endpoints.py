"""Endpoints and EndpointSlices: which pods a Service with a selector stands for."""

import contextlib

from sandbox.client import KubeClient, NotFoundError
from sandbox.controllers.informers import Informers
from sandbox.controllers.owners import controller_reference
from sandbox.controllers.pods import is_finished, ready_since
from sandbox.controllers.selectors import is_subset
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, collection_of, is_ending, key_of, labels_of, path_of

SERVICES, PODS, ENDPOINTS = "/api/v1/services", "/api/v1/pods", "/api/v1/endpoints"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
# Of the same name and told apart by this label, as the real controller's are.
ENDPOINTS_LABELS = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}


class EndpointsController:
    """Keeps the Endpoints and one EndpointSlice of every Service that has a selector."""

    def __init__(self, client: KubeClient, informers: Informers) -> None:
        self._client = client
        self._services = informers.of(SERVICES)
        self._pods = informers.of(PODS)
        self._endpoints = informers.of(ENDPOINTS)
        self._slices = informers.of(SLICES)
        self.queue = WorkQueue("endpoints", self._sync)
        self._services.subscribe(self.queue.add_object)
        self._pods.subscribe(self._pod_changed)
        self._endpoints.subscribe(self.queue.add_object)
        self._slices.subscribe(self._slice_changed)

    def _pod_changed(self, _kind: str, pod: Object, old: Object | None) -> None:
        changed = [labels_of(item) for item in (pod, old) if item]
        for service in self._services.in_namespace(pod["metadata"]["namespace"]):
            selector = service["spec"].get("selector")
            if selector and any(is_subset(selector, labels) for labels in changed):
                self.queue.add(key_of(service))

    def _slice_changed(self, _kind: str, obj: Object, _old: Object | None) -> None:
        owner = labels_of(obj).get(SERVICE_NAME)
        if owner:
            self.queue.add(f"{obj['metadata']['namespace']}/{owner}")

    async def _sync(self, key: str) -> None:
        service = self._services.objects.get(key)
        if not service:
            await self._remove_endpoints(key)
        elif service["spec"].get("selector") and service["spec"].get("type") != "ExternalName":
            pods = self._selected(service)
            await self._write_endpoints(key, service, pods)
            await self._write_slice(service, pods)

    async def _remove_endpoints(self, key: str) -> None:
        """Delete the Endpoints of a Service that is gone; its slices go by their owner reference."""
        found = self._endpoints.objects.get(key)
        if found and is_subset(ENDPOINTS_LABELS, labels_of(found)):
            with contextlib.suppress(NotFoundError):
                await self._client.delete(path_of(found, "endpoints"))

    def _selected(self, service: Object) -> list[Object]:
        selector = service["spec"]["selector"]
        found = [
            pod
            for pod in self._pods.in_namespace(service["metadata"]["namespace"])
            if is_subset(selector, labels_of(pod))
            and pod.get("status", {}).get("podIP")
            and not is_finished(pod)
        ]
        return sorted(found, key=lambda pod: str(pod["status"]["podIP"]))

    async def _write_endpoints(self, key: str, service: Object, pods: list[Object]) -> None:
        subsets = subsets_of(service, pods)
        found = self._endpoints.objects.get(key)
        labels = _made_labels(service) | ENDPOINTS_LABELS
        if found is None:
            meta = {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]}
            meta["labels"] = labels
            body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets}
            await self._client.create(collection_of(body, "endpoints"), body)
        elif found.get("subsets", []) != subsets or found["metadata"].get("labels") != labels:
            changed = found | {"subsets": subsets, "metadata": found["metadata"] | {"labels": labels}}
            await self._client.replace(path_of(found, "endpoints"), changed)

    async def _write_slice(self, service: Object, pods: list[Object]) -> None:
        found = self._slice_of(service)
        wanted = slice_of(service, pods)
        if found is None:
            await self._client.create(collection_of(wanted, "endpointslices"), wanted)
        elif _told(found) != _told(wanted):
            meta = found["metadata"] | {"labels": labels_of(wanted)}
            await self._client.replace(path_of(found, "endpointslices"), wanted | {"metadata": meta})

    def _slice_of(self, service: Object) -> Object | None:
        found = self._slices.controlled_by(service["metadata"]["uid"])
        managed = (item for item in found if labels_of(item).get(MANAGED_BY) == MANAGER)
        return next(managed, None)


def subsets_of(service: Object, pods: list[Object]) -> list[Object]:
    """Group the pods' addresses by the port numbers they have, which named ports may differ in."""
    everyone = service["spec"].get("publishNotReadyAddresses", False)
    groups: dict[str, Object] = {}
    for pod in pods:
        if is_ending(pod) and not everyone:
            continue
        ports = ports_of(service, pod)
        group = groups.setdefault(repr(ports), {"ports": ports, "addresses": [], "notReadyAddresses": []})
        is_listed = everyone or ready_since(pod) is not None
        group["addresses" if is_listed else "notReadyAddresses"].append(_address(pod))
    return [{name: value for name, value in group.items() if value} for group in groups.values()]


def slice_of(service: Object, pods: list[Object]) -> Object:
    """Make the EndpointSlice, terminating pods included and marked so."""
    meta = service["metadata"]
    labels = _made_labels(service) | {SERVICE_NAME: meta["name"], MANAGED_BY: MANAGER}
    ports = next(iter(ports_of(service, pod) for pod in pods), [])
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta['name']}-",
            # From the uid, not drawn by lot: made twice out of a stale cache, the second one is refused.
            "name": f"{meta['name']}-{meta['uid'][:5]}",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(service, pod) for pod in pods],
        "ports": [{"name": ""} | port for port in ports],
    }


def _made_labels(service: Object) -> dict[str, str]:
    """Give the labels of what is made for a Service: its own, and that it is headless."""
    return labels_of(service) | ({HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {})


def _told(found: Object) -> tuple[object, ...]:
    """Give what a slice says."""
    return labels_of(found), found.get("endpoints"), found.get("ports")


def ports_of(service: Object, pod: Object) -> list[Object]:
    """Resolve the Service's target ports on this pod; a name that the pod does not know is left out."""
    found = []
    for port in service["spec"].get("ports", []):
        number = _target(port, pod)
        if number is not None:
            named = {"name": port["name"]} if port.get("name") else {}
            extra = {"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}
            found.append(named | {"port": number, "protocol": port.get("protocol", "TCP")} | extra)
    return found


def _target(port: Object, pod: Object) -> int | None:
    target: int | str = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    every = (item for container in pod["spec"]["containers"] for item in container.get("ports", []))
    return next((item["containerPort"] for item in every if item.get("name") == target), None)


def _address(pod: Object) -> Object:
    return {
        "ip": pod["status"]["podIP"],
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": _reference(pod),
    }


def _endpoint(service: Object, pod: Object) -> Object:
    is_serving = ready_since(pod) is not None
    is_published = bool(service["spec"].get("publishNotReadyAddresses"))
    conditions = {"serving": is_serving, "terminating": is_ending(pod)}
    conditions["ready"] = is_published or (is_serving and not is_ending(pod))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": conditions,
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": _reference(pod),
    }


def _reference(pod: Object) -> Object:
    meta = pod["metadata"]
    return {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
