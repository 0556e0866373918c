"""Label and field selectors, parsed from a query, asked of objects."""

import json
import re
from collections.abc import Callable
from typing import Any

from sandbox.apiserver.errors import StatusError, bad_request
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
Predicate = Callable[[Object], bool]
_TOKEN = re.compile(r"\s*(!=|==|=|!|\(|\)|,|<|>|[^\s=!(),<>]+)")
_NAME = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_LONGEST = 63
_PAIR = re.compile(r"^(.*?)(!=|==|=)(.*)$")
_TERM_END = re.compile(r"(?<!\\),")


def by_labels(text: str) -> Predicate:
    """Parse a label selector."""
    tests = _Parser(_tokens(text)).requirements() if text.strip() else []
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise bad_request(f"unable to parse requirement: {text}")
        found.append(match[1])
        place = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, ""]

    def requirements(self) -> list[Callable[[dict[str, str]], bool]]:
        found = [self._requirement()]
        while self._tokens[0] == ",":
            self._next()
            found.append(self._requirement())
        if self._tokens[0]:
            raise bad_request(
                f"unable to parse requirement: found '{self._tokens[0]}', expected: ',' or 'end of string'"
            )
        return found

    def _next(self) -> str:
        return self._tokens.pop(0)

    def _key(self) -> str:
        token = self._next()
        if not _KEY.match(token) or len(token.rpartition("/")[2]) > _LONGEST:
            raise bad_request(f"unable to parse requirement: found '{token}', expected: identifier")
        return token

    def _value(self) -> str:
        token = self._next()
        if not _NAME.match(token) or len(token) > _LONGEST:
            raise bad_request(f"unable to parse requirement: found '{token}', expected: identifier")
        return token

    def _requirement(self) -> Callable[[dict[str, str]], bool]:
        if self._tokens[0] == "!":
            self._next()
            absent = self._key()
            return lambda labels: absent not in labels
        key = self._key()
        operator = self._tokens[0]
        if operator in ("", ","):
            return lambda labels: key in labels
        self._next()
        if operator in ("in", "notin"):  # codespell:ignore notin
            values = self._values()
            wanted = operator == "in"
            return lambda labels: (labels.get(key) in values) is wanted
        if operator in ("<", ">"):
            return _compared(key, operator, self._value())
        if operator not in ("=", "==", "!="):
            words = "in, notin, =, ==, !=, gt, lt"  # codespell:ignore notin
            raise bad_request(f"unable to parse requirement: found '{operator}', expected: {words}")
        value = "" if self._tokens[0] in ("", ",") else self._value()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value

    def _values(self) -> set[str]:
        if self._next() != "(":
            raise bad_request("unable to parse requirement: expected: '('")
        found = {self._listed()}
        while (token := self._next()) != ")":
            if token != ",":
                raise bad_request(f"unable to parse requirement: found '{token}', expected: ',' or ')'")
            found.add(self._listed())
        return found

    def _listed(self) -> str:
        """Read one of several values, which may be empty."""
        return "" if self._tokens[0] in (",", ")") else self._value()


def _compared(key: str, operator: str, bound: str) -> Callable[[dict[str, str]], bool]:
    if not bound.isdigit():
        raise bad_request(
            f"unable to parse requirement: values[0][{key}]: Invalid value: {json.dumps(bound)}"
        )

    def test(labels: dict[str, str]) -> bool:
        value = labels.get(key, "")
        return value.isdigit() and (int(value) > int(bound) if operator == ">" else int(value) < int(bound))

    return test


def by_fields(text: str, resource: Resource) -> Predicate:
    """Parse a field selector with the fields that the kind allows."""
    tests: list[tuple[str, bool, str]] = []
    for term in filter(None, _TERM_END.split(text)):
        match = _PAIR.match(term)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        tests.append((_known(match[1], resource), match[2] != "!=", _unescaped(match[3])))
    return lambda obj: all((_text(obj, path) == value) is wanted for path, wanted, value in tests)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\,=])", r"\1", text)


def _known(path: str, resource: Resource) -> str:
    allowed = ("metadata.name", "metadata.namespace", *resource.selectable)
    if path in allowed:
        return path
    if resource.selectable or resource.is_custom:
        raise bad_request(f"field label not supported: {path}")
    raise StatusError(
        400,
        "BadRequest",
        f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"',
    )


def _text(obj: Any, path: str) -> str:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    if obj is None:
        return _ZERO_TEXTS.get(path, "")
    return str(obj)


_ZERO_TEXTS = {"spec.hostNetwork": "false", "spec.unschedulable": "false"}


OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")  # codespell:ignore notin


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Ask a LabelSelector object."""
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_meets(expression, labels) for expression in (selector or {}).get("matchExpressions") or [])


def _meets(expression: Object, labels: dict[str, str]) -> bool:
    key, values = expression.get("key"), expression.get("values") or []
    answers = {
        "In": labels.get(str(key)) in values,
        "NotIn": labels.get(str(key)) not in values,  # codespell:ignore notin
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return answers.get(str(expression.get("operator")), False)


def in_words(selector: Object | None) -> str:
    """Write a LabelSelector object as a query has it."""
    words = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for expression in (selector or {}).get("matchExpressions") or []:
        key, values = expression.get("key"), ",".join(sorted(expression.get("values") or []))
        words.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",  # codespell:ignore notin
                "Exists": f"{key}",
                "DoesNotExist": f"!{key}",
            }[expression["operator"]]
        )
    return ",".join(words)
