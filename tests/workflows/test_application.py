"""An Application over a fleet of fake clusters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.cluster.preflight import Preflight
from activities.source.delivery import FetchedRevision, FetchRevision, SyncResult
from canary.application import ApplicationSpec
from canary.problem import Problem
from canary.status import ListRow
from tests.workflows.conftest import SEARCH_ATTRIBUTES, TEMPORAL
from tests.workflows.fleet import ONE, TWO, Fleet, policy_of, shop
from worker.runner import build_runner
from workflows.application import ApplicationWorkflow
from workflows.contract import (
    APPLICATION_WORKFLOW,
    APPLY,
    BELL,
    CHECKS_QUEUE,
    DELETE,
    QUEUE,
    ROW,
    STATUS,
    Answer,
    ApplicationStatus,
    ApplyApplication,
    ApplyResult,
    DeleteCommand,
    application_id,
)

Serve = Callable[[list[Callable[..., Awaitable[Any]]]], Awaitable[Client]]

BOTH = policy_of("web", ONE, TWO, rollout=True)
UNREACHABLE = SyncResult(
    is_done=False, is_unreachable=True, message="Cluster two does not answer: TimeoutError."
)
AWAY = Problem(path="cluster", message="Cluster two does not answer", is_unreachable=True)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that can only be asked for is true."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 — a workflow cannot set an event of the test
            await asyncio.sleep(0.02)


async def server(*flags: str) -> WorkflowEnvironment:
    """Start a server in real time: one that skips would skip the pauses between two looks at a source."""
    prompt = 'history.timerProcessorMaxTimeShift="10ms"'
    return await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL,
        data_converter=pydantic_data_converter,
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_extra_args=[
            argument for flag in (prompt, *flags) for argument in ("--dynamic-config-value", flag)
        ],
    )


@pytest.fixture(scope="module")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    async with await server() as environment:
        yield environment


class Application:
    """One Application of a test, by what a person can do to it and see of it."""

    def __init__(self, client: Client, spec: ApplicationSpec) -> None:
        self.client = client
        self.id = application_id(spec.namespace, spec.name)
        self.handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(self.id)

    async def apply(self, spec: ApplicationSpec) -> ApplyResult:
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            APPLICATION_WORKFLOW,
            id=self.id,
            task_queue=QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        result: ApplyResult = await self.client.execute_update_with_start_workflow(
            APPLY, ApplyApplication(spec=spec), start_workflow_operation=start, result_type=ApplyResult
        )
        return result

    async def delete(self) -> Answer:
        answer: Answer = await self.handle.execute_update(DELETE, DeleteCommand(), result_type=Answer)
        return answer

    async def status(self) -> ApplicationStatus:
        status: ApplicationStatus = await self.handle.query(STATUS, result_type=ApplicationStatus)
        return status

    async def row(self) -> ListRow:
        return await (await self.handle.describe()).memo_value(ROW, type_hint=ListRow)

    async def until(self, condition: Callable[[ApplicationStatus], bool]) -> ApplicationStatus:
        async def is_so() -> bool:
            return condition(await self.status())

        await eventually(is_so)
        return await self.status()

    async def until_ready(self, revision: str = "1") -> ApplicationStatus:
        return await self.until(
            lambda status: (
                all(
                    each.is_ready and each.last_applied_revision.endswith(revision)
                    for each in status.progress
                )
                and bool(status.progress)
            )
        )


@pytest.fixture
async def begin(serve: Serve, of: Any) -> AsyncIterator[Callable[..., Awaitable[Application]]]:
    """Apply an Application, and end it after the test: the server is shared."""
    begun: list[Application] = []

    async def begin(fleet: Fleet, *policies: Any) -> Application:
        application = Application(await serve(fleet.activities()), of(*policies))
        await application.apply(of(*policies))
        begun.append(application)
        return application

    yield begin
    for application in begun:
        if (await application.handle.describe()).status == WorkflowExecutionStatus.RUNNING:
            await application.handle.terminate()


def name_of(request: pytest.FixtureRequest) -> str:
    """Tests share a server: each has an Application of its own."""
    return request.node.name.removeprefix("test_").replace("_", "-")[:60].split("[")[0]


@pytest.fixture
def of(request: pytest.FixtureRequest) -> Callable[..., ApplicationSpec]:
    return lambda *policies, **source: shop(*policies, name=name_of(request), **source)


async def test_every_policy_is_synced_in_every_cluster_before_its_canary_is_started(begin: Any) -> None:
    fleet = Fleet()

    application = await begin(fleet, BOTH, policy_of("extra", ONE))
    status = await application.until_ready()

    assert sorted(fleet.log) == [
        "apply canary/one/webapp/Deployment/backend",
        "apply canary/two/webapp/Deployment/backend",
        "sync extra one 1",
        "sync web one 1",
        "sync web two 1",
    ]
    for cluster in ("one", "two"):
        synced = fleet.log.index(f"sync web {cluster} 1")
        assert synced < fleet.log.index(f"apply canary/{cluster}/webapp/Deployment/backend")
    assert [each.name for each in status.progress] == ["web-one", "web-two", "extra-one"]
    assert status.progress[0].canary == "canary/one/webapp/Deployment/backend"
    assert status.progress[0].message == "Applied revision: master@sha1:1"


async def test_every_policy_is_told_what_is_brought_beside_it(begin: Any) -> None:
    fleet = Fleet()

    application = await begin(fleet, policy_of("web", ONE, TWO), policy_of("extra", ONE))
    await application.until_ready()

    assert fleet.siblings == {"web one": ("extra",), "extra one": ("web",), "web two": ()}


async def test_the_list_shows_how_it_stands(begin: Any) -> None:
    application = await begin(Fleet(), BOTH)
    await application.until_ready()

    async def is_shown() -> bool:
        return (await application.row()).phase == "Ready"

    await eventually(is_shown)
    row = await application.row()

    assert (row.revision, row.message) == ("master@sha1:1", "Applied to 2 of 2.")


async def test_a_push_reaches_every_cluster(begin: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()
    fleet.log.clear()

    fleet.revision = "master@sha1:2"
    await application.until_ready("2")

    assert sorted(line for line in fleet.log if "sync" in line) == ["sync web one 2", "sync web two 2"]


async def test_looking_without_news_leaves_no_history(begin: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()

    async def looks(number: int) -> int:
        until = fleet.looks + number

        async def has_looked() -> bool:
            return fleet.looks >= until

        await eventually(has_looked)
        return (await application.handle.describe()).history_length

    assert await looks(5) == await looks(10)


@pytest.mark.parametrize("argument", [[], ["github"], [{"ref": "refs/heads/master"}]], ids=str)
async def test_a_bell_looks_at_once(begin: Any, argument: list[Any]) -> None:
    fleet = Fleet(pause=timedelta(hours=1), revision=f"{len(str(argument))}@sha1:1")
    application = await begin(fleet, BOTH)
    await application.until_ready()

    fleet.revision = f"{len(str(argument))}@sha1:2"
    await application.handle.signal(BELL, args=argument)

    await application.until_ready("2")
    await application.delete()


async def test_a_source_that_fails_is_told_and_recovers(begin: Any) -> None:
    fleet = Fleet(source_message="Branch gone is not in git repository http://git/shop.git.", revision="")
    application = await begin(fleet, BOTH)

    status = await application.until(lambda status: bool(status.source_message))
    assert status.message == status.source_message == fleet.source_message
    assert fleet.log == []

    fleet.revision, fleet.source_message = "master@sha1:1", ""
    status = await application.until_ready()
    assert status.source_message == ""


@pytest.mark.proves("K6")
async def test_an_unreachable_member_holds_up_nobody_else(begin: Any) -> None:
    """In Kurator a failing cluster ends the loop over all, and chance says who came before it.

    K6: Kurator's rollout_helper.go.
    """
    fleet = Fleet(results={"two": UNREACHABLE})
    application = await begin(fleet, BOTH)

    status = await application.until(
        lambda status: status.progress[0].is_ready and bool(status.progress[1].message)
    )
    assert status.progress[1].message == UNREACHABLE.message
    fleet.revision = "master@sha1:2"
    await application.until(lambda status: status.progress[0].last_applied_revision.endswith("2"))

    fleet.results.clear()
    await application.until_ready("2")


async def test_a_slow_member_holds_up_nobody_else(begin: Any) -> None:
    fleet = Fleet(held={"two": asyncio.Event()})
    application = await begin(fleet, BOTH)

    await application.until(lambda status: status.progress[0].is_ready)
    fleet.revision = "master@sha1:2"
    await application.until(lambda status: status.progress[0].last_applied_revision.endswith("2"))
    fleet.held["two"].set()

    await application.until_ready("2")


async def test_a_refused_revision_keeps_the_one_before(begin: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()

    refused = SyncResult(is_done=False, message="Deployment webapp/backend was refused: no")
    fleet.results = {"one": refused, "two": refused}
    fleet.revision = "master@sha1:2"
    status = await application.until(lambda status: bool(status.progress[1].message.endswith("no")))

    assert status.progress[1].last_applied_revision == "master@sha1:1"
    assert status.progress[1].last_attempted_revision == "master@sha1:2"
    assert (status.progress[1].is_ready, status.progress[1].has_failed) == (False, True)


async def test_a_canary_that_is_refused_is_told(begin: Any) -> None:
    problem = Problem(path="spec.service.port", message="Service backend has no port 80")
    fleet = Fleet(canary_answer=ApplyResult(accepted=False, problems=(problem,)))
    application = await begin(fleet, policy_of("web", ONE, rollout=True))

    status = await application.until(lambda status: bool(status.progress[0].message))

    assert status.progress[0].message == "Service backend has no port 80"
    assert not status.progress[0].is_ready
    assert status.progress[0].canary == ""


@pytest.mark.proves("K3")
async def test_a_rollout_taken_out_takes_its_way_out_before_the_next_sync(begin: Any, of: Any) -> None:
    """Kurator leaves the Canary of a policy whose `rollout:` was taken out.

    K3: Kurator's rollout_helper.go.
    """
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()
    fleet.log.clear()

    await application.apply(of(policy_of("web", ONE)))
    await application.until(lambda status: not status.progress[0].canary and status.progress[0].is_ready)

    assert fleet.log == ["delete canary/one/webapp/Deployment/backend", "sync web one 1"]
    assert fleet.named == {"Application team/shop"}


@pytest.mark.proves("K3")
async def test_a_policy_taken_out_is_taken_back_from_its_clusters(begin: Any, of: Any) -> None:
    """Kurator leaves what a policy brought that is no longer in the document.

    K3: Kurator's rollout_helper.go.
    """
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE, rollout=True), policy_of("extra", ONE))
    await application.until_ready()
    fleet.log.clear()

    await application.apply(of(policy_of("extra", ONE)))
    await application.until(lambda status: len(status.progress) == 1)

    assert fleet.log == ["delete canary/one/webapp/Deployment/backend", "retire web one prune"]


async def test_a_policy_whose_objects_are_still_needed_is_taken_back_later(begin: Any, of: Any) -> None:
    needed = "It stays until webapp/backend is promoted: ConfigMap webapp/old."
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE, rollout=True), policy_of("extra", ONE))
    await application.until_ready()
    fleet.results["one"] = SyncResult(is_done=True, is_waiting=True, is_needed=True, message=needed)
    fleet.log.clear()

    await application.apply(of(policy_of("web", ONE, rollout=True)))
    await application.until(lambda status: status.progress[-1].message == needed)
    assert fleet.log == ["retire extra one prune"]
    assert fleet.siblings["retired extra one"] == ("web",)
    del fleet.results["one"]
    await application.apply(of(policy_of("web", ONE, rollout=True, timeout=timedelta(minutes=3))))
    await application.until(lambda status: len(status.progress) == 1)

    assert fleet.log[-1] == "retire extra one prune"


async def test_a_renamed_policy_disturbs_nothing(begin: Any, of: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()
    fleet.log.clear()

    await application.apply(of(policy_of("site", ONE, rollout=True)))
    await application.until(lambda status: [each.name for each in status.progress] == ["site-one"])

    assert fleet.log == [
        "sync site one 1",
        "apply canary/one/webapp/Deployment/backend",
        "retire web one prune",
    ]


async def test_a_canary_that_may_have_been_started_is_ended_with_its_rollout(begin: Any, of: Any) -> None:
    fleet = Fleet(is_canary_silent=True)
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    status = await application.until(lambda status: bool(status.progress[0].message))
    assert status.progress[0].message == "connection lost"

    await application.apply(of(policy_of("web", ONE)))
    await application.until_ready()

    assert fleet.log[-2:] == ["delete canary/one/webapp/Deployment/backend", "sync web one 1"]


async def test_a_changed_source_is_looked_at_at_once(begin: Any, of: Any) -> None:
    fleet = Fleet(pause=timedelta(hours=1))
    application = await begin(fleet, BOTH)
    await application.until_ready()
    fleet.revision = "master@sha1:2"

    await application.apply(of(BOTH, timeout=timedelta(seconds=5)))

    await application.until_ready("2")


async def test_nothing_of_the_source_before_is_applied_by_a_changed_document(begin: Any, of: Any) -> None:
    """Its revision, of another branch, would bring what nobody asked for to where the new policy leads."""
    fleet = Fleet(pause=timedelta(hours=1))
    application = await begin(fleet, policy_of("web", ONE))
    await application.until_ready()
    fleet.log.clear()
    fleet.revision = "release@sha1:2"
    moved = of(policy_of("web", ONE, interval=timedelta(hours=1)))
    source = moved.source.model_copy(update={"branch": "release"})

    await application.apply(moved.model_copy(update={"source": source}))

    await application.until_ready("2")
    assert fleet.log == ["sync web one 2"]


class Unread(Fleet):
    """A fleet whose source breaks the first look at it, once it is told to."""

    broken: asyncio.Event

    @activity.defn
    async def fetch_revision(self, wanted: FetchRevision) -> FetchedRevision:
        if self.looks:
            return await super().fetch_revision(wanted)
        self.looks += 1
        while not self.broken.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.01)
        raise ApplicationError("a bug", non_retryable=True)


async def test_a_look_that_breaks_when_it_is_called_off_is_nobodys(
    environment: WorkflowEnvironment, of: Any
) -> None:
    """Both are in the history before a worker takes up either."""
    fleet, spec, client = Unread(), of(policy_of("web", ONE)), environment.client
    fleet.broken = asyncio.Event()
    application = Application(client, spec)

    def worker(queue: str, *workflows: type) -> Worker:
        acts, runner = fleet.activities(), build_runner()
        return Worker(client, task_queue=queue, workflows=workflows, activities=acts, workflow_runner=runner)

    async def has_looked() -> bool:
        return fleet.looks == 1

    async def has_broken() -> bool:
        history = await application.handle.fetch_history()
        return any(event.HasField("activity_task_failed_event_attributes") for event in history.events)

    async with worker(CHECKS_QUEUE):
        async with worker(QUEUE, ApplicationWorkflow):
            await application.apply(spec)
            await eventually(has_looked)
        await application.handle.signal(BELL)
        fleet.broken.set()
        await eventually(has_broken)
        async with worker(QUEUE, ApplicationWorkflow):
            await application.until_ready()
            history = await application.handle.fetch_history()
            await application.handle.terminate()

    rests = [event for event in history.events if event.HasField("timer_started_event_attributes")]
    assert [rest.timer_started_event_attributes.start_to_fire_timeout.seconds for rest in rests] == [600]


async def test_nothing_is_shown_twice(begin: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH, policy_of("extra", ONE, interval=timedelta(seconds=1)))

    async def is_synced_again() -> bool:
        return fleet.log.count("sync extra one 1") >= 3

    await eventually(is_synced_again)
    history = await application.handle.fetch_history()
    rows = [
        event.workflow_properties_modified_event_attributes.upserted_memo.fields[ROW].data
        for event in history.events
        if event.HasField("workflow_properties_modified_event_attributes")
    ]

    assert len(rows) == len(set(rows))


async def test_the_same_spec_again_brings_everything_again(begin: Any, of: Any) -> None:
    """It is no other one, but what was terminated meanwhile is begun again."""
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()
    before = list(fleet.log)

    result = await application.apply(of(BOTH))

    assert result == ApplyResult(accepted=True, created=False, changed=False)

    async def is_all_brought_again() -> bool:
        return sorted(fleet.log) == sorted(before * 2)

    await eventually(is_all_brought_again)


async def test_a_policy_is_applied_anew_at_its_interval(begin: Any) -> None:
    fleet = Fleet()
    await begin(fleet, policy_of("web", ONE, interval=timedelta(seconds=1)))

    async def is_synced_again() -> bool:
        return fleet.log.count("sync web one 1") >= 3

    await eventually(is_synced_again)


async def test_what_could_not_be_pruned_is_tried_again(monkeypatch: pytest.MonkeyPatch, begin: Any) -> None:
    monkeypatch.setattr("canary.delivery.FIRST_PRUNING_AGAIN", timedelta(seconds=1))
    fleet = Fleet(results={"one": SyncResult(is_done=True, is_waiting=True)})
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()

    async def is_synced_again() -> bool:
        return fleet.log.count("sync web one 1") == 2

    await eventually(is_synced_again)
    assert len([line for line in fleet.log if line.startswith("apply")]) == 1


@pytest.mark.proves("K12")
async def test_delete_ends_canaries_first_then_what_was_brought_then_itself(begin: Any) -> None:
    """Kurator does both at once, so that Flux prunes what Flagger brings back.

    K12: Kurator's controller.go.
    """
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()
    fleet.log.clear()

    answer = await application.delete()
    await application.handle.result()

    assert answer.message == f"{application.id} deleted"
    assert fleet.log == ["delete canary/one/webapp/Deployment/backend", "retire web one prune"]


async def test_delete_says_that_public_load_testers_stay(begin: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE, public_test_loader=True), policy_of("more", ONE))
    await application.until_ready()

    answer = await application.delete()

    assert answer.message == (
        f"{application.id} deleted; its clusters keep their public load testers, which others may use"
    )
    assert fleet.log[-2:] == ["retire web one prune", "retire more one prune"]


LEFT = "Left behind in one: patch of services: forbidden"


async def test_a_canary_that_was_left_behind_is_tried_again(begin: Any, of: Any) -> None:
    fleet = Fleet(left_behind=LEFT)
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()
    fleet.log.clear()

    await application.apply(of(policy_of("web", ONE)))
    status = await application.until(lambda status: status.progress[0].has_failed)
    assert (status.progress[0].message, status.progress[0].canary) == (
        LEFT,
        "canary/one/webapp/Deployment/backend",
    )
    assert "sync web one 1" not in fleet.log

    fleet.left_behind = ""
    await application.until_ready()
    assert fleet.log[-2:] == ["delete canary/one/webapp/Deployment/backend", "sync web one 1"]


async def test_a_canary_that_was_terminated_takes_its_way_out_all_the_same(begin: Any, of: Any) -> None:
    fleet = Fleet(has_canaries=False)
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()
    fleet.log.clear()

    await application.apply(of(policy_of("web", ONE)))
    await application.until_ready()

    canary = "delete canary/one/webapp/Deployment/backend"
    assert fleet.log == [canary, f"start and {canary}", "sync web one 1"]


async def test_a_way_out_that_goes_on_in_a_new_history_is_waited_for(begin: Any) -> None:
    """Nothing is taken away before the canary has left."""
    fleet = Fleet(histories=2)
    application = await begin(fleet, policy_of("web", ONE, rollout=True))
    await application.until_ready()
    fleet.log.clear()

    answer = await application.delete()

    assert answer.is_done, answer
    assert fleet.log == [*["delete canary/one/webapp/Deployment/backend"] * 3, "retire web one prune"]


async def test_delete_says_what_it_has_to_leave(begin: Any) -> None:
    stays = "Namespace webapp stays: it holds ConfigMap foreign."
    fleet = Fleet(left_behind=LEFT)
    application = await begin(fleet, policy_of("web", ONE, rollout=True), policy_of("extra", TWO))
    await application.until_ready()
    fleet.results = {"two": SyncResult(is_done=True, is_waiting=True, message=stays)}

    answer = await application.delete()

    assert not answer.is_done
    assert answer.message.startswith(f"{application.id} deleted, but not all that it brought. ")
    assert f" web in one: {LEFT}" in answer.message
    assert f" extra in two: {stays}" in answer.message


async def test_a_cluster_that_answers_is_not_left_behind(monkeypatch: pytest.MonkeyPatch, begin: Any) -> None:
    monkeypatch.setattr("canary.delivery.GIVE_UP_AFTER", timedelta(0))
    fleet = Fleet()
    application = await begin(fleet, policy_of("web", ONE))
    await application.until_ready()
    fleet.results = {"one": SyncResult(is_done=False, message="deletion of Deployments is forbidden")}

    deletion = asyncio.create_task(application.delete())
    await application.until(lambda status: status.progress[0].has_failed)
    fleet.results.clear()

    assert (await asyncio.wait_for(deletion, 20)).is_done


@pytest.mark.proves("K5")
async def test_delete_leaves_behind_what_stays_unreachable(
    monkeypatch: pytest.MonkeyPatch, begin: Any
) -> None:
    """In Kurator one member that does not answer holds a deletion up for ever.

    K5: Kurator's controller.go.
    """
    monkeypatch.setattr("canary.delivery.GIVE_UP_AFTER", timedelta(0))
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()
    fleet.results = {"two": UNREACHABLE}

    answer = await asyncio.wait_for(application.delete(), 20)

    assert "retire web two prune" in fleet.log
    assert answer == Answer(
        message=f"{application.id} deleted, but not all that it brought. web in two: {UNREACHABLE.message}",
        is_done=False,
    )


@pytest.mark.proves("K5")
async def test_delete_leaves_behind_where_nobody_hears_how_it_went(
    monkeypatch: pytest.MonkeyPatch, begin: Any
) -> None:
    """A member whose worker is silent holds a deletion up as little as one that is away.

    K5: Kurator's controller.go.
    """
    monkeypatch.setattr("canary.delivery.GIVE_UP_AFTER", timedelta(0))
    fleet = Fleet(lost={"two"})
    application = await begin(fleet, BOTH)
    await application.until_ready()

    await asyncio.wait_for(application.delete(), 20)

    assert fleet.log.count("retire web two prune") == 1


async def test_an_apply_that_waits_for_a_delete_is_refused(begin: Any, of: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()
    fleet.judged = asyncio.Event()

    async def send(name: str, argument: Any) -> Any:
        accepted = WorkflowUpdateStage.ACCEPTED
        return await application.handle.start_update(name, argument, wait_for_stage=accepted)

    first = await send(APPLY, ApplyApplication(spec=of(BOTH, policy_of("extra", ONE))))
    deletion = await send(DELETE, DeleteCommand())
    late = await send(APPLY, ApplyApplication(spec=of(BOTH)))
    fleet.judged.set()

    await first.result()
    with pytest.raises(WorkflowUpdateFailedError):
        await late.result()
    await deletion.result()


async def test_a_refused_first_apply_closes_the_workflow(serve: Serve, of: Any) -> None:
    problem = Problem(path="spec.service.port", message="Service backend has no port 80")
    fleet = Fleet(found=Preflight(problems=(problem,)))
    application = Application(await serve(fleet.activities()), of(BOTH))

    result = await application.apply(of(BOTH))

    assert not result.accepted
    assert result.problems[0].path == "spec.syncPolicies[0].rollout.port"
    await application.handle.result()
    assert fleet.log == []


async def test_a_first_apply_that_is_judged_for_long_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, of: Any
) -> None:
    monkeypatch.setattr("workflows.application.FIRST_SPEC", timedelta(milliseconds=500))
    judged = asyncio.Event()
    application = Application(await serve(Fleet(judged=judged).activities()), of(BOTH))
    applying = asyncio.create_task(application.apply(of(BOTH)))

    async def has_waited() -> bool:
        with contextlib.suppress(RPCError):  # it is about to be started
            history = await application.handle.fetch_history()
            return any(event.HasField("timer_fired_event_attributes") for event in history.events)
        return False

    await eventually(has_waited)
    judged.set()

    assert await applying == ApplyResult(accepted=True, created=True, changed=True)
    await application.until_ready()
    await application.delete()


async def test_a_first_apply_that_cannot_be_judged_closes_the_workflow(serve: Serve, of: Any) -> None:
    fleet = Fleet(is_blind=True)
    application = Application(await serve(fleet.activities()), of(BOTH))

    with pytest.raises(WorkflowUpdateFailedError):
        await application.apply(of(BOTH))

    await application.handle.result()


async def test_nothing_is_taken_up_while_it_is_deleted(begin: Any, of: Any) -> None:
    fleet = Fleet(held={"one": asyncio.Event()})
    application = await begin(fleet, BOTH)
    deletion = asyncio.create_task(application.delete())

    async def is_leaving() -> bool:
        return (await application.row()).phase == "Terminating"

    await eventually(is_leaving)
    with pytest.raises(WorkflowUpdateFailedError):
        await application.apply(of(BOTH, policy_of("extra", ONE)))
    fleet.held["one"].set()

    await deletion


async def test_a_refused_later_apply_leaves_the_running_one(begin: Any, of: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()
    fleet.log.clear()

    fleet.unreachable = {"two": Problem(path="cluster", message="Cluster two is not known here")}
    result = await application.apply(of(BOTH, policy_of("extra", TWO)))

    assert not result.accepted
    assert (await application.status()).spec == of(BOTH)
    assert fleet.log == []


@pytest.mark.proves("K7")
async def test_a_new_application_needs_every_cluster(serve: Serve, of: Any) -> None:
    """Kurator skips the rollout of a cluster that is not there, and says nothing.

    K7: Kurator's rollout_helper.go.
    """
    fleet = Fleet(unreachable={"two": AWAY})
    application = Application(await serve(fleet.activities()), of(BOTH))

    result = await application.apply(of(BOTH))

    assert not result.accepted
    assert result.problems == (
        Problem(path="spec.syncPolicies[0].destination.fleet", message=AWAY.message, is_unreachable=True),
    )


async def test_what_is_wrong_in_every_cluster_is_told_once(begin: Any, of: Any) -> None:
    said = Problem(path="spec.testLoader", message="is open", is_warning=True)
    application = await begin(Fleet(found=Preflight(problems=(said, said))), BOTH)
    twice = await application.apply(of(BOTH, policy_of("more", TWO, rollout=True)))

    assert [problem.path for problem in twice.problems] == [
        "spec.syncPolicies[0].rollout.testLoader",
        "spec.syncPolicies[1].rollout.testLoader",
    ]


async def test_a_running_application_takes_a_change_while_a_member_is_away(begin: Any, of: Any) -> None:
    fleet = Fleet()
    application = await begin(fleet, BOTH)
    await application.until_ready()

    fleet.unreachable = {"two": AWAY}
    result = await application.apply(of(BOTH, policy_of("extra", ONE)))

    assert result.accepted
    assert result.problems[0].is_warning


async def test_a_spec_of_another_name_is_refused(begin: Any) -> None:
    application = await begin(Fleet(), BOTH)

    with pytest.raises(WorkflowUpdateFailedError):
        await application.apply(shop(BOTH, name="other"))


@pytest.fixture
async def short_lived() -> AsyncIterator[WorkflowEnvironment]:
    """A server that suggests continue-as-new after 60 events."""
    async with await server("limit.historyCount.suggestContinueAsNew=60") as environment:
        yield environment


async def test_continuing_as_new_neither_forgets_nor_repeats(short_lived: WorkflowEnvironment) -> None:
    fleet = Fleet()
    client = short_lived.client
    common = {"activities": fleet.activities(), "workflow_runner": build_runner()}
    spec = shop(BOTH)
    async with (
        Worker(client, task_queue=QUEUE, workflows=[ApplicationWorkflow], **common),
        Worker(client, task_queue=CHECKS_QUEUE, **common),
    ):
        application = Application(client, spec)
        await application.apply(spec)
        await application.until_ready()
        first = (await application.handle.describe()).run_id
        for revision in range(2, 9):
            fleet.revision = f"master@sha1:{revision}"
            await application.until_ready(str(revision))
        second = await application.handle.describe()
        await application.delete()
        await application.handle.result()

    assert second.run_id != first
    assert second.status == WorkflowExecutionStatus.RUNNING
    assert fleet.log.count("sync web one 5") == 1
