"""What lists and the Temporal UI show of a workflow: memo row, search attributes, current details."""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from canary.analysis import CheckRecord
from canary.spec import CanarySpec
from canary.status import CanaryStatus, ListRow, RolloutStatus
from workflows.contract import APPLICATION, CLUSTER, NAMESPACE, PHASE, REVISION, ROW, TARGET, WEIGHT


def identity(spec: CanarySpec) -> TypedSearchAttributes:
    """The search attributes that never change, given at a workflow's start."""
    pairs = [
        SearchAttributePair(CLUSTER, spec.cluster),
        SearchAttributePair(NAMESPACE, spec.namespace),
        SearchAttributePair(TARGET, spec.target.name),
    ]
    if spec.application:
        pairs.append(SearchAttributePair(APPLICATION, spec.application))
    return TypedSearchAttributes(pairs)


def rollout_row(spec: CanarySpec, status: RolloutStatus) -> ListRow:
    """The list row of a rollout."""
    return ListRow(
        application=spec.application,
        cluster=spec.cluster,
        namespace=spec.namespace,
        name=spec.name,
        phase=status.phase,
        weight=status.canary_weight,
        traffic_weight=status.traffic_weight,
        iterations=status.iterations,
        failed_checks=status.failed_checks,
        waiting_for=status.waiting_for or "",
        revision=status.revision.template,
        message=status.message,
        needs_person=status.needs_person,
        last_transition_time=status.last_transition_time,
    )


def canary_row(spec: CanarySpec, status: CanaryStatus) -> ListRow:
    """The list row of a canary."""
    return ListRow(
        application=spec.application,
        cluster=spec.cluster,
        namespace=spec.namespace,
        name=spec.name,
        phase=status.phase,
        weight=status.canary_weight,
        traffic_weight=status.traffic_weight,
        iterations=status.iterations,
        failed_checks=status.failed_checks,
        revision=status.last_applied.template if status.last_applied else "",
        message=status.message,
        needs_person=status.needs_person,
        last_transition_time=status.last_transition_time,
    )


def show_rollout(
    spec: CanarySpec, status: RolloutStatus, before: RolloutStatus | None, checks: Sequence[CheckRecord]
) -> None:
    """Write a rollout's row and attributes where something shows that did not before."""
    workflow.set_current_details(_details(spec, status, checks))
    _upsert(rollout_row(spec, status), rollout_row(spec, before) if before else None)


def show_canary(spec: CanarySpec, status: CanaryStatus, before: CanaryStatus | None) -> None:
    """Write a canary's row and attributes where something shows that did not before."""
    workflow.set_current_details(f"**{status.phase}** {status.message}")
    _upsert(canary_row(spec, status), canary_row(spec, before) if before else None)


def _upsert(row: ListRow, before: ListRow | None) -> None:
    """Write what differs: each of the two is an event of the history."""
    if before is None or _without_message(row) != _without_message(before):
        workflow.upsert_memo({ROW: row.model_dump(mode="json")})
    if before is None or _searched(row) != _searched(before):
        workflow.upsert_search_attributes(
            [
                PHASE.value_set(row.phase),
                WEIGHT.value_set(row.traffic_weight),
                REVISION.value_set(row.revision),
            ]
        )


def _without_message(row: ListRow) -> ListRow:
    """A message alone is no transition: it stands in the current details."""
    return row.model_copy(update={"message": ""})


def _searched(row: ListRow) -> tuple[str, int, str]:
    return row.phase, row.traffic_weight, row.revision


def _details(spec: CanarySpec, status: RolloutStatus, checks: Sequence[CheckRecord]) -> str:
    head = (
        f"**{status.phase}** of `{spec.target.name}` in `{spec.namespace}` of `{spec.cluster}`: "
        f"{status.traffic_weight} % of the traffic on the canary, "
        f"{status.failed_checks} of {spec.analysis.threshold} failed checks"
    )
    lines = [head, "", status.message]
    for check in checks[-5:]:
        values = ", ".join(
            f"{one.metric} {'no data' if one.value is None else f'{one.value:.2f}'}"
            for one in check.measurements
        )
        lines.append(
            f"- {check.at:%H:%M:%S} at {check.weight} %: "
            f"{check.verdict.result} {values} {check.verdict.message}"
        )
    return "\n".join(lines)
