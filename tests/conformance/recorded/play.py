"""Giving our engine what Flagger was given: the same objects, documents and actions."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from temporalio.client import WorkflowFailureError

from canary.documents.resolve import resolve
from canary.spec import CanarySpec
from sandbox.client import KubeClient
from starter import offer
from starter.commands import command
from tests.conformance import workload
from tests.conformance.recorded.recording import DOCUMENTS, STUB, Action, Recording
from tests.conformance.recorded.story import Object, Status, Story
from tests.conformance.recorded.stub import Stub
from tests.conformance.recorded.witness import Witness, collection
from tests.conformance.world import World, until
from workflows.contract import DELETE, Answer, ApplyCanary, DeleteCommand, canary_id, rollout_id

CLUSTER = "kurator-member1"
INTERVAL, RECORDED_INTERVAL = 2.0, 10.0
"""Seconds between two checks: ours, and the recorded one."""
SPEED = INTERVAL / RECORDED_INTERVAL
WITHIN = 60.0
QUIET = 1.0
"""Seconds without anything new, after which a story is over."""


async def play(recording: Recording, world: World) -> Story:
    """Play a recording with our engine and tell what came of it."""
    story = Story()
    api = world.clusters[CLUSTER].api
    namespace = workload.namespace(recording.namespace)
    await api.apply(f"/api/v1/namespaces/{recording.namespace}", namespace, manager="kubectl")
    async with (
        Stub(recording, story) as stub,
        Witness(api, world.client, recording.namespace, story) as witness,
    ):
        player = _Player(recording, world, stub.url, story)
        await player.begin(witness)
        for action in recording.actions:
            await player.act(action)
        await player.end()
    return story


class _Player:
    """One run of our engine."""

    def __init__(self, recording: Recording, world: World, stub: str, story: Story) -> None:
        self._recording = recording
        self._client = world.client
        self._api: KubeClient = world.clusters[CLUSTER].api
        self._stub = stub
        self._story = story
        self._since = 0
        """How many statuses there were when the last action was done."""
        self._spec: CanarySpec

    async def begin(self, witness: Witness) -> None:
        """Create what was given and hand the documents over."""
        for obj in self._recording.given:
            path = collection(obj["kind"], self._recording.namespace, obj["apiVersion"])
            await self._api.create(path, obj)
        await self._apply()
        witness.follow(self._client.get_workflow_handle(canary_id(self._spec.tail)))

    async def act(self, action: Action) -> None:
        """Do one action in the status it was done in."""
        await self._reaches(action.after)
        await asyncio.sleep(action.pause * SPEED)
        self._since = len(self._story.statuses)
        match action.text:
            case "suspend" | "resume":
                await self._apply(suspend=action.text == "suspend")
            case "Canary deleted":
                await self._delete()
            case _:
                path = f"{collection(action.kind, self._recording.namespace)}/{action.name}"
                await self._api.patch(path, merge_patch(action.before, action.wanted))

    async def end(self) -> None:
        """Wait until all has come to its end."""
        if any(action.text == "Canary deleted" for action in self._recording.actions):
            return
        await self._reaches_end()
        async with asyncio.timeout(WITHIN):
            with suppress(WorkflowFailureError):  # of a rollback the story tells
                await self._client.get_workflow_handle(rollout_id(self._spec.tail)).result()
        await until(self._is_quiet, WITHIN, f"nothing new happens in {self._recording.name}")

    async def _is_quiet(self) -> bool:
        before = self._story.copy()
        await asyncio.sleep(QUIET)
        return self._story == before

    async def _apply(self, **changes: Any) -> None:
        documents = [
            _rewritten(document, self._recording, self._stub) for document in self._recording.documents
        ]
        documents[-1]["spec"] |= changes
        found = resolve(documents, CLUSTER)
        mistakes = [mistake for mistake in found.mistakes if not mistake.is_warning]
        assert not mistakes, mistakes
        self._spec = found.canaries[0].spec
        request = ApplyCanary(spec=self._spec, command=command("test", "recorded"))
        result = await offer.make(self._client, offer.of_canary(request))
        assert result.accepted, result

    async def _delete(self) -> None:
        canary = self._client.get_workflow_handle(canary_id(self._spec.tail))
        wish = DeleteCommand(command=command("test", "recorded"))
        answer: Answer = await canary.execute_update(DELETE, wish, result_type=Answer)
        assert "as it was" in answer.message, answer

    async def _reaches(self, wanted: Status) -> None:
        """Wait for a status's phase and weight, now or since the last action."""

        async def reached() -> bool:
            since = (*self._story.statuses[self._since :], *self._story.statuses[-1:])
            return any(status[:2] == wanted[:2] for status in since)

        await self._until(reached, wanted)

    async def _reaches_end(self) -> None:
        """Wait for the last phase; what else it says there is compared afterwards."""
        wanted = self._recording.last_status

        async def reached() -> bool:
            return any(status.phase == wanted.phase for status in self._story.statuses[self._since :])

        await self._until(reached, wanted)

    async def _until(self, reached: Callable[[], Awaitable[bool]], wanted: Status) -> None:
        try:
            await until(reached, WITHIN, f"{self._recording.name} is {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was {self._story.statuses}") from None


def _rewritten(document: Object, recording: Recording, stub: str) -> Object:
    """A document with our addresses, our pace and a namespace."""
    found: Object = json.loads(json.dumps(document).replace(STUB, stub))
    found["metadata"]["namespace"] = recording.namespace
    if found["kind"] == "Canary":
        found["spec"]["metricsServer"] = stub
        assert found["spec"]["analysis"]["interval"] == f"{RECORDED_INTERVAL:g}s"
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
