"""Numbers as Go reckons them: infinities and NaN where Python raises."""

import math
import operator
from collections.abc import Callable

Unary = Callable[[float], float]
Binary = Callable[[float, float], float]


def divide(a: float, b: float) -> float:
    """Divide."""
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def modulo(a: float, b: float) -> float:
    """Return the remainder with the sign of `a`."""
    if b == 0 or math.isinf(a):
        return math.nan
    return math.fmod(a, b)


def power(a: float, b: float) -> float:
    """Raise `a` to the power of `b`."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a != 0:
            return math.nan
        return math.copysign(math.inf, a) if b % 2 == 1 else math.inf


def _whole(function: Callable[[float], int]) -> Unary:
    return lambda value: float(function(value)) if math.isfinite(value) else value


UNARY: dict[str, Unary] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
}

ARITHMETIC: dict[str, Binary] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": modulo,
    "^": power,
}

COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def round_to(value: float, nearest: float) -> float:
    """Round to the nearest multiple, halves up."""
    inverse = divide(1.0, nearest)
    scaled = value * inverse + 0.5
    return divide(math.floor(scaled), inverse) if math.isfinite(scaled) else divide(scaled, inverse)


def clamp(value: float, low: float, high: float) -> float:
    """Keep a number within bounds; NaN anywhere gives NaN."""
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return math.nan
    return max(low, min(high, value))
