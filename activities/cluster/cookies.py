"""Session affinity in a VirtualService: how its cookies are recognised, set and taken away (dossier §3.6)."""

import re
from datetime import timedelta
from typing import Any

from activities.cluster.api import Object
from canary.spec import AnalysisSpec, SessionAffinity

HEADER = "Cookie"
FORGOTTEN = -1
"""The Max-Age that makes a browser forget a cookie."""
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def pattern(name: str, value: str) -> str:
    """A regular expression for the Cookie header of a browser that sends this cookie, alone or with others.

    Flagger's `.*name.*value.*` also takes `other-name=value` and the value of another cookie. The mesh wants
    the whole header to match.
    """
    return _beginning(name) + rf"{_literal(value)}(\s*;.*)?"


def is_recognised(affinity: SessionAffinity | None, condition: Any) -> bool:
    """Whether a match of a live route is one of ours by a cookie."""
    if affinity is None or not isinstance(condition, dict):
        return False
    header = (condition.get("headers") or {}).get(HEADER) or {}
    text = str(header.get("regex") or "")
    known = (affinity.cookie_name, affinity.primary_cookie_name)
    return any(text.startswith(_beginning(name)) for name in known if name)


def canary_cookie(affinity: SessionAffinity, value: str) -> Object:
    """What makes a browser stay with the canary."""
    return _set(affinity, affinity.cookie_name, value, affinity.max_age)


def primary_cookie(analysis: AnalysisSpec, affinity: SessionAffinity, value: str) -> Object:
    """What makes a browser stay with the primary, for one interval: then it may come to the canary."""
    age = max(1, -(-analysis.interval // timedelta(seconds=1)))
    return _set(affinity, affinity.primary_cookie_name, value, age)


def forgotten_cookie(affinity: SessionAffinity, value: str) -> Object:
    """What makes a browser forget the canary's cookie; a browser wants the domain and path of the setting."""
    return _set(affinity, affinity.cookie_name, value, FORGOTTEN)


def _set(affinity: SessionAffinity, name: str, value: str, age: int) -> Object:
    attributes = (
        (affinity.domain, f"Domain={affinity.domain}"),
        (affinity.http_only, "HttpOnly"),
        (affinity.partitioned, "Partitioned"),
        (affinity.path, f"Path={affinity.path}"),
        (affinity.same_site, f"SameSite={affinity.same_site}"),
        (affinity.secure, "Secure"),
    )
    parts = [f"{name}={value}", f"Max-Age={age}", *(text for is_wanted, text in attributes if is_wanted)]
    return {"response": {"add": {"Set-Cookie": "; ".join(parts)}}}


def _beginning(name: str) -> str:
    return rf"(.*;\s*)?{_literal(name)}="


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
