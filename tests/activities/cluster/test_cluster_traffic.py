"""Fenced writes of the routes, against an API server."""

import asyncio
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import marks
from activities.cluster.adoption import original
from activities.cluster.errors import ApiError, ClusterUnreachableError
from activities.cluster.guard import CONFLICTS
from activities.cluster.initialisation import EstablishRequest, InitialisationActivities
from activities.cluster.routes import read_routes
from activities.cluster.traffic import Shifted, ShiftRequest, TrafficActivities, Written
from canary.observation import Routes
from canary.routing import Routing
from canary.spec import CanarySpec
from tests.activities.cluster.member import Member
from tests.activities.cluster.routed import at, furnish, held, spec, until, virtual_service, weights

Object = dict[str, Any]
FOREIGN: Object = {
    "match": [{"uri": {"prefix": "/static"}}],
    "route": [{"destination": {"host": "static"}, "weight": 100}],
}
PATCHES = {"method": "PATCH", "path": "virtualservices"}


def split(canary: int) -> list[tuple[str, int]]:
    return [("podinfo-primary", 100 - canary), ("podinfo-canary", canary)]


@pytest.fixture
async def cluster(member: Member) -> Member:
    """A member with routes for podinfo, all traffic on the primary."""
    await furnish(member)
    await member.run(InitialisationActivities(member).establish_routes, EstablishRequest(spec=spec()))
    return member


async def shift(
    cluster: Member,
    weight: int,
    seconds: float,
    *,
    document: CanarySpec | None = None,
    seen: Routes | None = None,
) -> Written:
    request = ShiftRequest(
        spec=document or spec(), routing=Routing(weight=weight), decided_at=at(seconds), seen=seen
    )
    shifted: Shifted = await cluster.run(TrafficActivities(cluster).shift_traffic, request)
    return shifted.written


async def live(cluster: Member) -> Object:
    return await cluster.read("VirtualService", "podinfo")


async def look(cluster: Member) -> Routes:
    seen = read_routes(spec(), await live(cluster))
    assert seen is not None
    return seen


def asked(cluster: Member, since: int) -> list[str]:
    return [entry["method"] for entry in cluster.asked(since)]


def number(cluster: Member) -> int:
    return max(int(entry["n"]) for entry in cluster.asked())


async def has_let_go(cluster: Member) -> bool:
    return not await held(cluster)


async def test_a_weight_is_written_with_the_moment_of_its_decision(cluster: Member) -> None:
    assert await shift(cluster, 10, 1) is Written.DONE
    seen = await look(cluster)

    assert (seen.primary, seen.canary, seen.decided_at, seen.is_intact) == (90, 10, at(1), True)


async def test_routes_that_still_stand_as_seen_are_written_unread(cluster: Member) -> None:
    seen, before = await look(cluster), number(cluster)
    await shift(cluster, 10, 1, seen=seen)

    assert asked(cluster, before) == ["PATCH"]
    assert weights(await live(cluster)) == [split(10)]


async def test_routes_that_somebody_wrote_meanwhile_are_read_first(cluster: Member) -> None:
    seen = await look(cluster)
    await cluster.change("VirtualService", "podinfo", {"spec": {"http": [FOREIGN]}})
    before = number(cluster)

    assert await shift(cluster, 10, 1, seen=seen) is Written.DONE
    assert asked(cluster, before) == ["PATCH", "GET", "PATCH"]
    assert weights(await live(cluster)) == [split(10), [("static", 100)]]


async def test_a_later_decision_is_not_undone(cluster: Member) -> None:
    await shift(cluster, 0, 5)
    seen = await look(cluster)

    assert await shift(cluster, 20, 4) is Written.SUPERSEDED
    assert await shift(cluster, 20, 4, seen=seen) is Written.SUPERSEDED
    assert weights(await live(cluster)) == [split(0)]


@pytest.mark.parametrize("fence", ["", "soon", "2999-01-01T00:00:00", None])
async def test_a_fence_that_somebody_made_unreadable_stops_nobody(cluster: Member, fence: str | None) -> None:
    await cluster.change(
        "VirtualService", "podinfo", {"metadata": {"annotations": {marks.DECIDED_AT: fence}}}
    )

    assert await shift(cluster, 20, 1) is Written.DONE
    assert (await look(cluster)).decided_at == at(1)


async def test_a_write_that_hangs_and_arrives_after_an_abort_changes_nothing(cluster: Member) -> None:
    await cluster.fault({**PATCHES, "do": "hang", "times": 1})
    hanging = asyncio.ensure_future(shift(cluster, 20, 1, seen=await look(cluster)))
    await until(lambda: held(cluster))
    await shift(cluster, 0, 2)
    await cluster.fault()

    assert await hanging is Written.SUPERSEDED
    assert weights(await live(cluster)) == [split(0)]


