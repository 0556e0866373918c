from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.application import ApplicationSpec, ClusterRef, GitSource, SyncPolicy
from canary.delivery import (
    FIRST_BACK_OFF,
    FIRST_PRUNING_AGAIN,
    GIVE_UP_AFTER,
    LONGEST_BACK_OFF,
    ApplicationPhase,
    Delivery,
    Leftover,
    concluded,
    next_due,
    next_to_serve,
    offered_again,
    phase_of,
    revised,
    siblings_of,
    still_left,
    summary_of,
)
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ONE, TWO = ClusterRef(name="one"), ClusterRef(name="two")
WEST = ClusterRef(name="west")


def canary(cluster: str, target: str = "backend") -> CanarySpec:
    return CanarySpec(
        cluster=cluster,
        namespace="webapp",
        name=target,
        target=TargetRef(name=target),
        service=ServiceSpec(name="backend", port=80),
        analysis=AnalysisSpec(),
    )


def policy(name: str = "web", *, target: str | None = None, **fields: Any) -> SyncPolicy:
    canaries = tuple(canary(cluster.name, target) for cluster in (ONE, TWO)) if target else ()
    return SyncPolicy(name=name, path="./web", canaries=canaries, **{"clusters": (ONE, TWO), **fields})


def spec(*policies: SyncPolicy) -> ApplicationSpec:
    source = GitSource(url="http://git/shop.git")
    return ApplicationSpec(namespace="team", name="shop", source=source, policies=policies)


def delivery(**fields: Any) -> Delivery:
    return revised((), spec(policy(target="backend")), NOW)[0].model_copy(update=fields)


DONE = delivery().succeeded("r1", NOW)


def test_a_spec_is_delivered_policy_by_policy_to_each_of_its_clusters() -> None:
    wanted = revised((), spec(policy(target="backend"), policy("extra", clusters=(TWO,))), NOW)

    assert [each.key for each in wanted] == ["web-one", "web-two", "extra-two"]


def test_a_delivery_knows_its_own_cluster_alone() -> None:
    second = revised((), spec(policy(target="backend")), NOW)[1]

    assert second.policy.clusters == (TWO,)
    assert second.wanted_canary == canary("two")


def test_deliveries_that_are_shown_alike_are_told_apart() -> None:
    alike = (policy("app", clusters=(ClusterRef(name="eu-west"),)), policy("app-eu", clusters=(WEST,)))

    first, second = revised((), spec(*alike), NOW)
    done = second.succeeded("r1", NOW)

    assert first.key == second.key
    assert concluded((first, second), second, done) == (first, done)
    assert revised((first, done), spec(alike[1]), NOW)[0] == done


def test_siblings_are_what_is_wanted_beside_it_in_its_cluster() -> None:
    both = spec(policy(), policy("extra", clusters=(ONE,)), policy("more", clusters=(TWO,)))
    web, _, extra, more = revised((), both, NOW)
    gone = delivery(policy=policy("gone"), retired_at=NOW)

    assert siblings_of(web, (web, extra, more, gone)) == (extra.policy,)


def test_of_a_sibling_it_is_not_told_how_its_canary_is_judged() -> None:
    judged = canary("one").model_copy(update={"analysis": AnalysisSpec(threshold=7)})
    site = delivery(policy=policy("site", clusters=(ONE,)).model_copy(update={"canaries": (judged,)}))

    (told,) = siblings_of(delivery(), (site,))

    assert told.canaries == (canary("one"),)


def test_an_unchanged_policy_keeps_its_state() -> None:
    kept = revised((DONE,), spec(policy(target="backend", clusters=(ONE,)), policy("extra")), LATER)

    assert kept[0] == DONE


def test_a_changed_policy_is_stale_and_tried_at_once() -> None:
    failed = DONE.failed("r2", "no", NOW)

    changed = revised((failed,), spec(policy(target="backend", clusters=(ONE,), prune=True)), LATER)[0]

    assert changed.is_stale
    assert changed.applied_revision == "r1"
    assert changed.is_due("r2", LATER)


def test_all_is_brought_again_at_once_where_nothing_changed() -> None:
    failed = DONE.failed("r1", "no", NOW)

    again = offered_again((DONE, failed))

    assert not DONE.is_due("r1", LATER)
    assert [(each.is_due("r1", NOW), each.failures) for each in again] == [(True, 0), (True, 0)]


