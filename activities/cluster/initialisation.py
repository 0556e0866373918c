"""The objects around a primary: Services, DestinationRules, VirtualService, and a load tester."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import adoption, foreign, marks, paths, routes, services, testers, virtualservice
from activities.cluster.api import ClusterApi, Object
from activities.cluster.clusters import Clusters
from activities.cluster.daemons import addresses
from activities.cluster.guard import guarded
from activities.cluster.observation import Read, observed, read_workload
from activities.cluster.sidecars import refuse_unmeshed
from activities.moment import temporals_clock
from canary.observation import Observation
from canary.readiness import judge_readiness
from canary.routing import Routing
from canary.spec import CanarySpec, WorkloadKind
from canary.status import Revision
from canary.steps import FULL
from canary.stored import Stored

ENDPOINTS_POLL = timedelta(milliseconds=200)
ENDPOINTS_LOOKS = 10
"""Before an attempt ends: what it wrote need not be written again for each look."""
GATHERED = timedelta(seconds=10)
"""So long istiod gathers changes at most before it tells proxies of them (`PILOT_DEBOUNCE_MAX`)."""
SECOND = timedelta(seconds=1)
"""The fraction that the time of an object lacks."""


class EstablishRequest(Stored):
    """The canary whose routes shall be there, and what they shall say where none do yet.

    The weights that stand stay as they are: somebody's, while no rollout runs (T2).
    """

    spec: CanarySpec
    routing: Routing = Routing()


class LeadRequest(Stored):
    """The canary whose users shall be led to its first primary, and what that was made from."""

    spec: CanarySpec
    routing: Routing = Routing()
    made_from: Revision


class Led(Stored):
    """What was seen of a canary, and whether its users have been led to its primary."""

    seen: Observation
    is_done: bool = False


class InitialisationActivities:
    """Puts a canary's Services and routes in place."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def deploy_load_tester(self, spec: CanarySpec) -> None:
        """Deploy the workload's own load tester, over nobody else's object."""
        await testers.deploy_private(await self._clusters.get(spec.cluster), spec)

    @activity.defn
    @guarded
    async def establish_routes(self, request: EstablishRequest) -> None:
        """Services and DestinationRules, endpoints seen, VirtualService, and last the apex selector.

        Safe to repeat: an existing VirtualService or apex Service is adopted once, its original kept.
        """
        api = await self._clusters.get(request.spec.cluster)
        scene = _scene(request.spec, await _read(api, request.spec))
        await _establish(api, scene, _wanted(request, scene.virtual_service))

    @activity.defn
    @guarded
    async def lead_to_primary(self, request: LeadRequest) -> Led:
        """Look, and if the primary is ready and the target what that was made from, establish the routes.

        Its pods are in the mesh before. Safe to repeat.
        """
        spec = request.spec
        clock = temporals_clock()
        api = await self._clusters.get(spec.cluster)
        found = await _read(api, spec)
        seen = await observed(api, spec, Read(found.target, found.primary, found.virtual_service))
        is_done = (
            seen.target is not None and seen.target.revision == request.made_from and _is_ready(spec, seen)
        )
        if is_done:
            scene = _scene(spec, found)
            if not scene.has_routes and spec.target.kind is not WorkloadKind.SERVICE:
                await refuse_unmeshed(api, scene.primary)
            await _establish(api, scene, request.routing)
        return Led(seen=seen.model_copy(update={"found_at": clock()}), is_done=is_done)

    @activity.defn
    @guarded
    async def lead_services(self, spec: CanarySpec) -> tuple[str, ...]:
        """Bring back Services that are gone or that somebody led elsewhere; says of each what was mended.

        A manifest of the apex that is applied once more leads it to the target, whose pods nobody has judged.
        Where the primary does not serve, whoever led one elsewhere may have helped the users: it is let be.
        """
        if spec.target.kind is WorkloadKind.SERVICE:
            return ()
        api = await self._clusters.get(spec.cluster)
        scene = _scene(spec, await _read(api, spec))
        if mended := tuple(_mendings(scene)):
            await asyncio.gather(*_sides(api, scene))
            await _apex(api, scene)
        return mended


@dataclass(frozen=True)
class _Found:
    """The objects of a canary as they stand; None for one that is not there."""

    target: Object | None
    primary: Object | None
    apex: Object | None
    canary_side: Object | None
    primary_side: Object | None
    virtual_service: Object | None


