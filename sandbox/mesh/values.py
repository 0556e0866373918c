"""Durations, percentages and text patterns: how Istio writes them and how Envoy wants them."""

from sandbox.durations import seconds
from sandbox.objects import Object


def duration(text: str) -> str:
    """Turn a duration into the seconds that protobuf's JSON knows."""
    return f"{seconds(text):.9f}".rstrip("0").rstrip(".") + "s"


def fraction(percentage: Object | None) -> Object:
    """Turn `{value: 12.5}` into parts of a million; nothing said is none."""
    value = float((percentage or {}).get("value", 0))
    return {"numerator": round(value * 10_000), "denominator": "MILLION"}


def pattern(match: Object) -> Object:
    """Turn an exact, prefix or regex match into Envoy's."""
    if "regex" in match:
        return {"safe_regex": {"regex": match["regex"]}}
    kind = "exact" if "exact" in match else "prefix"
    return {kind: match[kind]}