async def test_a_write_whose_client_has_gone_arrives_after_an_abort_in_vain(cluster: Member) -> None:
    await cluster.fault({**PATCHES, "do": "hang", "times": 1})
    cancelled = asyncio.ensure_future(shift(cluster, 20, 1, seen=await look(cluster)))
    await until(lambda: held(cluster))
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await shift(cluster, 0, 2)
    await cluster.fault()
    await until(lambda: has_let_go(cluster))

    assert weights(await live(cluster)) == [split(0)]


async def test_of_several_decisions_at_once_the_latest_stands(cluster: Member) -> None:
    seen = await look(cluster)
    moments = (3, 1, 4, 2)
    answers = await asyncio.gather(
        *(shift(cluster, moment * 10, moment, seen=seen if moment % 2 else None) for moment in moments)
    )

    assert answers[2] is Written.DONE
    assert (await look(cluster)).canary == 40


async def test_a_conflict_is_tried_again_on_the_newest(cluster: Member) -> None:
    await cluster.fault({**PATCHES, "do": "status", "status": 409, "times": CONFLICTS - 1})

    assert await shift(cluster, 10, 1) is Written.DONE
    assert weights(await live(cluster)) == [split(10)]


async def test_an_object_that_changes_all_the_time_is_named(cluster: Member) -> None:
    await cluster.fault({**PATCHES, "do": "status", "status": 409})

    with pytest.raises(ApplicationError, match="VirtualService podinfo in namespace default") as caught:
        await shift(cluster, 10, 1)
    assert not caught.value.non_retryable


async def test_a_virtual_service_that_was_deleted_comes_back_as_wanted(cluster: Member) -> None:
    before = await live(cluster)
    seen = await look(cluster)
    await cluster.delete("VirtualService", "podinfo")

    assert await shift(cluster, 30, 3, seen=seen) is Written.DONE
    after = await live(cluster)
    assert weights(after) == [split(30)]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["metadata"]["annotations"] == {
        **before["metadata"]["annotations"],
        marks.DECIDED_AT: marks.stamp(at(3)),
    }
    assert await shift(cluster, 20, 2) is Written.SUPERSEDED


async def test_one_that_comes_back_meanwhile_is_written(cluster: Member) -> None:
    await cluster.delete("VirtualService", "podinfo")
    await cluster.fault(
        {"method": "POST", "path": "virtualservices", "do": "status", "status": 409, "times": 1}
    )

    assert await shift(cluster, 30, 3) is Written.DONE
    assert weights(await live(cluster)) == [split(30)]


async def test_one_that_its_owner_makes_anew_is_adopted_again(cluster: Member) -> None:
    await cluster.delete("VirtualService", "podinfo")
    own = virtual_service({"route": [{"destination": {"host": "podinfo"}}]}, FOREIGN)
    await cluster.add(own)
    await shift(cluster, 30, 3)
    await shift(cluster, 40, 4)
    after = await live(cluster)

    assert weights(after) == [split(40), [("static", 100)]]
    kept = original(after)
    assert kept is not None
    assert kept["spec"] == own["spec"]


@pytest.mark.proves("T2")
async def test_drift_is_put_right_and_the_weight_stays(cluster: Member) -> None:
    """Flagger puts drift right as well, and the weights back to 100/0 with it (T2: Flagger's istio.go)."""
    document = spec({"timeout": "5s", "hosts": ("a.example.com",)})
    await shift(cluster, 20, 1, document=document)
    http = (await live(cluster))["spec"]["http"]
    http[0]["timeout"] = "1s"
    await cluster.change(
        "VirtualService", "podinfo", {"spec": {"http": http, "hosts": ["b"], "exportTo": ["."]}}
    )
    await shift(cluster, 20, 2, document=document)
    after = (await live(cluster))["spec"]

    assert (after["http"][0]["timeout"], after["hosts"]) == ("5s", ["a.example.com", "podinfo"])
    assert after["exportTo"] == ["."]
    assert weights({"spec": after}) == [split(20)]


