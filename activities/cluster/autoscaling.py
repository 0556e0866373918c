"""The HorizontalPodAutoscalers of a target and of its primary."""

from dataclasses import dataclass

from activities.cluster import marks, paths, workloads
from activities.cluster.api import ClusterApi, Object
from canary.spec import CanarySpec, WorkloadKind

KIND = "HorizontalPodAutoscaler"


async def find_autoscaler(api: ClusterApi, spec: CanarySpec) -> Object | None:
    """The autoscaler the document names, else the one whose `scaleTargetRef` is the target."""
    return _of_target(spec, await _list(api, spec))


@dataclass(frozen=True)
class Twin:
    """The primary's autoscaler, as it was written."""

    raised_to: int
    """So many pods it keeps, where that is more than it would have to."""


async def copy_autoscaler(api: ClusterApi, spec: CanarySpec, *, at_least: int = 0) -> Twin | None:
    """Give the primary the autoscaler its target has; None where there is none.

    It keeps *at_least* so many pods, as far as it may: while the canary has traffic a primary has less to do,
    and is made smaller than it must be to have all of it back.
    """
    if spec.target.kind is not WorkloadKind.DEPLOYMENT:
        return None
    items = await _list(api, spec)
    found = _of_target(spec, items)
    if found is None:
        return None
    body = workloads.autoscaler(spec, found)
    smallest = int(body["spec"].get("minReplicas", 1))
    wanted = min(at_least, int(body["spec"]["maxReplicas"]))
    raised_to = wanted if wanted > smallest else 0
    if raised_to:
        body["spec"]["minReplicas"] = raised_to
    name = body["metadata"]["name"]
    live = next((item for item in items if item["metadata"]["name"] == name), None)
    if live is not None:
        marks.refuse_foreign(spec, KIND, live)
        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    await api.apply(paths.one(KIND, spec.namespace, name), body, force=True)
    return Twin(raised_to)


async def _list(api: ClusterApi, spec: CanarySpec) -> list[Object]:
    items: list[Object] = (await api.list(paths.collection(KIND, spec.namespace)))["items"]
    return items


def _of_target(spec: CanarySpec, items: list[Object]) -> Object | None:
    wanted = (str(spec.target.kind), spec.target.name)
    for item in items:
        if spec.autoscaler and item["metadata"]["name"] == spec.autoscaler:
            return item
        reference = item.get("spec", {}).get("scaleTargetRef") or {}
        if not spec.autoscaler and (reference.get("kind"), reference.get("name")) == wanted:
            return item
    return None
