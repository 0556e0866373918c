"""Who else writes the fields that a rollout owns, and would write them again."""

from collections.abc import Iterator

from activities.cluster.api import ROLLOUT_MANAGER, SOURCE_MANAGER, Object
from canary.problem import Problem
from canary.spec import CanarySpec, WorkloadKind

_UPDATERS = ("argocd", "kubectl-client-side-apply", "kustomize-controller", "helm", "flux", "terraform")
"""They apply again and again by plain updates; whoever applies on the server side says so."""
_OURS = (ROLLOUT_MANAGER, SOURCE_MANAGER)


def about_appliers(spec: CanarySpec, target: Object | None, service: Object | None) -> Iterator[Problem]:
    """Tell who sets the target's size and the apex Service's selector, and what to do about it."""
    if target is not None and spec.target.kind is WorkloadKind.DEPLOYMENT:
        what = f"Deployment {spec.target.name}"
        for manager in _appliers(target, "replicas"):
            yield _problem("spec.targetRef.name", manager, "replicas", what)
    if service is not None:
        for manager in _appliers(service, "selector"):
            yield _problem("spec.service.name", manager, "selector", f"Service {spec.service.name}")


def _appliers(found: Object, field: str) -> list[str]:
    entries = found["metadata"].get("managedFields") or []
    owned = (e for e in entries if f"f:{field}" in ((e.get("fieldsV1") or {}).get("f:spec") or {}))
    return sorted({entry.get("manager", "") for entry in owned if _applies_again(entry)})


def _applies_again(entry: Object) -> bool:
    manager = entry.get("manager", "")
    if manager in _OURS or entry.get("subresource"):
        return False
    return bool(entry.get("operation") == "Apply" or manager.lower().startswith(_UPDATERS))


def _problem(path: str, manager: str, field: str, what: str) -> Problem:
    remedy = f"leave {field} out of the manifest"
    if manager.lower().startswith("argocd"):
        pointer = f"ignoreDifferences with jsonPointers [/spec/{field}]"
        remedy = f"give its Application {pointer}, and RespectIgnoreDifferences=true"
    text = f"{manager} sets spec.{field} of {what}, which a rollout changes, and would undo it: {remedy}"
    return Problem(path=path, message=text, is_warning=True)