@pytest.mark.proves("C40")
async def test_foreign_routes_labels_and_annotations_are_left_alone(cluster: Member) -> None:
    """What others write on a VirtualService stays, and resets no weight as it does in Flagger.

    C40: Flagger's istio.go.
    """
    http = [FOREIGN, *(await live(cluster))["spec"]["http"]]
    own = {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    await cluster.change("VirtualService", "podinfo", {"metadata": own, "spec": {"http": http}})
    await shift(cluster, 20, 1)
    after = await live(cluster)

    assert after["spec"]["http"][0] == FOREIGN
    assert weights(after)[1:] == [split(20)]
    assert after["metadata"]["labels"]["team"] == "a"
    assert after["metadata"]["annotations"]["note"] == "b"


async def test_whoever_wrote_the_routes_last_is_named(cluster: Member) -> None:
    http = (await live(cluster))["spec"]["http"]
    await cluster.change("VirtualService", "podinfo", {"spec": {"http": [FOREIGN, *http]}})
    theirs = await look(cluster)
    await shift(cluster, 20, 1)

    assert (theirs.manager, theirs.version) == ("sandbox", "")
    assert (await look(cluster)).manager == ""


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"http": None}, id="no http"),
        pytest.param({"http": []}, id="empty http"),
        pytest.param({"http": [{"match": [{"uri": {"prefix": "/"}}]}]}, id="route without destination"),
        pytest.param({"http": [{"route": [{"destination": {"host": "podinfo-canary"}}]}]}, id="no weight"),
        pytest.param({"hosts": None, "gateways": None}, id="no hosts"),
    ],
)
async def test_odd_contents_are_written_over_without_an_error(cluster: Member, odd: Object) -> None:
    await cluster.change("VirtualService", "podinfo", {"spec": odd})

    assert await shift(cluster, 20, 1) is Written.DONE
    assert split(20) in weights(await live(cluster))
    assert (await look(cluster)).is_intact


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 403), ("PATCH", 403), ("PATCH", 422), ("POST", 403), ("POST", 404)]
)
async def test_a_refusal_is_permanent_and_names_the_object(cluster: Member, method: str, status: int) -> None:
    if method == "POST":
        await cluster.delete("VirtualService", "podinfo")
    await cluster.fault({"method": method, "path": "virtualservices", "do": "status", "status": status})

    with pytest.raises(ApplicationError, match=r"(?i)virtualservices?[/ ]podinfo") as caught:
        await shift(cluster, 20, 1)
    assert caught.value.non_retryable
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_left_to_be_tried_again(cluster: Member, status: int) -> None:
    await cluster.fault({**PATCHES, "do": "status", "status": status})

    with pytest.raises(ApiError) as caught:
        await shift(cluster, 20, 1)
    assert not caught.value.is_permanent


async def test_an_api_server_that_is_away_is_left_to_be_tried_again(cluster: Member) -> None:
    await cluster.server.stop()

    with pytest.raises(ClusterUnreachableError):
        await shift(cluster, 20, 1)


@pytest.mark.parametrize(
    ("weight", "tried", "begun", "written"),
    [
        pytest.param(40, 2, 13, Written.OUTDATED, id="more for the canary"),
        pytest.param(40, 2, 11, Written.DONE, id="in time"),
        pytest.param(20, 2, 13, Written.OUTDATED, id="the same"),
        pytest.param(0, 2, 3602, Written.OUTDATED, id="back to the primary"),
        pytest.param(0, 2, 11, Written.DONE, id="back to the primary, in time"),
        pytest.param(0, 46, 47, Written.DONE, id="back to the primary, and refused for a while"),
        pytest.param(0, 4, 3602, Written.OUTDATED, id="back to the primary, refused and then away"),
        pytest.param(40, 46, 47, Written.OUTDATED, id="more for the canary, and refused for a while"),
    ],
)
async def test_nothing_is_written_on_what_was_decided_before_an_outage(
    cluster: Member, weight: int, tried: float, begun: float, written: Written
) -> None:
    """Also the side that users are to go back to may have stopped serving since."""
    await shift(cluster, 20, 1)
    seen = read_routes(spec(), await live(cluster))
    request = ShiftRequest(spec=spec(), routing=Routing(weight=weight), decided_at=at(2), seen=seen)
    act = TrafficActivities(cluster).shift_traffic
    shifted = await cluster.run(act, request, scheduled=at(tried), started=at(begun))

    assert shifted.written is written
    assert weights(await live(cluster)) == [split(weight if written is Written.DONE else 20)]


@pytest.mark.parametrize(
    ("weight", "written"),
    [
        pytest.param(40, Written.DONE, id="more for the canary"),
        pytest.param(0, Written.OUTDATED, id="back to the primary"),
    ],
)
async def test_what_a_worker_wrote_before_it_died_is_its_own_decision_however_late_it_is_tried_again(
    cluster: Member, weight: int, written: Written
) -> None:
    """A retreat is looked at anew all the same: what is scaled down after it must not serve alone."""
    await shift(cluster, 20, 1)
    seen = read_routes(spec(), await live(cluster))
    await shift(cluster, weight, 2)
    request = ShiftRequest(spec=spec(), routing=Routing(weight=weight), decided_at=at(2), seen=seen)
    act = TrafficActivities(cluster).shift_traffic
    shifted = await cluster.run(act, request, scheduled=at(2), started=at(13))

    assert shifted.written is written
    assert (shifted.routes.canary if shifted.routes else None) == (
        weight if written is Written.DONE else None
    )
    assert weights(await live(cluster)) == [split(weight)]
