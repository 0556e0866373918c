"""Label sets: sorted tuples of (name, value), so that they are hashable and have one spelling."""

import json
from collections.abc import Collection, Iterable, Mapping

NAME = "__name__"

Labels = tuple[tuple[str, str], ...]


def labels_of(values: Mapping[str, str]) -> Labels:
    """Return the label set of a mapping; an empty value is no label."""
    return tuple(sorted((name, value) for name, value in values.items() if value))


def value_of(labels: Labels, name: str) -> str:
    """Return a label's value, empty if it is not there."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def only(labels: Labels, names: Collection[str]) -> Labels:
    """Keep the named labels."""
    return tuple(pair for pair in labels if pair[0] in names)


def without(labels: Labels, names: Collection[str]) -> Labels:
    """Drop the named labels."""
    return tuple(pair for pair in labels if pair[0] not in names)


def without_name(labels: Labels) -> Labels:
    """Drop the metric's name."""
    return without(labels, (NAME,))


def with_values(labels: Labels, values: Iterable[tuple[str, str]]) -> Labels:
    """Set labels; an empty value removes one."""
    return labels_of(dict(labels) | dict(values))


def text_of(labels: Labels) -> str:
    """Return a label set as PromQL writes it."""
    pairs = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in without_name(labels)
    )
    name = value_of(labels, NAME)
    return f"{name}{{{pairs}}}" if pairs or not name else name
