"""The objects around a primary: Services, DestinationRules, VirtualService, and a load tester."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import loadtester, marks, paths, routes, services, workloads
from activities.cluster.api import ClusterApi, Clusters, Object
from activities.cluster.guard import guarded
from canary.routing import Routing
from canary.spec import CanarySpec
from canary.stored import Stored

ENDPOINTS_POLL = timedelta(milliseconds=200)
ENDPOINTS_LOOKS = 10
"""Before an attempt ends: what it wrote need not be written again for each look."""


class EstablishRequest(Stored):
    """The canary whose routes shall be there, and what they shall say."""

    spec: CanarySpec
    routing: Routing = Routing()


class InitialisationActivities:
    """Puts a canary's Services and routes in place, all traffic on the primary."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def deploy_load_tester(self, spec: CanarySpec) -> None:
        """Deploy the workload's own load tester."""
        if spec.test_loader is None:
            return
        api = await self._clusters.get(spec.cluster)
        for body in loadtester.objects(spec):
            path = paths.one(body["kind"], spec.namespace, body["metadata"]["name"])
            await api.apply(path, body, force=True)

    @activity.defn
    @guarded
    async def establish_routes(self, request: EstablishRequest) -> None:
        """Services and DestinationRules, endpoints seen, VirtualService, and last the apex selector.

        Safe to repeat: an existing VirtualService or apex Service is adopted once, its original kept.
        """
        api = await self._clusters.get(request.spec.cluster)
        spec = await _with_target_port(api, request.spec)
        kind = spec.target.kind
        primary = await api.get(paths.one(kind, spec.namespace, spec.primary))
        target = await api.get(paths.one(kind, spec.namespace, spec.target.name))
        await asyncio.gather(*_services_and_rules(api, spec, target, primary))
        await wait_for_endpoints(api, spec, spec.service.primary)
        await _virtual_service(api, spec)
        await _apex(api, spec, target, primary)


async def _with_target_port(api: ClusterApi, spec: CanarySpec) -> CanarySpec:
    """Where the document names no target port it is the live Service's, as Kurator reads it."""
    if spec.service.target_port is not None:
        return spec
    found = await api.find(paths.one("Service", spec.namespace, spec.service.name))
    ports = found["spec"].get("ports") or [] if found else []
    for port in ports:
        if port["port"] == spec.service.port:
            service = spec.service.model_copy(update={"target_port": port.get("targetPort")})
            return spec.model_copy(update={"service": service})
    return spec


def _services_and_rules(api: ClusterApi, spec: CanarySpec, target: Object, primary: Object) -> list[Any]:
    calls = []
    for name, workload in ((spec.service.canary, target), (spec.service.primary, primary)):
        label, value = workloads.selector_label(workload)
        body = services.service(spec, name, {label: value}, {label: name})
        calls.append(api.apply(paths.one("Service", spec.namespace, name), body, force=True))
        rule = services.destination_rule(spec, name)
        calls.append(api.apply(paths.one("DestinationRule", spec.namespace, name), rule, force=True))
    return calls


async def wait_for_endpoints(api: ClusterApi, spec: CanarySpec, service: str) -> None:
    """Wait until *service* has an address that answers, no traffic goes to it before; raises at length."""
    for _ in range(ENDPOINTS_LOOKS):
        endpoints = await api.find(paths.one("Endpoints", spec.namespace, service))
        if endpoints and any(subset.get("addresses") for subset in endpoints.get("subsets") or []):
            return
        await asyncio.sleep(ENDPOINTS_POLL.total_seconds())
    text = f"Service {service}.{spec.namespace} has no ready endpoint yet."
    raise ApplicationError(text, type="NotReady", next_retry_delay=ENDPOINTS_POLL)


async def _virtual_service(api: ClusterApi, spec: CanarySpec) -> None:
    path = paths.one("VirtualService", spec.namespace, spec.service.name)
    found = await api.find(path)
    if found is None:
        await api.create(paths.collection("VirtualService", spec.namespace), routes.virtual_service(spec, 0))
        return
    wanted = routes.virtual_service_spec(spec, 0)
    if routes.weights(spec, found) is not None:
        wanted["http"] = routes.with_weight(spec, found, 0)
    await api.patch(path, {"metadata": _adoption(found, found["spec"]), "spec": wanted})


async def _apex(api: ClusterApi, spec: CanarySpec, target: Object, primary: Object) -> None:
    """Point the apex Service at the primary; every port it has stays."""
    label, value = workloads.selector_label(primary)
    path = paths.one("Service", spec.namespace, spec.service.name)
    found = await api.find(path)
    if found is None:
        own = {label: workloads.selector_label(target)[1]}
        body = services.service(spec, spec.service.name, {label: value}, own)
        await api.apply(path, body, force=True)
        return
    live = found["spec"]
    metadata = _adoption(found, {"selector": live.get("selector"), "ports": live.get("ports")})
    await api.patch(path, {"metadata": metadata})
    ports = [port for port in live.get("ports") or [] if port["port"] != spec.service.port]
    same = [port for port in live.get("ports") or [] if port["port"] == spec.service.port]
    wanted = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": spec.service.name, "namespace": spec.namespace},
        "spec": {"selector": {label: value}, "ports": [*(same or [services.service_port(spec)]), *ports]},
    }
    await api.apply(path, wanted, force=True)


def _adoption(found: Object, original: Any) -> Object:
    """The metadata that keeps an adopted object's original, written once and never over (T13)."""
    metadata = found["metadata"]
    note: Object = {"resourceVersion": metadata["resourceVersion"]}
    is_ours = (metadata.get("labels") or {}).get(marks.CANARY)
    if is_ours or marks.ORIGINAL in (metadata.get("annotations") or {}):
        return note
    kept = json.dumps(original, sort_keys=True, separators=(",", ":"))
    return {**note, "annotations": {marks.ORIGINAL: kept}}
