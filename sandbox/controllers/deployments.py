"""The Deployment controller: one ReplicaSet a template, replicas moved from the old ones to the new one.

It follows the real controller step by step, its habit included of writing the status from the copy it began
with: a second write in one pass is refused (409) and the pass repeated. Conditions come out in the real order
because of that.
"""

import contextlib
from collections.abc import Sequence

from sandbox.client import KubeClient, NotFoundError
from sandbox.controllers import progress, revisions, rollout
from sandbox.controllers.conditions import condition_of, remove_condition, set_condition
from sandbox.controllers.current import CurrentSet, draft, update_status
from sandbox.controllers.informers import Informers
from sandbox.controllers.owners import claim, controller_of
from sandbox.controllers.pods import is_finished, utc_now
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.scaling import Scaler
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, is_ending, key_of, path_of

DEPLOYMENTS, REPLICA_SETS, PODS = "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/api/v1/pods"


class DeploymentController:
    """Keeps every Deployment's ReplicaSets and status as its spec asks."""

    def __init__(self, client: KubeClient, informers: Informers, recorder: Recorder) -> None:
        self._client = client
        self._current = CurrentSet(client, recorder)
        self._scaler = Scaler(client, recorder)
        self._deployments = informers.of(DEPLOYMENTS)
        self._sets = informers.of(REPLICA_SETS)
        self._pods = informers.of(PODS)
        self.queue = WorkQueue("deployments", self._sync)
        self._deployments.subscribe(self.queue.add_object)
        self._sets.subscribe(self._set_changed)
        self._pods.subscribe(self._pod_changed)

    def _set_changed(self, _kind: str, obj: Object, old: Object | None) -> None:
        for item in filter(None, (obj, old)):
            controller = controller_of(item)
            if controller and controller["kind"] == "Deployment":
                self.queue.add(f"{item['metadata']['namespace']}/{controller['name']}")
        if not controller_of(obj):
            for deployment in self._deployments.selecting(obj):
                self.queue.add(key_of(deployment))

    def _pod_changed(self, kind: str, pod: Object, _old: Object | None) -> None:
        """Go on with a `Recreate` when the last pod has gone."""
        owner = controller_of(pod)
        if kind != "DELETED" or not owner or owner["kind"] != "ReplicaSet":
            return
        replica_set = self._sets.objects.get(f"{pod['metadata']['namespace']}/{owner['name']}")
        controller = controller_of(replica_set) if replica_set else None
        if controller:
            self.queue.add(f"{pod['metadata']['namespace']}/{controller['name']}")

    async def _sync(self, key: str) -> None:
        cached = self._deployments.objects.get(key)
        if not cached:
            return None
        deployment = draft(cached)
        sets = await self._claimed(deployment)
        if is_ending(deployment):
            new = revisions.find_new(deployment, sets)
            return await self._write_status(
                deployment, self._with_new(revisions.find_old(sets, new), new), new
            )
        await self._note_pause(deployment)
        if deployment["spec"].get("paused") or self._is_resized(deployment, sets):
            return await self._resize(deployment, sets)
        if rollout.is_rolling(deployment):
            return await self._roll(deployment, sets)
        return await self._recreate(deployment, sets)

    async def _claimed(self, deployment: Object) -> list[Object]:
        return await claim(self._client, deployment, "replicasets", self._sets.candidates(deployment))

    async def _note_pause(self, deployment: Object) -> None:
        current = condition_of(deployment["status"], progress.PROGRESSING)
        if current and current["reason"] == progress.TIMED_OUT:
            return
        was_paused = current is not None and current["reason"] == progress.PAUSED
        if bool(deployment["spec"].get("paused")) == was_paused:
            return
        if was_paused:
            is_noted = progress.note(deployment, "Unknown", progress.RESUMED, "Deployment is resumed")
        else:
            is_noted = progress.note(deployment, "Unknown", progress.PAUSED, "Deployment is paused")
        if is_noted:
            await update_status(self._client, deployment)

    def _is_resized(self, deployment: Object, sets: Sequence[Object]) -> bool:
        wanted = str(rollout.replicas_of(deployment))
        noted = (revisions.annotations_of(item).get(rollout.DESIRED) for item in rollout.active(sets))
        return any(number is not None and number != wanted for number in noted)

    async def _roll(self, deployment: Object, sets: Sequence[Object]) -> None:
        new = await self._current.of(deployment, sets, create=True)
        old = revisions.find_old(sets, new)
        if new is None:
            return
        everyone = self._with_new(old, new)
        wanted = min(rollout.new_replicas(deployment, everyone, new), rollout.replicas_of(deployment))
        if rollout.replicas_of(new) == wanted or not await self._scaler.scale(deployment, new, wanted):
            is_smaller = await self._scaler.shrink_old(deployment, old, new)
            if not is_smaller and progress.is_complete(deployment, deployment.get("status", {})):
                await self._tidy(deployment, old)
        await self._write_status(deployment, everyone, new)

    async def _recreate(self, deployment: Object, sets: Sequence[Object]) -> None:
        new = await self._current.of(deployment, sets, create=False)
        old = revisions.find_old(sets, new)
        running = rollout.active(old)
        for item in running:
            await self._scaler.scale(deployment, item, 0)
        if running or self._runs_old_pods(old):
            return await self._write_status(deployment, self._with_new(old, new), new)
        new = new or await self._current.of(deployment, sets, create=True)
        if new is None:
            return None
        await self._scaler.scale(deployment, new, rollout.replicas_of(deployment))
        if progress.is_complete(deployment, deployment.get("status", {})):
            await self._tidy(deployment, old)
        return await self._write_status(deployment, self._with_new(old, new), new)

    def _runs_old_pods(self, old: Sequence[Object]) -> bool:
        if rollout.total(old, "replicas"):
            return True
        pods = (pod for item in old for pod in self._pods.controlled_by(item["metadata"]["uid"]))
        return any(not is_finished(pod) for pod in pods)

    async def _resize(self, deployment: Object, sets: Sequence[Object]) -> None:
        new = await self._current.of(deployment, sets, create=False)
        old = revisions.find_old(sets, new)
        everyone = self._with_new(old, new)
        await self._scaler.spread(deployment, old, new)
        if deployment["spec"].get("paused"):
            await self._tidy(deployment, old)
        await self._write_status(deployment, everyone, new, is_progress_judged=False)

    async def _tidy(self, deployment: Object, old: Sequence[Object]) -> None:
        for item in revisions.surplus(deployment, old):
            with contextlib.suppress(NotFoundError):
                await self._client.delete(path_of(item, "replicasets"))

    async def _write_status(
        self,
        deployment: Object,
        sets: Sequence[Object],
        new: Object | None,
        *,
        is_progress_judged: bool = True,
    ) -> None:
        now = utc_now()
        status = progress.status_of(deployment, sets, new, now)
        if is_progress_judged:
            progress.judge_progress(deployment, status, new, now)
            self._move_failure(status, sets, new)
        if status != deployment.get("status"):
            deployment["status"] = status
            await update_status(self._client, deployment)
            return
        delay = progress.seconds_to_deadline(deployment, status, now) if is_progress_judged else None
        if delay is not None:
            self.queue.add_after(key_of(deployment), delay)

    def _move_failure(self, status: Object, sets: Sequence[Object], new: Object | None) -> None:
        """Show a ReplicaSet's failure to make pods, the new one's first."""
        ordered = ([new] if new else []) + list(sets)
        found = (condition_of(item.get("status", {}), progress.FAILURE) for item in ordered)
        failure = next(filter(None, found), None)
        if failure is None:
            remove_condition(status, progress.FAILURE)
            return
        times = {"lastUpdateTime": failure["lastTransitionTime"]}
        set_condition(status, failure | times)

    def _with_new(self, old: Sequence[Object], new: Object | None) -> list[Object]:
        return [*old, new] if new else list(old)
