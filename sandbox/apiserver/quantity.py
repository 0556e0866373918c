"""Quantities of resources in the form that Kubernetes gives them back."""

import re
from decimal import ROUND_UP, Decimal
from typing import Any

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_STEP, _BINARY_STEP, _SMALLEST = 1000, 1024, -9


def canonical(value: Any) -> str:
    """Write a quantity as the server does: in the largest unit that leaves no fraction.

    Raises:
        ValueError: it is no quantity.
    """
    text = str(value).strip()
    match = _FORM.match(text)
    if not match:
        raise ValueError("quantities must match the regular expression " + _FORM.pattern)
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY[1:]:
        return _binary(number * Decimal(_BINARY_STEP) ** _BINARY.index(suffix))
    if suffix[:1] in ("e", "E") and suffix[1:]:
        return text
    return _decimal(number.scaleb(_DECIMAL[suffix]))


def _binary(amount: Decimal) -> str:
    if amount != amount.to_integral_value():
        return _decimal(amount)
    unit = 0
    while amount and amount % _BINARY_STEP == 0 and unit < len(_BINARY) - 1:
        amount, unit = amount / _BINARY_STEP, unit + 1
    return f"{int(amount)}{_BINARY[unit]}"


def _decimal(amount: Decimal) -> str:
    nano = int(amount.scaleb(-_SMALLEST).to_integral_value(ROUND_UP))
    unit = _SMALLEST
    while nano and nano % _STEP == 0 and unit < _DECIMAL["E"]:
        nano, unit = nano // _STEP, unit + 3
    suffix = next(name for name, power in _DECIMAL.items() if power == (unit if nano else 0))
    return f"{nano}{suffix}"
