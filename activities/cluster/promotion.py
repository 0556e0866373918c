"""Whether what a target says is what all users get."""

import asyncio

from activities.cluster import configs, forwarding, marks, paths
from activities.cluster.api import ClusterApi
from activities.cluster.observation import revision_of
from canary.spec import CanarySpec, WorkloadKind


async def is_promoted(api: ClusterApi, spec: CanarySpec) -> bool:
    """Whether the primary was promoted to what the target runs, and that has come to its end."""
    kind = spec.target.kind
    target, primary = await asyncio.gather(
        api.find(paths.one(kind, spec.namespace, spec.target.name)),
        api.find(paths.one(kind, spec.namespace, spec.primary)),
    )
    if target is None or primary is None:
        return False
    tracked = {}
    if kind is WorkloadKind.SERVICE:
        target = forwarding.as_workload(spec, target)
    else:
        template = (target.get("spec") or {}).get("template") or {}
        tracked = await configs.read_configs(api, spec.namespace, template)
    notes = marks.notes(primary)
    revision = revision_of(target, configs.hashes(tracked))
    return not notes.get(marks.PROMOTING) and marks.read_promoted(primary["metadata"]) == revision
