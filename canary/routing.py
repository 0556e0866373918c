"""How requests are shared between primary and canary: what is wanted of the VirtualService."""

from canary.affinity import canary_cookie, primary_cookie
from canary.spec import CanarySpec, Weight
from canary.status import RolloutStatus
from canary.stored import Stored


class Routing(Stored):
    """What the routes shall say; everything else about them follows from the spec."""

    weight: Weight = 0
    """The canary's share, of the requests that the analysis' `match` lets it have."""
    is_mirrored: bool = False
    """The canary gets a copy of the primary's requests; its answers go nowhere."""
    is_for_all: bool = False
    """The analysis' `match` does not limit it: the canary serves everybody, for the primary cannot."""
    cookie: str = ""
    """The value of the canary's session cookie in this run; empty without session affinity."""
    primary_cookie: str = ""
    expired_cookie: str = ""
    """The canary's cookie of the run that has ended: browsers that still send it are told to forget it."""


def routing_of(
    spec: CanarySpec,
    status: RolloutStatus,
    weight: Weight,
    *,
    is_mirrored: bool = False,
    is_for_all: bool = False,
) -> Routing:
    """What the routes of a rollout shall say when the canary has *weight*."""
    cookie = canary_cookie(spec, status)
    if weight == 0:
        expired = cookie if cookie and status.traffic_weight else status.expired_cookie
        return Routing(is_mirrored=is_mirrored, expired_cookie=expired)
    return Routing(
        weight=weight, is_for_all=is_for_all, cookie=cookie, primary_cookie=primary_cookie(spec, status)
    )
