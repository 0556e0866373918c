"""What the server fills in when a built-in object is read: the defaults of its kind, in place."""

import base64
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"
_OPEN_TO_ALL = 0o644
NAME_LABEL = "kubernetes.io/metadata.name"


def fill(kind: str, obj: Object) -> None:
    """Fill in the defaults of a kind, named as its schema is."""
    if function := _DEFAULTS.get(kind):
        function(obj)


def _set(target: Object, **values: Any) -> None:
    for key, value in values.items():
        target.setdefault(key, value)


def _pod_spec(spec: Object) -> None:
    _set(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for volume in spec.get("volumes") or []:
        _volume(volume)
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or []:
            _container(container)


def _container(container: Object) -> None:
    _set(
        container,
        imagePullPolicy=_pull_policy(container.get("image", "")),
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    for port in container.get("ports") or []:
        _set(port, protocol="TCP")
    for variable in container.get("env") or []:
        _reference(variable.get("valueFrom") or {})
    probes = [container[n] for n in ("livenessProbe", "readinessProbe", "startupProbe") if n in container]
    for probe in probes:
        _set(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    hooks = [hook for hook in (container.get("lifecycle") or {}).values() if isinstance(hook, dict)]
    for handler in [*probes, *hooks]:
        _handler(handler)


def _pull_policy(image: str) -> str:
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return "Always" if "@" not in image and tag in ("", "latest") else "IfNotPresent"


def _reference(source: Object) -> None:
    if "fieldRef" in source:
        _set(source["fieldRef"], apiVersion="v1")
    if "resourceFieldRef" in source:
        _set(source["resourceFieldRef"], divisor="0")


def _handler(handler: Object) -> None:
    if "httpGet" in handler:
        _set(handler["httpGet"], path="/", scheme="HTTP")
    if "grpc" in handler:
        _set(handler["grpc"], service="")


def _volume(volume: Object) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if source in volume:
            _set(volume[source], defaultMode=_OPEN_TO_ALL)
    if "hostPath" in volume:
        _set(volume["hostPath"], type="")
    if "image" in volume:
        _set(volume["image"], pullPolicy=_pull_policy(volume["image"].get("reference", "")))
    if claim := volume.get("ephemeral", {}).get("volumeClaimTemplate"):
        _set(claim["spec"], volumeMode="Filesystem")
    _downward(volume)


def _downward(volume: Object) -> None:
    sources = (volume.get("projected") or {}).get("sources") or []
    for token in (source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source):
        _set(token, expirationSeconds=3600)
    downward = [volume.get("downwardAPI"), *(source.get("downwardAPI") for source in sources)]
    for item in (item for each in downward if each for item in each.get("items") or []):
        _reference(item)


def _template(obj: Object) -> None:
    _pod_spec(obj["spec"]["template"]["spec"])


def _pod(obj: Object) -> None:
    spec = obj["spec"]
    _pod_spec(spec)
    _set(spec, enableServiceLinks=True)
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if spec.get("hostNetwork"):
            for port in container.get("ports") or []:
                _set(port, hostPort=port.get("containerPort"))
        resources = container["resources"]
        if limits := resources.get("limits"):
            resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _deployment(obj: Object) -> None:
    spec = obj["spec"]
    _set(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    _set(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _set(spec["strategy"], rollingUpdate={})
        _set(spec["strategy"]["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    _template(obj)


def _replica_set(obj: Object) -> None:
    _set(obj["spec"], replicas=1)
    _template(obj)


def _daemon_set(obj: Object) -> None:
    spec = obj["spec"]
    _set(spec, revisionHistoryLimit=10)
    _set(spec["updateStrategy"], type="RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        _set(spec["updateStrategy"], rollingUpdate={})
        _set(spec["updateStrategy"]["rollingUpdate"], maxUnavailable=1, maxSurge=0)
    annotations = obj["metadata"].setdefault("annotations", {})
    annotations.setdefault("deprecated.daemonset.template.generation", "0")
    _template(obj)


def _service(obj: Object) -> None:
    spec = obj["spec"]
    _set(spec, type="ClusterIP", sessionAffinity="None")
    if spec["sessionAffinity"] == "ClientIP":
        _set(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})
    elif spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    _traffic(spec)
    for port in spec.get("ports") or []:
        _set(port, protocol="TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    for ingress in (obj["status"].get("loadBalancer") or {}).get("ingress") or []:
        if ingress.get("ip"):
            _set(ingress, ipMode="VIP")


def _traffic(spec: Object) -> None:
    if spec["type"] != "ExternalName":
        _set(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        _set(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _set(spec, allocateLoadBalancerNodePorts=True)


def _namespace(obj: Object) -> None:
    meta = obj["metadata"]
    if meta.get("name") and not meta.get("generateName"):  # one that is made up is too late for owners
        meta.setdefault("labels", {}).setdefault(NAME_LABEL, meta["name"])


def _secret(obj: Object) -> None:
    _set(obj, type="Opaque")
    for key, text in obj.pop("stringData", {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def _hpa(obj: Object) -> None:
    spec = obj["spec"]
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    _set(spec, minReplicas=1)
    spec["metrics"] = spec.get("metrics") or [{"type": "Resource", "resource": cpu}]
    if "behavior" in spec:
        up = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max"}
        up["policies"] = [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]
        down = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
        _set(spec["behavior"], scaleUp={}, scaleDown={})
        _set(spec["behavior"]["scaleUp"], **up)
        _set(spec["behavior"]["scaleDown"], **down)


def _network_policy(obj: Object) -> None:
    spec = obj["spec"]
    _set(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            _set(port, protocol="TCP")


def _endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            _set(port, protocol="TCP")


def _endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or []:
        _set(port, name="", protocol="TCP")


def _binding(obj: Object) -> None:
    _set(obj["roleRef"], apiGroup=_RBAC)
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            _set(subject, apiGroup=_RBAC)


def _node(obj: Object) -> None:
    status = obj["status"]
    if status.get("capacity"):
        _set(status, allocatable=dict(status["capacity"]))


def _definition(obj: Object) -> None:
    spec, kind = obj["spec"], obj["spec"]["names"].get("kind", "")
    _set(spec["names"], singular=kind.lower(), listKind=f"{kind}List")
    _set(spec, conversion={"strategy": "None"})


_DEFAULTS: dict[str, Callable[[Object], None]] = {
    "ClusterRoleBinding": _binding,
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "Node": _node,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "RoleBinding": _binding,
    "Secret": _secret,
    "Service": _service,
    "V2HorizontalPodAutoscaler": _hpa,
}
