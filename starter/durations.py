"""Durations on the command line, written as Go writes them."""

import asyncio
import re
from datetime import timedelta

from starter.errors import UsageError

_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST = timedelta(days=366)
"""As in documents; it also keeps a mistyped number from overflowing."""


def parse(text: str | None) -> timedelta | None:
    """Read `90s`, `1m30s`, or nothing."""
    if text is None:
        return None
    if not re.fullmatch(f"(?:{_PARTS.pattern})+", text):
        raise UsageError(f"--timeout {text}: not a duration; write it as 90s, 10m or 1h30m.")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))
    if seconds > LONGEST.total_seconds():
        raise UsageError(
            f"--timeout {text}: longer than {LONGEST.days} days; leave it out to wait without end."
        )
    return timedelta(seconds=seconds)


def patience(text: str | None, option: str, *, is_waiting: bool) -> timedelta | None:
    """Read how long is waited at most, by a command that only waits with *option*."""
    if text is not None and not is_waiting:
        raise UsageError(f"--timeout says how long {option} may take: give {option} as well, or neither.")
    return parse(text)


def within(limit: timedelta | None) -> asyncio.Timeout:
    """Allow what follows so much time, none at all for zero; without a limit any."""
    return asyncio.timeout(None if limit is None else limit.total_seconds())
