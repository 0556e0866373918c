"""Session affinity in a VirtualService: how its cookies are recognised, set and taken away."""

import re
from datetime import timedelta
from typing import Any

from activities.cluster.api import Object
from canary.affinity import LENGTH
from canary.spec import AnalysisSpec, SessionAffinity

HEADER = "Cookie"
FORGOTTEN = -1
"""The Max-Age that makes a browser forget a cookie."""
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_BEFORE, _AFTER = r"(.*;\s*)?", r"(\s*;.*)?"
"""The other cookies of a browser."""
_OURS = re.compile(rf"{re.escape(_BEFORE)}[^=]+=[a-zA-Z]{{{LENGTH}}}{re.escape(_AFTER)}")
"""What `pattern` makes of any cookie of a canary's."""


def pattern(name: str, value: str) -> str:
    """A regular expression for the Cookie header of a browser that sends this cookie, alone or with others.

    Flagger's `.*name.*value.*` also takes `other-name=value` and the value of another cookie. The mesh wants
    the whole header to match.
    """
    return f"{_beginning(name)}{_literal(value)}{_AFTER}"


def regex_of(condition: Any) -> str:
    """What a match of a live route asks of the Cookie header; empty where it asks nothing of the kind."""
    headers = condition.get("headers") if isinstance(condition, dict) else None
    return str(((headers or {}).get(HEADER) or {}).get("regex") or "")


def is_session(regex: str) -> bool:
    """Whether it asks for a session cookie of a canary, by whatever name."""
    return _OURS.fullmatch(regex) is not None


def is_named(affinity: SessionAffinity | None, regex: str) -> bool:
    """Whether it asks for a cookie that the document names."""
    known = (affinity.cookie_name, affinity.primary_cookie_name) if affinity is not None else ()
    return any(regex.startswith(_beginning(name)) for name in known if name)


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
    # A lone % begins a variable to Envoy, and the mesh refuses the whole VirtualService for it.
    return {"response": {"add": {"Set-Cookie": "; ".join(parts).replace("%", "%%")}}}


def _beginning(name: str) -> str:
    return f"{_BEFORE}{_literal(name)}="


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
