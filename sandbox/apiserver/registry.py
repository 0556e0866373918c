"""The kinds that are served: names, scope, sub-resources, schema."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.apiserver.builtin import TYPES
from sandbox.apiserver.schema import Schema

MAIN_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """A kind in one API version. Kinds with the same `storage` are the same objects in different clothes."""

    group: str
    version: str
    plural: str
    kind: str
    schema: Schema
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    storage: tuple[str, str] = ("", "")  # group and plural
    selectable: tuple[str, ...] = ()
    returns_deleted: bool = False
    grows: bool = False  # metadata.generation counts changes of spec
    upserts: bool = False  # PUT creates
    free_update: bool = True  # PUT needs no resourceVersion
    stored: bool = True  # the version that the objects are kept in
    custom: dict[str, Any] = field(default_factory=dict)  # the version of a CustomResourceDefinition

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def is_custom(self) -> bool:
        """Whether a CustomResourceDefinition brought it."""
        return bool(self.custom)


def _kind(group_version: str, plural: str, kind: str, **more: Any) -> Resource:
    group, _, version = group_version.rpartition("/")
    schema = TYPES[more.pop("type_name", kind)]
    more["subresources"] = frozenset(more.pop("sub", "").split())
    for name in ("short_names", "categories", "selectable"):
        more[name] = tuple(more.pop(name, "").split())
    more.setdefault("storage", (group, plural))
    return Resource(group, version, plural, kind, schema, singular=kind.lower(), **more)


_EVENT_FIELDS = (
    "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
    "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent "
    "source type"
)
_POD_FIELDS = (
    "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase "
    "status.podIP status.podIPs status.nominatedNodeName"
)
_APPS = {"categories": "all", "grows": True, "sub": "status scale"}


def _builtin() -> Iterator[Resource]:
    yield _kind("v1", "configmaps", "ConfigMap", short_names="cm")
    yield _kind("v1", "endpoints", "Endpoints", short_names="ep")
    yield _kind("v1", "events", "Event", short_names="ev", selectable=_EVENT_FIELDS, upserts=True)
    yield _kind("v1", "limitranges", "LimitRange", short_names="limits", upserts=True)
    yield _kind(
        "v1",
        "namespaces",
        "Namespace",
        short_names="ns",
        namespaced=False,
        sub="status finalize",
        selectable="status.phase",
        returns_deleted=True,
    )
    yield _kind(
        "v1",
        "nodes",
        "Node",
        short_names="no",
        namespaced=False,
        sub="status",
        selectable="spec.unschedulable",
    )
    yield _kind(
        "v1",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        short_names="pvc",
        sub="status",
        returns_deleted=True,
    )
    yield _kind(
        "v1",
        "persistentvolumes",
        "PersistentVolume",
        short_names="pv",
        namespaced=False,
        sub="status",
        returns_deleted=True,
    )
    yield _kind(
        "v1",
        "pods",
        "Pod",
        short_names="po",
        categories="all",
        sub="status log eviction binding proxy ephemeralcontainers",
        selectable=_POD_FIELDS,
        returns_deleted=True,
        grows=True,
    )
    yield _kind(
        "v1", "resourcequotas", "ResourceQuota", short_names="quota", sub="status", returns_deleted=True
    )
    yield _kind("v1", "secrets", "Secret", selectable="type")
    yield _kind("v1", "serviceaccounts", "ServiceAccount", short_names="sa", returns_deleted=True)
    yield _kind(
        "v1",
        "services",
        "Service",
        short_names="svc",
        categories="all",
        sub="status proxy",
        selectable="spec.clusterIP spec.type",
        returns_deleted=True,
    )
    yield _kind("apps/v1", "controllerrevisions", "ControllerRevision")
    yield _kind(
        "apps/v1", "daemonsets", "DaemonSet", short_names="ds", categories="all", grows=True, sub="status"
    )
    yield _kind("apps/v1", "deployments", "Deployment", short_names="deploy", **_APPS)
    yield _kind(
        "apps/v1", "replicasets", "ReplicaSet", short_names="rs", selectable="status.replicas", **_APPS
    )
    yield _kind("apps/v1", "statefulsets", "StatefulSet", short_names="sts", **_APPS)
    hpa: dict[str, Any] = {"short_names": "hpa", "categories": "all", "sub": "status"}
    hpa["storage"] = ("autoscaling", "horizontalpodautoscalers")
    name = "HorizontalPodAutoscaler"
    yield _kind("autoscaling/v2", "horizontalpodautoscalers", name, type_name="V2" + name, **hpa)
    yield _kind("autoscaling/v1", "horizontalpodautoscalers", name, stored=False, **hpa)
    yield _kind(
        "batch/v1", "cronjobs", "CronJob", short_names="cj", categories="all", grows=True, sub="status"
    )
    yield _kind(
        "batch/v1",
        "jobs",
        "Job",
        categories="all",
        grows=True,
        sub="status",
        selectable="status.successful",
    )
    yield _kind("coordination.k8s.io/v1", "leases", "Lease", upserts=True)
    yield _kind("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", grows=True)
    yield _kind(
        "events.k8s.io/v1",
        "events",
        "Event",
        type_name="EventsV1Event",
        short_names="ev",
        storage=("", "events"),
        stored=False,
        selectable="reason reportingController regarding.kind regarding.namespace regarding.name regarding.uid type",
        upserts=True,
    )
    yield _kind(
        "networking.k8s.io/v1",
        "ingressclasses",
        "IngressClass",
        namespaced=False,
        grows=True,
    )
    yield _kind("networking.k8s.io/v1", "ingresses", "Ingress", short_names="ing", grows=True, sub="status")
    yield _kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", short_names="netpol", grows=True)
    yield _kind(
        "policy/v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        short_names="pdb",
        grows=True,
        sub="status",
    )
    rbac = "rbac.authorization.k8s.io/v1"
    yield _kind(rbac, "clusterrolebindings", "ClusterRoleBinding", namespaced=False, upserts=True)
    yield _kind(rbac, "clusterroles", "ClusterRole", namespaced=False, upserts=True)
    yield _kind(rbac, "rolebindings", "RoleBinding", upserts=True)
    yield _kind(rbac, "roles", "Role", upserts=True)
    yield _kind(
        "scheduling.k8s.io/v1",
        "priorityclasses",
        "PriorityClass",
        short_names="pc",
        namespaced=False,
    )
    yield _kind(
        "storage.k8s.io/v1",
        "storageclasses",
        "StorageClass",
        short_names="sc",
        namespaced=False,
        returns_deleted=True,
    )
    yield _kind(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        short_names="crd crds",
        categories="api-extensions",
        namespaced=False,
        grows=True,
        sub="status",
        free_update=False,
    )


class Registry:
    """Every kind served, by group, version and plural."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Resource] = {}
        for resource in _builtin():
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._kinds.values())

    def add(self, resource: Resource) -> None:
        """Serve a kind, in place of the one it had."""
        self._kinds[resource.group, resource.version, resource.plural] = resource

    def drop(self, group: str, plural: str) -> None:
        """Stop serving a kind in all its versions."""
        gone = [key for key in self._kinds if key[0] == group and key[2] == plural]
        for key in gone:
            del self._kinds[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Look a kind up."""
        return self._kinds.get((group, version, plural))

    def stored_as(self, resource: Resource) -> Resource:
        """Give the version that the objects of a kind are stored in."""
        return next(r for r in self if r.storage == resource.storage and r.stored)

    def versions(self, group: str) -> list[str]:
        """List the versions of a group, the preferred first."""
        return list(dict.fromkeys(r.version for r in self if r.group == group))

    def groups(self) -> list[str]:
        """List the groups, the core group apart."""
        return list(dict.fromkeys(r.group for r in self if r.group))
