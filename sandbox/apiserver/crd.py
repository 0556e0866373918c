"""CustomResourceDefinitions: what one serves, and the status that says it is served."""

from typing import Any

from sandbox.apiserver import structural
from sandbox.apiserver.registry import Registry, Resource
from sandbox.apiserver.store import Store

Object = dict[str, Any]


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
        custom=version,
    )


def withdraw(definition: Object, registry: Registry, store: Store) -> None:
    """Stop serving a definition; its objects go with it."""
    spec = definition["spec"]
    group, plural = spec["group"], spec["names"]["plural"]
    for obj in list(store.collection((group, plural)).objects.values()):
        store.remove((group, plural), obj)
    registry.drop(group, plural)


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
