"""Which answers of an API server end an activity, and which are tried again."""

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster.errors import ApiError, ClusterUnreachableError
from activities.cluster.guard import guarded
from activities.cluster.observation import ObservationActivities
from activities.cluster.primary import PrimaryActivities
from tests.activities.cluster.member import WORKLOADS, Member, given, spec

TARGET = "/apis/apps/v1/namespaces/default/deployments/podinfo"


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "BadRequest"), (403, "Forbidden"), (404, "NotFound"), (422, "Invalid")]
)
async def test_what_can_only_be_refused_again_is_permanent(member: Member, status: int, reason: str) -> None:
    await member.add(*given("canary", *WORKLOADS))
    await member.fault({"do": "status", "status": status, "method": "POST", "path": "deployments"})
    with pytest.raises(ApplicationError) as raised:
        await member.run(PrimaryActivities(member).create_primary, spec())

    assert (raised.value.non_retryable, raised.value.type) == (True, reason)
    assert f"deployments/podinfo-primary: {status}" in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_a_thing_that_must_be_there_is_named(member: Member) -> None:
    with pytest.raises(ApplicationError, match=r'deployments\.apps "podinfo" not found') as raised:
        await member.run(PrimaryActivities(member).create_primary, spec())

    assert raised.value.non_retryable


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_what_passes_by_itself_is_tried_again(member: Member, status: int) -> None:
    await member.fault({"do": "status", "status": status, "path": TARGET})
    with pytest.raises(ApiError) as raised:
        await member.run(ObservationActivities(member).observe, spec())

    assert raised.value.status == status


async def test_a_conflict_is_tried_again(member: Member) -> None:
    await member.add(*given("canary", *WORKLOADS))
    await member.fault({"do": "status", "status": 409, "method": "POST", "path": "deployments"})
    with pytest.raises(ApplicationError, match="podinfo-primary is being changed all the time") as raised:
        await member.run(PrimaryActivities(member).create_primary, spec())

    assert not raised.value.non_retryable


async def test_a_server_that_does_not_answer_is_tried_again(member: Member) -> None:
    await member.server.stop()
    with pytest.raises(ClusterUnreachableError, match="Cluster member1 does not answer"):
        await member.run(ObservationActivities(member).observe, spec())


class Talkative:
    """Refused with the whole object in the answer."""

    @guarded
    async def act(self) -> None:
        raise ApiError(422, "Invalid", "x" * 10_000, "PUT /a")


async def test_a_refusal_that_quotes_an_object_is_cut(member: Member) -> None:
    with pytest.raises(ApplicationError) as raised:
        await member.run(Talkative().act)

    assert len(str(raised.value)) < 1100
