"""`label_replace` and `label_join`."""

import re
from collections.abc import Sequence

from sandbox.metrics.labels import value_of, with_values
from sandbox.metrics.promql.aggregations import LABEL_NAME
from sandbox.metrics.promql.selection import compile_regex
from sandbox.metrics.promql.values import ExecutionError, Sample, Vector

REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    """Set a label from a match on another; elements that do not match stay as they are."""
    regex = compile_regex(pattern)
    if not LABEL_NAME.fullmatch(target):
        raise ExecutionError(f"invalid destination label name in label_replace(): {target}")
    replaced = []
    for labels, value in vector:
        match = regex.match(value_of(labels, source))
        if match is not None:
            replaced.append(Sample(with_values(labels, [(target, _expand(match, replacement))]), value))
        else:
            replaced.append(Sample(labels, value))
    return replaced


def join(vector: Vector, target: str, separator: str, sources: Sequence[str]) -> Vector:
    """Set a label to others' values, joined."""
    for name in (target, *sources):
        if not LABEL_NAME.fullmatch(name):
            role = "destination" if name == target else "source"
            raise ExecutionError(f"invalid {role} label name in label_join(): {name}")
    return [
        Sample(with_values(labels, [(target, separator.join(value_of(labels, s) for s in sources))]), value)
        for labels, value in vector
    ]


def _expand(match: re.Match[str], template: str) -> str:
    """Fill in `$1`, `${1}`, `$name`, `$$` as Go does: an unknown group is empty."""

    def fill(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        if name.isdigit():
            return (match[int(name)] or "") if int(name) <= match.re.groups else ""
        return match.groupdict().get(name) or ""

    return REFERENCE.sub(fill, template)
