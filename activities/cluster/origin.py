"""What a primary is made from: the target as it stands, or the record of the last promotion."""

from collections.abc import Mapping
from dataclasses import dataclass

from temporalio.exceptions import ApplicationError

from activities.cluster import configs, copies, forwarding, paths, records
from activities.cluster.api import ClusterApi, Object
from activities.cluster.copies import Copies
from activities.cluster.observation import revision_of
from canary.spec import CanarySpec, WorkloadKind
from canary.status import Revision


@dataclass(frozen=True)
class Origin:
    """A workload with its template, its configs, and the copies that the primary has of those."""

    workload: Object
    revision: Revision
    copies: Copies
    sources: Mapping[str, Object | None]
    """The configs as the target uses them; of a record, none."""
    size: int
    is_recorded: bool

    def template_of_primary(self) -> Object:
        """The pod template with the names of the primary's copies."""
        return configs.with_names(self.workload["spec"]["template"], copies.names(self.copies))

    def refuse_incomplete(self, spec: CanarySpec) -> None:
        """Let no primary be made whose pods could not start, or to which no route could lead.

        Raises:
            ApplicationError: a config is not there that its pods cannot do without, or a Service has not, or
                no more, the port that the routes lead to.
        """
        if spec.target.kind is WorkloadKind.SERVICE:
            forwarding.refuse_without_port(spec, self.workload)
        if missing := configs.lacking(self.workload["spec"]["template"], self.sources):
            name = self.workload["metadata"]["name"]
            text = (
                f"{name} refers to {', '.join(missing)}, which is not there: create it, or mark it optional."
            )
            raise ApplicationError(text, type="NotFound", non_retryable=True)


async def from_target(api: ClusterApi, spec: CanarySpec) -> Origin:
    """Read what the target is now."""
    found = await api.get(paths.one(str(spec.target.kind), spec.namespace, spec.target.name))
    target = forwarding.as_workload(spec, found)
    tracked = await configs.read_configs(api, spec.namespace, target["spec"]["template"])
    there = [key for key, config in tracked.items() if config is not None]
    return Origin(
        workload=target,
        revision=revision_of(target, configs.hashes(tracked)),
        copies=await copies.find_copies(api, spec, there),
        sources=tracked,
        size=max(int(target["spec"].get("replicas", 1)), 1),
        is_recorded=False,
    )


async def from_record(api: ClusterApi, spec: CanarySpec, record: records.Record) -> Origin:
    """Take what was promoted last."""
    there = [key for key, hash_ in record.revision.configs.items() if hash_ != configs.MISSING]
    return Origin(
        workload=record.workload,
        revision=record.revision,
        copies=await copies.find_copies(api, spec, there),
        sources={},
        size=record.size,
        is_recorded=True,
    )