@pytest.mark.proves("K3")
def test_what_is_gone_is_retired() -> None:
    """Kurator cleans up by the spec as it is by then, and forgets what was taken out of it.

    K3: Kurator's rollout_helper.go.
    """
    turned = revised((DONE,), spec(policy("extra", clusters=(ONE,))), LATER)

    assert [(each.key, each.retired_at) for each in turned] == [("extra-one", None), ("web-one", LATER)]
    assert turned[1].is_due("r1", LATER)
    assert turned[1].wanted_canary is None


def test_a_canary_that_is_too_many_goes_first() -> None:
    held = DONE.model_copy(update={"canary": canary("one")})

    turned = list(revised((held,), spec(policy("extra", clusters=(ONE,))), LATER))

    assert next_to_serve(turned, "r1", LATER) == turned[1]


def test_what_is_retired_waits_until_the_rest_is_current() -> None:
    extra, web = revised((DONE,), spec(policy("extra", clusters=(ONE,))), LATER)
    failed = extra.failed("r1", "no", LATER)

    assert next_to_serve([extra, web], "r1", LATER) == extra
    assert next_to_serve([failed, web], "r1", LATER) is None
    assert next_due([failed, web], "r1") == failed.due
    assert next_due([extra.succeeded("r1", LATER), web.failed("r1", "no", NOW)], "r1") == NOW + FIRST_BACK_OFF
    assert next_to_serve([extra.succeeded("r1", LATER), web], "r1", LATER) == web


def test_a_renamed_policy_keeps_its_canary() -> None:
    held = DONE.model_copy(update={"canary": canary("one")})

    site, web = revised((held,), spec(policy("site", target="backend", clusters=(ONE,))), LATER)

    assert (site.key, site.canary) == ("site-one", canary("one"))
    assert (web.key, web.canary) == ("web-one", None)
    assert not web.has_canary_too_many


def test_what_is_retired_is_taken_back_at_once_whatever_failed_before() -> None:
    failed = DONE.failed("r2", "no", NOW)

    (retired,) = revised((failed,), None, LATER)

    assert retired == failed.model_copy(
        update={"retired_at": LATER, "is_stale": True, "failures": 0, "due": LATER}
    )


def test_what_is_wanted_again_is_delivered_at_once_to_where_it_is_now() -> None:
    failed = revised((DONE,), None, NOW)[0].failed("r2", "no", NOW)
    moved = ONE.model_copy(update={"task_queue": "near"})

    (again,) = revised((failed,), spec(policy(target="backend", clusters=(moved,))), LATER)

    assert again.cluster == moved
    assert again == failed.model_copy(
        update={
            "policy": again.policy,
            "cluster": moved,
            "retired_at": None,
            "is_stale": True,
            "failures": 0,
            "due": None,
        }
    )


def test_the_time_of_retirement_is_the_first() -> None:
    retired = revised((DONE,), None, NOW)

    assert revised(retired, None, LATER) == retired


@pytest.mark.parametrize(
    ("given", "revision", "is_due"),
    [
        pytest.param(delivery(), "r1", True, id="new"),
        pytest.param(delivery(), "", False, id="no revision yet"),
        pytest.param(DONE, "r1", False, id="applied"),
        pytest.param(DONE, "r2", True, id="another revision"),
        pytest.param(delivery().failed("r1", "no", NOW), "r1", False, id="failed just now"),
        pytest.param(delivery().failed("r1", "no", NOW - FIRST_BACK_OFF), "r1", True, id="failed before"),
        pytest.param(delivery().failed("r1", "no", NOW), "r2", True, id="failed, another revision"),
        pytest.param(delivery(due=NOW), "r1", True, id="interval over"),
        pytest.param(revised((delivery(),), None, NOW)[0], "", True, id="retired before the first revision"),
        pytest.param(
            revised((DONE,), None, NOW)[0].failed("r1", "no", NOW), "r2", False, id="retired, failed"
        ),
    ],
)
def test_a_delivery_is_due(given: Delivery, revision: str, *, is_due: bool) -> None:
    assert given.is_due(revision, NOW) is is_due


def test_the_interval_begins_with_the_last_success() -> None:
    done = delivery(policy=policy(interval=timedelta(minutes=5))).succeeded("r1", NOW)

    assert done.due == NOW + timedelta(minutes=5)


def test_without_an_interval_only_a_revision_is_applied() -> None:
    assert DONE.due is None


