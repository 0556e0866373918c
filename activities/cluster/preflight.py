"""Looking before leaping: what in a cluster speaks against a canary."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Protocol

from temporalio import activity

from activities.cluster import appliers, obstacles, paths, policies, testers
from activities.cluster.api import ClusterApi, Object
from activities.cluster.clusters import Clusters, served_here
from activities.cluster.errors import (
    ApiError,
    ClusterUnreachableError,
    ServedElsewhereError,
    UnknownClusterError,
)
from activities.cluster.guard import guarded
from activities.cluster.lists import SharedLists
from activities.cluster.observation import Read, observed
from activities.cluster.obstacles import Seen
from activities.cluster.references import Referenced, read_references
from activities.cluster.secretrefs import missing_secrets
from activities.heartbeat import heartbeating
from activities.moment import temporals_clock
from canary.loadtester import private
from canary.observation import Observation
from canary.problem import Problem
from canary.spec import CanarySpec
from canary.stored import Stored

ATTEMPTS = 3
"""So often an API server is asked that answers with errors of its own, or ends a connection."""
ANSWERED_WITHIN = 1.0
"""Seconds for all providers of metrics together: whoever applies a document waits for them."""
STILL_ANSWERING = 2.0
"""Seconds for which providers that answered are not asked again: hundreds of canaries may have the same."""
LISTED = ("HorizontalPodAutoscaler", *policies.REFUSED, *policies.TOLD, policies.APEX_RULES, "Canary")


class Preflight(Stored):
    """What was found: problems of the document, and what the sync may yet bring."""

    problems: tuple[Problem, ...] = ()
    conditions: tuple[str, ...] = ()
    missing: tuple[Problem, ...] = ()
    """What the document names and nobody has; an Application may yet bring it, no canary begins without."""
    spec: CanarySpec | None = None
    """The document with what was read from the cluster for it; None where it was whole."""
    is_outdated: bool = False
    """Something that the document wants is not, or no longer, as the cluster's settings want it."""
    scale_down_delay: timedelta = timedelta(seconds=30)
    """How long the cluster's mesh may take to forget a workload."""
    task_queue: str = ""
    """Whose workers the cluster is served by, if not by whom was asked: they are to be asked instead."""
    seen: Observation | None = None
    """The canary as it stands; None where its cluster was not looked at."""
    provider_errors: tuple[str, ...] | None = None
    """Which metric providers do not answer; None where they were not asked or took their time."""


class Providers(Protocol):
    """The providers of canaries' metrics."""

    async def errors(self, spec: CanarySpec) -> tuple[str, ...]:
        """Say of each provider that does not answer why."""
        ...


class PreflightActivities:
    """Reads what a canary would stand on; nothing is written."""

    def __init__(self, clusters: Clusters, providers: Providers) -> None:
        self._clusters = clusters
        self._providers = providers
        self._lists = SharedLists()
        self._answered: dict[Hashable, float] = {}

    @activity.defn
    async def preflight(self, spec: CanarySpec) -> Preflight:
        """Look for everything that a canary needs and everything that forbids it.

        Of an Application's canary a missing workload or Service is a condition: the sync may yet bring it.
        """
        try:
            api = served_here(await self._clusters.get(spec.cluster))
            async with heartbeating():
                found = await _look(api, self._lists, spec)
                return found.model_copy(update={"provider_errors": await self._ask(found, spec)})
        except ServedElsewhereError as error:
            problem = Problem(path="cluster", message=str(error))
            return Preflight(problems=(problem,), task_queue=error.task_queue)
        except UnknownClusterError as error:
            return Preflight(problems=(Problem(path="cluster", message=str(error)),))
        except ClusterUnreachableError as error:
            if not error.was_awaited and _may_be_asked_again():
                raise
            problem = Problem(path="cluster", message=str(error), is_unreachable=True)
            return Preflight(problems=(problem,))
        except ApiError as error:
            if not error.is_permanent and _may_be_asked_again():
                raise
            message = f"Cluster {spec.cluster} refuses to be looked at: {error}"
            problem = Problem(path="cluster", message=message, is_unreachable=not error.is_permanent)
            return Preflight(problems=(problem,))

    async def _ask(self, found: Preflight, spec: CanarySpec) -> tuple[str, ...] | None:
        """Ask the providers of a canary that is about to begin; whoever gets no answer here asks again."""
        is_refused = any(not problem.is_warning for problem in (*found.problems, *found.missing))
        is_beginning = found.seen is not None and found.seen.target is not None and found.seen.primary is None
        if is_refused or not is_beginning or spec.skip_analysis:
            return None
        wanted, clock = found.spec or spec, asyncio.get_running_loop().time
        asked, since = _providers_of(wanted), clock() - STILL_ANSWERING
        self._answered = {key: when for key, when in self._answered.items() if when > since}
        if asked in self._answered:
            return ()
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                errors = await self._providers.errors(wanted)
        except (TimeoutError, ApiError, ClusterUnreachableError):
            return None
        if not errors:
            self._answered[asked] = clock()
        return errors

    @activity.defn
    @guarded
    async def read_references(self, spec: CanarySpec) -> Referenced:
        """Read again what the document names and was not given with, as it stands in the cluster by now."""
        return await read_references(await self._clusters.get(spec.cluster), spec)


def _providers_of(spec: CanarySpec) -> Hashable:
    """Name the providers of a canary's metrics: two canaries of the same names have the same."""
    providers = frozenset(
        f"{template.namespace} {template.provider.model_dump_json()}" if template else ""
        for template in (metric.template for metric in spec.analysis.metrics)
    )
    return spec.cluster, spec.namespace, spec.metrics_server, providers


