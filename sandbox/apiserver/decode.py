"""Reads built-in objects as Go's decoder does: types checked, unknown fields named, zeros dropped."""

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.apiserver.errors import bad_request
from sandbox.apiserver.quantity import canonical
from sandbox.apiserver.schema import Schema

_ZERO: dict[str, Any] = {"string": "", "bytes": "", "quantity": "0", "int": 0, "float": 0, "bool": False}
_PYTHON_TYPES: dict[str, Any] = {
    "bool": bool,
    "bytes": str,
    "float": (int, float),
    "int": int,
    "intOrString": (int, str),
    "microTime": str,
    "quantity": str,
    "string": str,
    "time": str,
}
_GO_NAMES = {"string": "string", "time": "string", "int": "int32", "float": "float64", "bool": "bool"}


_MICRO = re.compile(r"\.\d{6}(Z|[-+]\d\d:\d\d)$")


@dataclass
class Decoder:
    """Decodes one object of `kind`; `unknown` are the fields the schema does not have."""

    kind: str
    api_version: str
    unknown: list[str] = field(default_factory=list)
    _within: str = ""  # the struct that is being read

    def struct(self, value: Any, schema: Schema, path: str = "") -> Any:
        """Decode an object with fixed fields."""
        if not isinstance(value, dict):
            raise self._mismatch(value, schema, path)
        found: dict[str, Any] = {}
        for key, child in value.items():
            shape = schema.fields.get(key)
            where = f"{path}.{key}" if path else key
            if shape is None:
                self.unknown.append(where)
            elif child is not None:
                self._within = schema.name
                read = self.value(child, shape, where)
                if _is_kept(key, read, schema, shape):
                    found[key] = read
        _fill_zeros(found, schema)
        return found

    def value(self, value: Any, schema: Schema, path: str) -> Any:
        """Decode a value of any shape."""
        if schema.kind == "struct":
            return self.struct(value, schema, path)
        if schema.kind == "list":
            return self._list(value, schema, path)
        if schema.kind == "map":
            return self._map(value, schema, path)
        return self._scalar(value, schema, path) if schema.kind == "scalar" else value

    def _list(self, value: Any, schema: Schema, path: str) -> Any:
        if not isinstance(value, list):
            raise self._mismatch(value, schema, path)
        item = schema.item
        return [
            self.value(child, item, f"{path}[{i}]") if child is not None else zero_of(item)
            for i, child in enumerate(value)
        ]

    def _map(self, value: Any, schema: Schema, path: str) -> Any:
        if not isinstance(value, dict):
            raise self._mismatch(value, schema, path)
        item = schema.item
        return {
            key: zero_of(item) if child is None else self.value(child, item, f"{path}.{key}")
            for key, child in value.items()
        }

    def _scalar(self, value: Any, schema: Schema, path: str) -> Any:
        wanted = schema.scalar
        if wanted == "quantity" and isinstance(value, str | int | float):
            return self._quantity(value)
        types = _PYTHON_TYPES[wanted]
        if not isinstance(value, types) or (isinstance(value, bool) and wanted != "bool"):
            raise self._mismatch(value, schema, path)
        if wanted == "bytes":
            self._check_bytes(value)
        return self._time(value, wanted) if wanted in ("time", "microTime") else value

    def _quantity(self, value: Any) -> str:
        try:
            return canonical(value)
        except ValueError as error:
            raise self._unreadable(str(error)) from error

    def _check_bytes(self, value: str) -> None:
        try:
            base64.b64decode(value, validate=True)
        except ValueError as error:
            raise self._unreadable(f"illegal base64 data: {error}") from error

    def _time(self, value: str, wanted: str) -> str:
        """Write a time as the server does: in UTC, to the second or to the microsecond."""
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None or (wanted == "microTime" and not _MICRO.search(value)):
                raise ValueError("a part is missing")  # noqa: TRY301 — one of two ways not to be a time
        except ValueError as error:
            raise self._unreadable(f"parsing time {value!r}: {error}") from error
        pattern = "%Y-%m-%dT%H:%M:%SZ" if wanted == "time" else "%Y-%m-%dT%H:%M:%S.%fZ"
        return moment.astimezone(UTC).strftime(pattern)

    def _unreadable(self, why: str) -> Exception:
        version = self.api_version.rpartition("/")[2]
        text = f'{self.kind} in version "{version}" cannot be handled as a {self.kind}: {why}'
        return bad_request(text)

    def _mismatch(self, value: Any, schema: Schema, path: str) -> Exception:
        wanted = _GO_NAMES.get(schema.scalar) or schema.name or schema.kind
        names = {bool: "bool", str: "string", dict: "object", list: "array"}
        found = names.get(type(value), "number")
        return self._unreadable(
            f"json: cannot unmarshal {found} into Go struct field {self._within}.{path} of type {wanted}"
        )


def _is_kept(key: str, value: Any, schema: Schema, shape: Schema) -> bool:
    if value or key in schema.required or key in schema.pointers:
        return True
    if shape.kind in ("list", "map"):
        return False
    return shape.kind != "scalar" or shape.scalar in ("intOrString", "quantity")


def _fill_zeros(found: dict[str, Any], schema: Schema) -> None:
    for key in schema.required:
        if key not in found:
            shape = schema.fields[key]
            is_pointer = shape.kind == "struct" and key not in schema.by_value
            found[key] = None if is_pointer else zero_of(shape)
    for key in schema.by_value:
        if found.get(key) is None:
            found[key] = zero_of(schema.fields[key])


def zero_of(schema: Schema) -> Any:
    """Give what Go writes for a value that was never set."""
    if schema.kind != "struct":
        return _ZERO.get(schema.scalar)
    found: dict[str, Any] = {}
    _fill_zeros(found, schema)
    return found


def empty(schema: Schema) -> dict[str, Any]:
    """Give the object of a kind in which nothing is set."""
    found: dict[str, Any] = zero_of(schema)
    return found
