"""Durations on the command line, written as Go writes them."""

import re
from datetime import timedelta

from starter.errors import UsageError

_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(text: str | None) -> timedelta | None:
    """Read `90s`, `1m30s`, or nothing."""
    if text is None:
        return None
    if not re.fullmatch(f"(?:{_PARTS.pattern})+", text):
        raise UsageError(f"--timeout {text}: not a duration; write it as 90s, 10m or 1h30m.")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))
    return timedelta(seconds=seconds)
