"""What stands where an object of ours is to be made and is not ours: whose it is, and what to do about it."""

from activities.cluster import marks
from activities.cluster.api import ROLLOUT_MANAGER, Object
from canary.loadtester import LoadTester
from canary.spec import CanarySpec

FLAGGER = "flagger"
"""The field manager of Flagger, whose objects are left behind when its Canary is deleted without them."""


def about_load_tester(spec: CanarySpec, kind: str, found: Object | None) -> str:
    """Say why a load tester must not be deployed over an object of its name; empty where it may."""
    if found is None or marks.is_ours(spec, found["metadata"]):
        return ""
    remedy = "delete it or leave testLoader out"
    return f"{_named(spec.namespace, kind, found)}, and the load tester needs one of that name: {remedy}"


def about_public_load_tester(tester: LoadTester, kind: str, found: Object | None) -> str:
    """Say whose an object is that has the name of a cluster's public load tester; empty if it is ours."""
    if found is None or marks.LOAD_TESTER in (found["metadata"].get("labels") or {}):
        return ""
    return f"{_named(tester.namespace, kind, found)}: no public load tester is deployed in its place"


def about_rule(spec: CanarySpec, found: Object | None, wanted: Object) -> str:
    """Say why a DestinationRule must not be written over; empty where it may.

    One that Flagger left behind is taken over, and so is one that says the same.
    """
    if found is None or marks.is_ours(spec, found["metadata"]):
        return ""
    content, own = found.get("spec") or {}, wanted["spec"]
    is_left = content.get("trafficPolicy") == own.get("trafficPolicy") or _managers(found) == [FLAGGER]
    if is_left and _leads_nowhere_else(spec, content, own) and not _controller(found):
        return ""
    remedy = "delete or rename it"
    return (
        f"{_named(spec.namespace, 'DestinationRule', found)}, and the canary needs one of that name: {remedy}"
    )


def _leads_nowhere_else(spec: CanarySpec, content: Object, wanted: Object) -> bool:
    """Whether a rule is for the same host, and says nothing that a rule of ours does not."""
    name, namespace = wanted["host"], spec.namespace
    hosts = {name, *(f"{name}.{namespace}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local"))}
    return content.get("host") in hosts and content.keys() <= {"host", "trafficPolicy"}


def _named(namespace: str, kind: str, found: Object) -> str:
    name = found["metadata"]["name"]
    return f"{kind} {name} in namespace {namespace} is there already and {_owned(found)}"


def _owned(found: Object) -> str:
    if controller := _controller(found):
        return f"is controlled by {controller}"
    if other := marks.canary_of(found):
        return f"belongs to the canary of {other}"
    if managers := _managers(found):
        return f"was written by {', '.join(managers)}"
    return "was not made by Durable Canary"


def _controller(found: Object) -> str:
    for reference in found["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return f"{reference.get('kind')} {reference.get('name')}"
    return ""


def is_by_us_alone(found: Object) -> bool:
    """Whether we have written an object and nobody else, its status apart."""
    entries = found["metadata"].get("managedFields") or []
    return bool(entries) and not _managers(found)


def _managers(found: Object) -> list[str]:
    """Who else has written an object, its status apart."""
    entries = found["metadata"].get("managedFields") or []
    managers = {str(entry.get("manager")) for entry in entries if not entry.get("subresource")}
    return sorted(managers - {ROLLOUT_MANAGER})
