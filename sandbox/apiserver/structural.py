"""Custom resources against the structural schema of their definition: pruned, defaulted, validated."""

import contextlib
import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.apiserver import decode, fields, formats
from sandbox.apiserver.builtin import METADATA
from sandbox.apiserver.errors import Cause, StatusError
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.schema import ANY, Schema

Object = dict[str, Any]
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_EMBEDDED = "x-kubernetes-embedded-resource"
_LIST_TYPE = "x-kubernetes-list-type"
NOWHERE = "<nil>"  # the field of what is said of no field
_ROOT_FIELDS = ("apiVersion", "kind", "metadata")


def shape(definition: Object) -> Schema:
    """Give the shape that a version's openAPIV3Schema describes."""
    root = _shape(definition)
    root.fields = {**root.fields, "metadata": METADATA}
    for name in ("apiVersion", "kind"):
        root.fields[name] = Schema("scalar", scalar="string")
    root.kind = "struct"
    return root


def _shape(part: Object) -> Schema:
    kind = part.get("type")
    if kind == "array":
        return _list(part)
    if kind in ("string", "integer", "number", "boolean") or part.get(_INT_OR_STRING):
        return Schema("scalar", scalar=kind or "intOrString")
    if kind != "object":
        return ANY
    atomic = part.get("x-kubernetes-map-type") == "atomic"
    fields = {key: _shape(child) for key, child in (part.get("properties") or {}).items()}
    if part.get(_EMBEDDED):
        fields["metadata"] = METADATA
    more = part.get("additionalProperties")
    if fields or not more:
        return Schema("struct", fields=fields, atomic=atomic)
    return Schema("map", element=_shape(more) if isinstance(more, dict) else ANY, atomic=atomic)


def _list(part: Object) -> Schema:
    items = part.get("items") or {}
    element = _shape(items)
    list_type = part.get(_LIST_TYPE, "atomic")
    keys = tuple(part.get("x-kubernetes-list-map-keys") or ()) if list_type == "map" else ()
    known = items.get("properties") or {}
    defaults = {key: known[key]["default"] for key in keys if "default" in known.get(key, {})}
    return Schema("list", element=element, atomic=list_type == "atomic", keys=keys, key_defaults=defaults)


def _definition(resource: Resource) -> Object:
    found: Object = (resource.custom.get("schema") or {}).get("openAPIV3Schema") or {}
    return found


def prune(body: Object, resource: Resource, unknown: list[str]) -> Object:
    """Copy an object without the fields that the schema lacks; their paths are added to `unknown`."""
    definition = _definition(resource)
    root = {**definition, "properties": dict(definition.get("properties") or {})}
    for name in _ROOT_FIELDS:
        root["properties"][name] = {_PRESERVE: True}
    found: Object = _prune(body, root, "", unknown)
    return found


