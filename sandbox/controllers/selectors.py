"""Label selectors."""

from collections.abc import Callable, Mapping

from sandbox.objects import Object

_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,  # codespell:ignore
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
}


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a `metav1.LabelSelector` selects these labels; none selects nothing, an empty one all."""
    if selector is None:
        return False
    if not is_subset(selector.get("matchLabels", {}), labels):
        return False
    return all(
        _OPERATORS[rule["operator"]](labels.get(rule["key"]), rule.get("values", []))
        for rule in selector.get("matchExpressions", [])
    )


def is_subset(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether `labels` has everything that is `wanted`."""
    return wanted.items() <= labels.items()