@dataclass(frozen=True)
class _Scene:
    """What stands in the cluster before anything is written."""

    spec: CanarySpec
    """The document, with the target port of the live Service where it names none."""
    target: Object
    primary: Object
    fronts: services.Fronts
    apex: Object | None
    virtual_service: Object | None
    sides: tuple[Object | None, ...]
    """The live Services of canary and primary."""

    @property
    def has_routes(self) -> bool:
        """Whether routes that we have written lead users already, be they made by us or adopted."""
        return self.virtual_service is not None and routes.are_standing(self.virtual_service)

    def has_news(self, since: datetime) -> bool:
        """Whether users are about to be led to Services that proxies can only have heard of *since* then.

        An attempt before this one may have made them, and died.
        """
        return not self.has_routes and any(side is None or _made_at(side) >= since for side in self.sides)


def _made_at(found: Object) -> datetime:
    """When an object was made, cut to the second."""
    return datetime.fromisoformat(found["metadata"]["creationTimestamp"])


async def _read(api: ClusterApi, spec: CanarySpec) -> _Found:
    """Read what is there."""
    kind, names = spec.target.kind, spec.service
    wanted = (
        (kind, spec.target.name),
        (kind, spec.primary),
        ("Service", names.name),
        ("Service", names.canary),
        ("Service", names.primary),
        ("VirtualService", names.name),
    )
    return _Found(
        *await asyncio.gather(*(api.find(paths.one(kind, spec.namespace, name)) for kind, name in wanted))
    )


def _scene(spec: CanarySpec, found: _Found) -> _Scene:
    """Refuse what others own, and a workload that is not there, before anything is written."""
    target = _there(spec, spec.target.name, found.target)
    primary = _there(spec, spec.primary, found.primary)
    fronts = services.fronts(spec, target, primary)
    for one in (found.apex, found.virtual_service):
        adoption.refuse_foreign(spec, one)
    adoption.refuse_podless(spec, found.apex)
    for front, one in ((fronts.canary, found.canary_side), (fronts.primary, found.primary_side)):
        adoption.refuse_other(spec, front.selector, one)
    return _Scene(
        spec=services.with_target_port(spec, found.apex),
        target=target,
        primary=primary,
        fronts=fronts,
        apex=found.apex,
        virtual_service=found.virtual_service,
        sides=(found.canary_side, found.primary_side),
    )


def _there(spec: CanarySpec, name: str, found: Object | None) -> Object:
    if found is None:
        text = f"{spec.target.kind} {name} in namespace {spec.namespace} is gone."
        raise ApplicationError(text, type="NotFound", non_retryable=True)
    return found


def _is_ready(spec: CanarySpec, seen: Observation) -> bool:
    """Whether exposure may grow on the primary; without a deadline that depends on no moment."""
    threshold = spec.analysis.primary_ready_threshold
    return judge_readiness(seen.primary, threshold, spec.progress_deadline, None, seen.at).is_ready


async def _establish(api: ClusterApi, scene: _Scene, routing: Routing) -> None:
    """Write everything in the order in which nobody meets anything that is not there yet."""
    await _take_over_rules(api, scene)
    # Routes that name no port would find none any more on sides that get more than one.
    is_first = scene.has_routes and virtualservice.names_port(scene.spec)
    if is_first:
        await _virtual_service(api, scene, routing)
    await asyncio.gather(*_sides(api, scene))
    hearing = min(api.settings.scale_down_delay, GATHERED)
    if scene.has_news(activity.info().started_time - hearing - SECOND):
        # Told of a Service and of routes to it at once, a proxy follows the routes before it has asked for
        # the Service's addresses, and answers 503 for that long.
        await asyncio.sleep(hearing.total_seconds())
    await wait_for_endpoints(api, scene.spec, scene.spec.service.primary)
    if not is_first:
        await _virtual_service(api, scene, routing)
    await _apex(api, scene)


def _mendings(scene: _Scene) -> Iterator[str]:
    """Say of each Service that does not lead where it should what is to be done about it."""
    fronts = (scene.fronts.apex, scene.fronts.canary, scene.fronts.primary)
    for front, live in zip(fronts, (scene.apex, *scene.sides), strict=True):
        name = f"Service {front.name}.{scene.spec.namespace}"
        if live is None:
            yield f"{name} was gone: it is there again"
        elif live["spec"].get("selector") != front.selector:
            if not read_workload(scene.spec.target.kind, scene.primary).is_serving:
                return
            who = services.last_led_by(live) or "someone"
            yield f"{who} led {name} elsewhere: it leads where it did again"


