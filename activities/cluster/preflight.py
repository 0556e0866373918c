"""Looking before leaping: what in a cluster speaks against a canary."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

from temporalio import activity

from activities.cluster import marks, paths, virtualservice, workloads
from activities.cluster.api import (
    ApiError,
    ClusterApi,
    Clusters,
    ClusterUnreachableError,
    Object,
    UnknownClusterError,
)
from activities.heartbeat import heartbeating
from canary.problem import Problem
from canary.spec import CanarySpec, WorkloadKind
from canary.stored import Stored

FLAGGER = "/apis/flagger.app/v1beta1/namespaces/{}/canaries"


class Preflight(Stored):
    """What was found: problems of the document, and what the sync may yet bring."""

    problems: tuple[Problem, ...] = ()
    conditions: tuple[str, ...] = ()
    scale_down_delay: timedelta = timedelta(seconds=30)
    """How long the cluster's mesh may take to forget a workload."""


class PreflightActivities:
    """Reads what a canary would stand on; nothing is written."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    async def preflight(self, spec: CanarySpec) -> Preflight:
        """Look for everything that a canary needs and everything that forbids it.

        Of an Application's canary a missing workload or Service is a condition: the sync may yet bring it.
        """
        try:
            api = await self._clusters.get(spec.cluster)
            async with heartbeating():
                return await _look(api, spec)
        except UnknownClusterError as error:
            return Preflight(problems=(Problem(path="cluster", message=str(error)),))
        except ClusterUnreachableError as error:
            problem = Problem(path="cluster", message=str(error), is_unreachable=True)
            return Preflight(problems=(problem,))


async def _look(api: ClusterApi, spec: CanarySpec) -> Preflight:
    target, service, flagger, others = await asyncio.gather(
        api.find(paths.one(spec.target.kind, spec.namespace, spec.target.name)),
        api.find(paths.one("Service", spec.namespace, spec.service.name)),
        _optional_list(api, FLAGGER.format(spec.namespace)),
        _optional_list(api, paths.collection("VirtualService")),
    )
    problems = [*_about_target(spec, target), *_about_service(spec, service)]
    conditions: list[str] = []
    if spec.application:
        conditions = [problem.message for problem in problems if problem.is_missing]
        problems = [problem for problem in problems if not problem.is_missing]
    problems += [*_about_flagger(spec, flagger), *_about_routes(spec, others)]
    delay = api.settings.scale_down_delay
    return Preflight(problems=tuple(problems), conditions=tuple(conditions), scale_down_delay=delay)


async def _optional_list(api: ClusterApi, path: str) -> list[Object]:
    """The items of a kind that a cluster may not know."""
    try:
        items: list[Object] = (await api.list(path))["items"]
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return []
        raise
    return items


def _about_target(spec: CanarySpec, target: Object | None) -> list[Problem]:
    name = f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace} of {spec.cluster}"
    if target is None:
        return [Problem(path="spec.targetRef.name", message=f"{name} not found", is_missing=True)]
    problems = []
    try:
        workloads.selector_label(target)
    except workloads.SelectorError as error:
        problems.append(Problem(path="spec.targetRef.name", message=str(error)))
    strategy = (target["spec"].get("strategy") or {}).get("type")
    if spec.target.kind is WorkloadKind.DEPLOYMENT and strategy == "Recreate":
        text = f"{name} has the strategy Recreate: its primary stands still while it is promoted"
        problems.append(Problem(path="spec.targetRef.name", message=text, is_warning=True))
    return problems


def _about_service(spec: CanarySpec, service: Object | None) -> list[Problem]:
    if service is None:
        if not spec.application:
            return []  # a Service that is not there is made, as Flagger makes it
        text = f"Service {spec.service.name} in namespace {spec.namespace} of {spec.cluster} not found"
        return [Problem(path="spec.service.name", message=text, is_missing=True)]
    ports = [port["port"] for port in service["spec"].get("ports") or []]
    if spec.service.port not in ports:
        known = ", ".join(map(str, ports)) or "none"
        text = f"Service {spec.service.name} has no port {spec.service.port}; it has {known}"
        return [Problem(path="spec.service.port", message=text)]
    return []


def _about_flagger(spec: CanarySpec, canaries: list[Object]) -> list[Problem]:
    for canary in canaries:
        reference = canary.get("spec", {}).get("targetRef") or {}
        if (reference.get("kind"), reference.get("name")) == (str(spec.target.kind), spec.target.name):
            text = (
                f"{spec.target.kind} {spec.target.name} is managed by Flagger's Canary "
                f"{canary['metadata']['name']}: delete that Canary first "
                f"(kubectl delete canary {canary['metadata']['name']} -n {spec.namespace})"
            )
            return [Problem(path="spec.targetRef.name", message=text)]
    return []


def _about_routes(spec: CanarySpec, found: list[Object]) -> list[Problem]:
    """Another VirtualService for one of our hosts on one of our gateways would take the traffic."""
    ours = virtualservice.addresses(spec)
    problems = []
    for other in found:
        metadata = other["metadata"]
        if (metadata["namespace"], metadata["name"]) == (spec.namespace, spec.service.name):
            continue
        if (metadata.get("labels") or {}).get(marks.CANARY) == spec.target.name:
            continue
        gateways = set(other.get("spec", {}).get("gateways") or ["mesh"]) & set(ours.get("gateways", []))
        hosts = set(other.get("spec", {}).get("hosts") or []) & _qualified(ours["hosts"], spec, metadata)
        if gateways and hosts:
            text = (
                f"VirtualService {metadata['name']} in namespace {metadata['namespace']} already routes "
                f"{', '.join(sorted(hosts))} on {', '.join(sorted(gateways))}: remove one of the two"
            )
            problems.append(Problem(path="spec.service.hosts", message=text))
    return problems


def _qualified(hosts: list[str], spec: CanarySpec, metadata: Object) -> set[str]:
    """Our hosts as another VirtualService may write them: short names mean its own namespace."""
    names = set()
    for host in hosts:
        full = host if "." in host or host == "*" else f"{host}.{spec.namespace}"
        names |= {full, f"{full}.svc.cluster.local"}
        if metadata["namespace"] == spec.namespace:
            names.add(host)
    return names
