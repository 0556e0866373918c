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


def _lenient(function: Unary, beyond: float = math.nan) -> Unary:
    """Make a function answer `beyond` out of its domain and infinity where it overflows."""

    def run(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return beyond
        except OverflowError:
            return math.inf

    return run


def _logarithm(function: Unary) -> Unary:
    lenient = _lenient(function)
    return lambda value: -math.inf if value == 0 else lenient(value)


def _whole(function: Callable[[float], int]) -> Unary:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _sinh(value: float) -> float:
    try:
        return math.sinh(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _atanh(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == 1 else _lenient(math.atanh)(value)


def _sign(value: float) -> float:
    return value if value == 0 or math.isnan(value) else math.copysign(1, value)


UNARY: dict[str, Unary] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "exp": _lenient(math.exp),
    "sqrt": _lenient(math.sqrt),
    "ln": _logarithm(math.log),
    "log2": _logarithm(math.log2),
    "log10": _logarithm(math.log10),
    "sgn": _sign,
    "deg": math.degrees,
    "rad": math.radians,
    "sin": _lenient(math.sin),
    "cos": _lenient(math.cos),
    "tan": _lenient(math.tan),
    "asin": _lenient(math.asin),
    "acos": _lenient(math.acos),
    "atan": math.atan,
    "sinh": _sinh,
    "cosh": _lenient(math.cosh),
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": _lenient(math.acosh),
    "atanh": _atanh,
}

ARITHMETIC: dict[str, Binary] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": modulo,
    "^": power,
    "atan2": math.atan2,
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
