"""The three kinds of patch that are not apply: JSON patch, merge patch and strategic merge patch."""

import copy
from typing import Any

from sandbox.apiserver.errors import StatusError, bad_request, rejected
from sandbox.apiserver.schema import Schema

Object = dict[str, Any]
_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def merge(value: Any, patch: Any) -> Any:
    """Carry out a merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for key, child in patch.items():
        if child is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), child)
    return merged


def json_patch(value: Any, operations: Any) -> Any:
    """Carry out a JSON patch (RFC 6902)."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    value = copy.deepcopy(value)
    for operation in operations:
        try:
            value = _operate(value, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise rejected() from error
    return value


def _operate(value: Any, operation: Object) -> Any:
    verb, path = operation["op"], _pointer(operation["path"])
    if verb == "test":
        if _found(value, path) != operation.get("value"):
            raise ValueError(path)
        return value
    if verb in ("move", "copy"):
        source = _pointer(operation["from"])
        moved = copy.deepcopy(_found(value, source))
        if verb == "move":
            value = _remove(value, source)
        return _add(value, path, moved)
    if verb == "add":
        return _add(value, path, operation.get("value"))
    if verb == "replace":
        _found(value, path)
        return _replace(value, path, operation.get("value"))
    if verb == "remove":
        return _remove(value, path)
    raise ValueError(verb)


def _pointer(text: str) -> list[str]:
    if not text:
        return []
    if not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _get(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _found(value: Any, path: list[str]) -> Any:
    """Look a value up; what an object does not have is null, as the real one's library has it."""
    if not path:
        return value
    parent = _get(value, path[:-1])
    return parent.get(path[-1]) if isinstance(parent, dict) else _get(parent, path[-1:])


def _replace(value: Any, path: list[str], new: Any) -> Any:
    if not path:
        return new
    parent, last = _get(value, path[:-1]), path[-1]
    parent[int(last) if isinstance(parent, list) else last] = new
    return value


def _add(value: Any, path: list[str], new: Any) -> Any:
    if not path:
        return new
    parent, last = _get(value, path[:-1]), path[-1]
    if isinstance(parent, list):
        place = len(parent) if last == "-" else int(last)
        if not 0 <= place <= len(parent):
            raise IndexError(last)
        parent.insert(place, new)
    else:
        parent[last] = new
    return value


def _remove(value: Any, path: list[str]) -> Any:
    parent = _get(value, path[:-1])
    del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]
    return value


def strategic(value: Any, patch: Any, schema: Schema) -> Any:
    """Carry out a strategic merge patch: lists with a patch key are merged by it."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "delete":
        return None
    rest = {key: child for key, child in patch.items() if not key.startswith("$")}
    if directive == "replace":
        return rest
    if directive not in (None, "merge"):
        raise StatusError(500, "", f"unknown patch type: {directive}")
    merged = _directed(value if isinstance(value, dict) else {}, patch)
    orders = {key.removeprefix(_ORDER): order for key, order in patch.items() if key.startswith(_ORDER)}
    for key, child in ({key: [] for key in orders} | rest).items():
        _patch_child(merged, key, child, schema.child(key), orders.get(key))
    return merged


def _directed(value: Object, patch: Object) -> Object:
    """Do what the patch's directives say of fields and items to be gone."""
    kept = patch.get("$retainKeys")
    if kept is not None and any(key not in kept for key in patch if not key.startswith("$")):
        raise bad_request("invalid patch format of retainKeys")
    merged = {key: child for key, child in value.items() if kept is None or key in kept}
    for key, gone in patch.items():
        if key.startswith(_DELETE) and (name := key.removeprefix(_DELETE)) in merged:
            merged[name] = [item for item in merged[name] if item not in gone]
    return merged


def _patch_child(merged: Object, key: str, child: Any, schema: Schema, order: list[Any] | None) -> None:
    if child is None:
        merged.pop(key, None)
    elif isinstance(child, list) and schema.patch_key is not None:
        merged[key] = _patch_list(merged.get(key) or [], child, schema, order)
    elif isinstance(child, dict):
        found = strategic(merged.get(key), child, schema)
        if found is None:
            merged.pop(key, None)
        else:
            merged[key] = found
    else:
        merged[key] = child


def _patch_list(live: list[Any], patch: list[Any], schema: Schema, order: list[Any] | None) -> list[Any]:
    name = schema.patch_key
    if not name:
        merged = [*live, *(item for item in patch if item not in live)]
        return _in_order(merged, live, order or patch)
    if not all(isinstance(item, dict) for item in [*live, *patch, *(order or [])]):
        raise bad_request("invalid patch: a list that is merged by a key holds objects")
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    if not all(isinstance(item.get(name), str | int) for item in patch):
        raise StatusError(500, "", f"map: {patch} does not contain declared merge key: {name}")
    found = list(live)
    for item in patch:
        if item.get("$patch") == "delete":
            found = [other for other in found if other.get(name) != item[name]]
            continue
        # Several may have the key, as a port number that speaks TCP and UDP has: the first is meant.
        place = next((i for i, other in enumerate(found) if other.get(name) == item[name]), len(found))
        merged = strategic(found[place] if place < len(found) else None, item, schema.item)
        found[place : place + 1] = [merged]
    known = list(dict.fromkeys(item.get(name) for item in found))
    before = list(dict.fromkeys(item.get(name) for item in live))
    keys = _in_order(known, before, [item[name] for item in order or patch])
    return [item for key in keys for item in found if item.get(name) == key]


def _in_order(keys: list[Any], live: list[Any], wanted: list[Any]) -> list[Any]:
    """Order by the patch; what only the server has goes before the first that followed it there."""
    right = [key for i, key in enumerate(wanted) if key in keys and key not in wanted[:i]]
    left = [key for key in live if key in keys and key not in right]
    out: list[Any] = []
    while left and right:
        is_before = right[0] in live and live.index(left[0]) < live.index(right[0])
        out.append(left.pop(0) if is_before else right.pop(0))
    return out + left + right
