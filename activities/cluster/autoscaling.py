"""Finding the HorizontalPodAutoscaler of a target."""

from activities.cluster import paths
from activities.cluster.api import ClusterApi, Object
from canary.spec import CanarySpec


async def find_autoscaler(api: ClusterApi, spec: CanarySpec) -> Object | None:
    """The autoscaler the document names, else the one whose `scaleTargetRef` is the target."""
    collection = paths.collection("HorizontalPodAutoscaler", spec.namespace)
    if spec.autoscaler:
        return await api.find(f"{collection}/{spec.autoscaler}")
    wanted = (str(spec.target.kind), spec.target.name)
    items: list[Object] = (await api.list(collection))["items"]
    for item in items:
        reference = item["spec"].get("scaleTargetRef") or {}
        if (reference.get("kind"), reference.get("name")) == wanted:
            return item
    return None
