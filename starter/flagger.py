"""A canary as Flagger's Canary: its words for what it knows, and ours beside them in the status."""

from canary.affinity import canary_cookie, primary_cookie
from canary.documents.rendering import canary_body
from canary.documents.schema import Structure
from canary.spec import CanarySpec
from canary.status import CanaryStatus, ListRow, Outcome, Person, Revision, RolloutStatus
from canary.status import Condition as KeptCondition
from starter.listing import Listed
from starter.objects import Metadata, Moment, Part, Workflow, workflow_of
from workflows.contract import CanaryView


class Condition(Part):
    """One of Flagger's conditions; there is only `Promoted`."""

    type: str
    status: str
    last_update_time: Moment
    last_transition_time: Moment
    reason: str
    message: str


class FlaggerStatus(Part):
    """The status that Flagger writes (v1beta1 `CanaryStatus`); it leaves the same fields out."""

    phase: str
    failed_checks: int
    canary_weight: int
    iterations: int
    previous_session_affinity_cookie: str | None = None
    session_affinity_cookie: str | None = None
    primary_session_affinity_cookie: str | None = None
    tracked_configs: dict[str, str] | None = None
    last_applied_spec: str | None = None
    last_promoted_spec: str | None = None
    last_transition_time: Moment | None = None
    conditions: tuple[Condition, ...] | None = None


class By(Part):
    """Who took a hand, why and when."""

    who: str
    reason: str | None = None
    at: Moment | None = None


class Status(FlaggerStatus):
    """Flagger's status and, from here on, what is ours."""

    cluster_name: str
    application: str | None = None
    traffic_weight: int
    restarts: int | None = None
    checks: int | None = None
    started_at: Moment | None = None
    due: Moment | None = None
    waiting_for: str | None = None
    approved: tuple[str, ...] | None = None
    is_mirrored: bool | None = None
    is_retreated: bool | None = None
    has_newer_revision: bool | None = None
    needs_person: bool | None = None
    outcome: str | None = None
    message: str | None = None
    by: By | None = None
    is_resting: bool | None = None
    workflow: Workflow | None = None


class Canary(Part):
    """Flagger's Canary."""

    api_version: str = "flagger.app/v1beta1"
    kind: str = "Canary"
    metadata: Metadata
    spec: Structure | None = None
    status: Status


def canary_of(view: CanaryView) -> Canary:
    """Show a canary as its workflows answer."""
    metadata = Metadata(name=view.spec.name, namespace=view.spec.namespace)
    return Canary(metadata=metadata, spec=canary_body(view.spec), status=status_of(view))


def status_of(view: CanaryView) -> Status:
    """Say how a canary stands: in the words of its rollout while one runs, in its own otherwise."""
    return _at_rest(view.spec, view.status) if view.rollout is None else _rolling(view.spec, view.rollout)


def canary_of_item(item: Listed) -> Canary:
    """Show what a list knows of a canary or rollout."""
    return canary_of_row(item.row, outcome=item.outcome or None, workflow=workflow_of(item))


def canary_of_row(row: ListRow, **own: object) -> Canary:
    """Show what a row holds of a canary or rollout, with fields of our own that are known beside it."""
    metadata = Metadata(name=row.name, namespace=row.namespace)
    return Canary(metadata=metadata, status=status_of_row(row).model_copy(update=own))


def status_of_row(row: ListRow) -> Status:
    """Say what a row holds of how a canary or rollout stands."""
    return Status(
        phase=row.phase,
        failed_checks=row.failed_checks,
        canary_weight=row.weight,
        iterations=row.iterations,
        last_applied_spec=row.revision or None,
        last_transition_time=row.last_transition_time,
        cluster_name=row.cluster,
        application=row.application,
        traffic_weight=row.traffic_weight,
        waiting_for=row.waiting_for or None,
        needs_person=row.needs_person or None,
        message=row.message or None,
    )


def _at_rest(spec: CanarySpec, status: CanaryStatus) -> Status:
    shown = _shown(spec, status, status.last_applied, status.last_promoted)
    forgotten = _cookie(spec, status.expired_cookie)
    return shown.model_copy(update={"previous_session_affinity_cookie": forgotten})


def _rolling(spec: CanarySpec, status: RolloutStatus) -> Status:
    promoted = status.revision if status.outcome is Outcome.PROMOTED else status.promoted
    applied = status.promoted if status.outcome is Outcome.REVERTED else status.revision
    facts = {
        "checks": status.checks,
        "started_at": status.started_at,
        "due": status.due,
        "waiting_for": status.waiting_for,
        "approved": status.approved or None,
        "is_mirrored": status.is_mirrored or None,
        "is_retreated": status.is_retreated or None,
        "has_newer_revision": status.next_revision or None,
    }
    return _shown(spec, status, applied, promoted).model_copy(update={**facts, **_cookies(spec, status)})


def _shown(
    spec: CanarySpec,
    status: CanaryStatus | RolloutStatus,
    applied: Revision | None,
    promoted: Revision | None,
) -> Status:
    """What a canary and its rollout know under the same names."""
    return Status(
        phase=status.phase,
        failed_checks=status.failed_checks,
        canary_weight=status.canary_weight,
        iterations=status.iterations,
        tracked_configs=applied.configs if applied else None,
        last_applied_spec=applied.template if applied else None,
        last_promoted_spec=promoted.template if promoted else None,
        last_transition_time=status.last_transition_time,
        conditions=(_condition(status.condition),) if status.condition else None,
        cluster_name=spec.cluster,
        application=spec.application,
        traffic_weight=status.traffic_weight,
        restarts=status.restarts,
        needs_person=status.needs_person or None,
        outcome=status.outcome,
        message=status.message or None,
        by=_by(status.by),
    )


def _cookies(spec: CanarySpec, status: RolloutStatus) -> dict[str, str | None]:
    """The cookies in the routes: both sides' with the canary exposed, else the one to be forgotten."""
    if status.traffic_weight == 0:
        return {"previous_session_affinity_cookie": _cookie(spec, status.expired_cookie)}
    affinity = spec.analysis.session_affinity
    value = primary_cookie(spec, status)
    return {
        "session_affinity_cookie": _cookie(spec, canary_cookie(spec, status)),
        "primary_session_affinity_cookie": f"{affinity.primary_cookie_name}={value}"
        if affinity and value
        else None,
    }


def _cookie(spec: CanarySpec, value: str) -> str | None:
    affinity = spec.analysis.session_affinity
    return f"{affinity.cookie_name}={value}" if affinity and value else None


def _condition(kept: KeptCondition) -> Condition:
    return Condition.model_validate(kept.model_dump())


def _by(person: Person | None) -> By | None:
    return By(who=person.who, reason=person.reason or None, at=person.at) if person else None
