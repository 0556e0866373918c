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
    answered: bool = False  # what is created is answered at once, and not kept
    deprecated: str = ""  # a warning that goes with every answer
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


# One kind a line: group/version, plural, kind, then what is special about it.
_BUILTIN = """
v1 configmaps ConfigMap short=cm
v1 endpoints Endpoints short=ep upserts
v1 events Event short=ev upserts select=@event
v1 namespaces Namespace short=ns cluster sub=status,finalize select=status.phase returns
v1 nodes Node short=no cluster sub=status select=spec.unschedulable
v1 pods Pod short=po all grows sub=status,binding,proxy select=@pod returns
v1 secrets Secret select=type
v1 serviceaccounts ServiceAccount short=sa returns locked
v1 services Service short=svc all sub=status,proxy select=spec.clusterIP,spec.type returns upserts
apps/v1 controllerrevisions ControllerRevision
apps/v1 daemonsets DaemonSet short=ds all grows sub=status
apps/v1 deployments Deployment short=deploy all grows sub=status,scale
apps/v1 replicasets ReplicaSet short=rs all grows sub=status,scale
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler type=V2HorizontalPodAutoscaler short=hpa all sub=status
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview cluster answered
coordination.k8s.io/v1 leases Lease upserts locked
discovery.k8s.io/v1 endpointslices EndpointSlice grows
events.k8s.io/v1 events Event type=EventsV1Event short=ev upserts select=@regarding as=/events other
networking.k8s.io/v1 ingresses Ingress short=ing grows sub=status
networking.k8s.io/v1 networkpolicies NetworkPolicy short=netpol grows
policy/v1 poddisruptionbudgets PodDisruptionBudget short=pdb grows sub=status locked
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding cluster upserts
rbac.authorization.k8s.io/v1 clusterroles ClusterRole cluster upserts
rbac.authorization.k8s.io/v1 rolebindings RoleBinding upserts
rbac.authorization.k8s.io/v1 roles Role upserts
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition short=crd,crds cluster grows sub=status locked
"""  # noqa: E501 — one kind a line
_SELECTABLE = {
    "@event": "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
    "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason "
    "reportingComponent source type",
    "@pod": "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
    "status.phase status.podIP status.podIPs status.nominatedNodeName",
    "@regarding": "reason reportingController regarding.kind regarding.namespace regarding.name "
    "regarding.uid type",
}
_DEPRECATED = {"endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}


def _builtin(line: str) -> Resource:
    group_version, plural, kind, *words = line.split()
    said = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    group, _, version = group_version.rpartition("/")
    storage_group, _, storage_plural = said.get("as", f"{group}/{plural}").rpartition("/")
    select = said.get("select", "")
    return Resource(
        group,
        version,
        plural,
        kind,
        schema=TYPES[said.get("type", kind)],
        singular=kind.lower(),
        namespaced="cluster" not in said,
        short_names=_words(said, "short"),
        categories=("all",) if "all" in said else (),
        subresources=frozenset(_words(said, "sub")),
        storage=(storage_group, storage_plural),
        selectable=tuple(_SELECTABLE.get(select, select.replace(",", " ")).split()),
        returns_deleted="returns" in said,
        grows="grows" in said,
        upserts="upserts" in said,
        free_update="locked" not in said,
        stored="other" not in said,
        answered="answered" in said,
        deprecated=_DEPRECATED.get(plural, ""),
    )


def _words(said: dict[str, str], key: str) -> tuple[str, ...]:
    return tuple(filter(None, said.get(key, "").split(",")))


class Registry:
    """Every kind served, by group, version and plural."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Resource] = {}
        for line in _BUILTIN.strip().splitlines():
            self.add(_builtin(line))

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

    def builtin(self, plural: str) -> Resource:
        """Give a kind that is always there."""
        return next(resource for resource in self if resource.plural == plural and not resource.custom)

    def stored_as(self, resource: Resource) -> Resource:
        """Give the version that the objects of a kind are stored in."""
        return next(r for r in self if r.storage == resource.storage and r.stored)

    def versions(self, group: str) -> list[str]:
        """List the versions of a group, the preferred first."""
        return list(dict.fromkeys(r.version for r in self if r.group == group))

    def groups(self) -> list[str]:
        """List the groups, the core group apart."""
        return list(dict.fromkeys(r.group for r in self if r.group))
