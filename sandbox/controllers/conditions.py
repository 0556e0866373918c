"""The conditions in an object's status."""

from sandbox.objects import Object


def condition_of(status: Object, kind: str) -> Object | None:
    """Return the condition of this type."""
    conditions: list[Object] = status.get("conditions") or []
    return next((item for item in conditions if item["type"] == kind), None)


def set_condition(status: Object, fresh: Object) -> None:
    """Put a condition last, unless one of the same status and reason is there."""
    known = condition_of(status, fresh["type"])
    if known and (known["status"], known["reason"]) == (fresh["status"], fresh["reason"]):
        return
    if known and known["status"] == fresh["status"]:
        fresh = fresh | {"lastTransitionTime": known["lastTransitionTime"]}
    remove_condition(status, fresh["type"])
    status.setdefault("conditions", []).append(fresh)


def remove_condition(status: Object, kind: str) -> None:
    """Take the condition of this type out."""
    if "conditions" in status:
        status["conditions"] = [item for item in status["conditions"] if item["type"] != kind]
