"""Promoting a primary, putting it back and remembering it, while others write and workers die."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import marks, records
from activities.cluster.errors import ClusterUnreachableError
from activities.cluster.traffic import Written
from canary.spec import TargetRef
from canary.status import Outcome
from tests.activities.cluster.member import WORKLOADS, Member, given, spec
from tests.activities.cluster.story import Story, config, using


@pytest.mark.proves("T4")
async def test_another_revision_than_the_judged_one_is_not_promoted(story: Story) -> None:
    """Flagger promotes what the target holds by then, though nobody judged it.

    T4: Flagger's scheduler.go.
    """
    await story.begin()
    judged = await story.request()
    await story.release("podinfo:3")
    before = await story.primary()

    assert await story.member.run(story.activities.promote, judged) is Written.SUPERSEDED
    assert await story.primary() == before


async def test_another_config_than_the_judged_one_is_not_promoted(story: Story) -> None:
    await story.begin()
    judged = await story.request()
    await story.configure("green")

    assert await story.member.run(story.activities.promote, judged) is Written.SUPERSEDED
    assert await story.color() == "red"


async def test_an_earlier_decision_does_not_promote(story: Story) -> None:
    await story.begin()
    await story.release("podinfo:2")
    early = await story.request()
    await story.restore()

    assert await story.member.run(story.activities.promote, early) is Written.SUPERSEDED
    assert await story.image() == "podinfo:1"


@pytest.mark.parametrize(
    ("primary", "target", "expected"),
    [
        pytest.param(5, 2, 5, id="it has grown"),
        pytest.param(2, 4, 4, id="the canary was made larger"),
        pytest.param(0, 2, 2, id="somebody took its pods away"),
    ],
)
async def test_promotion_never_shrinks_the_primary(
    story: Story, primary: int, target: int, expected: int
) -> None:
    await story.begin()
    await story.member.change("Deployment", "podinfo-primary", {"spec": {"replicas": primary}})
    await story.member.change("Deployment", "podinfo", {"spec": {"replicas": target}})
    await story.promote()

    assert (await story.primary())["spec"]["replicas"] == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(3, 3, id="as it was"),
        pytest.param(99, 4, id="as large as its autoscaler may make it"),
        pytest.param(1, 2, id="no more than it has to be"),
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.PROMOTED, Outcome.ABORTED])
async def test_a_primary_that_its_autoscaler_made_smaller_is_promoted_at_the_size_it_had(
    story: Story, size: int, expected: int, outcome: Outcome
) -> None:
    """While the canary had traffic the primary had less to do."""

    async def smallest() -> int:
        twin = await story.member.read("HorizontalPodAutoscaler", "podinfo-primary")
        return int(twin["spec"]["minReplicas"])

    await story.begin("hpa")
    before = await smallest()
    await story.member.change("Deployment", "podinfo-primary", {"spec": {"replicas": 2}})
    await story.release("podinfo:2")
    await story.promote(size)
    during, replicas = await smallest(), (await story.primary())["spec"]["replicas"]
    await story.conclude(outcome)

    assert (before, during, replicas) == (2, expected, expected)
    assert await smallest() == before
    assert marks.RAISED not in marks.notes(await story.primary())


async def test_an_autoscaler_is_let_be_while_a_promotion_is_halted(story: Story) -> None:
    await story.begin("hpa")
    await story.release("podinfo:2")
    await story.promote(3)
    await story.conclude(Outcome.HALTED)

    twin = await story.member.read("HorizontalPodAutoscaler", "podinfo-primary")
    assert twin["spec"]["minReplicas"] == 3


@pytest.mark.proves("C17")
async def test_promotion_leaves_the_size_to_an_autoscaler(story: Story) -> None:
    """A primary with an autoscaler keeps the size that this gave it (C17: Flagger's hpa_reconciler.go)."""
    await story.begin("hpa")
    await story.member.change("Deployment", "podinfo-primary", {"spec": {"replicas": 3}})
    await story.member.change("Deployment", "podinfo", {"spec": {"replicas": 9}})
    await story.release("podinfo:2")
    await story.promote()

    assert (await story.primary())["spec"]["replicas"] == 3
    assert await story.image() == "podinfo:2"


async def test_what_others_wrote_on_the_primary_stays(story: Story) -> None:
    await story.begin()
    theirs = {"metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}}, "spec": {"paused": True}}
    await story.member.change("Deployment", "podinfo-primary", theirs)
    await story.release("podinfo:2")
    await story.promote()
    found = await story.primary()

    assert found["metadata"]["annotations"]["a"] == "b"
    assert found["metadata"]["labels"]["c"] == "d"
    assert found["spec"]["paused"] is True


@contextlib.asynccontextmanager
async def hanging(story: Story, path: str, method: str = "PUT") -> AsyncIterator[asyncio.Future[object]]:
    """A promotion whose write of *path* hangs; the worker that sent it has died when the block begins."""
    rule = {"do": "hang", "method": method, "path": path, "times": 1}
    await story.member.fault(rule)
    request = await story.request()
    running = asyncio.ensure_future(story.member.run(story.activities.promote, request))
    await story.member.until(story.member.holds)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    yield running
    await story.member.fault()
    await story.member.until(story.member.is_free)


@pytest.mark.parametrize("path", ["deployments/podinfo-primary", "configmaps/podinfo-env-primary"])
async def test_a_promotion_that_arrives_after_an_abort_changes_nothing(story: Story, path: str) -> None:
    await story.begin()
    await story.release("podinfo:2")
    await story.configure("green")
    async with hanging(story, path):
        await story.restore()
        await story.conclude(Outcome.ABORTED)

    assert await story.image() == "podinfo:1"
    assert await story.color() == "red"


async def test_the_promoted_template_and_configs_are_put_back(story: Story) -> None:
    made = await story.begin()
    before = (await story.primary())["spec"]
    await story.release("podinfo:2")
    await story.configure("green")
    await story.promote()
    await story.configure("blue")
    await story.restore()
    await story.conclude(Outcome.ABORTED)
    after = await story.primary()

    assert after["spec"] == before
    assert await story.color() == "red"
    assert marks.read_promoted(after["metadata"]) == made
    assert marks.PROMOTING not in after["metadata"]["annotations"]
    assert "podinfo-env-primary-last" not in await story.member.names("ConfigMap")


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_primary_that_is_put_back_tells_of_its_promotion_until_that_is_over(
    story: Story, *, is_over: bool
) -> None:
    made = await story.begin()
    await story.release("podinfo:2")
    await story.configure("green")
    await story.promote()
    await story.restore(is_over=is_over)
    found = await story.primary()

    assert (marks.PROMOTING in marks.notes(found)) is not is_over
    assert ("podinfo-env-primary-last" in await story.member.names("ConfigMap")) is not is_over
    assert await story.color() == "red"
    assert marks.read_promoted(found["metadata"]) == made


async def test_a_second_promotion_in_a_row_keeps_what_was_promoted(story: Story) -> None:
    await story.begin()
    await story.configure("green")
    await story.promote()
    await story.configure("blue")
    await story.promote()
    await story.restore()

    assert await story.color() == "red"


async def test_a_config_that_is_gone_is_still_put_back(story: Story) -> None:
    await story.begin()
    before = (await story.primary())["spec"]
    await story.member.change("Deployment", "podinfo", {"spec": using("podinfo-env")["spec"]})
    await story.promote()
    for kind, name in (("ConfigMap", "podinfo-vol"), ("Secret", "podinfo-secret")):
        await story.member.delete(kind, name)
    await story.restore()

    assert (await story.primary())["spec"] == before


async def test_a_promoted_config_that_is_nowhere_is_told(story: Story) -> None:
    await story.begin()
    await story.configure("green")
    await story.member.change("ConfigMap", "podinfo-env-primary", {"data": {"color": "blue"}})
    with pytest.raises(
        ApplicationError, match=r"ConfigMap podinfo-env-primary .* no longer as it was promoted"
    ):
        await story.restore()


async def test_a_primary_whose_promotion_is_recorded_nowhere_is_not_put_back(story: Story) -> None:
    await story.begin()
    for name in await story.member.names(records.KIND):
        await story.member.delete(records.KIND, name)
    with pytest.raises(
        ApplicationError, match="podinfo-primary in namespace default was promoted to is recorded"
    ):
        await story.restore()


@pytest.mark.parametrize("deaths", range(8))
async def test_a_promotion_that_was_cut_off_is_completed_or_put_back(story: Story, deaths: int) -> None:
    await story.begin("hpa")
    before = (await story.primary())["spec"]
    await story.release("podinfo:2")
    await story.configure("green")
    await cut_off(story, deaths)
    await story.restore()
    restored, color = (await story.primary())["spec"], await story.color()
    await story.roll()

    assert (restored, color) == (before, "red")
    assert (await story.image(), await story.color()) == ("podinfo:2", "green")


async def cut_off(story: Story, deaths: int) -> None:
    """Promote, by a worker that dies after so many writes."""
    story.member.api.writes_left = deaths
    with contextlib.suppress(ClusterUnreachableError):
        await story.promote()
    story.member.api.writes_left = None


@pytest.mark.parametrize("deaths", range(5))
async def test_a_conclusion_that_was_cut_off_is_completed(story: Story, deaths: int) -> None:
    await story.begin()
    await story.release("podinfo:2")
    await story.configure("green")
    await story.promote()
    story.member.api.writes_left = deaths
    with contextlib.suppress(ClusterUnreachableError):
        await story.conclude()
    story.member.api.writes_left = None
    await story.conclude()
    found = await story.primary()
    record = await records.last_promoted(story.member.api, story.spec)

    assert record is not None
    assert record.revision == marks.read_promoted(found["metadata"]) == await story.revision()
    assert len(await story.member.all(records.KIND)) == 1
    assert marks.PROMOTING not in found["metadata"]["annotations"]
    assert found["metadata"]["annotations"][marks.OUTCOME] == "Promoted"
    assert "podinfo-env-primary-last" not in await story.member.names("ConfigMap")


async def test_of_two_records_the_later_promotion_counts(story: Story) -> None:
    """The worker died before it dropped the earlier one."""
    await story.begin()
    for image in ("podinfo:2", "podinfo:1"):  # whichever way the names sort
        await story.release(image)
        await story.promote()
        story.member.api.writes_left = 1
        with contextlib.suppress(ClusterUnreachableError):
            await story.conclude()
        story.member.api.writes_left = None
        record = await records.last_promoted(story.member.api, story.spec)

        assert len(await story.member.all(records.KIND)) == 2
        assert record is not None
        assert record.revision == await story.revision()


async def test_a_promotion_is_recorded_though_the_target_has_changed_again(story: Story) -> None:
    await story.begin()
    await story.release("podinfo:2")
    await story.promote()
    judged = await story.revision()
    await story.release("podinfo:3")
    await story.conclude(revision=judged)
    record = await records.last_promoted(story.member.api, story.spec)

    assert record is not None
    assert record.revision == judged
    assert record.template["spec"]["containers"][0]["image"] == "podinfo:2"


async def test_a_halted_promotion_stays_marked(story: Story) -> None:
    await story.begin()
    await story.configure("green")
    await story.promote()
    await story.conclude(Outcome.HALTED)
    notes = (await story.primary())["metadata"]["annotations"]

    assert notes[marks.PROMOTING]
    assert notes[marks.OUTCOME] == "Halted"
    assert "podinfo-env-primary-last" in await story.member.names("ConfigMap")


async def test_an_earlier_conclusion_changes_nothing(story: Story) -> None:
    await story.begin()
    early = await story.conclusion(Outcome.ROLLED_BACK)
    await story.release("podinfo:2")
    await story.roll()
    await story.release("podinfo:3")
    await story.promote()
    await story.member.run(story.activities.conclude, early)
    notes = (await story.primary())["metadata"]["annotations"]

    assert (notes[marks.OUTCOME], bool(notes[marks.PROMOTING])) == ("Promoted", True)


async def test_a_primary_that_is_gone_is_put_back_whole(story: Story) -> None:
    made = await story.begin()
    await story.release("podinfo:2")
    await story.promote()
    await story.member.delete("Deployment", "podinfo-primary")
    await story.restore()
    found = await story.primary()

    assert await story.image() == "podinfo:1"
    assert found["spec"]["replicas"] == 2
    assert marks.read_promoted(found["metadata"]) == made


async def test_a_primary_that_is_gone_has_its_promotion_recorded_all_the_same(story: Story) -> None:
    await story.begin()
    await story.release("podinfo:2")
    await story.promote()
    await story.member.delete("Deployment", "podinfo-primary")
    await story.conclude()
    await story.create()

    assert await story.image() == "podinfo:2"
    assert (await story.primary())["spec"]["replicas"] == 2


@pytest.mark.proves("T14")
async def test_a_deleted_primary_is_made_from_what_was_promoted_last(story: Story) -> None:
    """Flagger makes it from the target, which holds what failed (T14: Flagger's deployment_controller.go)."""
    await story.begin()
    await story.release("podinfo:2")
    await story.configure("green")
    await story.roll()
    promoted, before = await story.revision(), (await story.primary())["spec"]
    await story.release("podinfo:broken")
    await story.configure("broken")
    await story.member.delete("Deployment", "podinfo-primary")

    assert await story.create() == promoted
    assert (await story.primary())["spec"] == before
    assert await story.color() == "green"
    assert marks.read_promoted((await story.primary())["metadata"]) == promoted


@pytest.mark.proves("T14")
async def test_a_primary_deleted_in_its_promotion_is_made_from_the_one_before(story: Story) -> None:
    """What was being promoted was promoted only in part: it is made from the last that was whole.

    T14: Flagger's deployment_controller.go.
    """
    made = await story.begin()
    await story.release("podinfo:2")
    await story.configure("green")
    await story.promote()
    await story.member.delete("Deployment", "podinfo-primary")

    assert await story.create() == made
    assert (await story.image(), await story.color()) == ("podinfo:1", "red")


async def test_a_deleted_primary_comes_back_at_the_size_it_was_promoted_at(story: Story) -> None:
    await story.begin()
    await story.member.change("Deployment", "podinfo-primary", {"spec": {"replicas": 6}})
    await story.roll()
    await story.member.change("Deployment", "podinfo", {"spec": {"replicas": 0}})
    await story.member.delete("Deployment", "podinfo-primary")
    await story.create()

    assert (await story.primary())["spec"]["replicas"] == 6


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_primary_without_its_memory_is_only_adopted_as_what_it_runs(
    story: Story, *, is_known: bool
) -> None:
    made = await story.begin()
    for name in await story.member.names(records.KIND):
        await story.member.delete(records.KIND, name)
    await story.member.change("Deployment", "podinfo-primary", {"metadata": {"annotations": None}})
    if not is_known:
        await story.release("podinfo:2")
        with pytest.raises(ApplicationError, match="podinfo-primary in namespace default no longer tells"):
            await story.create()
    else:
        assert await story.create() == made

    assert await story.image() == "podinfo:1"


async def test_a_worker_that_slept_through_a_rollout_writes_nothing(story: Story) -> None:
    """It had looked at everything and was about to make the first copy."""
    await story.member.add(*given("canary", *WORKLOADS))
    await story.member.fault({"do": "hang", "method": "POST", "path": "/configmaps", "times": 1})
    sleeper = asyncio.ensure_future(story.create())
    await story.member.until(story.member.holds)
    awake = Story(story.member)
    made = await awake.create()
    await awake.release("podinfo:2")
    await awake.configure("green")
    await awake.roll()
    await story.member.fault()

    assert await sleeper == await awake.revision() != made
    assert (await story.image(), await story.color()) == ("podinfo:2", "green")


async def test_two_workers_make_one_primary(member: Member) -> None:
    await member.add(*given("hpa", *WORKLOADS))
    one, other = await asyncio.gather(Story(member).create(), Story(member).create())

    assert one == other
    assert len(await member.all(records.KIND)) == 1


async def test_a_config_without_need_is_not_written_again(story: Story) -> None:
    await story.begin()
    await story.release("podinfo:2")
    since = (story.member.asked())[-1]["n"]
    await story.roll()
    writes = [entry for entry in story.member.asked(since) if entry["method"] != "GET"]

    assert not [entry for entry in writes if "configmaps" in entry["path"] or "secrets" in entry["path"]]


async def test_a_config_that_a_promotion_brings_is_copied(member: Member) -> None:
    story = Story(member)
    await member.add(config("a"), config("b", "blue"), using("a"))
    await story.create()
    await member.change("Deployment", "podinfo", {"spec": using("a", "b")["spec"]})
    await story.roll()

    assert await story.color("b-primary") == "blue"


async def test_a_target_with_a_long_name_is_promoted_as_any_other(member: Member) -> None:
    name = "x" * 70
    body = using("a")
    body["metadata"]["name"] = name
    await member.add(config("a"), body)
    story = Story(member, spec(target=TargetRef(name=name)))
    made = await story.create()
    await member.change("ConfigMap", "a", {"data": {"color": "green"}})
    await story.roll()
    record = await records.last_promoted(member.api, story.spec)

    assert await story.color("a-primary") == "green"
    assert record is not None
    assert record.revision == await story.revision() != made
