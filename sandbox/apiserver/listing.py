"""Collections: selected, sorted, in pages."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver import conversion, selectors
from sandbox.apiserver.errors import StatusError, bad_request
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.store import Store

Object = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """Which objects of a kind are meant: of a namespace ("" for all), with labels, with fields."""

    resource: Resource
    namespace: str
    labels: str = ""
    fields: str = ""

    def predicate(self) -> selectors.Predicate:
        """Give the test that an object in the asked version has to pass."""
        by_labels = selectors.by_labels(self.labels)
        by_fields = selectors.by_fields(self.fields, self.resource)
        wanted = self.namespace

        def matches(obj: Object) -> bool:
            is_here = not wanted or obj["metadata"].get("namespace") == wanted
            return is_here and by_labels(obj) and by_fields(obj)

        return matches


@dataclass(frozen=True)
class Page:
    """How much of a collection is asked for, and as of when."""

    limit: int = 0
    token: str = ""
    version: str = ""
    is_exact: bool = False


def select(store: Store, selection: Selection, version: int = 0) -> Iterator[Object]:
    """Give the selected objects in order, as they are or were at a version."""
    matches = selection.predicate()
    collection = store.collection(selection.resource.storage)
    stored = collection.at(version) if version else collection.objects
    wanted = selection.namespace
    for key in sorted(key for key in stored if not wanted or key[0] == wanted):
        if matches(obj := conversion.present(stored[key], selection.resource)):
            yield obj


def read(store: Store, selection: Selection, page: Page) -> Object:
    """Give a list object."""
    check_version(store, page.version)
    resource = selection.resource
    start, version = _read_token(page.token) if page.token else ("", store.version)
    if page.is_exact:
        version = int(page.version)
    items = [obj for obj in select(store, selection, version) if _place(obj) >= start]
    meta: Object = {"resourceVersion": str(version)}
    if resource.is_custom:  # whose lists leave nothing out
        meta["continue"] = ""
    if page.limit and len(items) >= page.limit:
        items = items[: page.limit]
        # As the real one, which reads until the page is full: what follows may not be selected.
        whole = Selection(resource, selection.namespace)
        rest = [place for place in map(_place, select(store, whole, version)) if place > _place(items[-1])]
        if rest:
            meta["continue"] = _token(rest[0], version)
            if not selection.labels and not selection.fields:
                meta["remainingItemCount"] = len(rest)
    if not resource.is_custom:
        items = [{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in items]
    kind = resource.custom.get("listKind") or f"{resource.kind}List"
    return {"kind": kind, "apiVersion": resource.api_version, "metadata": meta, "items": items}


def check_version(store: Store, version: str) -> None:
    """Refuse a version that is none, or is still to come."""
    if version and not version.isdigit():
        raise bad_request(
            f"resourceVersion: Invalid value: {json.dumps(version)}: strconv.ParseUint: parsing"
        )
    if int(version or 0) > store.version:
        message = f"Timeout: Too large resource version: {version}, current: {store.version}"
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def _place(obj: Object) -> str:
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def _token(start: str, version: int) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[str, int]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return str(found["start"]), int(found["rv"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
