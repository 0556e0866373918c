"""What each verb does to what a path names."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sandbox.apiserver import deletion, errors, listing, options, patch, scale
from sandbox.apiserver.errors import StatusError, bad_request
from sandbox.apiserver.jsontext import read_json
from sandbox.apiserver.listing import Selection
from sandbox.apiserver.objects import Objects
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.request import Answer, Options, Place, timestamp
from sandbox.apiserver.routes import Target
from sandbox.apiserver.yamltext import read_yaml

Object = dict[str, Any]
Body = tuple[bytes, str, str]  # the bytes, their type, the user agent
_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_APPLY = "application/apply-patch+yaml"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", _STRATEGIC, _APPLY)


@dataclass(frozen=True)
class Reply:
    """An answer; `is_object` if it may be asked for as a table."""

    body: Object
    status: int = 200
    warnings: tuple[str, ...] = ()
    is_object: bool = True


class Handlers:
    """The verbs."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def handle(self, method: str, target: Target, query: dict[str, str], body: Body) -> Reply:
        """Answer a request."""
        verbs: dict[tuple[str, bool], Callable[[Target, dict[str, str], Body], Reply]] = {
            ("GET", True): self._get,
            ("PUT", True): self._put,
            ("PATCH", True): self._patch,
            ("DELETE", True): self._delete,
            ("GET", False): self._list,
            ("POST", False): self._post,
            ("DELETE", False): self._delete_collection,
        }
        if (method, target.subresource) == ("POST", "binding"):
            return self._bind(target, query, body)
        verb = verbs.get((method, bool(target.name)))
        if target.resource.answered:
            verb = self._review if (method, target.name) == ("POST", "") else None
        if verb is None or (target.subresource and method == "DELETE"):
            raise errors.not_allowed()
        return verb(target, query, body)

    def _get(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        del body
        found = self.objects.get(_place(target))
        listing.check_version(self.objects.store, query.get("resourceVersion", ""))
        if target.subresource == "scale":
            return Reply(scale.read(found, target.resource), is_object=False)
        return Reply(found)

    def _list(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        del body
        page = options.of_list(query)
        return Reply(listing.read(self.objects.store, _selection(target, query), page))

    def _post(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        if target.resource.namespaced and not target.namespace:
            raise errors.not_allowed()
        wanted = options.of_write("POST", query, body[2], subresource=target.subresource)
        sent, repeated = _read_body(body, target.resource)
        return _written(self.objects.create(_place(target), sent, replace(wanted, repeated=repeated)))

    def _review(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        """Allow whatever is asked for: nobody's access is restricted here."""
        wanted = options.of_write("POST", query, body[2], subresource="")
        sent, _ = _read_body(body, target.resource)
        return _written(self.objects.answer(_place(target), sent, {"allowed": True}, wanted))

    def _put(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        wanted = options.of_write("PUT", query, body[2], subresource=target.subresource)
        if target.subresource == "scale":
            sent, _ = _read_body(body, scale.RESOURCE)
            return self._scaled(target, lambda obj: scale.write(obj, sent, target.resource), wanted)
        sent, repeated = _read_body(body, target.resource)
        return _written(self.objects.update(_place(target), sent, replace(wanted, repeated=repeated)))

    def _patch(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        content, kind, agent = body
        if kind not in _PATCHES:
            raise StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        if kind == _STRATEGIC and target.resource.is_custom:
            raise errors.unsupported_media(", ".join(k for k in _PATCHES if k != _STRATEGIC))
        applies = kind == _APPLY
        wanted = options.of_write("PATCH", query, agent, subresource=target.subresource, applies=applies)
        if applies:
            return self._apply(target, wanted, read_yaml(content))
        if target.subresource == "scale":
            return self._patch_scale(target, kind, content, wanted)
        self.objects.get(_place(target))
        sent, repeated = _parse(content)
        change, wanted = _change(kind, sent, target.resource), replace(wanted, repeated=repeated)
        return _written(self.objects.patch(_place(target), change, wanted))

    def _apply(self, target: Target, wanted: Options, applied: Any) -> Reply:
        if not isinstance(applied, dict):
            raise bad_request("error decoding YAML: an object is expected")
        if target.subresource != "scale":
            return _written(self.objects.apply(_place(target), applied, wanted))
        answer = self.objects.apply(_place(target), scale.applied(applied, target.resource), wanted)
        return Reply(scale.read(answer.object, target.resource), is_object=False)

    def _patch_scale(self, target: Target, kind: str, content: bytes, wanted: Options) -> Reply:
        change = _change(kind, _parse(content)[0], scale.RESOURCE)

        def scaled(obj: Object) -> Object:
            return scale.write(obj, change(scale.read(obj, target.resource)), target.resource)

        return self._scaled(target, scaled, wanted)

    def _scaled(self, target: Target, change: Callable[[Object], Object], wanted: Options) -> Reply:
        answer = self.objects.patch(_place(target), change, wanted)
        return Reply(scale.read(answer.object, target.resource), is_object=False)

    def _delete(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        found = deletion.delete(self.objects, _place(target), options.of_delete(query, _read_options(body)))
        return Reply(found, is_object=found["kind"] != "Status")

    def _delete_collection(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        wanted = options.of_delete(query, _read_options(body))
        if target.resource.storage == ("", "namespaces") or (
            target.resource.namespaced and not target.namespace
        ):
            raise errors.not_allowed()
        found = listing.read(self.objects.store, _selection(target, query), options.of_list(query))
        for item in found["items"]:
            meta = item["metadata"]
            place = Place(target.resource, meta.get("namespace", ""), meta["name"])
            deletion.delete(self.objects, place, wanted)
        return Reply(found)

    def _bind(self, target: Target, query: dict[str, str], body: Body) -> Reply:
        """Bind a pod to a node."""
        (sent, _), place = _read_body(body, None), _place(target)
        node = (sent.get("target") or {}).get("name", "")

        def bind(pod: Object) -> Object:
            if bound := pod["spec"].get("nodeName"):
                raise errors.already_bound(place.resource, place.name, bound)
            scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp()}
            conditions = [c for c in pod["status"].get("conditions") or [] if c["type"] != "PodScheduled"]
            status = {**pod["status"], "conditions": [*conditions, scheduled]}
            return {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status}

        wanted = options.of_write("POST", query, body[2], subresource="binding")
        self.objects.patch(place, bind, wanted)
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return Reply(done, 201, is_object=False)


def _place(target: Target) -> Place:
    return Place(target.resource, target.namespace, target.name)


def _selection(target: Target, query: dict[str, str]) -> Selection:
    return Selection(
        target.resource, target.namespace, query.get("labelSelector", ""), query.get("fieldSelector", "")
    )


def _written(answer: Answer) -> Reply:
    return Reply(answer.object, 201 if answer.is_new else 200, answer.warnings)


def _read_body(body: Body, resource: Resource | None) -> tuple[Any, tuple[str, ...]]:
    """Give what a body says, and the fields that it has twice."""
    content, kind, _ = body
    kind_name = resource.kind if resource else "Status"
    if kind == _YAML:
        return read_yaml(content), ()
    if kind == _PROTOBUF:
        raise errors.protobuf()
    if kind not in (_JSON, "application/octet-stream"):
        raise errors.unsupported_media(f"{_JSON}, {_YAML}, {_PROTOBUF}")
    try:
        return read_json(content)
    except ValueError as error:
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind_name}): couldn't get version/kind; "
            f"json parse error: {error} ({content[:20].decode(errors='replace')})"
        ) from error


def _read_options(body: Body) -> Object:
    found: Object = _read_body(body, None)[0] if body[0].strip() else {}
    return found


def _parse(content: bytes) -> tuple[Any, tuple[str, ...]]:
    try:
        return read_json(content)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def _change(kind: str, sent: Any, resource: Resource) -> Callable[[Object], Object]:
    if kind == _PATCHES[0]:
        return lambda obj: patch.json_patch(obj, sent)
    if not isinstance(sent, dict):
        raise bad_request("error decoding patch: an object is expected")
    if kind == _STRATEGIC:
        return lambda obj: patch.strategic(obj, sent, resource.schema)
    return lambda obj: patch.merge(obj, sent)
