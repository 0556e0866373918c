"""What pydantic finds wrong with a document, in words for the person who wrote it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from canary.documents.mistake import Mistake, Path, show
from canary.documents.schema import Remedy

_WANTED = {
    "missing": "is required",
    "int_type": "must be a whole number, is {value}",
    "int_from_float": "must be a whole number, is {value}",
    "float_type": "must be a number, is {value}",
    "finite_number": "must be a finite number, is {value}",
    "bool_type": "must be true or false, is {value}",
    "string_unicode": "must be text",
    "string_type": "must be text, is {value}",
    "list_type": "must be a list, is {value}",
    "dict_type": "must be a mapping, is {value}",
    "model_type": "must be a mapping, is {value}",
    "invalid_key": "a field's name must be text",
    "greater_than": "must be more than {gt:g}, is {value}",
    "greater_than_equal": "must be at least {ge}, is {value}",
    "less_than_equal": "must be at most {le}, is {value}",
    "literal_error": "must be {expected}, is {value}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}
_COMPOUND = frozenset({"list_type", "dict_type", "model_type"})


def mistakes_of(root: type[BaseModel], error: ValidationError) -> Iterator[Mistake]:
    """Say what keeps a document from being a *root*."""
    for each in error.errors(include_url=False):
        path = _document_path(each["loc"])
        yield Mistake(path, _message(each["type"], path, root, each))


def _document_path(location: tuple[int | str, ...]) -> Path:
    """Leave out what pydantic adds to a location for a mapping's own key."""
    return tuple(part for part in location if part != "[key]")


def _message(kind: str, path: Path, root: type[BaseModel], error: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), _fields_at(root, path[:-1]))
    if kind == "string_type" and not isinstance(error["input"], dict | list):
        return f"must be text, is {show(error['input'])}; put it in quotes"
    if kind == "missing" and (remedy := _remedy(root, path)):
        return f"is required: {remedy}"
    context = error.get("ctx", {})
    wanted = _WANTED.get(kind)
    if wanted is None:
        return str(error["msg"])
    value = _shape(error["input"]) if kind in _COMPOUND else show(error["input"])
    return wanted.format(value=value, **{**context, "expected": _expected(context)})


def _shape(value: object) -> str:
    """Say what stands where a list or a mapping belongs; a text there may well be the secret itself."""
    match value:
        case bool() | None:
            return show(value)
        case str():
            return "text"
        case int() | float():
            return "a number"
        case _:
            return show(value)


def _expected(context: Mapping[str, Any]) -> str:
    names = [name or "empty" for name in re.findall(r"'([^']*)'", str(context.get("expected", "")))]
    return one_of(names) if names else ""


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1) or [each for each in known if each.lower() == name.lower()]
    if close:
        return f"unknown field, did you mean {close[0]}?"
    return f"unknown field; allowed are {', '.join(known)}" if known else "unknown field"


def _remedy(root: type[BaseModel], path: Path) -> str | None:
    """Return what to write at *path*, where its field says so."""
    model = _model_at(root, path[:-1])
    fields = {field.alias: field for field in model.model_fields.values()} if model is not None else {}
    marks = fields[str(path[-1])].metadata if path[-1] in fields else []
    return next((mark.text for mark in marks if isinstance(mark, Remedy)), None)


def _fields_at(root: type[BaseModel], path: Path) -> list[str]:
    """Return the names of the fields that are known at *path*."""
    model = _model_at(root, path)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return what stands at *path*."""
    model: type[BaseModel] | None = root
    for part in path:
        if isinstance(part, str) and model is not None:
            fields = {field.alias: field.annotation for field in model.model_fields.values()}
            model = _model_in(fields[part]) if part in fields else model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the model in an annotation such as `list[Metric]` or `Bounds | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)


def one_of(names: Iterable[str]) -> str:
    """Write names as a choice: `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
