"""What the routes of a rollout say, whole, and the cookies of a session in them."""

import pytest

from canary.routing import Routing, routing_of
from canary.spec import CanarySpec, SessionAffinity, StepPlan
from canary.status import RolloutStatus
from tests.canary.rollouts import a_spec, a_status, at_weight

STICKY = a_spec(session_affinity=SessionAffinity(cookie_name="c", primary_cookie_name="p"))
ONE = SessionAffinity(cookie_name="c")
ONE_COOKIE = a_spec(session_affinity=ONE)
COUNTED = a_spec(iterations=5, session_affinity=ONE)
# The same on every replay of a history that was recorded long ago.
CANARY_COOKIE, PRIMARY_COOKIE = "SfzvdtbPgY", "VfSKLrMJVU"


@pytest.mark.parametrize(
    ("spec", "status", "weight", "expected"),
    [
        pytest.param(a_spec(), at_weight(10), 20, Routing(weight=20), id="a weight"),
        pytest.param(a_spec(), at_weight(10), 0, Routing(), id="no weight"),
        pytest.param(
            STICKY,
            at_weight(10),
            20,
            Routing(weight=20, cookie=CANARY_COOKIE, primary_cookie=PRIMARY_COOKIE),
            id="a cookie for either side",
        ),
        pytest.param(
            ONE_COOKIE,
            at_weight(10),
            20,
            Routing(weight=20, cookie=CANARY_COOKIE),
            id="the primary's cookie is made only where it has a name",
        ),
        pytest.param(
            STICKY,
            at_weight(10, expired_cookie="before"),
            0,
            Routing(expired_cookie=CANARY_COOKIE),
            id="a canary that loses its traffic loses its cookie",
        ),
        pytest.param(
            STICKY,
            a_status(expired_cookie="before"),
            0,
            Routing(expired_cookie="before"),
            id="a canary without traffic leaves the cookie of the run before to be forgotten",
        ),
        pytest.param(
            COUNTED,
            at_weight(10, expired_cookie="before"),
            100,
            Routing(weight=100),
            id="iterations bind nobody: all who may get the canary get it",
        ),
        pytest.param(
            COUNTED,
            at_weight(100, expired_cookie="before"),
            0,
            Routing(expired_cookie="before"),
            id="nor does their end take back what they did not give",
        ),
        pytest.param(
            a_spec(iterations=5, session_affinity=ONE, steps=StepPlan(step_weight_promotion=50)),
            at_weight(100),
            50,
            Routing(weight=50, cookie=CANARY_COOKIE),
            id="a way back in steps parts the users again",
        ),
    ],
)
def test_the_routes_say(spec: CanarySpec, status: RolloutStatus, weight: int, expected: Routing) -> None:
    assert routing_of(spec, status, weight) == expected


def test_a_mirror_has_no_weight() -> None:
    assert routing_of(a_spec(), a_status(), 0, is_mirrored=True) == Routing(is_mirrored=True)


def test_a_canary_may_serve_those_outside_its_match() -> None:
    assert routing_of(a_spec(), at_weight(10), 100, is_for_all=True) == Routing(weight=100, is_for_all=True)
