"""The Deployment controller: one ReplicaSet a template, replicas moved from the old ones to the new one.

It follows the real controller step by step, its habit included of writing the status from the copy it began
with: a second write in one pass is refused (409) and the pass repeated. Conditions come out in the real order
because of that.
"""

import copy
from collections.abc import Sequence

from sandbox.client import ApiError, KubeClient, Object, key_of
from sandbox.controllers import progress, revisions, rollout
from sandbox.controllers.informers import Informers
from sandbox.controllers.owners import claim, controller_of, is_controlled_by, path_of
from sandbox.controllers.pods import is_finished, utc_now
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.selectors import matches
from sandbox.controllers.workqueue import WorkQueue

DEPLOYMENTS, REPLICA_SETS, PODS = "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/api/v1/pods"
NOT_FOUND, CONFLICT = 404, 409


class DeploymentController:
    """Keeps every Deployment's ReplicaSets and status as its spec asks."""

    def __init__(self, client: KubeClient, informers: Informers, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._deployments = informers.of(DEPLOYMENTS)
        self._sets = informers.of(REPLICA_SETS)
        self._pods = informers.of(PODS)
        self._queue = WorkQueue("deployments", self._sync)

    async def run(self) -> None:
        """Work until cancelled."""
        self._deployments.subscribe(lambda _, obj, __: self._queue.add(key_of(obj)))
        self._sets.subscribe(self._set_changed)
        self._pods.subscribe(self._pod_changed)
        await self._queue.run()

    def _set_changed(self, _kind: str, obj: Object, old: Object | None) -> None:
        for item in filter(None, (obj, old)):
            controller = controller_of(item)
            if controller and controller["kind"] == "Deployment":
                self._queue.add(f"{item['metadata']['namespace']}/{controller['name']}")
        if not controller_of(obj):
            self._orphan_appeared(obj)

    def _orphan_appeared(self, obj: Object) -> None:
        meta = obj["metadata"]
        for deployment in self._deployments.in_namespace(meta["namespace"]):
            if matches(deployment["spec"]["selector"], meta.get("labels", {})):
                self._queue.add(key_of(deployment))

    def _pod_changed(self, kind: str, pod: Object, _old: Object | None) -> None:
        """Go on with a `Recreate` when the last pod has gone."""
        owner = controller_of(pod)
        if kind != "DELETED" or not owner or owner["kind"] != "ReplicaSet":
            return
        replica_set = self._sets.objects.get(f"{pod['metadata']['namespace']}/{owner['name']}")
        controller = controller_of(replica_set) if replica_set else None
        if controller:
            self._queue.add(f"{pod['metadata']['namespace']}/{controller['name']}")

    async def _sync(self, key: str) -> None:
        cached = self._deployments.objects.get(key)
        if not cached:
            return None
        deployment = copy.deepcopy(cached)
        sets = await self._claimed(deployment)
        if "deletionTimestamp" in deployment["metadata"]:
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
        meta = deployment["metadata"]
        candidates = self._sets.controlled_by(meta["uid"]) + self._sets.orphans(meta["namespace"])
        return await claim(self._client, deployment, "replicasets", candidates)

    async def _note_pause(self, deployment: Object) -> None:
        status = deployment.setdefault("status", {})
        current = progress.condition_of(status, progress.PROGRESSING)
        if not progress.has_deadline(deployment) or (current and current["reason"] == progress.TIMED_OUT):
            return
        was_paused = current is not None and current["reason"] == progress.PAUSED
        if bool(deployment["spec"].get("paused")) == was_paused:
            return
        reason, text = (progress.RESUMED, "Deployment is resumed")
        if not was_paused:
            reason, text = (progress.PAUSED, "Deployment is paused")
        fresh = progress.condition(progress.PROGRESSING, "Unknown", reason, text, utc_now())
        progress.set_condition(status, fresh)
        await self._update_status(deployment)

    def _is_resized(self, deployment: Object, sets: Sequence[Object]) -> bool:
        wanted = str(rollout.replicas_of(deployment))
        noted = (revisions.annotations_of(item).get(rollout.DESIRED) for item in rollout.active(sets))
        return any(number is not None and number != wanted for number in noted)

    # Finding and making the ReplicaSet of the present template

    async def _new_set(self, deployment: Object, sets: Sequence[Object], *, create: bool) -> Object | None:
        found = revisions.find_new(deployment, sets)
        old = revisions.find_old(sets, found)
        revision = max((revisions.revision_of(item) for item in old), default=0) + 1
        if found:
            return await self._refresh(deployment, copy.deepcopy(found), revision)
        return await self._create(deployment, old, revision) if create else None

    async def _refresh(self, deployment: Object, found: Object, revision: int) -> Object:
        wanted = deployment["spec"].get("minReadySeconds", 0)
        is_annotated = revisions.annotate(deployment, found, revision)
        if is_annotated or found["spec"].get("minReadySeconds", 0) != wanted:
            found["spec"]["minReadySeconds"] = wanted
            return await self._client.replace(path_of(found, "replicasets"), found)
        is_changed = self._set_revision(deployment, revisions.revision_of(found))
        status = deployment.setdefault("status", {})
        if progress.has_deadline(deployment) and not progress.condition_of(status, progress.PROGRESSING):
            text = f'Found new replica set "{found["metadata"]["name"]}"'
            fresh = progress.condition(progress.PROGRESSING, "True", progress.FOUND, text, utc_now())
            progress.set_condition(status, fresh)
            is_changed = True
        if is_changed:
            await self._update_status(deployment)
        return found

    async def _create(self, deployment: Object, old: Sequence[Object], revision: int) -> Object:
        made = revisions.make_replica_set(deployment, revision)
        made["spec"]["replicas"] = rollout.new_replicas(deployment, [*old, made], made)
        made["metadata"]["annotations"] |= revisions.size_annotations(deployment)
        created = await self._create_or_find(deployment, made)
        name = created["metadata"]["name"]
        if rollout.replicas_of(created):
            self._say_scaled(deployment, name, 0, rollout.replicas_of(created))
        is_changed = self._set_revision(deployment, revision)
        if progress.has_deadline(deployment):
            text = f'Created new replica set "{name}"'
            fresh = progress.condition(progress.PROGRESSING, "True", progress.CREATED, text, utc_now())
            progress.set_condition(deployment.setdefault("status", {}), fresh)
            is_changed = True
        if is_changed:
            await self._update_status(deployment)
        return created

    async def _create_or_find(self, deployment: Object, made: Object) -> Object:
        path = path_of(made, "replicasets")
        try:
            return await self._client.create(path.rpartition("/")[0], made)
        except ApiError as error:
            if error.status != CONFLICT:
                await self._note_failure(deployment, made, error)
                raise
        found = await self._client.get(path)
        if not is_controlled_by(found, deployment) or not revisions.find_new(deployment, [found]):
            # Another template of the same hash: count it, and the next pass takes another name.
            status = deployment.setdefault("status", {})
            status["collisionCount"] = status.get("collisionCount", 0) + 1
            await self._update_status(deployment)
            raise ApiError(CONFLICT, {"message": f"the name {made['metadata']['name']} is taken"})
        return found

    async def _note_failure(self, deployment: Object, made: Object, error: ApiError) -> None:
        text = f'Failed to create new replica set "{made["metadata"]["name"]}": {error.message}'
        self._recorder.record(deployment, progress.CREATE_FAILED, text, kind="Warning")
        if progress.has_deadline(deployment):
            fresh = progress.condition(progress.PROGRESSING, "False", progress.CREATE_FAILED, text, utc_now())
            progress.set_condition(deployment.setdefault("status", {}), fresh)
            await self._update_status(deployment)

    def _set_revision(self, deployment: Object, revision: int) -> bool:
        annotations = deployment["metadata"].setdefault("annotations", {})
        if annotations.get(revisions.REVISION) == str(revision):
            return False
        annotations[revisions.REVISION] = str(revision)
        return True

    # Strategies

    async def _roll(self, deployment: Object, sets: Sequence[Object]) -> None:
        new = await self._new_set(deployment, sets, create=True)
        old = revisions.find_old(sets, new)
        if new is None:
            return
        everyone = self._with_new(old, new)
        wanted = min(rollout.new_replicas(deployment, everyone, new), rollout.replicas_of(deployment))
        if rollout.replicas_of(new) == wanted or not await self._scale(deployment, new, wanted):
            is_smaller = await self._shrink_old(deployment, old, new)
            if not is_smaller and progress.is_complete(deployment, deployment.get("status", {})):
                await self._tidy(deployment, old)
        await self._write_status(deployment, everyone, new)

    async def _shrink_old(self, deployment: Object, old: Sequence[Object], new: Object) -> bool:
        running = rollout.active(old)
        most = rollout.removable(deployment, running, new)
        if not running or most <= 0:
            return False
        running = revisions.by_age(running)
        removed = await self._remove_unhealthy(deployment, running, most)
        least = rollout.replicas_of(deployment) - rollout.max_unavailable(deployment)
        surplus = rollout.total([*running, new], "availableReplicas") - least
        for item in running:
            down = min(rollout.replicas_of(item), surplus)
            if down > 0:
                await self._scale(deployment, item, rollout.replicas_of(item) - down)
                surplus -= down
                removed += down
        return removed > 0

    async def _remove_unhealthy(self, deployment: Object, running: list[Object], most: int) -> int:
        removed = 0
        for index, item in enumerate(running):
            unhealthy = rollout.replicas_of(item) - rollout.counter(item, "availableReplicas")
            down = min(most - removed, unhealthy)
            if down > 0:
                size = rollout.replicas_of(item) - down
                running[index] = await self._scale(deployment, item, size) or item
                removed += down
        return removed

    async def _recreate(self, deployment: Object, sets: Sequence[Object]) -> None:
        new = await self._new_set(deployment, sets, create=False)
        old = revisions.find_old(sets, new)
        running = rollout.active(old)
        for item in running:
            await self._scale(deployment, item, 0)
        if running or self._runs_old_pods(old):
            return await self._write_status(deployment, self._with_new(old, new), new)
        new = new or await self._new_set(deployment, sets, create=True)
        if new is None:
            return None
        await self._scale(deployment, new, rollout.replicas_of(deployment))
        if progress.is_complete(deployment, deployment.get("status", {})):
            await self._tidy(deployment, old)
        return await self._write_status(deployment, self._with_new(old, new), new)

    def _runs_old_pods(self, old: Sequence[Object]) -> bool:
        if rollout.total(old, "replicas"):
            return True
        pods = (pod for item in old for pod in self._pods.controlled_by(item["metadata"]["uid"]))
        return any(not is_finished(pod) for pod in pods)

    # Size

    async def _resize(self, deployment: Object, sets: Sequence[Object]) -> None:
        new = await self._new_set(deployment, sets, create=False)
        old = revisions.find_old(sets, new)
        everyone = self._with_new(old, new)
        await self._spread(deployment, old, new)
        if deployment["spec"].get("paused"):
            await self._tidy(deployment, old)
        await self._write_status(deployment, everyone, new, is_progress_judged=False)

    async def _spread(self, deployment: Object, old: Sequence[Object], new: Object | None) -> None:
        everyone = self._with_new(old, new)
        running = rollout.active(everyone)
        if len(running) <= 1:
            only = running[0] if running else new or next(reversed(revisions.by_age(old)), None)
            if only:
                await self._scale(deployment, only, rollout.replicas_of(deployment))
            return
        if new and self._is_saturated(deployment, new):
            for item in rollout.active(old):
                await self._scale(deployment, item, 0)
        elif rollout.is_rolling(deployment):
            sizes = rollout.proportional(deployment, running)
            for item in running:
                await self._scale(deployment, item, sizes[item["metadata"]["name"]], is_noted=True)

    def _is_saturated(self, deployment: Object, new: Object) -> bool:
        noted = revisions.annotations_of(new).get(rollout.DESIRED)
        wanted = rollout.replicas_of(deployment)
        available = rollout.counter(new, "availableReplicas")
        return rollout.replicas_of(new) == wanted == available and noted == str(wanted)

    async def _scale(
        self, deployment: Object, item: Object, size: int, *, is_noted: bool = False
    ) -> Object | None:
        """Give the ReplicaSet another size; None if nothing was to be written."""
        before = rollout.replicas_of(item)
        notes = revisions.size_annotations(deployment)
        known = revisions.annotations_of(item)
        is_stale = is_noted and any(known.get(name) != value for name, value in notes.items())
        if size == before and not is_stale:
            return None
        changed = item | {
            "metadata": item["metadata"] | {"annotations": known | notes},
            "spec": item["spec"] | {"replicas": size},
        }
        written = await self._client.replace(path_of(item, "replicasets"), changed)
        if size != before:
            self._say_scaled(deployment, item["metadata"]["name"], before, size)
        return written

    async def _tidy(self, deployment: Object, old: Sequence[Object]) -> None:
        for item in revisions.surplus(deployment, old):
            try:
                await self._client.delete(path_of(item, "replicasets"))
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise

    # Status

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
            await self._update_status(deployment)
            return
        delay = progress.seconds_to_deadline(deployment, status, now) if is_progress_judged else None
        if delay is not None:
            self._queue.add_after(key_of(deployment), delay)

    def _move_failure(self, status: Object, sets: Sequence[Object], new: Object | None) -> None:
        """Show a ReplicaSet's failure to make pods, the new one's first."""
        ordered = ([new] if new else []) + list(sets)
        found = (progress.condition_of(item.get("status", {}), progress.FAILURE) for item in ordered)
        failure = next(filter(None, found), None)
        if failure is None:
            progress.remove_condition(status, progress.FAILURE)
            return
        times = {"lastUpdateTime": failure["lastTransitionTime"]}
        progress.set_condition(status, failure | times)

    async def _update_status(self, deployment: Object) -> None:
        await self._client.replace(path_of(deployment, "deployments") + "/status", deployment)

    def _say_scaled(self, deployment: Object, name: str, before: int, size: int) -> None:
        way = "up" if size > before else "down"
        text = f"Scaled {way} replica set {name} from {before} to {size}"
        self._recorder.record(deployment, "ScalingReplicaSet", text)

    def _with_new(self, old: Sequence[Object], new: Object | None) -> list[Object]:
        return [*old, new] if new else list(old)
