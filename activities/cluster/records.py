"""What a primary was last promoted to, kept in the cluster as an `apps/v1` ControllerRevision.

A record is made before the primary is written and labelled as promoted once that has ended well; the labelled
one with the highest number counts. It needs nothing of the primary, which may be gone.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from activities.cluster import marks, paths, workloads
from activities.cluster.api import ClusterApi, Object
from activities.cluster.errors import ApiError
from canary.revision import checksum
from canary.spec import CanarySpec
from canary.status import Revision

KIND = "ControllerRevision"


@dataclass(frozen=True)
class Record:
    """A promoted revision: its template, and what else of a workload a primary is made from."""

    revision: Revision
    template: Object
    """The pod template as the target had it."""
    workload: Object
    """As much of the target as a primary takes over, with the template."""
    size: int


async def remember(api: ClusterApi, spec: CanarySpec, target: Object, revision: Revision) -> None:
    """Keep what the primary is about to be written with."""
    body = marks.metadata(spec, _name(spec, revision))
    kept = {key: target["spec"][key] for key in (*workloads.COPIED, "selector") if key in target["spec"]}
    template = target["spec"]["template"]
    data = {"template": template, "workload": kept, "revision": revision.model_dump()}
    body |= {"apiVersion": "apps/v1", "kind": KIND, "revision": 0, "data": data}
    try:
        await api.create(paths.collection(KIND, spec.namespace), body)
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise


async def is_remembered(api: ClusterApi, spec: CanarySpec, revision: Revision) -> bool:
    """Whether there is a record of what the primary was, or was about to be, written with."""
    name = _name(spec, revision)
    return any(item["metadata"]["name"] == name for item in await _known(api, spec))


async def last_promoted(api: ClusterApi, spec: CanarySpec) -> Record | None:
    """The record of the last promotion that ended well."""
    selector = f"{marks.CANARY}={marks.owner(spec.target.name)},{marks.PROMOTED}"
    found = await api.list(paths.collection(KIND, spec.namespace), labelSelector=selector)
    items: list[Object] = found["items"]
    return _read(spec, max(items, key=_number)) if items else None


async def mark_first(api: ClusterApi, spec: CanarySpec, revision: Revision, size: int) -> bool:
    """Let the record of *revision* count unless another one does already; whether one does."""
    known = await _known(api, spec)
    if any(marks.PROMOTED in item["metadata"]["labels"] for item in known):
        return True
    return await _mark(api, spec, known, revision, size)


async def mark_promoted(api: ClusterApi, spec: CanarySpec, revision: Revision, size: int | None) -> bool:
    """Let the record of *revision* be the one that counts, then drop the others; whether there is one.

    Without a *size* the primary is not there: it comes back as large as it was last.
    """
    return await _mark(api, spec, await _known(api, spec), revision, size)


async def _mark(
    api: ClusterApi, spec: CanarySpec, known: list[Object], revision: Revision, size: int | None
) -> bool:
    collection = paths.collection(KIND, spec.namespace)
    name = _name(spec, revision)
    own = next((item for item in known if item["metadata"]["name"] == name), None)
    if own is None:
        return False
    others = [item for item in known if item is not own]
    size = size or max((_size(item) for item in known), default=1)
    await api.patch(
        f"{collection}/{name}",
        {
            "metadata": {
                "resourceVersion": own["metadata"]["resourceVersion"],
                "labels": {marks.PROMOTED: revision.template},
                "annotations": {marks.SIZE: str(size)},
            },
            "revision": max([_number(item) for item in others], default=0) + 1,
        },
    )
    # Bound to the version that was read: by the time it arrives an old record may count again.
    await asyncio.gather(*(_drop(api, f"{collection}/{item['metadata']['name']}", item) for item in others))
    return True


async def _known(api: ClusterApi, spec: CanarySpec) -> list[Object]:
    """All records of a canary."""
    selector = f"{marks.CANARY}={marks.owner(spec.target.name)}"
    items: list[Object] = (await api.list(paths.collection(KIND, spec.namespace), labelSelector=selector))[
        "items"
    ]
    return items


async def _drop(api: ClusterApi, path: str, item: Object) -> None:
    try:
        await api.delete(path, uid=item["metadata"]["uid"], version=item["metadata"]["resourceVersion"])
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise


def _name(spec: CanarySpec, revision: Revision) -> str:
    return f"{spec.primary}-{checksum(revision)}"


def _size(item: Object) -> int:
    text = marks.notes(item).get(marks.SIZE, "")
    return int(text) if text.isdigit() else 1


def _number(item: Object) -> int:
    return int(item.get("revision") or 0)


def _read(spec: CanarySpec, item: Object) -> Record:
    data = item["data"]
    workload = {
        "metadata": {"name": spec.target.name},
        "spec": {**data["workload"], "template": data["template"]},
    }
    return Record(
        revision=Revision.model_validate(data["revision"]),
        template=data["template"],
        workload=workload,
        size=_size(item),
    )
