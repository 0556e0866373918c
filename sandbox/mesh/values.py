"""Durations, percentages and text patterns: how Istio writes them and how Envoy wants them."""

import re
from typing import Any

Object = dict[str, Any]

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def seconds(text: str) -> float:
    """Read a duration as Go writes it, such as `1m30s`."""
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 10s or 1m30s.")
    return float(sum(float(number) * UNITS[unit] for number, unit in parts))


def duration(text: str) -> str:
    """Turn a duration into the seconds that protobuf's JSON knows."""
    return f"{seconds(text):.9f}".rstrip("0").rstrip(".") + "s"


def fraction(percentage: Object | None) -> Object:
    """Turn `{value: 12.5}` into parts of a million; nothing said is all."""
    value = 100.0 if percentage is None else float(percentage.get("value", 0))
    return {"numerator": round(value * 10_000), "denominator": "MILLION"}


def pattern(match: Object, *, ignore_case: bool = False) -> Object:
    """Turn an exact, prefix or regex match into Envoy's."""
    if "regex" in match:
        return {"safe_regex": {"regex": match["regex"]}}
    kind = "exact" if "exact" in match else "prefix"
    return {kind: match[kind]} | ({"ignore_case": True} if ignore_case else {})
