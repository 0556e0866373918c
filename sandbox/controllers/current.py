"""The ReplicaSet of a Deployment's present template: found, brought up to date, or made."""

from collections.abc import Sequence

from sandbox.client import ApiError, ConflictError, KubeClient
from sandbox.controllers import progress, revisions, rollout
from sandbox.controllers.conditions import condition_of
from sandbox.controllers.owners import is_controlled_by
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.scaling import say_scaled
from sandbox.objects import Object, collection_of, path_of


class CurrentSet:
    """Finds or makes it, and notes on the Deployment what it did."""

    def __init__(self, client: KubeClient, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def of(self, deployment: Object, sets: Sequence[Object], *, create: bool) -> Object | None:
        """Return the ReplicaSet; None if there is none and none is to be made."""
        found = revisions.find_new(deployment, sets)
        old = revisions.find_old(sets, found)
        revision = max((revisions.revision_of(item) for item in old), default=0) + 1
        if found:
            return await self._refresh(deployment, draft(found), revision)
        return await self._create(deployment, old, revision) if create else None

    async def _refresh(self, deployment: Object, found: Object, revision: int) -> Object:
        wanted = deployment["spec"].get("minReadySeconds", 0)
        is_annotated = revisions.annotate(deployment, found, revision)
        if is_annotated or found["spec"].get("minReadySeconds", 0) != wanted:
            found["spec"]["minReadySeconds"] = wanted
            return await self._client.replace(path_of(found, "replicasets"), found)
        is_changed = _set_revision(deployment, revisions.revision_of(found))
        if not condition_of(deployment["status"], progress.PROGRESSING):
            text = f'Found new replica set "{found["metadata"]["name"]}"'
            is_changed |= progress.note(deployment, "True", progress.FOUND, text)
        if is_changed:
            await update_status(self._client, deployment)
        return found

    async def _create(self, deployment: Object, old: Sequence[Object], revision: int) -> Object:
        made = revisions.make_replica_set(deployment, revision)
        made["spec"]["replicas"] = rollout.new_replicas(deployment, [*old, made], made)
        made["metadata"]["annotations"] |= revisions.size_annotations(deployment)
        created = await self._create_or_find(deployment, made)
        name = created["metadata"]["name"]
        if rollout.replicas_of(created):
            say_scaled(self._recorder, deployment, name, 0, rollout.replicas_of(created))
        is_changed = _set_revision(deployment, revision)
        is_changed |= progress.note(deployment, "True", progress.CREATED, f'Created new replica set "{name}"')
        if is_changed:
            await update_status(self._client, deployment)
        return created

    async def _create_or_find(self, deployment: Object, made: Object) -> Object:
        try:
            return await self._client.create(collection_of(made, "replicasets"), made)
        except ConflictError:
            found = await self._client.get(path_of(made, "replicasets"))
        except ApiError as error:
            await self._note_failure(deployment, made, error)
            raise
        if not is_controlled_by(found, deployment) or not revisions.find_new(deployment, [found]):
            # Another template of the same hash: count it, and the next pass takes another name.
            status = deployment["status"]
            status["collisionCount"] = status.get("collisionCount", 0) + 1
            await update_status(self._client, deployment)
            raise ConflictError(409, {"message": f"the name {made['metadata']['name']} is taken"})
        return found

    async def _note_failure(self, deployment: Object, made: Object, error: ApiError) -> None:
        text = f'Failed to create new replica set "{made["metadata"]["name"]}": {error.message}'
        self._recorder.record(deployment, progress.CREATE_FAILED, text, kind="Warning")
        if progress.note(deployment, "False", progress.CREATE_FAILED, text):
            await update_status(self._client, deployment)


async def update_status(client: KubeClient, deployment: Object) -> None:
    """Write the Deployment's status, and the revision it is annotated with."""
    await client.replace(path_of(deployment, "deployments") + "/status", deployment)


def draft(obj: Object) -> Object:
    """Return a copy in which annotations, status and the fields of the spec may be changed."""
    meta = dict(obj["metadata"])
    if "annotations" in meta:
        meta["annotations"] = dict(meta["annotations"])
    status = dict(obj.get("status", {}))
    if "conditions" in status:
        status["conditions"] = [dict(item) for item in status["conditions"]]
    return obj | {"metadata": meta, "spec": dict(obj["spec"]), "status": status}


def _set_revision(deployment: Object, revision: int) -> bool:
    annotations = deployment["metadata"].setdefault("annotations", {})
    if annotations.get(revisions.REVISION) == str(revision):
        return False
    annotations[revisions.REVISION] = str(revision)
    return True
