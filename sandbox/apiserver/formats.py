"""The formats of strings that the schema of a custom resource may ask for."""

import base64
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

_DURATION = re.compile(r"^[+-]?((\d+(\.\d*)?|\.\d+)\s*[a-zµ]+\s*)+$", re.IGNORECASE)
_UUID = re.compile(r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$", re.IGNORECASE)
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+$")
_HOST = re.compile(r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$")


def _time(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(text)


def _matched(pattern: re.Pattern[str]) -> Callable[[str], None]:
    def check(text: str) -> None:
        if not pattern.match(text):
            raise ValueError(text)

    return check


def _uri(text: str) -> None:
    if not urlsplit(text).scheme:
        raise ValueError(text)


_CHECKS: dict[str, Callable[[str], object]] = {
    "byte": lambda text: base64.b64decode(text, validate=True),
    "cidr": ipaddress.ip_interface,
    "date": date.fromisoformat,
    "date-time": _time,
    "duration": _matched(_DURATION),
    "email": _matched(_EMAIL),
    "hostname": _matched(_HOST),
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uri": _uri,
    "uuid": _matched(_UUID),
}


def fits(text: str, wanted: str) -> bool:
    """Tell whether a text is of a format; formats that are not known here take any."""
    check = _CHECKS.get(wanted)
    if check is None:
        return True
    try:
        check(text)
    except ValueError:
        return False
    return True
