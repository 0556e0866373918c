"""Quantities of resources in the form that Kubernetes gives them back."""

import re
from decimal import ROUND_UP, Decimal
from typing import Any

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_STEP, _BINARY_STEP, _SMALLEST = 1000, 1024, -9


def _parts(value: Any) -> tuple[Decimal, str]:
    match = _FORM.match(str(value).strip())
    if not match:
        raise ValueError("quantities must match the regular expression " + _FORM.pattern)
    return Decimal(match[1]), match[2] or ""


def amount(value: Any) -> Decimal:
    """Give what a quantity amounts to.

    Raises:
        ValueError: it is no quantity.
    """
    number, suffix = _parts(value)
    if suffix in _BINARY[1:]:
        return number * Decimal(_BINARY_STEP) ** _BINARY.index(suffix)
    return number.scaleb(_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))


def canonical(value: Any) -> str:
    """Write a quantity as the server does: in the largest unit that leaves no fraction.

    Raises:
        ValueError: it is no quantity.
    """
    suffix = _parts(value)[1]
    if suffix in _BINARY[1:]:
        return _binary(amount(value))
    return _decimal(amount(value)) if suffix in _DECIMAL else str(value).strip()


def _binary(found: Decimal) -> str:
    if found != found.to_integral_value():
        return _decimal(found)
    unit = 0
    while found and found % _BINARY_STEP == 0 and unit < len(_BINARY) - 1:
        found, unit = found / _BINARY_STEP, unit + 1
    return f"{int(found)}{_BINARY[unit]}"


def _decimal(found: Decimal) -> str:
    nano = int(found.scaleb(-_SMALLEST).to_integral_value(ROUND_UP))
    unit = _SMALLEST
    while nano and nano % _STEP == 0 and unit < _DECIMAL["E"]:
        nano, unit = nano // _STEP, unit + 3
    suffix = next(name for name, power in _DECIMAL.items() if power == (unit if nano else 0))
    return f"{nano}{suffix}"
