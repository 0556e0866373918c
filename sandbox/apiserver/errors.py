"""Failures as the API server words them: a Status object under an HTTP code."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
CauseKind = Literal[
    "FieldValueRequired",
    "FieldValueInvalid",
    "FieldValueForbidden",
    "FieldValueNotSupported",
    "FieldValueTypeInvalid",
    "FieldValueDuplicate",
    "FieldValueNotFound",
    "FieldValueTooLong",
    "FieldValueTooMany",
]

_NO_PROCESS = "containers of the sandbox are no processes: nothing can be run in them"
_MISSING_OF_PODS = {
    "log": "containers of the sandbox write no log; see `kubectl describe pod` and `kubectl events`",
    "exec": _NO_PROCESS,
    "attach": _NO_PROCESS,
    "portforward": "the sandbox forwards no ports; a pod's own address (`kubectl get pods -o wide`) "
    "can be called from this machine",
}
"""What a real API server has below a pod, and what to do without it."""


@dataclass(frozen=True)
class Cause:
    """One mistake in an object."""

    reason: CauseKind
    field: str
    message: str


class StatusError(Exception):
    """A failure with everything a Status says about it."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({} if details is None else {"details": details}),
            "code": code,
        }


def about(resource: Resource, name: str, *, kind: str = "") -> Object:
    """Name the object that a Status is about."""
    group = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": kind or resource.plural} if name else {**group, "kind": kind}


def bad_request(message: str) -> StatusError:
    """400: what was sent cannot be understood."""
    return StatusError(400, "BadRequest", message)


def unknown_path() -> StatusError:
    """404: there is no such resource."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def missing_part(resource: Resource, part: str) -> StatusError:
    """404: objects of this kind have no such part, or not here."""
    why = _MISSING_OF_PODS.get(part) if resource.qualified == "pods" else None
    return StatusError(404, "NotFound", why, {}) if why else unknown_path()


def not_found(resource: Resource, name: str) -> StatusError:
    """404: there is no such object."""
    return StatusError(404, "NotFound", f'{resource.qualified} "{name}" not found', about(resource, name))


def already_exists(resource: Resource, name: str) -> StatusError:
    """409: the name is taken."""
    message = f'{resource.qualified} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, about(resource, name))


def modified(resource: Resource, name: str) -> StatusError:
    """409: the resourceVersion given is not the newest."""
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return StatusError(409, "Conflict", message, about(resource, name))


def already_bound(resource: Resource, name: str, node: str) -> StatusError:
    """409: the pod is on a node already."""
    qualified = f"{resource.qualified}/binding"
    why = f'pod {name} is already assigned to node "{node}"'
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return StatusError(409, "Conflict", message, about(resource, name, kind=qualified))


def another(resource: Resource, name: str, wanted: str, found: str) -> StatusError:
    """409: there is another object under this name."""
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": Precondition failed: '
        f"UID in precondition: {wanted}, UID in object meta: {found}"
    )
    return StatusError(409, "Conflict", message, about(resource, name))


def invalid(resource: Resource, name: str, causes: list[Cause], *, plural: bool = False) -> StatusError:
    """422: these fields are wrong."""
    kind = resource.plural if plural else resource.kind
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{resource.group}" if resource.group else kind
    details = about(resource, name, kind=kind) | {"causes": [vars(cause) for cause in causes]}
    return StatusError(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', details)


def rejected() -> StatusError:
    """422: a patch that cannot be carried out."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def unreadable_patch(patched: Object, why: str) -> StatusError:
    """422: what a patch makes of an object is none of its kind."""
    text = f"Invalid value: {json.dumps(json.dumps(patched, separators=(',', ':')))}: {why}"
    cause = Cause("FieldValueInvalid", "patch", text)
    return StatusError(422, "Invalid", f' "" is invalid: patch: {text}', {"causes": [vars(cause)]})


def unsupported_media(accepted: str) -> StatusError:
    """415: the body is in a format that is not taken here."""
    return StatusError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {accepted}",
    )


def protobuf() -> StatusError:
    """415: what most of `kubectl create …` sends; a real API server takes it."""
    return StatusError(
        415,
        "UnsupportedMediaType",
        "the sandbox takes JSON and YAML, and this command sends protobuf: "
        "add `--dry-run=client -o yaml` to it and pipe that into `kubectl apply -f -`",
    )


def not_allowed() -> StatusError:
    """405: not this verb, not here."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, {})


def expired(message: str) -> StatusError:
    """410: that version is no longer known."""
    return StatusError(410, "Expired", message)


def terminating(resource: Resource, namespace: str, name: str) -> StatusError:
    """403: nothing new goes into a namespace that is being deleted."""
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    message = (
        f'{resource.qualified} "{name}" is forbidden: unable to create new content in namespace {namespace} '
        "because it is being terminated"
    )
    return StatusError(403, "Forbidden", message, about(resource, name) | {"causes": [cause]})
