"""The shapes of the built-in kinds: their fields from builtin_types.txt, the rest from the tables here."""

from pathlib import Path

from sandbox.apiserver.schema import ANY, Schema

TYPES_FILE = Path(__file__).with_name("builtin_types.txt")

# Lists that are merged: item type -> (keys of server-side apply, key of strategic merge patch).
_ITEM_KEYS = {
    "AttachedVolume": ("name",),
    "Condition": ("type",),
    "Container": ("name",),
    "ContainerPort": ("containerPort", "protocol"),
    "CustomResourceDefinitionCondition": ("type",),
    "DaemonSetCondition": ("type",),
    "DeploymentCondition": ("type",),
    "EnvVar": ("name",),
    "EphemeralContainer": ("name",),
    "HostAlias": ("ip",),
    "NamespaceCondition": ("type",),
    "NodeAddress": ("type",),
    "NodeCondition": ("type",),
    "OwnerReference": ("uid",),
    "PodCondition": ("type",),
    "PodIP": ("ip",),
    "PodResourceClaim": ("name",),
    "PodSchedulingGate": ("name",),
    "ReplicaSetCondition": ("type",),
    "ResourceClaim": ("name",),
    "ServicePort": ("port", "protocol"),
    "TopologySpreadConstraint": ("topologyKey", "whenUnsatisfiable"),
    "V2HorizontalPodAutoscalerCondition": ("type",),
    "Volume": ("name",),
    "VolumeDevice": ("devicePath",),
    "VolumeMount": ("mountPath",),
}
_FIELD_KEYS = {
    "PodSpec.imagePullSecrets": ("name",),
    "ServiceAccount.secrets": ("name",),
}
_SETS = {"ObjectMeta.finalizers", "NodeSpec.podCIDRs", "EndpointSlice.addresses"}
_ATOMIC_FIELDS = {"ServiceSpec.selector", "PodSpec.nodeSelector"}
_ATOMIC_TYPES = {
    "ConfigMapKeySelector",
    "EndpointAddress",
    "EndpointPort",
    "DiscoveryV1EndpointPort",
    "ServiceBackendPort",
    "FileKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "OwnerReference",
    "ResourceFieldSelector",
    "RoleRef",
    "SecretKeySelector",
    "TypedLocalObjectReference",
    "TypedObjectReference",
}

# Fields that hold a structure, not a pointer to one: they are there, if empty, in every answer.
_BY_VALUE = {
    "*": {
        "metadata",
        "spec",
        "status",
        "template",
        "scaleTargetRef",
        "roleRef",
        "loadBalancer",
    },
    "Container": {"resources"},
    "ContainerStatus": {"state", "lastState"},
    "CustomResourceDefinitionSpec": {"names"},
    "CustomResourceDefinitionStatus": {"acceptedNames"},
    "DaemonSetSpec": {"updateStrategy"},
    "DeploymentSpec": {"strategy"},
    "Endpoint": {"conditions"},
    "Event": {"involvedObject", "source"},
    "EventsV1Event": {"regarding", "deprecatedSource"},
    "HTTPIngressPath": {"backend"},
    "IngressServiceBackend": {"port"},
    "NetworkPolicySpec": {"podSelector"},
    "NodeDaemonEndpoints": {"kubeletEndpoint"},
    "NodeStatus": {"daemonEndpoints", "nodeInfo"},
    "V2ObjectMetricSource": {"describedObject", "metric", "target"},
    "V2PodsMetricSource": {"metric", "target"},
    "V2ExternalMetricSource": {"metric", "target"},
    "V2ResourceMetricSource": {"target"},
    "V2ContainerResourceMetricSource": {"target"},
}
_BY_POINTER = {"CustomResourceSubresources"}  # whose `status` is one after all
_ALWAYS = {
    "ClusterRole": ("rules",),
    "ControllerRevision": ("revision",),
    "CustomResourceDefinitionStatus": ("conditions", "acceptedNames", "storedVersions"),
    "EndpointSlice": ("endpoints", "ports"),
    "Event": ("firstTimestamp", "lastTimestamp", "eventTime", "reportingComponent", "reportingInstance"),
    "EventsV1Event": ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"),
    "PodDisruptionBudgetStatus": ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"),
    "Role": ("rules",),
    "V2HorizontalPodAutoscalerStatus": ("currentMetrics", "desiredReplicas"),
}
# Numbers, booleans and strings behind pointers: their zero is a value like any other and is kept.
_POINTER_NAMES = """
activeDeadlineSeconds allocateLoadBalancerNodePorts allowPrivilegeEscalation appProtocol
automountServiceAccountToken averageUtilization blockOwnerDeletion collisionCount controller
defaultMode deletionGracePeriodSeconds enableServiceLinks expirationSeconds fsGroup
holderIdentity hostUsers immutable ingressClassName internalTrafficPolicy ipFamilyPolicy
leaseDurationSeconds leaseTransitions loadBalancerClass localhostProfile minReplicas mode
optional partition preemptionPolicy priority privileged progressDeadlineSeconds
readOnlyRootFilesystem revisionHistoryLimit runAsGroup runAsNonRoot runAsUser runtimeClassName
setHostnameAsFQDN shareProcessNamespace stabilizationWindowSeconds started storageClassName
terminatingReplicas terminationGracePeriodSeconds tolerationSeconds volumeMode
"""
_POINTERS = {
    "*": frozenset(_POINTER_NAMES.split()),
    "ClientIPConfig": frozenset({"timeoutSeconds"}),
    "DeploymentSpec": frozenset({"replicas"}),
    "DiscoveryV1EndpointPort": frozenset({"name", "port", "protocol"}),
    "EndpointConditions": frozenset({"ready", "serving", "terminating"}),
    "JSONSchemaProps": frozenset(
        f"{bound}{what}" for bound in ("max", "min") for what in ("imum", "Items", "Length", "Properties")
    )
    | {"multipleOf"},
    "ReplicaSetSpec": frozenset({"replicas"}),
    "V2HorizontalPodAutoscalerStatus": frozenset({"observedGeneration"}),
}
_QUANTITIES = {"limits", "requests", "capacity", "allocatable", "overhead"}
_QUANTITY_FIELDS = {
    f"{struct}.{field}"
    for struct in ("V2MetricTarget", "V2MetricValueStatus")
    for field in ("averageValue", "value")
}
# Structs whose times are no pointers: one that was never set is written as null.
_TIMED = ("Condition", "ContainerStateRunning", "ContainerStateTerminated")
_MICRO_TIMES = {"acquireTime", "eventTime", "lastObservedTime", "renewTime"}
_SCALARS = {"bytes", "string", "int", "bool", "float", "time", "intOrString", "quantity"}


