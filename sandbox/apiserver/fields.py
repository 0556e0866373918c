"""Sets of fields, as managedFields records them, and their algebra.

A set is a tree of path elements (`f:name`, `k:{"name":"app"}`, `v:"x"`); a node that is in the set itself,
not only on the way to another, has the key ".". The written form leaves the "." out of nodes without
children.
"""

import json
from typing import Any

from sandbox.apiserver.schema import ANY, Schema

FieldSet = dict[str, Any]
MISSING: Any = object()


def read(written: FieldSet) -> FieldSet:
    """Read fieldsV1."""
    return {key: read(child) or {".": {}} for key, child in written.items() if key != "."} | (
        {".": {}} if "." in written else {}
    )


def write(fields: FieldSet) -> FieldSet:
    """Write fieldsV1."""
    return {key: {} if key == "." or child.keys() == {"."} else write(child) for key, child in fields.items()}


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Give what is in either."""
    found = dict(one)
    for key, child in other.items():
        found[key] = union(found[key], child) if key in found else child
    return found


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """Give what is in both."""
    found = {}
    for key in one.keys() & other.keys():
        child = intersection(one[key], other[key])
        if child or key == ".":
            found[key] = child
    return found


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Give what is in `one` and not in `other`."""
    found = {}
    for key, child in one.items():
        if key not in other:
            found[key] = child
        elif key != "." and (rest := difference(child, other[key])):
            found[key] = rest
    return found