def _may_be_asked_again() -> bool:
    return activity.info().attempt < ATTEMPTS


async def _look(api: ClusterApi, lists: SharedLists, spec: CanarySpec) -> Preflight:
    clock = temporals_clock()
    seen, referenced = await asyncio.gather(_see(api, lists, spec), read_references(api, spec))
    secrets, observation = await asyncio.gather(
        missing_secrets(api, referenced.spec), _observed(api, spec, seen)
    )
    problems = [*obstacles.about_what_is_needed(spec, seen), *secrets]
    conditions: list[str] = []
    if spec.application:
        conditions = [problem.message for problem in problems if problem.is_missing]
        problems = [problem for problem in problems if not problem.is_missing]
    problems += obstacles.about_others(spec, seen)
    problems += testers.about_strangers(api.settings, spec)
    problems += appliers.about_appliers(spec, seen.target, seen.service)
    if seen.target is not None:
        problems += policies.about_policies(spec, seen.target, seen.listed, seen.namespace)
    return Preflight(
        problems=(*problems, *referenced.problems),
        conditions=tuple(conditions),
        missing=referenced.missing,
        spec=None if referenced.spec == spec else referenced.spec,
        is_outdated=bool(seen.testers) and not testers.is_as_set(api.settings, seen.testers),
        scale_down_delay=api.settings.scale_down_delay,
        seen=observation and observation.model_copy(update={"found_at": clock()}),
    )


async def _observed(api: ClusterApi, spec: CanarySpec, seen: Seen) -> Observation | None:
    """The canary as what was read tells of it; None where not all of it may be read: that is told later."""
    if (services := seen.listed.get("VirtualService")) is None:
        return None
    own = (spec.namespace, spec.service.name)
    named = (one for one in services if (one["metadata"]["namespace"], one["metadata"]["name"]) == own)
    try:
        return await observed(api, spec, Read(seen.target, seen.primary, next(named, None)))
    except ApiError:
        return None


async def _see(api: ClusterApi, lists: SharedLists, spec: CanarySpec) -> Seen:
    target, primary, service = await asyncio.gather(
        api.find(paths.one(spec.target.kind, spec.namespace, spec.target.name)),
        api.find(paths.one(spec.target.kind, spec.namespace, spec.primary)),
        api.find(paths.one("Service", spec.namespace, spec.service.name)),
    )
    places = _places(api.settings.root_namespace, spec)
    found = await asyncio.gather(
        *(_optional_list(api, lists, paths.collection(kind, there)) for kind, there in places)
    )
    tester = private(spec)
    listed: dict[str, list[Object]] = {}
    hidden: list[str] = []
    for (kind, there), items in zip(places, found, strict=True):
        if items is not None:
            listed.setdefault(kind, []).extend(items)
        else:
            hidden.append(kind if there in (None, spec.namespace) else f"{kind} of namespace {there}")
    if "NetworkPolicy" in hidden:  # that of one namespace may be had where all may not
        own = await _optional_list(api, lists, paths.collection("NetworkPolicy", spec.namespace))
        if own is not None:
            listed["NetworkPolicy"] = own
            hidden[hidden.index("NetworkPolicy")] = "NetworkPolicy of other namespaces"
    labels: dict[str, str] = {}
    if any(map(policies.names_namespaces, listed.get("NetworkPolicy", []))):
        own_labels = await _labels_of(api, lists, spec.namespace)
        if own_labels is None:
            hidden.append(f"Namespace {spec.namespace}")
        # The label that Kubernetes gives it is known without asking.
        labels = {**(own_labels or {}), "kubernetes.io/metadata.name": spec.namespace}
    return Seen(
        target=target,
        primary=primary,
        service=service,
        testers={} if tester is None else await testers.find(api, tester),
        listed=listed,
        hidden=hidden,
        namespace=labels,
    )


def _places(root: str, spec: CanarySpec) -> list[tuple[str, str | None]]:
    """Which kinds are listed in which namespace."""
    # Another VirtualService for the same host, or whoever lets our pods in, may be in any namespace.
    anywhere = ("VirtualService", "NetworkPolicy")
    own: list[tuple[str, str | None]] = [
        *((kind, None) for kind in anywhere),
        *((kind, spec.namespace) for kind in LISTED if kind not in anywhere),
    ]
    return own if root == spec.namespace else [*own, *((kind, root) for kind in policies.MESH_WIDE)]


async def _labels_of(api: ClusterApi, lists: SharedLists, namespace: str) -> dict[str, str] | None:
    """The labels of a namespace; None where it may not be looked at."""
    path = paths.namespace_path(namespace)

    async def read() -> list[Object]:
        return [await api.get(path)]

    found = await lists.read((api.name, path), partial(_allowed, read))
    return None if found is None else dict(found[0]["metadata"].get("labels") or {}) if found else {}


async def _optional_list(api: ClusterApi, lists: SharedLists, path: str) -> list[Object] | None:
    """The items of a kind that a cluster may not know; None where they may not be looked at."""

    async def read() -> list[Object]:
        items: list[Object] = (await api.list(path))["items"]
        return items

    return await lists.read((api.name, path), partial(_allowed, read))


async def _allowed(read: Callable[[], Awaitable[list[Object]]]) -> list[Object] | None:
    """Read objects: none where there is no such thing, None where they may not be looked at."""
    try:
        return await read()
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return []
        if error.status == HTTPStatus.FORBIDDEN:
            return None
        raise
