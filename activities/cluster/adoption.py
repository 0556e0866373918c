"""Taking over a Service or VirtualService that was there before, and giving it back as it was.

What was there is kept in an annotation, once and never over (T13). What kubectl notes as last applied is not
asked: it is what somebody once wrote, not what stood there.
"""

import json

from temporalio.exceptions import ApplicationError

from activities.cluster import marks
from activities.cluster.api import Object
from canary.spec import CanarySpec


def refuse_foreign(spec: CanarySpec, found: Object | None) -> None:
    """Name whoever owns an object that the canary would have to write.

    Raises:
        ApplicationError: a controller would undo what we write, or another canary writes it.
    """
    if found is None:
        return
    metadata = found["metadata"]
    what = f"{found['kind']} {metadata['name']} in namespace {metadata.get('namespace', spec.namespace)}"
    for reference in metadata.get("ownerReferences") or []:
        if reference.get("controller"):
            owner = f"{reference.get('kind')} {reference.get('name')}"
            raise _foreign(f"{what} is controlled by {owner}, which would undo what is written: delete that")
    other = (metadata.get("labels") or {}).get(marks.CANARY)
    if other and other != marks.owner(spec.target.name):
        raise _foreign(f"{what} belongs to the canary of {other}: give one of the two another service.name")


def refuse_podless(spec: CanarySpec, apex: Object | None) -> None:
    """Name an apex Service that leads to no pods by a selector: it could not be given back as it is.

    Raises:
        ApplicationError: it has a foreign name or endpoints that somebody keeps by hand.
    """
    if apex is None or apex["spec"].get("selector"):
        return
    if marks.is_ours(spec, apex["metadata"]) or marks.ORIGINAL in marks.notes(apex):
        return  # somebody took the selector off since
    name = f"Service {apex['metadata']['name']} in namespace {spec.namespace}"
    raise _foreign(f"{name} has no selector, so it has no pods to route to: give it one")


def refuse_other(spec: CanarySpec, selector: dict[str, str], found: Object | None) -> None:
    """Name a Service that has the name of one of ours, but leads elsewhere; ours of a time before are taken.

    Raises:
        ApplicationError: it would lose its pods.
    """
    if found is None or marks.is_ours(spec, found["metadata"]):
        return
    refuse_foreign(spec, found)
    if found["spec"].get("selector") != selector:
        name = found["metadata"]["name"]
        raise _foreign(
            f"Service {name} in namespace {spec.namespace} is somebody else's, and the canary needs one of "
            "that name: rename it or give another service.name"
        )


def refuse_told(text: str) -> None:
    """Refuse with what was said against an object; nothing said, nothing refused.

    Raises:
        ApplicationError: somebody else's object would be written over.
    """
    if text:
        raise _foreign(text)


def _foreign(text: str) -> ApplicationError:
    return ApplicationError(f"{text}.", type="ForeignOwner", non_retryable=True)


def taken_over(spec: CanarySpec, found: Object, spec_before: Object | None, own: Object) -> Object:
    """The metadata of a merge patch that puts *own* on a live object and keeps beside it what was there.

    The patch holds only for the object as it was read. Without a *spec_before* nothing is kept: what stands
    there is generated, and somebody has taken our note off.
    """
    metadata = found["metadata"]
    patch: Object = {
        "resourceVersion": metadata["resourceVersion"],
        "labels": dict(own.get("labels") or {}),
        "annotations": dict(own.get("annotations") or {}),
    }
    is_known = marks.is_ours(spec, metadata) or marks.ORIGINAL in marks.notes(found)
    if spec_before is not None and not is_known:
        before = {
            part: {key: (metadata.get(part) or {}).get(key) for key in patch[part]}
            for part in ("labels", "annotations")
        }
        kept = {"spec": spec_before, **before}
        patch["annotations"][marks.ORIGINAL] = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return patch


def original(found: Object) -> Object | None:
    """What an adopted object was before: its spec, labels and annotations; None for one that was not adopted.

    A note that somebody made unreadable is none: the object is then given back as one without a note.
    """
    try:
        kept = json.loads(marks.notes(found).get(marks.ORIGINAL) or "null")
    except ValueError:
        return None
    return kept if isinstance(kept, dict) and isinstance(kept.get("spec"), dict) else None


def given_back(found: Object, kept: Object) -> Object:
    """The metadata of a merge patch that takes everything of ours off an object again."""
    ours = dict.fromkeys((marks.ORIGINAL, marks.DECIDED_AT, marks.GENERATED))
    return {
        "resourceVersion": found["metadata"]["resourceVersion"],
        "labels": {**(kept.get("labels") or {}), marks.CANARY: None},
        "annotations": {**(kept.get("annotations") or {}), **ours},
    }
