"""The rules of pods and of the workloads that make them."""

import re
from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import containerrules, names, selectors, volumerules
from sandbox.apiserver.causes import duplicate, forbidden, negative, not_supported, required, wrong
from sandbox.apiserver.errors import Cause

Object = dict[str, Any]
_PERCENT = re.compile(r"^[0-9]+%$")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
    "used for validation is '[0-9]+%')"
)


def workload(obj: Object) -> Iterator[Cause]:
    """Check what Deployments, ReplicaSets and DaemonSets have in common."""
    spec = obj["spec"]
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from negative(spec, name, "spec")
    selector, found = spec.get("selector"), spec["template"]["metadata"].get("labels") or {}
    yield from _selector_of(obj["kind"], selector)
    if selector is None or not selectors.matches(selector, found):
        yield wrong("spec.template.metadata.labels", found, "`selector` does not match template `labels`")
    yield from names.labels(found, "spec.template.labels")
    yield from names.annotations(spec["template"]["metadata"], "spec.template.annotations")
    yield from _pod_spec(spec["template"]["spec"], "spec.template.spec")
    yield from _lasting(obj["kind"], spec["template"]["spec"])


def _lasting(kind: str, pod: Object) -> Iterator[Cause]:
    """Check that the pods of a template run for ever."""
    if (policy := pod.get("restartPolicy")) in _RESTARTS[1:]:
        yield not_supported("spec.template.spec.restartPolicy", policy, ("Always",))
    if pod.get("activeDeadlineSeconds") is not None and kind != "DaemonSet":
        text = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", text)
    if pod.get("ephemeralContainers"):
        text = "ephemeral containers not allowed in pod template"
        yield forbidden("spec.template.spec.ephemeralContainers", text)


def _selector_of(kind: str, selector: Object | None) -> Iterator[Cause]:
    if selector is None:
        yield from () if kind == "DaemonSet" else (required("spec.selector"),)
    elif mistakes := list(_selector(selector, "spec.selector")):
        yield from (*mistakes, wrong("spec.selector", selector, "invalid label selector"))
    elif not selector:
        yield wrong("spec.selector", {}, f"empty selector is invalid for {kind.lower()}")


def _selector(selector: Object, path: str) -> Iterator[Cause]:
    """Check a label selector by itself."""
    yield from names.labels(selector.get("matchLabels") or {}, f"{path}.matchLabels")
    for i, expression in enumerate(selector.get("matchExpressions") or []):
        place, operator = f"{path}.matchExpressions[{i}]", expression.get("operator", "")
        values = expression.get("values") or []
        if operator in ("In", "NotIn") and not values:  # codespell:ignore notin
            text = "must be specified when `operator` is 'In' or 'NotIn'"  # codespell:ignore notin
            yield required(f"{place}.values", text)
        elif operator in ("Exists", "DoesNotExist") and values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(f"{place}.values", text)
        elif operator not in selectors.OPERATORS:
            yield wrong(f"{place}.operator", operator, "not a valid selector operator")


def deployment(obj: Object) -> Iterator[Cause]:
    """Check a Deployment."""
    yield from workload(obj)
    spec = obj["spec"]
    yield from _strategy(spec["strategy"], ("Recreate", "RollingUpdate"), "spec.strategy")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and 0 <= deadline <= ready:
        yield wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def daemon_set(obj: Object) -> Iterator[Cause]:
    """Check a DaemonSet."""
    yield from workload(obj)
    yield from _strategy(obj["spec"]["updateStrategy"], ("RollingUpdate", "OnDelete"), "spec.updateStrategy")
    rolling = obj["spec"]["updateStrategy"].get("rollingUpdate") or {}
    missing, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    if not {str(missing), str(surge)} & {"0", "0%"}:
        text = "may not be set when maxUnavailable is non-zero"
        yield wrong("spec.updateStrategy.rollingUpdate.maxSurge", surge, text)


def pod(obj: Object) -> Iterator[Cause]:
    """Check a Pod."""
    yield from _pod_spec(obj["spec"], "spec")


def deployment_status(status: Object) -> Iterator[Cause]:
    """Check the counts of a Deployment."""
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    for name in counts:
        yield from negative(status, name, "status")
    yield from _within(status, counts[1:4])


