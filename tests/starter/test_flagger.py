"""A canary as Flagger's object: Flagger's fields as it was recorded to write them, and ours beside them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from canary.conditions import promoted
from canary.spec import CanarySpec, HookType, SessionAffinity
from canary.status import CanaryStatus, Outcome, Person, Phase, Revision
from starter.flagger import FlaggerStatus, canary_of, canary_of_item, status_of
from starter.listing import Listed
from starter.objects import plain
from tests.starter.conftest import NOW, row_of, spec_of
from tests.starter.conftest import status_of as rollout_of
from workflows.contract import CanaryView

RECORDED = Path(__file__).parents[1] / "recorded" / "flagger"
AT_REST = (Phase.INITIALIZING, Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED, Phase.TERMINATING)
STAMP = "2026-01-02T03:04:05Z"
AFFINITY = SessionAffinity(cookie_name="flagger-cookie", primary_cookie_name="primary-cookie")
OLD = Revision(template="abc", configs={"configmap/colour": "241889ca06"})
NEW = Revision(template="def", configs={"configmap/colour": "b1c0d2a81c", "secret/key": "3930f0692c"})


def recorded() -> Iterator[Any]:
    for name in ("canary", "affinity", "rollback", "ab", "revert-on-deletion"):
        lines = map(json.loads, (RECORDED / f"{name}.jsonl").read_text().splitlines())
        for line in lines:
            if line["what"] == "status":
                yield pytest.param(name == "affinity", line, id=f"{name} {line['t']} {line['phase']}")


def with_cookies() -> CanarySpec:
    spec = spec_of()
    analysis = spec.analysis.model_copy(update={"session_affinity": AFFINITY})
    return spec.model_copy(update={"analysis": analysis})


def view_of(spec: CanarySpec, line: dict[str, Any]) -> CanaryView:
    """Our models with the values that a recorded status has."""
    phase = Phase(line["phase"])
    applied = last_promoted = None
    if "lastAppliedSpec" in line:
        applied = Revision(template=line["lastAppliedSpec"], configs=line["trackedConfigs"])
        last_promoted = applied.model_copy(update={"template": line["lastPromotedSpec"]})
    values = {
        "phase": phase,
        "canary_weight": line["canaryWeight"],
        "traffic_weight": line["canaryWeight"],
        "failed_checks": line["failedChecks"],
        "iterations": line["iterations"],
        "expired_cookie": "x" * 10 if "previousSessionAffinityCookie" in line else "",
        "condition": promoted(phase, spec.target.kind, None, NOW),
        "last_transition_time": NOW,
    }
    resting = CanaryStatus(last_applied=applied, last_promoted=last_promoted).model_copy(update=values)
    if phase in AT_REST:
        return CanaryView(spec=spec, status=resting)
    rollout = rollout_of(revision=applied, promoted=last_promoted, **values)
    return CanaryView(spec=spec, status=CanaryStatus(), rollout=rollout)


@pytest.mark.parametrize(("has_cookies", "line"), [*recorded()])
def test_the_status_has_the_fields_that_flagger_writes(*, has_cookies: bool, line: dict[str, Any]) -> None:
    wanted = {key: value for key, value in line.items() if key not in ("t", "what")}
    wanted |= {"lastTransitionTime": STAMP}
    wanted["conditions"] = [
        {**each, "lastTransitionTime": STAMP, "lastUpdateTime": STAMP} for each in line["conditions"]
    ]
    if not line["canaryWeight"]:  # our cookie of the primary is one run's: no route sets it any more
        wanted.pop("primarySessionAffinityCookie", None)
    if line["phase"] == Phase.TERMINATING:  # Flagger says there that it begins an initialization
        wanted["conditions"][0]["message"] = "Bringing the Deployment back as it was."

    spec = with_cookies() if has_cookies else spec_of()
    flaggers = {field.alias for field in FlaggerStatus.model_fields.values()}
    shown = {key: value for key, value in plain(status_of(view_of(spec, line))).items() if key in flaggers}

    assert {key: named(value) for key, value in shown.items()} == {
        key: named(value) for key, value in wanted.items()
    }


def named(value: Any) -> Any:
    """A cookie without its value, which is random in Flagger."""
    return value.partition("=")[0] if isinstance(value, str) and "cookie=" in value else value


def test_a_running_rollout_speaks_for_its_canary() -> None:
    rollout = rollout_of(
        revision=NEW,
        promoted=OLD,
        failed_checks=1,
        checks=3,
        restarts=1,
        waiting_for=HookType.CONFIRM_PROMOTION,
        approved=(HookType.CONFIRM_ROLLOUT,),
        is_mirrored=True,
        is_retreated=True,
        next_revision=True,
        needs_person=True,
        message="Halted.",
        by=Person(who="ada", at=NOW),
    )
    view = CanaryView(spec=spec_of(), status=CanaryStatus(phase=Phase.PROGRESSING), rollout=rollout)

    assert plain(canary_of(view)) == {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "backend", "namespace": "webapp"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"},
            "service": {"name": "backend", "port": 9898},
            "analysis": {
                "interval": "60s",
                "threshold": 2,
                "metrics": [
                    {"name": "request-success-rate", "interval": "60s", "thresholdRange": {"min": 99}}
                ],
            },
            "progressDeadlineSeconds": 600,
            "revertOnDeletion": True,
        },
        "status": {
            "phase": "Progressing",
            "failedChecks": 1,
            "canaryWeight": 10,
            "iterations": 0,
            "trackedConfigs": {"configmap/colour": "b1c0d2a81c", "secret/key": "3930f0692c"},
            "lastAppliedSpec": "def",
            "lastPromotedSpec": "abc",
            "lastTransitionTime": STAMP,
            "clusterName": "one",
            "trafficWeight": 10,
            "restarts": 1,
            "checks": 3,
            "startedAt": STAMP,
            "due": STAMP,
            "waitingFor": "confirm-promotion",
            "approved": ["confirm-rollout"],
            "isMirrored": True,
            "isRetreated": True,
            "hasNewerRevision": True,
            "needsPerson": True,
            "message": "Halted.",
            "by": {"who": "ada", "at": STAMP},
        },
    }


def test_a_canary_at_rest_says_how_its_last_rollout_ended_and_by_whom() -> None:
    status = CanaryStatus(
        phase=Phase.FAILED,
        failed_checks=1,
        last_applied=NEW,
        last_promoted=OLD,
        outcome=Outcome.ABORTED,
        by=Person(who="ada", reason="looks bad", at=NOW),
        restarts=2,
    )
    spec = spec_of().model_copy(update={"application": "default/shop"})

    assert plain(status_of(CanaryView(spec=spec, status=status))) == {
        "phase": "Failed",
        "failedChecks": 1,
        "canaryWeight": 0,
        "iterations": 0,
        "trackedConfigs": NEW.configs,
        "lastAppliedSpec": "def",
        "lastPromotedSpec": "abc",
        "clusterName": "one",
        "application": "default/shop",
        "trafficWeight": 0,
        "restarts": 2,
        "outcome": "Aborted",
        "by": {"who": "ada", "reason": "looks bad", "at": STAMP},
    }


def test_a_workload_without_configs_tracks_none() -> None:
    """As Flagger, whose recorded status of such a workload (in Kurator's documentation) says `{}`."""
    status = CanaryStatus(last_applied=Revision(template="abc"))

    assert plain(status_of(CanaryView(spec=spec_of(), status=status)))["trackedConfigs"] == {}


@pytest.mark.parametrize(
    ("outcome", "applied", "last_promoted"),
    [
        pytest.param(Outcome.PROMOTED, "def", "def", id="promoted"),
        pytest.param(Outcome.REVERTED, "abc", "abc", id="back at the promoted revision"),
        pytest.param(Outcome.ROLLED_BACK, "def", "abc", id="rolled back"),
    ],
)
def test_a_rollout_that_has_just_ended_names_what_runs(
    outcome: Outcome, applied: str, last_promoted: str
) -> None:
    rollout = rollout_of(revision=NEW, promoted=OLD, outcome=outcome)

    status = status_of(CanaryView(spec=spec_of(), status=CanaryStatus(), rollout=rollout))

    assert (status.last_applied_spec, status.last_promoted_spec) == (applied, last_promoted)


def test_cookies_are_those_that_the_routes_know() -> None:
    spec = with_cookies()
    exposed = rollout_of(expired_cookie="before")
    retreated = rollout_of(expired_cookie="before", traffic_weight=0)

    first, second = (
        status_of(CanaryView(spec=spec, status=CanaryStatus(), rollout=each)) for each in (exposed, retreated)
    )

    assert first.session_affinity_cookie is not None
    assert first.session_affinity_cookie.startswith("flagger-cookie=")
    assert first.previous_session_affinity_cookie is None
    assert second.session_affinity_cookie is None
    assert second.previous_session_affinity_cookie == "flagger-cookie=before"


def test_a_row_gives_what_it_holds() -> None:
    row = row_of(
        spec_of(),
        Phase.WAITING_PROMOTION,
        application="default/shop",
        weight=20,
        traffic_weight=20,
        iterations=1,
        failed_checks=1,
        waiting_for="confirm-promotion",
        revision="def",
        message="Halted.",
        needs_person=True,
    )
    done = WorkflowExecutionStatus.FAILED
    item = Listed("rollout/x", "run", done, NOW, NOW + timedelta(seconds=1), row, outcome="Aborted")

    assert plain(canary_of_item(item)) == {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "backend", "namespace": "webapp"},
        "status": {
            "phase": "WaitingPromotion",
            "failedChecks": 1,
            "canaryWeight": 20,
            "iterations": 1,
            "lastAppliedSpec": "def",
            "lastTransitionTime": STAMP,
            "clusterName": "one",
            "application": "default/shop",
            "trafficWeight": 20,
            "waitingFor": "confirm-promotion",
            "needsPerson": True,
            "outcome": "Aborted",
            "message": "Halted.",
            "workflow": {
                "id": "rollout/x",
                "runId": "run",
                "started": STAMP,
                "closed": "2026-01-02T03:04:06Z",
            },
        },
    }