def _prune(value: Any, part: Object, path: str, unknown: list[str]) -> Any:
    if isinstance(value, list):
        items = part.get("items") or {_PRESERVE: True}
        return [_prune(item, items, f"{path}[{i}]", unknown) for i, item in enumerate(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # written without a point
    if not isinstance(value, dict):
        return value
    known = part.get("properties") or {}
    more = part.get("additionalProperties")
    kept = {}
    for key, child in value.items():
        where = f"{path}.{key}" if path else key
        if key in known:
            kept[key] = _prune(child, known[key], where, unknown)
        elif isinstance(more, dict):
            kept[key] = _prune(child, more, where, unknown)
        elif part.get(_PRESERVE) or more or (part.get(_EMBEDDED) and key in _ROOT_FIELDS):
            kept[key] = copy.deepcopy(child)
        else:
            unknown.append(where)
    return kept


def fill(obj: Object, resource: Resource) -> None:
    """Fill in the schema's defaults in place."""
    _fill(obj, _definition(resource))


def _fill(value: Any, part: Object) -> None:
    if isinstance(value, list):
        for item in value:
            _fill(item, part.get("items") or {})
    if not isinstance(value, dict):
        return
    known = part.get("properties") or {}
    _fill_known(value, known)
    more = part.get("additionalProperties")
    for key, child in value.items():
        if key in known or isinstance(more, dict):
            _fill(child, known.get(key) or more or {})


def _fill_known(value: Object, known: Object) -> None:
    for key, child in known.items():
        if value.get(key, fields.MISSING) is None and not child.get("nullable"):
            del value[key]  # a null that may not be is none, and makes way for the default
        if "default" in child and key not in value:
            value[key] = copy.deepcopy(child["default"])


def check_applied(applied: Object, resource: Resource, name: str) -> None:
    """Refuse an applied configuration with fields that the schema does not have."""
    unknown: list[str] = []
    if resource.is_custom:
        prune(applied, resource, unknown)
    else:
        decoder = decode.Decoder(resource.kind, resource.api_version, unknown)
        with contextlib.suppress(StatusError):  # wrong types are found below
            decoder.struct(applied, resource.schema)
    texts = [f".{path}: field not declared in schema" for path in unknown]
    texts += fields.misfits(applied, resource.schema)
    if texts:
        namespace = (applied.get("metadata") or {}).get("namespace", "")
        where = f"{namespace}/{name}; {resource.group}/{resource.version}, Kind={resource.kind}"
        raise StatusError(500, "", f"failed to create typed patch object ({where}): {', '.join(texts)}")


def validate(obj: Object, resource: Resource) -> list[Cause]:
    """List what is wrong with an object."""
    return list(_validate(obj, _definition(resource), ""))


def _validate(value: Any, part: Object, path: str) -> Iterator[Cause]:
    if value is None and part.get("nullable"):
        return
    kind = _kind_of(value)
    wanted = part.get("type")
    if part.get(_INT_OR_STRING):
        right = kind in ("integer", "string")
    else:
        right = wanted is None or kind == wanted or (wanted == "number" and kind == "integer")
    if not right:
        wanted = "integer,string" if part.get(_INT_OR_STRING) else wanted
        message = f'Invalid value: "{kind}": {path} in body must be of type {wanted}: "{kind}"'
        yield Cause("FieldValueTypeInvalid", path, message)
        return
    yield from _bounds(value, part, path)
    yield from _combined(value, part, path)
    if isinstance(value, dict):
        yield from _properties(value, part, path)
    if isinstance(value, list):
        yield from _items(value, part, path)


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    names = {dict: "object", list: "array", str: "string", int: "integer", type(None): "null"}
    return names[type(value)]


def _properties(value: Object, part: Object, path: str) -> Iterator[Cause]:
    known, more = part.get("properties") or {}, part.get("additionalProperties")
    for key in part.get("required") or []:
        if key not in value:
            yield Cause("FieldValueRequired", f"{path}.{key}" if path else key, "Required value")
    for key, child in value.items():
        if key in known:
            yield from _validate(child, known[key], f"{path}.{key}" if path else key)
        elif isinstance(more, dict):
            yield from _validate(child, more, f"{path}.{key}" if path else key)


def _items(value: list[Any], part: Object, path: str) -> Iterator[Cause]:
    for i, item in enumerate(value):
        yield from _validate(item, part.get("items") or {}, f"{path}[{i}]")
    keys = part.get("x-kubernetes-list-map-keys") or []
    seen: list[Any] = []
    for i, item in enumerate(value if part.get(_LIST_TYPE) in ("map", "set") else []):
        identity = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
        if identity in seen:
            yield Cause("FieldValueDuplicate", f"{path}[{i}]", f"Duplicate value: {json.dumps(identity)}")
        seen.append(identity)


def _below(limit: float, *, strictly: Any) -> Callable[[float], bool]:
    return lambda number: number <= limit if strictly else number < limit


def _bounds(value: Any, part: Object, path: str) -> Iterator[Cause]:
    if "enum" in part and value not in part["enum"]:
        listed = ", ".join(json.dumps(choice) for choice in part["enum"])
        text = f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
        yield Cause("FieldValueNotSupported", path, text)
    if isinstance(value, str):
        yield from _string_bounds(value, part, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_bounds(value, part, path)
    elif isinstance(value, list | dict):
        yield from _size_bounds(value, part, path)


def _wrong(value: Any, path: str, text: str) -> Cause:
    return Cause("FieldValueInvalid", path, f"Invalid value: {json.dumps(value)}: {path} in body {text}")


def _string_bounds(value: str, part: Object, path: str) -> Iterator[Cause]:
    if len(value) < part.get("minLength", 0):
        yield _wrong(value, path, f"should be at least {part['minLength']} chars long")
    if len(value) > part.get("maxLength", len(value)):
        text = f"Too long: may not be more than {part['maxLength']} bytes"
        yield Cause("FieldValueTooLong", path, text)
    if not formats.fits(value, wanted := part.get("format", "")):
        shown = json.dumps(value)
        text = f"Invalid value: {shown}: {path} in body must be of type {wanted}: {shown}"
        yield Cause("FieldValueTypeInvalid", path, text)
    if "pattern" in part and not re.search(part["pattern"], value):
        yield _wrong(value, path, f"should match '{part['pattern']}'")


def _number_bounds(value: float, part: Object, path: str) -> Iterator[Cause]:
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and _below(low, strictly=part.get("exclusiveMinimum"))(value):
        than = "greater than" if part.get("exclusiveMinimum") else "greater than or equal to"
        yield _wrong(value, path, f"should be {than} {low:g}")
    if high is not None and _below(-high, strictly=part.get("exclusiveMaximum"))(-value):
        than = "less than" if part.get("exclusiveMaximum") else "less than or equal to"
        yield _wrong(value, path, f"should be {than} {high:g}")
    if part.get("multipleOf") and value % part["multipleOf"]:
        yield _wrong(value, path, f"should be a multiple of {part['multipleOf']:g}")


def _size_bounds(value: list[Any] | Object, part: Object, path: str) -> Iterator[Cause]:
    noun = "Items" if isinstance(value, list) else "Properties"
    low, high = part.get(f"min{noun}", 0), part.get(f"max{noun}", len(value))
    if len(value) < low:
        yield _wrong(len(value), path, f"should have at least {low} {noun.lower()}")
    if len(value) > high:
        text = f"Too many: {len(value)}: must have at most {high} items"
        yield Cause("FieldValueTooMany", path, text)


def _combined(value: Any, part: Object, path: str) -> Iterator[Cause]:
    every = [list(_validate(value, choice, path)) for choice in part.get("allOf") or []]
    if any(every):
        yield _unfitting(
            path, "must validate all the schemas (allOf)" + ("" if not all(every) else _NONE_FITS)
        )
    yield from (cause for causes in every for cause in causes)
    if some := [list(_validate(value, choice, path)) for choice in part.get("anyOf") or []]:
        yield from _alternatives(path, some, "must validate at least one schema (anyOf)")
    if one := [list(_validate(value, choice, path)) for choice in part.get("oneOf") or []]:
        valid = sum(not causes for causes in one)
        text = "must validate one and only one schema (oneOf)"
        if valid > 1:
            yield _unfitting(path, f"{text}. Found {valid} valid alternatives")
        yield from _alternatives(path, one, f"{text}. Found none valid")
    if "not" in part and not list(_validate(value, part["not"], path)):
        yield _unfitting(path, "must not validate the schema (not)")


_NONE_FITS = ". None validated"


def _alternatives(path: str, found: list[list[Cause]], text: str) -> Iterator[Cause]:
    """Refuse what fits no alternative, with what is wrong by the nearest one."""
    if all(found):
        yield _unfitting(path, text)
        yield from min(found, key=len)


def _unfitting(path: str, text: str) -> Cause:
    return Cause("FieldValueInvalid", NOWHERE, f'Invalid value: "": "{path}" {text}')


_BLOCKING = (
    *("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong"),
    *("FieldValueTooMany", "FieldValueTypeInvalid"),
)


def unchecked(resource: Resource, causes: list[Cause]) -> list[Cause]:
    """Say that the rules of a schema were not asked, if it has some and the object is too wrong for them."""
    if not any(cause.reason in _BLOCKING for cause in causes) or not _has_rules(_definition(resource)):
        return []
    text = (
        "Invalid value: null: some validation rules were not checked because the object was invalid; "
        "correct the existing errors to complete validation"
    )
    return [Cause("FieldValueInvalid", NOWHERE, text)]


def _has_rules(part: Any) -> bool:
    if isinstance(part, list):
        return any(_has_rules(item) for item in part)
    if not isinstance(part, dict):
        return False
    return bool(part.get("x-kubernetes-validations")) or any(_has_rules(child) for child in part.values())
