"""What the server says it serves: versions, groups, resources, and the OpenAPI that kubectl asks for."""

import base64
import hashlib
from typing import Any

from sandbox.apiserver.registry import MAIN_VERBS, Registry, Resource

Object = dict[str, Any]
# The verbs of sub-resources, and the kind they speak where it is not the kind itself.
_SUB_VERBS = {
    "binding": ("create",),
    "finalize": ("update",),
    "proxy": ("create", "delete", "get", "patch", "update"),
}
_SUB_KINDS = {
    "binding": ("", "v1", "Binding"),
    "scale": ("autoscaling", "v1", "Scale"),
    "proxy": ("", "v1", ""),
}
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
VERSION: Object = {
    "major": "1",
    "minor": "35",
    "emulationMajor": "1",
    "emulationMinor": "35",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "34",
    "gitVersion": "v1.35.4",
    "gitCommit": "$Format:%H$",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.8",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def versions(address: str) -> Object:
    """Answer GET /api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def groups(registry: Registry) -> Object:
    """Answer GET /apis."""
    listed = [_group(registry, name) for name in registry.groups()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(registry: Registry, name: str) -> Object:
    """Answer GET /apis/GROUP."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(registry, name)}


def _group(registry: Registry, name: str) -> Object:
    entries = [{"groupVersion": f"{name}/{v}", "version": v} for v in registry.versions(name)]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def resources(registry: Registry, name: str, version: str) -> Object:
    """Answer GET /apis/GROUP/VERSION."""
    found: list[Object] = []
    for resource in sorted(registry, key=lambda r: r.plural):
        if (resource.group, resource.version) == (name, version):
            found.append(_main(resource, registry.stored_as(resource).version))
            # Those of a definition are told of in the order in which it may have them.
            subs = sorted(resource.subresources, reverse=resource.is_custom)
            found += [_sub(resource, sub) for sub in subs]
    group_version = f"{name}/{version}" if name else version
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if name else {}),
        "groupVersion": group_version,
        "resources": found,
    }


def _main(resource: Resource, stored: str) -> Object:
    identity = f"{resource.group}/{stored}/{resource.kind}"
    digest = hashlib.sha256(identity.encode()).digest()[:8]
    found: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "storageVersionHash": base64.b64encode(digest).decode(),
    }
    return {key: value for key, value in found.items() if value not in ([], None)}


def _verbs(resource: Resource) -> list[str]:
    if resource.answered:
        return ["create"]
    return list(_CUSTOM_VERBS if resource.is_custom else MAIN_VERBS)


def _sub(resource: Resource, sub: str) -> Object:
    spoken = _SUB_KINDS.get(sub)
    of_kind = (
        {"group": spoken[0], "version": spoken[1], "kind": spoken[2] or f"{resource.kind}ProxyOptions"}
        if spoken
        else {}
    )
    return {
        "name": f"{resource.plural}/{sub}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        **{key: value for key, value in of_kind.items() if value},
        "verbs": list(_SUB_VERBS.get(sub, ("get", "patch", "update"))),
    }


def openapi_index(registry: Registry) -> Object:
    """Answer GET /openapi/v3."""
    paths = {}
    for resource in registry:
        path = f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}"}
    return {"paths": paths}


def openapi(registry: Registry, name: str, version: str) -> Object:
    """Answer GET /openapi/v3/apis/GROUP/VERSION: enough for a client to leave validation to the server."""
    paths: Object = {}
    schemas: Object = {}
    for resource in registry:
        if (resource.group, resource.version) != (name, version):
            continue
        kind = {"group": name, "version": version, "kind": resource.kind}
        named = f"{name or 'core'}.{version}.{resource.kind}"
        schemas[named] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "x-kubernetes-group-version-kind": [kind],
        }
        prefix = f"/apis/{name}/{version}" if name else f"/api/{version}"
        place = "/namespaces/{namespace}" if resource.namespaced else ""
        parameters = [
            {"name": parameter, "in": "query", "schema": {"type": "string"}}
            for parameter in ("dryRun", "fieldManager", "fieldValidation", "force")
        ]
        paths[f"{prefix}{place}/{resource.plural}/{{name}}"] = {
            "patch": {
                "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": kind,
            }
        }
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
