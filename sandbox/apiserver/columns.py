"""The columns that `kubectl get` shows of the built-in kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver import selectors
from sandbox.apiserver.ages import age

Object = dict[str, Any]
_NONE = "<none>"
_MOST_ENDPOINTS = 3


@dataclass(frozen=True)
class Column:
    """A column: what it is about is a sentence, or the name of the field whose description it has."""

    name: str
    cell: Callable[[Object], Any]
    about: str = ""
    type: str = "string"
    format: str = ""
    priority: int = 0


def at(path: str, default: Any = _NONE) -> Callable[[Object], Any]:
    """Make a cell that shows the value at a path."""
    parts = path.split(".")

    def cell(obj: Any) -> Any:
        for part in parts:
            obj = obj.get(part) if isinstance(obj, dict) else None
        return default if obj is None else obj

    return cell


def _age(obj: Object) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _of_containers(name: str) -> Callable[[Object], str]:
    return lambda obj: ",".join(
        c.get(name, "") for c in obj["spec"]["template"]["spec"].get("containers") or []
    )


def _selector(obj: Object) -> str:
    return selectors.in_words(obj["spec"].get("selector")) or _NONE


def _pod_status(obj: Object) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for status in obj["status"].get("containerStatuses") or []:
        state = status.get("state") or {}
        for kind in ("waiting", "terminated"):
            if reason := (state.get(kind) or {}).get("reason"):
                return str(reason)
    return str(obj["status"].get("reason") or obj["status"].get("phase", ""))


def _pod_ready(obj: Object) -> str:
    statuses = obj["status"].get("containerStatuses") or []
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(obj['spec']['containers'])}"


def _restarts(obj: Object) -> str:
    return str(sum(s.get("restartCount", 0) for s in obj["status"].get("containerStatuses") or []))


def _ready_of(obj: Object) -> str:
    return f"{obj['status'].get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"


def _external(obj: Object) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    ingress = (obj["status"].get("loadBalancer") or {}).get("ingress") or []
    found = [i.get("ip") or i.get("hostname", "") for i in ingress] + (spec.get("externalIPs") or [])
    return ",".join(found) or ("<pending>" if spec.get("type") == "LoadBalancer" else _NONE)


def _ports(obj: Object) -> str:
    def written(port: Object) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port['port']}{node}/{port['protocol']}"

    return ",".join(written(port) for port in obj["spec"].get("ports") or []) or _NONE


def _service_selector(obj: Object) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((obj["spec"].get("selector") or {}).items())) or _NONE


def _endpoints(obj: Object) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    more = f" + {len(found) - _MOST_ENDPOINTS} more..." if len(found) > _MOST_ENDPOINTS else ""
    return ",".join(found[:_MOST_ENDPOINTS]) + more or _NONE


def _last_seen(obj: Object) -> str:
    return age(obj.get("lastTimestamp") or obj.get("eventTime") or obj.get("firstTimestamp"))


def _regarded(obj: Object) -> str:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _node_status(obj: Object) -> str:
    ready = [c for c in obj["status"].get("conditions") or [] if c.get("type") == "Ready"]
    found = "Ready" if ready and ready[0].get("status") == "True" else "NotReady" if ready else "Unknown"
    return found + (",SchedulingDisabled" if obj["spec"].get("unschedulable") else "")


def _slice_endpoints(obj: Object) -> str:
    found = [
        address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []
    ]
    more = f" + {len(found) - _MOST_ENDPOINTS} more..." if len(found) > _MOST_ENDPOINTS else ""
    return ",".join(found[:_MOST_ENDPOINTS]) + more or "<unset>"


def _node_selector(obj: Object) -> str:
    wanted = obj["spec"]["template"]["spec"].get("nodeSelector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(wanted.items())) or _NONE


NAME = Column("Name", at("metadata.name", ""), "ObjectMeta.name", format="name")
AGE = Column("Age", _age, "ObjectMeta.creationTimestamp")
_CONTAINERS = Column(
    "Containers", _of_containers("name"), "Names of each container in the template.", priority=1
)
_IMAGES = Column(
    "Images", _of_containers("image"), "Images referenced by each container in the template.", priority=1
)
_MORE_ON_SELECTORS = (
    "More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
)
_REPLICAS_SELECTED = (
    "Selector is a label query over pods that should match the replica count. If the selector is "
    "empty, it is defaulted to the labels present on the pod template. Label keys and values that must "
    f"match in order to be controlled by this replica set. {_MORE_ON_SELECTORS}"
)
_DAEMONS_SELECTED = (
    "A label query over pods that are managed by the daemon set. Must match in order to be controlled. "
    f"If empty, defaulted to labels on Pod template. {_MORE_ON_SELECTORS}"
)
_DAEMONS_READY = (
    "The number of nodes that should be running the daemon pod and have one or more of the daemon pod "
    "running and ready."
)
_SOURCE = "The component reporting this event. Should be a short machine understandable string."
_ADDRESS_TYPE = (
    "addressType specifies the type of address carried by this EndpointSlice. All addresses in this "
    "slice must be the same type. This field is immutable after creation. The following address types "
    "are currently supported: * IPv4: Represents an IPv4 Address. * IPv6: Represents an IPv6 Address. "
    "* FQDN: Represents a Fully Qualified Domain Name."
)
_SLICE_PORTS = (
    "ports specifies the list of network ports exposed by each endpoint in this slice. Each port must "
    "have a unique name. When ports is empty, it indicates that there are no defined ports. When a "
    'port is defined with a nil port value, it indicates "all ports". Each slice may include a maximum '
    "of 100 ports."
)
_READY_TEXT = "Number of the pod with ready state"


def _number(name: str, path: str, about: str) -> Column:
    return Column(name, at(path, 0), about, "integer")


COLUMNS: dict[str, tuple[Column, ...]] = {
    "ConfigMap": (
        NAME,
        Column("Data", lambda o: len(o.get("data") or {}) + len(o.get("binaryData") or {}), "ConfigMap.data"),
        AGE,
    ),
    "CustomResourceDefinition": (
        NAME,
        Column("Created At", at("metadata.creationTimestamp"), "ObjectMeta.creationTimestamp", "date"),
    ),
    "DaemonSet": (
        NAME,
        _number("Desired", "status.desiredNumberScheduled", "DaemonSetStatus.desiredNumberScheduled"),
        _number("Current", "status.currentNumberScheduled", "DaemonSetStatus.currentNumberScheduled"),
        _number("Ready", "status.numberReady", _DAEMONS_READY),
        _number("Up-to-date", "status.updatedNumberScheduled", "DaemonSetStatus.updatedNumberScheduled"),
        _number("Available", "status.numberAvailable", "DaemonSetStatus.numberAvailable"),
        Column("Node Selector", _node_selector, "PodSpec.nodeSelector"),
        AGE,
        _CONTAINERS,
        _IMAGES,
        Column("Selector", _selector, _DAEMONS_SELECTED, priority=1),
    ),
    "Deployment": (
        NAME,
        Column("Ready", _ready_of, _READY_TEXT),
        Column("Up-to-date", at("status.updatedReplicas", 0), "DeploymentStatus.updatedReplicas"),
        Column("Available", at("status.availableReplicas", 0), "DeploymentStatus.availableReplicas"),
        AGE,
        _CONTAINERS,
        _IMAGES,
        Column(
            "Selector",
            _selector,
            "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones "
            "affected by this deployment.",
            priority=1,
        ),
    ),
    "EndpointSlice": (
        NAME,
        Column("AddressType", at("addressType"), _ADDRESS_TYPE),
        Column(
            "Ports",
            lambda o: ",".join(str(p.get("port") or "") for p in o.get("ports") or []) or "<unset>",
            _SLICE_PORTS,
        ),
        Column("Endpoints", _slice_endpoints, "EndpointSlice.endpoints"),
        AGE,
    ),
    "Endpoints": (NAME, Column("Endpoints", _endpoints, "Endpoints.subsets"), AGE),
    "Event": (
        Column("Last Seen", _last_seen, "Event.lastTimestamp"),
        Column("Type", at("type", ""), "Event.type"),
        Column("Reason", at("reason", ""), "Event.reason"),
        Column("Object", _regarded, "The object that this event is about."),
        Column(
            "Subobject",
            at("involvedObject.fieldPath", ""),
            "ObjectReference.fieldPath",
            priority=1,
        ),
        Column("Source", at("source.component", ""), _SOURCE, priority=1),
        Column("Message", at("message", ""), "Event.message"),
        Column(
            "First Seen",
            lambda o: age(o.get("firstTimestamp") or o.get("eventTime")),
            "Event.firstTimestamp",
            priority=1,
        ),
        Column("Count", at("count", 1), "Event.count", priority=1),
        Column("Name", at("metadata.name"), "ObjectMeta.name", format="name", priority=1),
    ),
    "Lease": (NAME, Column("Holder", at("spec.holderIdentity", ""), "LeaseSpec.holderIdentity"), AGE),
    "Namespace": (NAME, Column("Status", at("status.phase"), "The status of the namespace"), AGE),
    "Node": (
        NAME,
        Column("Status", _node_status, "The status of the node"),
        Column("Roles", lambda _: _NONE, "The roles of the node"),
        AGE,
        Column("Version", at("status.nodeInfo.kubeletVersion", ""), "NodeSystemInfo.kubeletVersion"),
    ),
    "Pod": (
        NAME,
        Column("Ready", _pod_ready, "The aggregate readiness state of this pod for accepting traffic."),
        Column("Status", _pod_status, "The aggregate status of the containers in this pod."),
        Column(
            "Restarts",
            _restarts,
            "The number of times the containers in this pod have been restarted and when the last container "
            "in this pod has restarted.",
        ),
        AGE,
        Column("IP", at("status.podIP"), "PodStatus.podIP", priority=1),
        Column("Node", at("spec.nodeName"), "PodSpec.nodeName", priority=1),
        Column("Nominated Node", at("status.nominatedNodeName"), "PodStatus.nominatedNodeName", priority=1),
        Column("Readiness Gates", lambda _: _NONE, "PodSpec.readinessGates", priority=1),
    ),
    "ReplicaSet": (
        NAME,
        _number("Desired", "spec.replicas", "ReplicaSetSpec.replicas"),
        _number("Current", "status.replicas", "ReplicaSetStatus.replicas"),
        _number("Ready", "status.readyReplicas", "ReplicaSetStatus.readyReplicas"),
        AGE,
        _CONTAINERS,
        _IMAGES,
        Column("Selector", _selector, _REPLICAS_SELECTED, priority=1),
    ),
    "Secret": (
        NAME,
        Column("Type", at("type"), "Secret.type"),
        Column("Data", lambda o: len(o.get("data") or {}), "Secret.data"),
        AGE,
    ),
    "Service": (
        NAME,
        Column("Type", at("spec.type"), "ServiceSpec.type"),
        Column("Cluster-IP", at("spec.clusterIP"), "ServiceSpec.clusterIP"),
        Column("External-IP", _external, "ServiceSpec.externalIPs"),
        Column("Port(s)", _ports, "ServiceSpec.ports"),
        AGE,
        Column("Selector", _service_selector, "ServiceSpec.selector", priority=1),
    ),
}
DEFAULT = (NAME, AGE)