def replica_set_status(status: Object) -> Iterator[Cause]:
    """Check the counts of a ReplicaSet."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    for name in counts:
        yield from negative(status, name, "status")
    yield from _within(status, counts[1:])


def _within(status: Object, names_of_parts: tuple[str, ...]) -> Iterator[Cause]:
    """Refuse a part that is more than the whole."""
    whole, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
    for name in names_of_parts:
        if (count := status.get(name, 0)) > whole:
            yield wrong(f"status.{name}", count, "cannot be greater than status.replicas")
    if (available := status.get("availableReplicas", 0)) > ready:
        yield wrong("status.availableReplicas", available, "cannot be greater than readyReplicas")


def _strategy(strategy: Object, choices: tuple[str, ...], path: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in choices:
        yield not_supported(path, {"Type": kind, "RollingUpdate": rolling}, choices)
    elif kind == "Recreate" and rolling is not None:
        yield forbidden(f"{path}.rollingUpdate", f"may not be specified when strategy `type` is '{kind}'")
    elif rolling:
        missing, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        yield from share(missing, f"{path}.rollingUpdate.maxUnavailable", highest=100)
        yield from share(surge, f"{path}.rollingUpdate.maxSurge")
        if {str(missing), str(surge)} <= {"0", "0%"}:
            text = "may not be 0 when `maxSurge` is 0"
            yield wrong(f"{path}.rollingUpdate.maxUnavailable", missing, text)


def share(value: Any, path: str, highest: int | None = None) -> Iterator[Cause]:
    """Check a number of pods, or a percentage of them."""
    if isinstance(value, int):
        if value < 0:
            yield wrong(path, value, "must be greater than or equal to 0")
    elif not _PERCENT.match(value):
        yield wrong(path, value, _PERCENT_TEXT)
    elif highest is not None and int(value[:-1]) > highest:
        yield wrong(path, value, f"must not be greater than {highest}%")


_RESTARTS = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_HIGHEST_ID = 2**31 - 1


def _pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    yield from volumerules.volumes(spec.get("volumes") or [], f"{path}.volumes")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    taken: list[str] = []
    for group in ("containers", "initContainers"):
        for i, found in enumerate(spec.get(group) or []):
            place = f"{path}.{group}[{i}]"
            yield from containerrules.container(found, place, spec)
            if (name := found.get("name", "")) in taken:
                yield duplicate(f"{place}.name", name)
            taken.append(name)
    yield from _init_probes(spec.get("initContainers") or [], f"{path}.initContainers")
    yield from _names(spec, path)
    yield from _policies(spec, path)
    for i, toleration in enumerate(spec.get("tolerations") or []):
        yield from _toleration(toleration, f"{path}.tolerations[{i}]")
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or []):
        yield from _spread(constraint, f"{path}.topologySpreadConstraints[{i}]")


def _init_probes(found: list[Object], path: str) -> Iterator[Cause]:
    for i, container in enumerate(found):
        for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if name in container and container.get("restartPolicy") != "Always":
                text = "may not be set for init containers without restartPolicy=Always"
                yield forbidden(f"{path}[{i}].{name}", text)


def _names(spec: Object, path: str) -> Iterator[Cause]:
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            yield from names.label(spec[name], f"{path}.{name}")
    for name in ("nodeName", "serviceAccountName"):
        if spec.get(name) and not names.SUBDOMAIN.match(spec[name]):
            yield wrong(f"{path}.{name}", spec[name], names.SUBDOMAIN_TEXT)
    yield from names.labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    for i, alias in enumerate(spec.get("hostAliases") or []):
        if not names.is_address(alias.get("ip", "")):
            yield wrong(f"{path}.hostAliases[{i}].ip", alias.get("ip", ""), names.ADDRESS_TEXT)


def _policies(spec: Object, path: str) -> Iterator[Cause]:
    if (policy := spec.get("restartPolicy")) not in _RESTARTS:
        yield not_supported(f"{path}.restartPolicy", policy, _RESTARTS)
    if (policy := spec.get("dnsPolicy")) not in _DNS_POLICIES:
        yield not_supported(f"{path}.dnsPolicy", policy, _DNS_POLICIES)
    if policy == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        yield required(f"{path}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
    seconds = spec.get("activeDeadlineSeconds", 1)
    if not 0 < seconds <= _HIGHEST_ID:
        yield wrong(
            f"{path}.activeDeadlineSeconds", seconds, f"must be between 1 and {_HIGHEST_ID}, inclusive"
        )
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        number = (spec.get("securityContext") or {}).get(name, 0)
        if not 0 <= number <= _HIGHEST_ID:
            text = f"must be between 0 and {_HIGHEST_ID}, inclusive"
            yield wrong(f"{path}.securityContext.{name}", number, text)


def _toleration(found: Object, path: str) -> Iterator[Cause]:
    operator, effect = found.get("operator") or "Equal", found.get("effect", "")
    if not found.get("key") and operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield wrong(f"{path}.operator", found.get("operator", ""), text)
    if found.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield wrong(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator not in ("Equal", "Exists"):
        yield not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    elif operator == "Exists" and found.get("value"):
        yield wrong(f"{path}.operator", found["value"], "value must be empty when `operator` is 'Exists'")
    if effect and effect not in _EFFECTS:
        yield not_supported(f"{path}.effect", effect, _EFFECTS)


def _spread(found: Object, path: str) -> Iterator[Cause]:
    choices = ("DoNotSchedule", "ScheduleAnyway")
    if (skew := found.get("maxSkew", 0)) <= 0:
        yield wrong(f"{path}.maxSkew", skew, "must be greater than zero")
    if not found.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    if (action := found.get("whenUnsatisfiable", "")) not in choices:
        yield not_supported(f"{path}.whenUnsatisfiable", action, choices)


_FIXED_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def keeps_spec(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse changes of a pod that would need another pod."""
    before, after = (o["spec"].get("tolerations") or [] for o in (old, obj))
    timeless = [{**toleration, "tolerationSeconds": None} for toleration in after]
    if any({**toleration, "tolerationSeconds": None} not in timeless for toleration in before):
        text = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", text)
    elif _fixed(obj["spec"]) != _fixed(old["spec"]):
        yield forbidden("spec", _FIXED_TEXT)
    else:
        yield from _gates(obj["spec"], old["spec"])


def _gates(spec: Object, old: Object) -> Iterator[Cause]:
    """Refuse new scheduling gates: they can only go."""
    added = [
        gate for gate in spec.get("schedulingGates") or [] if gate not in (old.get("schedulingGates") or [])
    ]
    if added:
        yield forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling gates")


def _fixed(spec: Object) -> Object:
    loose = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
    fixed = {key: value for key, value in spec.items() if key not in loose}
    for group in ("containers", "initContainers"):
        fixed[group] = [{**container, "image": ""} for container in spec.get(group) or []]
    return fixed
