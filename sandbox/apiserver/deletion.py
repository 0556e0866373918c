"""Deleting: what goes at once, what is only marked because something still holds it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.apiserver import crd, errors
from sandbox.apiserver.objects import Objects, is_held
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.request import Place

Object = dict[str, Any]
_IMMORTAL = ("default", "kube-system", "kube-public")
_BY_POLICY = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclass(frozen=True)
class DeleteOptions:
    """What a DELETE says beside the path."""

    dry_run: bool = False
    policy: str = ""
    grace: int | None = None
    uid: str = ""
    version: str = ""


def delete(objects: Objects, place: Place, options: DeleteOptions) -> Object:
    """Delete an object; give the object if it stays for now, else the Status that it is gone."""
    old = objects.get(place)
    if place.resource.storage == ("", "namespaces") and place.name in _IMMORTAL:
        message = f'namespaces "{place.name}" is forbidden: this namespace may not be deleted'
        raise errors.StatusError(403, "Forbidden", message, errors.about(place.resource, place.name))
    _check_preconditions(place.resource, old, options)
    marked = _mark(place.resource, old, options)
    if is_held(marked):
        return marked if marked == old or options.dry_run else objects.put(place.resource, marked)
    if not options.dry_run:
        objects.remove(place.resource, old)
    if place.resource.kind == "Pod" and not place.resource.is_custom:
        return marked
    return old if place.resource.returns_deleted else _gone(place.resource, old)


def _check_preconditions(resource: Resource, old: Object, options: DeleteOptions) -> None:
    meta = old["metadata"]
    for what, wanted, found in (
        ("UID", options.uid, meta["uid"]),
        ("ResourceVersion", options.version, meta["resourceVersion"]),
    ):
        if wanted and wanted != found:
            kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
            message = (
                f'Operation cannot be fulfilled on {kind} "{meta["name"]}": the {what} in the precondition '
                f"({wanted}) does not match the {what} in record ({found}). "
                "The object might have been deleted and then recreated"
            )
            details = errors.about(resource, meta["name"], kind=resource.kind)
            raise errors.StatusError(409, "Conflict", message, details)


def _mark(resource: Resource, old: Object, options: DeleteOptions) -> Object:
    """Give the object with its deletionTimestamp and the finalizers that the policy asks for."""
    meta = _finalized(old["metadata"], options.policy)
    grace = _grace(resource, old, options)
    known = meta.get("deletionGracePeriodSeconds", 0)
    is_first = "deletionTimestamp" not in meta
    if is_first or grace < known:
        moment = datetime.now(UTC) + timedelta(seconds=grace)
        meta["deletionTimestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        meta["deletionGracePeriodSeconds"] = grace
    marked = {**old, "metadata": meta}
    if resource.storage in (("", "namespaces"), crd.STORAGE):  # whose deletion is a write of their own
        meta.pop("deletionGracePeriodSeconds", None)
    elif is_first and meta.get("generation"):
        meta["generation"] += 1
    if resource.storage == ("", "namespaces"):
        marked["status"] = {**old["status"], "phase": "Terminating"}
    return crd.terminating(marked) if resource.storage == crd.STORAGE and is_first else marked


def _finalized(meta: Object, policy: str) -> Object:
    """Copy metadata, with the finalizer of a propagation policy."""
    finalizers = meta.get("finalizers") or []
    if policy:
        finalizers = [name for name in finalizers if name not in _BY_POLICY.values()]
        finalizers += [_BY_POLICY[policy]] if policy in _BY_POLICY else []
    copied = {key: value for key, value in meta.items() if key != "finalizers"}
    return copied | ({"finalizers": finalizers} if finalizers else {})


def _grace(resource: Resource, old: Object, options: DeleteOptions) -> int:
    """Give the seconds a pod has to end; one that runs nowhere, or has ended, has none."""
    if resource.kind != "Pod" or resource.is_custom:
        return 0
    if not old["spec"].get("nodeName") or old["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace is not None:
        return options.grace if options.grace >= 0 else 1
    seconds: int = old["spec"].get("terminationGracePeriodSeconds", 30)
    return seconds


def _gone(resource: Resource, old: Object) -> Object:
    details = errors.about(resource, old["metadata"]["name"]) | {"uid": old["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