async def _take_over_rules(api: ClusterApi, scene: _Scene) -> None:
    """Refuse DestinationRules of the sides' names that are somebody else's; what Flagger left is ours."""
    rules = [
        services.destination_rule(scene.spec, front.name)
        for front in (scene.fronts.canary, scene.fronts.primary)
    ]
    found = await asyncio.gather(
        *(
            api.find(paths.one("DestinationRule", scene.spec.namespace, rule["metadata"]["name"]))
            for rule in rules
        )
    )
    for rule, live in zip(rules, found, strict=True):
        adoption.refuse_told(foreign.about_rule(scene.spec, live, rule))
    for rule, live in zip(rules, found, strict=True):
        if live is not None and not marks.is_ours(scene.spec, live["metadata"]):
            # What Flagger set would stay: the document says all that there shall be.
            path = paths.one("DestinationRule", scene.spec.namespace, rule["metadata"]["name"])
            left = dict.fromkeys(live["spec"].keys() - rule["spec"].keys())
            version = live["metadata"]["resourceVersion"]
            await api.patch(path, {"metadata": {"resourceVersion": version}, "spec": left})


def _sides(api: ClusterApi, scene: _Scene) -> Iterator[Awaitable[Object]]:
    """Write the Services and DestinationRules of canary and primary."""
    spec = scene.spec
    ports = services.side_ports(spec, scene.target, scene.apex)
    for front, live in zip((scene.fronts.canary, scene.fronts.primary), scene.sides, strict=True):
        rule = services.destination_rule(spec, front.name)
        yield api.apply(paths.one("DestinationRule", spec.namespace, front.name), rule, force=True)
        if front.name == spec.primary and spec.target.kind is WorkloadKind.SERVICE:
            continue  # the primary itself
        body = services.service(spec, front, ports, live)
        yield api.apply(paths.one("Service", spec.namespace, front.name), body, force=True)


async def wait_for_endpoints(api: ClusterApi, spec: CanarySpec, service: str) -> None:
    """Wait until *service* has an address that answers, no traffic goes to it before; raises at length."""
    for _ in range(ENDPOINTS_LOOKS):
        endpoints = await api.find(paths.one("Endpoints", spec.namespace, service))
        if addresses(endpoints):
            return
        await asyncio.sleep(ENDPOINTS_POLL.total_seconds())
    text = f"Service {service}.{spec.namespace} has no ready endpoint yet."
    raise ApplicationError(text, type="NotReady", next_retry_delay=ENDPOINTS_POLL)


def _wanted(request: EstablishRequest, found: Object | None) -> Routing:
    """What the routes shall say, with the weights that stand where those make a whole."""
    standing = routes.read_routes(request.spec, found) if found else None
    if standing is None or standing.primary + standing.canary != FULL:
        return request.routing
    shares = {"weight": standing.canary, "is_for_all": standing.is_for_all}
    return request.routing.model_copy(update=shares)


async def _virtual_service(api: ClusterApi, scene: _Scene, routing: Routing) -> None:
    spec, found = scene.spec, scene.virtual_service
    labels = services.own_labels(spec, scene.target)
    made = {marks.GENERATED: routes.fingerprint(spec)}
    if found is None:
        body = virtualservice.virtual_service(spec, routing, labels)
        body["metadata"]["annotations"] |= made
        await api.create(paths.collection("VirtualService", spec.namespace), body)
        return
    own = virtualservice.own_metadata(spec, labels)
    before = routes.foreign_spec(spec, found)
    metadata = adoption.taken_over(
        spec, found, before, {"labels": own.labels, "annotations": own.annotations | made}
    )
    path = paths.one("VirtualService", spec.namespace, spec.service.name)
    await api.patch(path, {"metadata": metadata, "spec": routes.changes(spec, routing, found)})


async def _apex(api: ClusterApi, scene: _Scene) -> None:
    """Point the apex Service at the primary; every port it has stays."""
    spec, front, found = scene.spec, scene.fronts.apex, scene.apex
    if spec.target.kind is WorkloadKind.SERVICE:
        return  # the apex is the target
    path = paths.one("Service", spec.namespace, spec.service.name)
    if found is None or marks.is_ours(spec, found["metadata"]):
        ports = services.ports(spec, scene.target)
        await api.apply(path, services.service(spec, front, ports, found), force=True)
        return
    live = found["spec"]
    is_new = live.get("selector") != front.selector
    before = {"selector": live.get("selector"), "ports": live.get("ports")} if is_new else None
    own = {"annotations": marks.TOOLKIT}
    await api.patch(path, {"metadata": adoption.taken_over(spec, found, before, own)})
    wanted = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": spec.service.name, "namespace": spec.namespace},
        "spec": {
            "selector": front.selector,
            "ports": services.adopted_ports(spec, scene.target, found),
        },
    }
    await api.apply(path, wanted, force=True)
