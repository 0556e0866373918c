"""How long ago something was, as kubectl shows it."""

from datetime import UTC, datetime

UNKNOWN = "<unknown>"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 31536000}


def duration(seconds: float) -> str:
    """Write a duration as kubectl shows ages: two units at most, the finer ones while it is short."""
    total = max(0, int(seconds))
    if total < 2 * _SECONDS["m"]:
        return f"{total}s"
    for small, big, both_until, alone_until in (
        ("s", "m", 10, 180),
        ("m", "h", 8, 48),
        ("h", "d", 8, 730),
        ("d", "y", 8, 0),
    ):
        amount, rest = divmod(total, _SECONDS[big])
        if amount < both_until:
            rest //= _SECONDS[small]
            return f"{amount}{big}{rest}{small}" if rest else f"{amount}{big}"
        if amount < alone_until:
            return f"{amount}{big}"
    return f"{total // _SECONDS['y']}y"


def age(stamp: str | None) -> str:
    """Write how long ago a time was."""
    if not stamp:
        return UNKNOWN
    moment = datetime.fromisoformat(stamp)
    return duration((datetime.now(UTC) - moment).total_seconds())
