"""CustomResourceDefinitions: what one serves, and the status that says it is served."""

from typing import Any

from sandbox.apiserver import structural
from sandbox.apiserver.registry import Registry, Resource
from sandbox.apiserver.store import Store

Object = dict[str, Any]
STORAGE = ("apiextensions.k8s.io", "customresourcedefinitions")
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def serve(definition: Object, registry: Registry) -> None:
    """Serve the versions of a definition, in place of those it had."""
    spec = definition["spec"]
    names, group = spec["names"], spec["group"]
    registry.drop(group, names["plural"])
    for version in sorted(spec["versions"], key=_priority):
        if version.get("served"):
            registry.add(_resource(spec, version))


def _priority(version: Object) -> tuple[int, int, int, str]:
    """Order versions as discovery does: stable ones first, then beta, then alpha, the higher first."""
    name = version["name"]
    major, _, rest = (
        name.removeprefix("v").partition("beta")
        if "beta" in name
        else name.removeprefix("v").partition("alpha")
    )
    if not major.isdigit():
        return (3, 0, 0, name)
    stage = 0 if not rest else 1 if "beta" in name else 2
    return (stage, -int(major), -int(rest or 0), name)


def _resource(spec: Object, version: Object) -> Resource:
    names = spec["names"]
    subresources = version.get("subresources") or {}
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        schema=structural.shape((version.get("schema") or {}).get("openAPIV3Schema") or {}),
        singular=names.get("singular", ""),
        namespaced=spec.get("scope") == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(subresources),
        storage=(spec["group"], names["plural"]),
        selectable=tuple(f["jsonPath"].removeprefix(".") for f in version.get("selectableFields") or []),
        grows=True,
        free_update=False,
        stored=bool(version.get("storage")),
        deprecated=_warning(spec, version),
        custom=version,
    )


def _warning(spec: Object, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    group, kind = spec["group"], spec["names"]["kind"]
    usual = f"{group}/{version['name']} {kind} is deprecated"
    lasting = [v["name"] for v in spec["versions"] if v.get("served") and not v.get("deprecated")]
    if lasting:
        usual += f"; use {group}/{lasting[0]} {kind}"
    return str(version.get("deprecationWarning") or usual)


def withdraw(definition: Object, registry: Registry, store: Store) -> None:
    """Stop serving a definition; its objects go with it."""
    spec = definition["spec"]
    group, plural = spec["group"], spec["names"]["plural"]
    for obj in list(store.collection((group, plural)).objects.values()):
        store.remove((group, plural), obj)
    registry.drop(group, plural)


def terminating(definition: Object) -> Object:
    """Give a definition that is marked for deletion: held until its objects are gone."""
    meta = definition["metadata"]
    finalizers = [name for name in meta.get("finalizers") or [] if name != _CLEANUP]
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": meta["deletionTimestamp"],
        "reason": "InstanceDeletionPending",
        "message": message,
    }
    status = definition["status"]
    conditions = [c for c in status.get("conditions") or [] if c["type"] != "Terminating"]
    return {
        **definition,
        "metadata": {**meta, "finalizers": [*finalizers, _CLEANUP]},
        "status": {**status, "conditions": [*conditions, condition]},
    }


def cleaned_up(definition: Object) -> Object:
    """Give a definition whose objects are gone."""
    meta = definition["metadata"]
    finalizers = [name for name in meta.get("finalizers") or [] if name != _CLEANUP]
    return {**definition, "metadata": {**meta, "finalizers": finalizers}}


def established(definition: Object, time: str) -> Object:
    """Give the definition with the status of one whose names are accepted and that is served."""
    conditions = [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
    status = {
        **definition["status"],
        "acceptedNames": definition["spec"]["names"],
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": time, "reason": reason, "message": message}
            for kind, reason, message in conditions
        ],
    }
    return {**definition, "status": status}
