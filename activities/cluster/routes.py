"""The VirtualService of a canary, as Flagger generates it (dossier §3), without I/O."""

from typing import Any

from activities.cluster import marks
from activities.cluster.api import ROLLOUT_MANAGER, Object
from canary.observation import Routes
from canary.spec import CanarySpec, Weight
from canary.steps import FULL


def virtual_service(spec: CanarySpec, weight: Weight) -> Object:
    """The VirtualService of a canary, with *weight* for the canary."""
    body = marks.metadata(spec, spec.service.name)
    body["metadata"]["annotations"] = dict(marks.TOOLKIT)
    body["spec"] = virtual_service_spec(spec, weight)
    return {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", **body}


def virtual_service_spec(spec: CanarySpec, weight: Weight) -> Object:
    """The spec of the VirtualService: hosts with the apex, gateways or the mesh, and our route."""
    hosts = list(spec.service.hosts)
    if spec.service.name not in hosts and "*" not in hosts:
        hosts.append(spec.service.name)
    return {
        "hosts": hosts,
        "gateways": list(spec.service.gateways) or ["mesh"],
        "http": [_route(spec, weight)],
    }


def _route(spec: CanarySpec, weight: Weight) -> Object:
    options = {
        "match": list(spec.service.match),
        "rewrite": spec.service.rewrite,
        "timeout": spec.service.timeout,
        "retries": spec.service.retries,
        "headers": spec.service.headers,
        "corsPolicy": spec.service.cors_policy,
    }
    return {
        **{key: value for key, value in options.items() if value},
        "route": [
            {"destination": {"host": spec.service.primary}, "weight": FULL - weight},
            {"destination": {"host": spec.service.canary}, "weight": weight},
        ],
    }


def weights(spec: CanarySpec, found: Object) -> tuple[Weight, Weight] | None:
    """Primary's and canary's weight in the first route that is ours; None if none is."""
    for route in found.get("spec", {}).get("http") or []:
        if _is_ours(spec, route):
            parts = {part["destination"]["host"]: part.get("weight", FULL) for part in route["route"]}
            return parts.get(spec.service.primary, 0), parts.get(spec.service.canary, 0)
    return None


def our_routes(spec: CanarySpec, weight: Weight) -> list[Object]:
    """The routes of a VirtualService that holds nothing but ours."""
    return [_route(spec, weight)]


def with_weight(spec: CanarySpec, found: Object, weight: Weight) -> list[Object]:
    """The routes of a live VirtualService with ours set to *weight*; foreign ones stay where they are."""
    routes = found["spec"].get("http") or []
    ours = [index for index, route in enumerate(routes) if _is_ours(spec, route)]
    if not ours:
        return [_route(spec, weight), *routes]
    return [_route(spec, weight) if index == ours[0] else route for index, route in enumerate(routes)]


def is_all_ours(spec: CanarySpec, found: Object) -> bool:
    """Whether a VirtualService holds our one route and nothing else that could be lost."""
    routes = found["spec"].get("http") or []
    return len(routes) == 1 and _is_ours(spec, routes[0])


def _is_ours(spec: CanarySpec, route: dict[str, Any]) -> bool:
    hosts = {part.get("destination", {}).get("host") for part in route.get("route") or []}
    return bool(hosts) and hosts <= {spec.service.primary, spec.service.canary}


def read_routes(spec: CanarySpec, virtual_service: Object) -> Routes | None:
    """Read the weights of our route; None where there is no route of ours any more."""
    shares = weights(spec, virtual_service)
    if shares is None:
        return None
    metadata = virtual_service["metadata"]
    return Routes(
        primary=shares[0],
        canary=shares[1],
        decided_at=marks.read_stamp(metadata),
        manager=_last_foreign_manager(metadata),
        version=metadata["resourceVersion"] if is_all_ours(spec, virtual_service) else "",
    )


def _last_foreign_manager(metadata: dict[str, Any]) -> str:
    entries = [
        entry
        for entry in metadata.get("managedFields") or []
        if entry.get("manager") != ROLLOUT_MANAGER and "f:spec" in (entry.get("fieldsV1") or {})
    ]
    return max(entries, key=lambda entry: entry.get("time", ""))["manager"] if entries else ""
