"""Making and deleting pods for an owner, and knowing when the cache shows it."""

import asyncio
import copy
import secrets

from sandbox.client import ApiError, KubeClient, NotFoundError
from sandbox.controllers.owners import controller_of, controller_reference
from sandbox.controllers.pods import is_terminating
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.revisions import ALPHABET
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, collection_of, is_ending, key_of, path_of

# Pods change in bursts: one look a burst spares a Deployment a dozen passing states, and a pod that is to end
# may be gone the next moment.
SETTLE, SETTLE_ENDING = 0.03, 0.1
# A watch that lost an event must not stop a controller for ever; the real ones wait five minutes.
FORGET_AFTER = 60.0


class PodControl:
    """Creates and deletes the pods of owners of one kind.

    Of each owner it knows what the cache still owes: the name of a pod about to appear, the uid of one to go.
    """

    def __init__(self, client: KubeClient, recorder: Recorder, owner_kind: str, queue: WorkQueue) -> None:
        self._client = client
        self._recorder = recorder
        self._owner_kind = owner_kind
        self._queue = queue
        self._owed: dict[str, dict[str, float]] = {}

    def is_settled(self, key: str) -> bool:
        """Tell whether the cache shows all that was done for the owner."""
        horizon = asyncio.get_running_loop().time() - FORGET_AFTER
        return all(since < horizon for since in self._owed.get(key, {}).values())

    def forget(self, key: str) -> None:
        """Drop an owner that is gone."""
        self._owed.pop(key, None)

    def pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        """Have the owners worked on that a change of a pod concerns."""
        for key in self.observe(kind, pod, old):
            if kind == "ADDED" and self.is_settled(key):
                self._queue.add(key)
            else:
                self._queue.add_after(key, SETTLE_ENDING if is_terminating(pod) else SETTLE)

    def observe(self, kind: str, pod: Object, old: Object | None) -> set[str]:
        """Take note of a change of a pod; return the keys of the owners it concerns."""
        meta, keys = pod["metadata"], set()
        for item in filter(None, (pod, old)):
            owner = controller_of(item)
            if not owner or owner["kind"] != self._owner_kind:
                continue
            key = f"{meta['namespace']}/{owner['name']}"
            keys.add(key)
            self._settle(key, meta["name"])
            if kind == "DELETED" or is_ending(pod):
                self._settle(key, meta["uid"])
        return keys

    async def create(self, owner: Object, pod: Object) -> None:
        """Create a pod."""
        key, meta = key_of(owner), pod["metadata"]
        self._expect(key, meta["name"])
        try:
            await self._client.create(collection_of(pod, "pods"), pod)
        except ApiError as error:
            self._settle(key, meta["name"])
            text = f"Error creating: {error.message}"
            self._recorder.record(owner, "FailedCreate", text, kind="Warning")
            raise
        self._recorder.record(owner, "SuccessfulCreate", f"Created pod: {meta['name']}")

    async def delete(self, owner: Object, pod: Object) -> None:
        """Delete a pod, unless it is gone."""
        key, meta = key_of(owner), pod["metadata"]
        self._expect(key, meta["uid"])
        try:
            await self._client.delete(path_of(pod, "pods"), {"preconditions": {"uid": meta["uid"]}})
        except ApiError as error:
            self._settle(key, meta["uid"])
            if not isinstance(error, NotFoundError):
                raise
        else:
            self._recorder.record(owner, "SuccessfulDelete", f"Deleted pod: {meta['name']}")

    def _expect(self, key: str, token: str) -> None:
        self._owed.setdefault(key, {})[token] = asyncio.get_running_loop().time()

    def _settle(self, key: str, token: str) -> None:
        self._owed.get(key, {}).pop(token, None)


def make_pod(owner: Object) -> Object:
    """Make a pod of the owner's template."""
    template = copy.deepcopy(owner["spec"]["template"])
    known = template["metadata"]
    prefix = f"{owner['metadata']['name']}-"
    meta = {name: known[name] for name in ("labels", "annotations") if known.get(name)} | {
        "generateName": prefix,
        "name": prefix + "".join(secrets.choice(ALPHABET) for _ in range(5)),
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [controller_reference(owner)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
