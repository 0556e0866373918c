"""Objects in the representation a client asks for: whole, as rows of a table, or their metadata only."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.apiserver.ages import age
from sandbox.apiserver.columns import AGE, COLUMNS, DEFAULT, NAME, Column
from sandbox.apiserver.errors import StatusError, bad_request
from sandbox.apiserver.furthercolumns import FURTHER
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
TEXTS_FILE = Path(__file__).with_name("builtin_texts.txt")
_META = "meta.k8s.io/v1"
_AGE_ONLY = (
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": AGE.about},
)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*|\?\(.*?\))\]|\['([^']+)'\]")


@cache
def _texts() -> dict[str, str]:
    lines = TEXTS_FILE.read_text().splitlines()
    return {name: text.replace("\\n", "\n") for name, _, text in (line.partition(" ") for line in lines)}


def render(obj: Object, resource: Resource, shape: str, *, header: bool = True, include: str = "") -> Object:
    """Give an object, or a list object, in a shape ("" for whole, Table, PartialObjectMetadata…)."""
    is_list = "items" in obj and obj["kind"].endswith("List")
    if include not in ("", "None", "Metadata", "Object"):
        raise bad_request(
            f"Unable to convert to Table as requested: includeObject: Invalid value: {json.dumps(include)}: "
            "must be 'Metadata', 'Object', 'None', or empty"
        )
    if shape == "Table":
        return _table(obj, resource, header=header, include=include)
    if shape == "PartialObjectMetadataList" and is_list:
        items = [_partial(item) for item in obj["items"]]
        # Where there is none, Go has made no list yet: the real one answers null.
        return {"kind": shape, "apiVersion": _META, "metadata": _of_list(obj), "items": items or None}
    if shape == "PartialObjectMetadata" and is_list:
        raise _not_acceptable(f"{shape}, but the requested object is a list ({_go_type(resource, 'List')})")
    if shape == "PartialObjectMetadataList":
        raise _not_acceptable(f"{shape}, but the requested object is not a list ({_go_type(resource)})")
    return _partial(obj) if shape == "PartialObjectMetadata" else obj


def _of_list(obj: Object) -> Object:
    return {key: value for key, value in obj["metadata"].items() if value != ""}


def _go_type(resource: Resource, suffix: str = "") -> str:
    if resource.is_custom:
        return f"*unstructured.Unstructured{suffix}"
    return f"*{resource.group.partition('.')[0] or 'core'}.{resource.kind}{suffix}"


def _not_acceptable(text: str) -> StatusError:
    return StatusError(406, "NotAcceptable", f"you requested {text}")


def _partial(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": obj["metadata"]}


def _table(obj: Object, resource: Resource, *, header: bool, include: str) -> Object:
    items = obj.get("items", [obj])
    meta = _of_list(obj) if "items" in obj else {"resourceVersion": obj["metadata"].get("resourceVersion")}
    columns = _custom(resource) if resource.is_custom else _columns(resource.kind)
    return {
        "kind": "Table",
        "apiVersion": _META,
        "metadata": meta,
        "columnDefinitions": [_heading(column) for column in columns] if header else None,
        "rows": [_row(_named(item, resource), columns, include) for item in items],
    }


def _columns(kind: str) -> tuple[Column, ...]:
    return COLUMNS.get(kind) or FURTHER.get(kind, DEFAULT)


def _heading(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": _texts().get(column.about, column.about),
        "priority": column.priority,
    }


def _row(obj: Object, columns: tuple[Column, ...], include: str) -> Object:
    row: Object = {"cells": [column.cell(obj) for column in columns]}
    row["object"] = None if include == "None" else obj if include == "Object" else _partial(obj)
    return row


def _named(item: Object, resource: Resource) -> Object:
    """Give an item of a list, which does not say its kind, with its kind."""
    return item if "kind" in item else {"kind": resource.kind, "apiVersion": resource.api_version, **item}


def _custom(resource: Resource) -> tuple[Column, ...]:
    wanted = resource.custom.get("additionalPrinterColumns") or _AGE_ONLY
    return (NAME, *(_column(entry) for entry in wanted))


def _column(entry: Object) -> Column:
    path, kind = entry["jsonPath"], entry["type"]
    about = entry.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        entry["name"],
        lambda obj: _cell(at_path(obj, path), kind),
        about,
        kind,
        entry.get("format", ""),
        entry.get("priority", 0),
    )


def _cell(value: Any, kind: str) -> Any:
    """Give a value as a cell of a column's type; none if it is of another."""
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if kind == "date":
        return _age(value)
    wanted = {"boolean": bool, "integer": int, "number": int | float}[kind]
    return value if isinstance(value, wanted) and isinstance(value, bool) == (kind == "boolean") else None


def _age(value: Any) -> str:
    try:
        return age(value)
    except (TypeError, ValueError):
        return "<invalid>"


def at_path(obj: Any, path: str) -> Any:
    """Look a value up by the part of JSONPath that columns use; none if it is not there."""
    for name, index, quoted in _STEP.findall(path):
        if index:
            obj = _index(obj, index)
        else:
            obj = obj.get((quoted or name).replace("\\", "")) if isinstance(obj, dict) else None
        if obj is None:
            return None
    return obj


def _index(items: Any, index: str) -> Any:
    if not isinstance(items, list):
        return None
    if index == "*":
        return items[0] if items else None
    if index.isdigit():
        return items[int(index)] if int(index) < len(items) else None
    match = re.fullmatch(r"\?\(@\.(\w+)\s*==\s*['\"](.*)['\"]\)", index)
    wanted = [item for item in items if match and item.get(match[1]) == match[2]]
    return wanted[0] if wanted else None
