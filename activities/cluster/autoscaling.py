"""The HorizontalPodAutoscalers of a target and of its primary."""

from activities.cluster import marks, paths, workloads
from activities.cluster.api import ClusterApi, Object
from canary.spec import CanarySpec, WorkloadKind

KIND = "HorizontalPodAutoscaler"


async def find_autoscaler(api: ClusterApi, spec: CanarySpec) -> Object | None:
    """The autoscaler the document names, else the one whose `scaleTargetRef` is the target."""
    return _of_target(spec, await _list(api, spec))


async def copy_autoscaler(api: ClusterApi, spec: CanarySpec) -> Object | None:
    """Give the primary the autoscaler its target has; returns it, or None where there is none."""
    if spec.target.kind is not WorkloadKind.DEPLOYMENT:
        return None
    items = await _list(api, spec)
    found = _of_target(spec, items)
    if found is None:
        return None
    body = workloads.autoscaler(spec, found)
    name = body["metadata"]["name"]
    live = next((item for item in items if item["metadata"]["name"] == name), None)
    if live is not None:
        marks.refuse_foreign(spec, KIND, live)
        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    return await api.apply(paths.one(KIND, spec.namespace, name), body, force=True)


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
