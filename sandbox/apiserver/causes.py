"""Mistakes in an object, worded as the API server words them."""

import json
from typing import Any

from sandbox.apiserver.errors import Cause


def required(field: str, text: str = "") -> Cause:
    """A field is missing."""
    return Cause("FieldValueRequired", field, "Required value" + (f": {text}" if text else ""))


def wrong(field: str, value: Any, text: str) -> Cause:
    """A value is not allowed."""
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown}: {text}")


def forbidden(field: str, text: str) -> Cause:
    """A field may not be set, or not now."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {text}")


def not_supported(field: str, value: Any, choices: tuple[str, ...]) -> Cause:
    """A value is none of the choices."""
    listed = ", ".join(json.dumps(choice) for choice in choices)
    return Cause(
        "FieldValueNotSupported", field, f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
    )


def duplicate(field: str, value: Any) -> Cause:
    """A value is there twice."""
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {json.dumps(value)}")


def negative(spec: dict[str, Any], name: str, path: str) -> list[Cause]:
    """Refuse a count below zero."""
    value = spec.get(name)
    if isinstance(value, int) and value < 0:
        return [wrong(f"{path}.{name}", value, "must be greater than or equal to 0")]
    return []
