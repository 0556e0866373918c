"""Giving our engine what Flagger was given: the same objects, documents and actions."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle

from canary.documents.resolve import resolve
from canary.spec import CanarySpec
from sandbox.client import KubeClient
from starter import offer
from starter.commands import command
from tests.conformance import workload
from tests.conformance.recorded.essence import Object
from tests.conformance.recorded.recording import DELETE, DOCUMENTS, RESUME, STUB, SUSPEND, Action, Recording
from tests.conformance.recorded.story import Status, Story, deduplicated
from tests.conformance.recorded.stub import Stub
from tests.conformance.recorded.witness import Witness, collection
from tests.conformance.waiting import until
from tests.conformance.world import World
from workflows.contract import DELETE as DELETE_UPDATE
from workflows.contract import STATUS, Answer, ApplyCanary, CanaryView, DeleteCommand, canary_id, rollout_id

CLUSTER = "kurator-member1"
INTERVAL = 3.0
"""Seconds between two checks of ours."""
WITHIN = 90.0
OVER = ("Succeeded", "Failed")
QUIET = 1.0
"""Seconds without anything new, after which a story is over."""


async def play(recording: Recording, world: World) -> Story:
    """Play a recording with our engine and tell what came of it."""
    story = Story(gates=recording.gates, interval=INTERVAL)
    api = world.clusters[CLUSTER].api
    namespace = workload.namespace(recording.namespace)
    await api.apply(f"/api/v1/namespaces/{recording.namespace}", namespace, manager="kubectl")
    async with (
        Stub(recording, story) as stub,
        Witness(api, world.client, recording.namespace, story) as witness,
    ):
        player = _Player(recording, world, stub, story)
        await player.begin(witness)
        for action in recording.actions:
            await player.act(action)
        await player.end()
    return story


class _Player:
    """One run of our engine."""

    def __init__(self, recording: Recording, world: World, stub: Stub, story: Story) -> None:
        self._recording = recording
        self._client = world.client
        self._api: KubeClient = world.clusters[CLUSTER].api
        self._stub = stub
        self._story = story
        self._documents = recording.documents
        self._since = 0
        """How many statuses there were when the last action was done."""
        self._spec: CanarySpec

    @property
    def _canary(self) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(canary_id(self._spec.tail))

    async def begin(self, witness: Witness) -> None:
        """Create what was given and hand the documents over."""
        for obj in self._recording.given:
            path = collection(obj["kind"], self._recording.namespace, obj["apiVersion"])
            await self._api.create(path, _redirected(obj, self._stub.url))
        await self._apply()
        witness.follow(self._canary)

    async def act(self, action: Action) -> None:
        """Do one action in the status it was done in; Flagger scales down before it says that it is over."""
        await self._reaches(action)
        if action.after.phase in OVER:
            await self._is_wound_down()
        await asyncio.sleep(action.pause * INTERVAL / self._recording.interval)
        self._since = len(self._story.statuses)
        if action.is_by_the_stub:
            self._stub.go_on()
        elif action.text in (SUSPEND, RESUME):
            await self._apply(suspend=action.text == SUSPEND)
        elif action.text == DELETE:
            await self._delete()
        elif action.kind == "Canary":
            assert action.wanted is not None
            await self._apply(**action.wanted["spec"])
        else:
            await self._change(action)

    async def _change(self, action: Action) -> None:
        path = f"{collection(action.kind, self._recording.namespace)}/{action.name}"
        if action.wanted is None:
            await self._api.delete(path)
        else:
            await self._api.patch(path, merge_patch(action.before, action.wanted))

    async def end(self) -> None:
        """Wait until all has come to its end."""
        if not any(action.text == DELETE for action in self._recording.actions):
            await self._reaches_end()
            await self._is_wound_down()
        await until(self._is_quiet, WITHIN, f"nothing new happens in {self._recording.name}")
        view: CanaryView = await self._canary.query(STATUS, result_type=CanaryView)
        assert view.status.condition is not None, view.status
        self._story.saw_condition(view.status.condition.model_dump())

    async def _is_wound_down(self) -> None:
        rollout = self._client.get_workflow_handle(rollout_id(self._spec.tail))
        async with asyncio.timeout(WITHIN):
            with suppress(WorkflowFailureError):  # of a rollback the story tells
                await rollout.result()

    async def _is_quiet(self) -> bool:
        before = self._story.copy()
        await asyncio.sleep(QUIET)
        return self._story == before

    async def _apply(self, **changes: Any) -> None:
        self._documents[-1]["spec"] |= changes
        documents = [_rewritten(document, self._recording, self._stub.url) for document in self._documents]
        found = resolve(documents, CLUSTER)
        mistakes = [mistake for mistake in found.mistakes if not mistake.is_warning]
        assert not mistakes, mistakes
        self._spec = found.canaries[0].spec
        request = ApplyCanary(spec=self._spec, command=command("test", "recorded"))
        result = await offer.make(self._client, offer.of_canary(request))
        assert result.accepted, result

    async def _delete(self) -> None:
        wish = DeleteCommand(command=command("test", "recorded"))
        answer: Answer = await self._canary.execute_update(DELETE_UPDATE, wish, result_type=Answer)
        assert "as it was" in answer.message, answer

    async def _reaches(self, action: Action) -> None:
        """Wait for the status of an action, now or since the one before, and for the calls before it."""

        async def reached() -> bool:
            since = (*self._story.statuses[self._since :], *self._story.statuses[-1:])
            called = all(self._stub.called[name] >= count for name, count in action.calls.items())
            is_there = called and (action.after.phase in OVER or self._story.routes == action.routes)
            return is_there and any(_is_like(status, action.after) for status in since)

        await self._until(reached, action.after)

    async def _reaches_end(self) -> None:
        """Wait for the last phase; what else it says there is compared afterwards."""
        wanted = self._recording.last_status

        async def reached() -> bool:
            phases = [status.phase for status in self._story.statuses[self._since :]]
            return deduplicated(phases).count(wanted.phase) >= self._recording.endings

        await self._until(reached, wanted)

    async def _until(self, reached: Callable[[], Awaitable[bool]], wanted: Status) -> None:
        try:
            await until(reached, WITHIN, f"{self._recording.name} is {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was {self._story.statuses}") from None


def _is_like(ours: Status, theirs: Status) -> bool:
    """Whether it is the moment for an action; the weight in promotion is another matter (D3, T7)."""
    is_under_analysis = theirs.phase == "Progressing"
    return ours == theirs if is_under_analysis else ours.phase == theirs.phase


def _redirected(obj: Object, stub: str) -> Object:
    """An object with our addresses."""
    found: Object = json.loads(STUB.sub(stub, json.dumps(obj)))
    return found


def _rewritten(document: Object, recording: Recording, stub: str) -> Object:
    """A document with our addresses, our pace and a namespace."""
    found = _redirected(document, stub)
    found["metadata"].setdefault("namespace", recording.namespace)
    if found["kind"] == "Canary":
        found["spec"]["metricsServer"] = stub
        found["spec"]["analysis"]["interval"] = f"{INTERVAL:g}s"
    assert found["kind"] in DOCUMENTS
    return found


def merge_patch(before: Any, after: Any) -> Any:
    """The merge patch that turns one object into another."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    gone = dict.fromkeys(before.keys() - after.keys())
    changed = {
        key: merge_patch(before.get(key), value) for key, value in after.items() if before.get(key) != value
    }
    return {**gone, **changed}