def test_what_could_not_be_pruned_is_looked_at_again_less_and_less() -> None:
    waiting, pauses = delivery(), []
    for _ in range(6):
        waiting = waiting.brought("r1", is_waiting=True).succeeded("r1", NOW)
        pauses.append(waiting.due - NOW if waiting.due else None)

    assert pauses == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8, 10, 10)]
    assert waiting.is_current("r1")
    assert waiting.brought("r1", is_waiting=False).succeeded("r1", NOW).due is None


def test_what_is_taken_back_and_still_needed_is_looked_at_again_less_and_less() -> None:
    kept, pauses = revised((DONE,), None, NOW)[0], []
    for _ in range(6):
        kept = kept.kept("users need it", NOW)
        pauses.append(kept.due - NOW if kept.due else None)

    assert pauses == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8, 10, 10)]
    assert not kept.is_due("r1", NOW)
    assert kept.is_due("r1", NOW + timedelta(minutes=10))
    assert kept.message == "users need it"


def test_what_is_still_needed_is_looked_at_at_once_where_the_document_changes() -> None:
    kept = revised((DONE,), None, NOW)[0].kept("users need it", NOW)
    soon = NOW + timedelta(seconds=1)

    assert not kept.is_due("r1", soon)
    assert revised((kept,), None, soon)[0].is_due("r1", soon)


def test_what_is_taken_back_and_still_needed_has_an_answer_from_its_cluster() -> None:
    tried = delivery(failures=3, unanswered_since=NOW, waits=5)
    kept, retired = tried.kept("users need it", NOW), revised((tried,), None, NOW)[0]

    assert (kept.failures, kept.unanswered_since) == (0, None)
    assert (retired.failures, retired.waits) == (0, 0)
    assert retired.kept("users need it", NOW).due == NOW + FIRST_PRUNING_AGAIN


def test_a_new_revision_is_pruned_again_soon_and_never_later_than_its_interval() -> None:
    waiting = delivery(policy=policy(interval=timedelta(minutes=3)), waits=7, attempted_revision="r1")

    assert waiting.brought("r1", is_waiting=True).succeeded("r1", NOW).due == NOW + timedelta(minutes=3)
    assert waiting.brought("r2", is_waiting=True).succeeded("r2", NOW).due == NOW + FIRST_PRUNING_AGAIN


def test_failures_back_off_up_to_a_limit_and_a_success_ends_them() -> None:
    failing, pauses = delivery(), []
    for _ in range(12):
        failing = failing.failed("r1", "no", NOW)
        pauses.append(failing.due - NOW if failing.due else None)

    assert pauses[:3] == [FIRST_BACK_OFF, 2 * FIRST_BACK_OFF, 4 * FIRST_BACK_OFF]
    assert pauses[-1] == LONGEST_BACK_OFF
    assert failing.succeeded("r1", NOW).is_current("r1")


@pytest.mark.parametrize(
    ("target", "is_too_many"),
    [
        pytest.param("backend", False, id="wanted"),
        pytest.param("frontend", True, id="another target"),
        pytest.param(None, True, id="rollout taken out"),
    ],
)
def test_a_canary_is_too_many(target: str | None, *, is_too_many: bool) -> None:
    given = revised((DONE.model_copy(update={"canary": canary("one")}),), spec(policy(target=target)), NOW)[0]

    assert given.has_canary_too_many is is_too_many


def test_no_canary_is_never_too_many() -> None:
    assert not delivery(policy=policy()).has_canary_too_many


@pytest.mark.proves("K5")
def test_an_unreachable_cluster_is_given_up_after_a_while() -> None:
    """In Kurator one member that does not answer holds a deletion up for ever.

    K5: Kurator's controller.go.
    """
    first = LATER + GIVE_UP_AFTER
    retired = revised((DONE,), None, NOW)[0].tried_to_retire(first, is_answered=False)
    again = retired.tried_to_retire(first + GIVE_UP_AFTER, is_answered=False)

    assert not retired.is_given_up(first)
    assert not again.is_given_up(first + GIVE_UP_AFTER - timedelta(seconds=1))
    assert again.is_given_up(first + GIVE_UP_AFTER)
    assert not DONE.is_given_up(first + GIVE_UP_AFTER)