def _load() -> dict[str, Schema]:
    lines = [line.split() for line in TYPES_FILE.read_text().splitlines()]
    types = {name: Schema("struct", name=name) for name, *_ in lines}
    for name, *fields in lines:
        _fill(types, types[name], fields)
    return types


def _fill(types: dict[str, Schema], struct: Schema, fields: list[str]) -> None:
    name = struct.name
    required = list(_ALWAYS.get(name, ()))
    for entry in fields:
        field, _, declared = entry.partition(":")
        if field.endswith("!"):
            field = field[:-1]
            required.append(field)
        struct.fields[field] = _shape(types, f"{name}.{field}", declared)
        if declared == "time" and name.endswith(_TIMED):
            required.append(field)
    struct.atomic = name in _ATOMIC_TYPES
    struct.required = tuple(required)
    if name not in _BY_POINTER:
        wanted = _BY_VALUE["*"] | _BY_VALUE.get(name, set())
        struct.by_value = frozenset(f for f, s in struct.fields.items() if f in wanted and s.kind == "struct")
    struct.pointers = _POINTERS["*"] | _POINTERS.get(name, frozenset())


def _shape(types: dict[str, Schema], place: str, declared: str) -> Schema:
    if declared.startswith("[]"):
        return _list(types, place, declared[2:])
    if declared.startswith("{}"):
        field = place.rpartition(".")[2]
        element = Schema("scalar", scalar="quantity") if field in _QUANTITIES else None
        return Schema(
            "map", element=element or _shape(types, "", declared[2:]), atomic=place in _ATOMIC_FIELDS
        )
    if declared == "time" and place.rpartition(".")[2] in _MICRO_TIMES:
        return Schema("scalar", scalar="microTime")
    if declared in _SCALARS:
        return Schema("scalar", scalar="quantity" if place in _QUANTITY_FIELDS else declared)
    if place == "ControllerRevision.data":
        return Schema("any", atomic=True)
    return types.get(declared, ANY)


def _list(types: dict[str, Schema], place: str, item: str) -> Schema:
    element = _shape(types, "", item)
    keys = _FIELD_KEYS.get(place) or _ITEM_KEYS.get(item, ())
    if place in _SETS:
        return Schema("list", element=element, patch_key="")
    patch_key = keys[0] if keys else None
    defaults = {"protocol": "TCP"} if "protocol" in keys else {}
    return Schema(
        "list", element=element, atomic=not keys, keys=keys, key_defaults=defaults, patch_key=patch_key
    )


TYPES = _load()
METADATA = TYPES["ObjectMeta"]