def below_difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Give what is in `one` and neither in `other` nor below one of its members."""
    found = {}
    for key, child in one.items():
        hidden = other.get(key)
        if hidden is None or key == ".":
            found[key] = child
        elif "." not in hidden and (rest := below_difference(child, hidden)):
            found[key] = rest
    return found


def insert(fields: FieldSet, path: tuple[str, ...]) -> None:
    """Put a path into a set, in place."""
    for key in path:
        fields = fields.setdefault(key, {})
    fields["."] = {}


def paths(fields: FieldSet, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """List the members."""
    found = [prefix] if "." in fields else []
    for key in sorted(fields.keys() - {"."}):
        found += paths(fields[key], (*prefix, key))
    return found


def in_words(path: tuple[str, ...]) -> str:
    """Write a path as conflicts show it: `.spec.containers[name="app"].image`."""
    words = []
    for key in path:
        if key.startswith("f:"):
            words.append(f".{key[2:]}")
        elif key.startswith("k:"):
            pairs = json.loads(key[2:]).items()
            words.append("[" + ",".join(f"{name}={json.dumps(value)}" for name, value in pairs) + "]")
        else:
            words.append(f"[={key[2:]}]")
    return "".join(words)


def is_leaf(schema: Schema, *values: Any) -> bool:
    """Tell whether values of this shape are owned as a whole."""
    if schema.kind == "any":
        return schema.atomic or not any(isinstance(value, dict) for value in values)
    return schema.kind == "scalar" or schema.atomic


def element_of(item: Any, schema: Schema) -> str:
    """Name an item of a merged list by its keys, or by its value in a set."""
    if not schema.keys:
        return "v:" + json.dumps(item, separators=(",", ":"))
    pairs = {key: item.get(key, schema.key_defaults.get(key)) for key in sorted(schema.keys)}
    return "k:" + json.dumps(
        {k: v for k, v in pairs.items() if v is not None}, separators=(",", ":"), ensure_ascii=False
    )


def children(value: Any, schema: Schema) -> dict[str, Any]:
    """Give what an object or merged list consists of, by path element."""
    if isinstance(value, dict):
        return {f"f:{key}": child for key, child in value.items()}
    if isinstance(value, list):
        return {element_of(item, schema): item for item in value}
    return {}


def shape_of(schema: Schema, element: str) -> Schema:
    """Give the shape of a child."""
    if schema.kind == "any":
        return ANY
    return schema.child(element[2:]) if element.startswith("f:") else schema.item


def fields_of(value: Any, schema: Schema) -> FieldSet:
    """Give the set of the fields that an applied configuration names."""
    if is_leaf(schema, value):
        return {".": {}}
    found: FieldSet = {}
    for element, child in children(value, schema).items():
        fields = fields_of(child, shape_of(schema, element))
        named = element.startswith("f:") and element[2:] in schema.fields
        if child is None or child == {} or not named:
            fields = fields | {".": {}}
        if fields:
            found[element] = fields
    return found


_FITTING: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("string", "bytes", "time", "microTime"), (str,)),
    **dict.fromkeys(("int", "integer"), (int,)),
    **dict.fromkeys(("bool", "boolean"), (bool,)),
    "number": (int, float),
}


def misfits(value: Any, schema: Schema, path: str = "") -> list[str]:
    """Say what of an applied configuration cannot be owned: wrong types, items without keys or twice."""
    if value is None or schema.kind == "any":
        return []
    if schema.kind == "list":
        return _misfitting_items(value, schema, path)
    if schema.kind == "scalar":
        fits = isinstance(value, _FITTING.get(schema.scalar, (str, int, float)))
        fits = fits and (not isinstance(value, bool) or schema.scalar in ("bool", "boolean"))
        return [] if fits else [f"{path}: expected {schema.scalar}, got {value!r}"]
    if not isinstance(value, dict):
        return [f"{path}: expected map, got {value!r}"]
    return [
        text for key, child in value.items() for text in misfits(child, schema.child(key), f"{path}.{key}")
    ]


def _misfitting_items(value: Any, schema: Schema, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: expected list, got {value!r}"]
    found, seen = [], set[str]()
    for i, item in enumerate(value):
        where = f"{path}[{i}]"
        if schema.keys and not isinstance(item, dict):
            return [f"{where}: associative list with keys may not have non-map elements"]
        missing = [key for key in schema.keys if key not in item and key not in schema.key_defaults]
        found += [
            f'{where}: associative list with keys has an element that omits key field "{k}"' for k in missing
        ]
        element = "" if schema.atomic else element_of(item, schema)
        if element and element in seen:
            found.append(f"{where}: duplicate entries for key {in_words((element,))}")
        seen.add(element)
        found += misfits(item, schema.item, where)
    return found


def with_named(fields: FieldSet, schema: Schema) -> FieldSet:
    """Add the structures that members lie below, so that removing them removes what is left empty."""
    found = {}
    for element, child in fields.items():
        if element == ".":
            found[element] = child
            continue
        shape = shape_of(schema, element)
        found[element] = with_named(child, shape)
        if element.startswith("f:") and element[2:] in schema.fields:
            found[element] = found[element] | {".": {}}
    return found


def without(value: Any, fields: FieldSet, schema: Schema) -> Any:
    """Remove the members of a set from a value; what is emptied becomes null."""
    if not isinstance(value, dict | list) or (isinstance(value, list) and is_leaf(schema, value)):
        return value
    kept = {}
    for element, child in children(value, schema).items():
        below = fields.get(element, {})
        if "." not in below:
            kept[element] = without(child, below, shape_of(schema, element)) if below else child
    if isinstance(value, list):
        return list(kept.values()) or None
    return {element[2:]: child for element, child in kept.items()} or None


def changes(old: Any, new: Any, schema: Schema) -> tuple[FieldSet, FieldSet]:
    """Compare two objects: the fields added or modified, and the fields removed."""
    changed: FieldSet = {}
    removed: FieldSet = {}
    _compare(old, new, schema, ((), changed, removed))
    return changed, removed


def _compare(old: Any, new: Any, schema: Schema, out: tuple[tuple[str, ...], FieldSet, FieldSet]) -> None:
    path, changed, removed = out
    if old is new or (old == new and type(old) is type(new)):
        return
    is_whole = is_leaf(schema, old, new) or (_is_empty(old) and _is_empty(new))
    if not is_whole:
        before, after = children(old, schema), children(new, schema)
        for element in before.keys() | after.keys():
            deeper = ((*path, element), changed, removed)
            child = shape_of(schema, element)
            _compare(before.get(element, MISSING), after.get(element, MISSING), child, deeper)
    if new is MISSING:
        insert(removed, path)
    elif old is MISSING or is_whole:
        insert(changed, path)


def _is_empty(value: Any) -> bool:
    return value is MISSING or not value


def merge(live: Any, applied: Any, schema: Schema) -> Any:
    """Lay an applied configuration over a live value."""
    if live is MISSING or is_leaf(schema, live, applied):
        return applied
    if isinstance(applied, dict) and isinstance(live, dict):
        merged = dict(live)
        for key, child in applied.items():
            merged[key] = merge(live.get(key, MISSING), child, shape_of(schema, f"f:{key}"))
        return merged
    if isinstance(applied, list) and isinstance(live, list):
        return _merge_lists(live, applied, schema)
    return live if applied is None else applied


def _merge_lists(live: list[Any], applied: list[Any], schema: Schema) -> list[Any]:
    """Merge by key: in the order of the applied list, items of the live one alone where they stood."""
    left, right = children(live, schema), children(applied, schema)
    left_order, right_order = list(left), list(right)
    shared = [element for element in right_order if element in left]
    out: list[Any] = []
    taken: set[str] = set()
    i = j = 0
    while i < len(left_order) or j < len(right_order):
        here = left_order[i] if i < len(left_order) else None
        if here is not None and here not in right:
            out.append(left[here])
            i += 1
            continue
        if here is not None and (here in taken or (shared and here != shared[0])):
            i += 1
            continue
        element = right_order[j]
        out.append(merge(left.get(element, MISSING), right[element], schema.item))
        taken.add(element)
        if shared and shared[0] == element:
            shared.pop(0)
        j += 1
    return out
