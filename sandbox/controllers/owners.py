"""Who owns an object: owner references, adoption by a selector, and letting go."""

from collections.abc import Iterable

from sandbox.client import ApiError, KubeClient, NotFoundError
from sandbox.controllers.selectors import matches
from sandbox.objects import Object, is_ending, labels_of, path_of

UNPROCESSABLE = 422


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference of the object's controller."""
    owners: list[Object] = obj["metadata"].get("ownerReferences", [])
    return next((owner for owner in owners if owner.get("controller")), None)


def controller_reference(owner: Object) -> Object:
    """Make the reference by which a dependent names its controller."""
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return reference | {
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Tell whether `owner` is the controller of `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


async def claim(client: KubeClient, owner: Object, plural: str, candidates: Iterable[Object]) -> list[Object]:
    """Keep the candidates that the owner's selector names: adopt orphans, release what is no match."""
    claimed = []
    for obj in candidates:
        is_match = matches(owner["spec"].get("selector"), labels_of(obj))
        is_owned = is_controlled_by(obj, owner)
        if is_match and (is_owned or await _adopt(client, owner, plural, obj)):
            claimed.append(obj)
        elif is_owned and not is_match:
            await _release(client, owner, plural, obj)
    return claimed


async def _adopt(client: KubeClient, owner: Object, plural: str, obj: Object) -> bool:
    if is_ending(owner) or is_ending(obj):
        return False
    uid = obj["metadata"]["uid"]
    patch = {"metadata": {"uid": uid, "ownerReferences": [controller_reference(owner)]}}
    return await _patch_owners(client, plural, obj, patch)


async def _release(client: KubeClient, owner: Object, plural: str, obj: Object) -> None:
    gone = {"$patch": "delete", "uid": owner["metadata"]["uid"]}
    patch = {"metadata": {"uid": obj["metadata"]["uid"], "ownerReferences": [gone]}}
    await _patch_owners(client, plural, obj, patch)


async def _patch_owners(client: KubeClient, plural: str, obj: Object, patch: Object) -> bool:
    try:
        await client.patch(path_of(obj, plural), patch, kind="strategic")
    except NotFoundError:
        return False
    except ApiError as error:
        if error.status != UNPROCESSABLE:
            raise
        return False
    return True
