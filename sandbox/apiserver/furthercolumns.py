"""The columns of the kinds that are about networks, access and policy, and of autoscalers."""

from typing import Any

from sandbox.apiserver import selectors
from sandbox.apiserver.ages import UNKNOWN
from sandbox.apiserver.columns import AGE, NAME, Column, at

Object = dict[str, Any]
_NONE = "<none>"
_MOST_HOSTS, _MOST_METRICS = 3, 2


def _hosts(obj: Object) -> str:
    rules = obj["spec"].get("rules") or []
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    more = f" + {len(rules) - _MOST_HOSTS} more..." if len(rules) > _MOST_HOSTS else ""
    return ",".join(hosts[:_MOST_HOSTS]) + more if hosts else "*"


def _address(obj: Object) -> str:
    ingress = (obj["status"].get("loadBalancer") or {}).get("ingress") or []
    return ",".join(entry.get("ip") or entry.get("hostname", "") for entry in ingress)


def _budget(name: str) -> Any:
    return lambda obj: str(obj["spec"].get(name, "N/A"))


def _role(obj: Object) -> str:
    return f"{obj['roleRef'].get('kind')}/{obj['roleRef'].get('name')}"


def _subjects(kind: str) -> Any:
    def cell(obj: Object) -> str:
        found = [subject for subject in obj.get("subjects") or [] if subject.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{subject.get('namespace', '')}/{subject['name']}" for subject in found)
        return ", ".join(subject["name"] for subject in found)

    return cell


def _pod_selector(obj: Object) -> str:
    return selectors.in_words(obj["spec"].get("podSelector")) or _NONE


def _controller(obj: Object) -> str:
    owners = [o for o in obj["metadata"].get("ownerReferences") or [] if o.get("controller")]
    if not owners:
        return _NONE
    group = owners[0]["apiVersion"].rpartition("/")[0]
    kind = owners[0]["kind"].lower()
    return f"{kind}.{group}/{owners[0]['name']}" if group else f"{kind}/{owners[0]['name']}"


def _target(obj: Object) -> str:
    target = obj["spec"]["scaleTargetRef"]
    return f"{target.get('kind')}/{target.get('name')}"


def _metrics(obj: Object) -> str:
    specs = obj["spec"].get("metrics") or []
    found = obj["status"].get("currentMetrics") or []
    listed = [_metric(spec, found[i] if i < len(found) else {}) for i, spec in enumerate(specs)]
    more = f" + {len(listed) - _MOST_METRICS} more..." if len(listed) > _MOST_METRICS else ""
    return ", ".join(listed[:_MOST_METRICS]) + more or _NONE


def _metric(spec: Object, status: Object) -> str:
    kind = spec.get("type", "")
    key = kind[:1].lower() + kind[1:]
    wanted, found = (part.get(key) or {} for part in (spec, status))
    target, current = wanted.get("target") or {}, found.get("current") or {}
    name = f"{wanted['name']}: " if "name" in wanted else ""
    if "averageValue" in target:
        suffix = " (avg)" if kind in ("External", "Object") else ""
        return f"{name}{current.get('averageValue', UNKNOWN)}/{target['averageValue']}{suffix}"
    if "name" not in wanted:
        return f"{current.get('value', UNKNOWN)}/{target.get('value')}"
    share, wanted_share = current.get("averageUtilization"), target.get("averageUtilization")
    measured = UNKNOWN if share is None else f"{share}%"
    return f"{name}{measured}/" + ("<auto>" if wanted_share is None else f"{wanted_share}%")


_CREATED = Column("Created At", at("metadata.creationTimestamp"), "ObjectMeta.creationTimestamp", "date")
_ROLE_TEXT = (
    "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. "
    "If the RoleRef cannot be resolved, the Authorizer must return an error."
)
_BINDING = (
    NAME,
    Column("Role", _role, _ROLE_TEXT),
    AGE,
    Column("Users", _subjects("User"), "Users in the roleBinding", priority=1),
    Column("Groups", _subjects("Group"), "Groups in the roleBinding", priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), "ServiceAccounts in the roleBinding", priority=1),
)
_POD_SELECTOR_TEXT = (
    "Selects the pods to which this NetworkPolicy object applies.  The array of ingress rules is "
    "applied to any pods selected by this field. Multiple network policies can select the same set of "
    "pods.  In this case, the ingress rules for each are combined additively. This field is NOT "
    "optional and follows standard label selector semantics. An empty podSelector matches all pods in "
    "this namespace."
)
_SCALED_TEXT = (
    "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics "
    "should be collected, as well as to actually change the replica count."
)
_METRICS_TEXT = (
    "metrics contains the specifications for which to use to calculate the desired replica count (the "
    "maximum replica count across all metrics will be used).  The desired replica count is calculated "
    "multiplying the ratio between the target value and the current value by the current number of "
    "pods.  Ergo, metrics used must decrease as the pod count is increased, and vice-versa.  See the "
    "individual metric source types for more information about how each type of metric must respond."
)
FURTHER: dict[str, tuple[Column, ...]] = {
    "ClusterRole": (NAME, _CREATED),
    "ClusterRoleBinding": _BINDING,
    "ControllerRevision": (
        NAME,
        Column("Controller", _controller, "Controller of the object"),
        Column(
            "Revision",
            at("revision", 0),
            "revision indicates the revision of the state represented by Data.",
        ),
        AGE,
    ),
    "HorizontalPodAutoscaler": (
        NAME,
        Column("Reference", _target, _SCALED_TEXT),
        Column("Targets", _metrics, _METRICS_TEXT),
        Column(
            "MinPods",
            lambda obj: str(obj["spec"].get("minReplicas", "<unset>")),
            "V2HorizontalPodAutoscalerSpec.minReplicas",
        ),
        Column("MaxPods", at("spec.maxReplicas"), "V2HorizontalPodAutoscalerSpec.maxReplicas"),
        Column(
            "Replicas", at("status.currentReplicas", 0), "V2HorizontalPodAutoscalerStatus.currentReplicas"
        ),
        AGE,
    ),
    "Ingress": (
        NAME,
        Column(
            "Class",
            at("spec.ingressClassName"),
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
        Column("Hosts", _hosts, "Hosts that incoming requests are matched against before the ingress rule"),
        Column("Address", _address, "Address is a list containing ingress points for the load-balancer"),
        Column(
            "Ports",
            lambda obj: "80, 443" if obj["spec"].get("tls") else "80",
            "Ports of TLS configurations that open",
        ),
        AGE,
    ),
    "NetworkPolicy": (NAME, Column("Pod-Selector", _pod_selector, _POD_SELECTOR_TEXT), AGE),
    "PodDisruptionBudget": (
        NAME,
        Column(
            "Min Available", _budget("minAvailable"), "The minimum number of pods that must be available."
        ),
        Column(
            "Max Unavailable",
            _budget("maxUnavailable"),
            "The maximum number of pods that may be unavailable.",
        ),
        Column(
            "Allowed Disruptions",
            at("status.disruptionsAllowed", 0),
            "Calculated number of pods that may be disrupted at this time.",
            "integer",
        ),
        AGE,
    ),
    "Role": (NAME, _CREATED),
    "RoleBinding": _BINDING,
}
