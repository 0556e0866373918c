"""JSON bodies, read so that a key that is there twice can be told of, and written."""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json


class _Repeating(dict[str, Any]):
    """An object of which some keys were there twice: the last counts."""

    repeated: tuple[str, ...] = ()


def read_json(content: bytes) -> tuple[Any, tuple[str, ...]]:
    """Give what a body says, and the paths of the keys that it has twice.

    Raises:
        ValueError: it is no JSON.
    """
    seen: list[_Repeating] = []

    def paired(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        names = [name for name, _ in pairs]
        repeating = _Repeating(found)
        repeating.repeated = tuple(name for name in found if names.count(name) > 1)
        seen.append(repeating)
        return repeating

    value = json.loads(content, object_pairs_hook=paired)
    return value, tuple(_paths(value, "")) if seen else ()


def as_json(value: Any) -> bytes:
    """Write JSON as the server does."""
    try:
        return to_json(value)  # in half of the time that `json` takes
    except PydanticSerializationError:  # half of a surrogate pair, which came as an escape and goes as one
        return json.dumps(value, separators=(",", ":")).encode()


def _paths(value: Any, path: str) -> list[str]:
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in _paths(item, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    prefix = f"{path}." if path else ""
    repeated = value.repeated if isinstance(value, _Repeating) else ()
    found = []
    for key, child in value.items():
        found += [f"{prefix}{key}"] if key in repeated else []
        found += _paths(child, f"{prefix}{key}")
    return found