def test_a_cluster_that_answers_is_not_given_up() -> None:
    retired = revised((DONE,), None, NOW)[0].tried_to_retire(NOW, is_answered=False)
    answered = retired.tried_to_retire(NOW + GIVE_UP_AFTER, is_answered=True)

    assert not answered.is_given_up(NOW + GIVE_UP_AFTER)


def test_what_is_wanted_again_is_waited_for_anew() -> None:
    away = revised((DONE,), None, NOW)[0].tried_to_retire(NOW, is_answered=False)

    (again,) = revised((away,), spec(policy(target="backend", clusters=(ONE,))), LATER)

    assert again.unanswered_since is None


def test_what_is_left_is_remembered_until_it_is_wanted_again() -> None:
    old, new = (Leftover(policy=name, cluster="one", message="no answer") for name in ("web", "extra"))
    gone = delivery(retired_at=NOW)

    assert still_left((old,), (gone,), new) == (old, new)
    assert still_left((old, new), (delivery(),)) == (new,)
    assert still_left((new,), (), new) == (new,)


def test_an_outcome_stands_if_nothing_else_was_wanted_meanwhile() -> None:
    other = delivery(cluster=TWO)

    assert concluded((delivery(), other), delivery(), DONE) == (DONE, other)


def test_what_was_wanted_meanwhile_is_still_to_be_done() -> None:
    other = delivery(policy=policy(prune=True))

    (after,) = concluded((other,), delivery(), DONE)

    assert after.policy == other.policy
    assert after.applied_revision == "r1"
    assert after.is_due("r1", NOW)


def test_a_failure_counts_for_nothing_once_something_else_is_wanted() -> None:
    moved = ONE.model_copy(update={"task_queue": "near"})
    begun, wanted = delivery(), delivery(cluster=moved, due=LATER)
    failed = begun.failed("r1", "no", NOW)

    (after,) = concluded((wanted,), begun, failed)

    assert after == failed.model_copy(
        update={"cluster": moved, "is_stale": True, "failures": 0, "due": LATER}
    )


def test_a_failure_is_told() -> None:
    failed = delivery().failed("r1", "no", NOW)

    assert (failed.message, failed.attempted_revision) == ("no", "r1")


def test_what_is_wanted_again_after_it_was_taken_back_begins_anew() -> None:
    retired = revised((DONE,), None, NOW)[0]

    assert concluded((DONE,), retired, None) == (Delivery(policy=DONE.policy, cluster=ONE),)
    assert concluded((retired,), retired, None) == ()


def test_a_canary_started_while_its_policy_was_renamed_goes_with_the_name() -> None:
    begun = delivery()
    renamed = revised((begun,), spec(policy("site", target="backend", clusters=(ONE,))), LATER)

    site, web = concluded(renamed, begun, DONE.model_copy(update={"canary": canary("one")}))

    assert (site.key, site.canary) == ("site-one", canary("one"))
    assert (web.key, web.canary) == ("web-one", None)


def test_the_next_is_the_earliest_that_waits() -> None:
    assert next_due([DONE, delivery(due=LATER), delivery(due=NOW)], "r1") == NOW
    assert next_due([DONE], "r1") is None
    assert next_to_serve([DONE], "r1", NOW) is None


@pytest.mark.parametrize(
    ("deliveries", "revision", "source", "phase", "summary"),
    [
        pytest.param(
            (delivery(),), "", "", ApplicationPhase.PENDING, "Looking for the source.", id="no revision"
        ),
        pytest.param(
            (DONE, delivery()), "r1", "", ApplicationPhase.RUNNING, "Applied to 1 of 2.", id="one of two"
        ),
        pytest.param((DONE, DONE), "r1", "", ApplicationPhase.READY, "Applied to 2 of 2.", id="all"),
        pytest.param((DONE,), "r2", "", ApplicationPhase.RUNNING, "Applied to 0 of 1.", id="new revision"),
        pytest.param(
            (DONE, DONE.failed("r1", "It broke.", NOW)),
            "r1",
            "",
            ApplicationPhase.FAILED,
            "web-one: It broke.",
            id="failed",
        ),
        pytest.param((DONE,), "r1", "No answer.", ApplicationPhase.FAILED, "No answer.", id="source"),
    ],
)
def test_an_application_is_summed_up(
    deliveries: tuple[Delivery, ...], revision: str, source: str, phase: ApplicationPhase, summary: str
) -> None:
    assert phase_of(deliveries, revision, source) is phase
    assert summary_of(deliveries, revision, source) == summary
