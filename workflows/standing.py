"""How an Application stands: what its workflow carries, answers and shows."""

from datetime import datetime

from temporalio import workflow

from canary.application import ApplicationSpec
from canary.delivery import ApplicationPhase, Delivery, Leftover, phase_of, summary_of
from canary.status import ListRow
from canary.stored import Stored
from workflows.contract import PHASE, REVISION, ROW, Answer, ApplicationStatus, ClusterProgress, canary_id


class ApplicationState(Stored):
    """What an Application's workflow carries through continue-as-new."""

    spec: ApplicationSpec
    deliveries: tuple[Delivery, ...] = ()
    revision: str = ""
    source_message: str = ""
    last_fetched: datetime | None = None
    left: tuple[Leftover, ...] = ()
    """What could not be taken back."""
    row: ListRow | None = None
    """As it was last shown."""

    @property
    def summary(self) -> str:
        """One sentence on all of it."""
        return summary_of(self.deliveries, self.revision, self.source_message)


def farewell_of(state: ApplicationState, who: str) -> Answer:
    """Answer the deletion of an Application."""
    kept = state.spec.left_behind
    if not state.left:
        return Answer(message=f"{who} deleted{kept}")
    said = " ".join(f"{left.policy} in {left.cluster}: {left.message}" for left in state.left)
    return Answer(message=f"{who} deleted{kept}, but not all that it brought. {said}", is_done=False)


def status_of(state: ApplicationState) -> ApplicationStatus:
    """Answer the `status` query."""
    return ApplicationStatus(
        spec=state.spec,
        revision=state.revision,
        message=state.summary,
        source_message=state.source_message,
        last_fetched=state.last_fetched,
        progress=tuple(_progress(delivery, state.revision) for delivery in state.deliveries),
    )


def show(state: ApplicationState, now: datetime, *, is_leaving: bool) -> ApplicationState:
    """Write the list row, the search attributes and the current details where something has changed."""
    row = _row(state, now, is_leaving=is_leaving)
    workflow.set_current_details(_details(state, row))
    if row == state.row:
        return state
    workflow.upsert_memo({ROW: row.model_dump(mode="json")})
    workflow.upsert_search_attributes([PHASE.value_set(row.phase), REVISION.value_set(row.revision)])
    return state.model_copy(update={"row": row})


def _row(state: ApplicationState, now: datetime, *, is_leaving: bool) -> ListRow:
    phase = phase_of(state.deliveries, state.revision, state.source_message)
    row = ListRow(
        application=f"{state.spec.namespace}/{state.spec.name}",
        cluster="",
        namespace=state.spec.namespace,
        name=state.spec.name,
        phase=ApplicationPhase.TERMINATING if is_leaving else phase,
        revision=state.revision,
        message=state.summary,
    )
    shown = state.row
    is_transition = shown is None or (shown.phase, shown.revision) != (row.phase, row.revision)
    since = now if is_transition or shown is None else shown.last_transition_time
    return row.model_copy(update={"last_transition_time": since})


def _progress(delivery: Delivery, revision: str) -> ClusterProgress:
    is_ready = delivery.is_current(revision)
    return ClusterProgress(
        name=delivery.key,
        policy=delivery.policy.name,
        cluster=delivery.cluster.name,
        last_applied_revision=delivery.applied_revision,
        last_attempted_revision=delivery.attempted_revision,
        message=delivery.message or (f"Applied revision: {delivery.applied_revision}" if is_ready else ""),
        is_ready=is_ready,
        has_failed=delivery.failures > 0,
        inventory=delivery.inventory,
        canary=canary_id(delivery.canary.tail) if delivery.canary else "",
    )


def _details(state: ApplicationState, row: ListRow) -> str:
    lines = [f"**{row.phase}** {row.revision}", "", row.message, ""]
    for delivery in state.deliveries:
        progress = _progress(delivery, state.revision)
        mark = "ready" if progress.is_ready else "not ready"
        lines.append(f"- {progress.name}: {mark}, {progress.message or 'waiting'}")
    return "\n".join(lines)
