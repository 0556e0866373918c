"""What is said while no rollout runs, word for word."""

from typing import Any

import pytest

from canary.idle import Mend, Recreate, Rest, decide_idle, noticed_idle
from canary.observation import Observation, Routes
from canary.spec import CanarySpec
from canary.status import CanaryStatus, Phase, Wishes
from tests.canary.rollouts import NEW, NEWER, NOW, a_primary, a_spec, a_workload

RESTING = CanaryStatus(phase=Phase.SUCCEEDED, last_applied=NEW, last_promoted=NEW, ending="Promoted")


def seen(**changes: Any) -> Observation:
    """A canary that stands as it should."""
    whole = {"target": a_workload(), "primary": a_primary(), "routes": Routes(primary=100, canary=0)}
    return Observation(at=NOW, **{**whole, **changes})


@pytest.mark.parametrize(
    ("spec", "look", "expected"),
    [
        pytest.param(a_spec(), seen(), Rest(message="Promoted"), id="how the last rollout ended"),
        pytest.param(
            a_spec(), seen(target=None), Rest(message="Deployment podinfo is not there"), id="no target"
        ),
        pytest.param(
            a_spec(suspend=True),
            seen(),
            Rest(message="Suspended: a new revision starts nothing"),
            id="suspended",
        ),
        pytest.param(
            a_spec(suspend=True),
            seen(routes=Routes(primary=90, canary=10, manager="kubectl")),
            Rest(message="kubectl gave the canary weight 10 while no rollout runs", needs_person=True),
            id="suspended, and a weight that somebody gave",
        ),
        pytest.param(
            a_spec(),
            seen(routes=Routes(primary=99, canary=1)),
            Rest(message="someone gave the canary weight 1 while no rollout runs", needs_person=True),
            id="the smallest weight that somebody gave",
        ),
        pytest.param(
            a_spec(),
            seen(routes=Routes(primary=90, canary=10, manager="kubectl")),
            Rest(message="kubectl gave the canary weight 10 while no rollout runs", needs_person=True),
            id="a weight that is signed",
        ),
        pytest.param(
            a_spec(),
            seen(primary=None),
            Recreate(message="podinfo-primary.test is gone: it is made anew from what was promoted last"),
            id="no primary",
        ),
        pytest.param(
            a_spec(),
            seen(routes=None),
            Mend(message="someone took the routes away while no rollout runs: they are put back"),
            id="no routes",
        ),
        pytest.param(
            a_spec(),
            seen(routes=Routes(primary=100, canary=0, is_intact=False, manager="argocd")),
            Mend(message="argocd changed the routes while no rollout runs: they are put back"),
            id="changed routes",
        ),
    ],
)
def test_says(spec: CanarySpec, look: Observation, expected: object) -> None:
    assert decide_idle(spec, RESTING, look, Wishes()) == expected


@pytest.mark.parametrize(("desired", "is_asked"), [(1, True), (0, False)])
def test_asks_for_the_pods_that_a_rollout_has_kept_until_they_are_gone(
    desired: int, *, is_asked: bool
) -> None:
    status = RESTING.model_copy(update={"are_pods_kept": True})
    look = seen(target=a_workload(desired=desired))

    assert decide_idle(a_spec(), status, look, Wishes()) == Rest(message="Promoted", needs_person=is_asked)


def test_pods_of_a_canary_that_nobody_was_asked_about_are_no_matter() -> None:
    assert decide_idle(a_spec(), RESTING, seen(), Wishes()) == Rest(message="Promoted")


def test_an_object_made_anew_is_not_taken_for_the_one_before() -> None:
    known = RESTING.model_copy(update={"generation": 7, "uid": "first"})
    anew = seen(target=a_workload(revision=NEWER, generation=7, uid="second"))
    rehashed = seen(target=a_workload(revision=NEWER, generation=7, uid="first"))
    first_seen = noticed_idle(RESTING, seen(target=a_workload(generation=7, uid="first")))

    assert noticed_idle(known, anew) == known
    assert noticed_idle(known, rehashed).last_applied == NEWER
    assert (first_seen.generation, first_seen.uid) == (7, "first")


def test_notices_a_new_generation_of_the_same_revision() -> None:
    status = noticed_idle(RESTING, seen(target=a_workload(generation=7)))

    assert status == RESTING.model_copy(update={"generation": 7, "uid": a_workload().uid})
