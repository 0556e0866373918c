"""The sizes of a Deployment's ReplicaSets: growing, shrinking, spreading a change over them."""

from collections.abc import Sequence

from sandbox.client import KubeClient
from sandbox.controllers import revisions, rollout
from sandbox.controllers.recorder import Recorder
from sandbox.objects import Object, path_of


class Scaler:
    """Resizes ReplicaSets."""

    def __init__(self, client: KubeClient, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def shrink_old(self, deployment: Object, old: Sequence[Object], new: Object) -> bool:
        """Take old replicas away, as many as availability allows; tell whether any."""
        running = rollout.active(old)
        most = rollout.removable(deployment, running, new)
        if not running or most <= 0:
            return False
        running = revisions.by_age(running)
        removed = await self._remove_unhealthy(deployment, running, most)
        surplus = rollout.surplus(deployment, [*running, new])
        for item in running:
            down = min(rollout.replicas_of(item), surplus)
            if down > 0:
                await self.scale(deployment, item, rollout.replicas_of(item) - down)
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
                running[index] = await self.scale(deployment, item, size) or item
                removed += down
        return removed

    async def spread(self, deployment: Object, old: Sequence[Object], new: Object | None) -> None:
        """Bring the ReplicaSets to the Deployment's size without going on with a rollout."""
        everyone = [*old, new] if new else list(old)
        running = rollout.active(everyone)
        if len(running) <= 1:
            only = running[0] if running else new or next(reversed(revisions.by_age(old)), None)
            if only:
                await self.scale(deployment, only, rollout.replicas_of(deployment))
            return
        if new and self._is_saturated(deployment, new):
            for item in rollout.active(old):
                await self.scale(deployment, item, 0)
        elif rollout.is_rolling(deployment):
            sizes = rollout.proportional(deployment, running)
            for item in running:
                await self.scale(deployment, item, sizes[item["metadata"]["name"]], is_noted=True)

    def _is_saturated(self, deployment: Object, new: Object) -> bool:
        noted = revisions.annotations_of(new).get(rollout.DESIRED)
        wanted = rollout.replicas_of(deployment)
        available = rollout.counter(new, "availableReplicas")
        return rollout.replicas_of(new) == wanted == available and noted == str(wanted)

    async def scale(
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
            say_scaled(self._recorder, deployment, item["metadata"]["name"], before, size)
        return written


def say_scaled(recorder: Recorder, deployment: Object, name: str, before: int, size: int) -> None:
    """Record that a ReplicaSet was resized."""
    way = "up" if size > before else "down"
    text = f"Scaled {way} replica set {name} from {before} to {size}"
    recorder.record(deployment, "ScalingReplicaSet", text)
