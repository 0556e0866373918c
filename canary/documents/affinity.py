"""Session affinity: the cookies that keep a user with one version."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from canary.documents.mistake import Mistake, show, warning
from canary.documents.schema import MOST, Document, Remedy, Text
from canary.spec import SessionAffinity as Affinity

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ATTRIBUTE = re.compile(r"[^;\x00-\x1f\x7f]*")
_DAY = 86400


class Cookie(Document):
    """The canary's cookie, which is all that Kurator lets one say."""

    cookie_name: Annotated[Text, Remedy("name the cookie")]
    max_age: Annotated[int, Field(ge=1, le=MOST)] = _DAY


class SessionAffinity(Cookie):
    """The cookies of both sides, with their attributes."""

    primary_cookie_name: str = ""
    domain: str = ""
    http_only: bool = False
    partitioned: bool = False
    path: str = ""
    same_site: Literal["", "Strict", "Lax", "None"] = ""
    secure: bool = False


def affinity(cookie: Cookie | None) -> Affinity | None:
    """Return the cookies as the engine sets them; None where none is wanted."""
    return Affinity(**cookie.model_dump()) if cookie else None


def affinity_mistakes(cookie: Cookie) -> Iterator[Mistake]:
    """Yield what keeps browsers from taking the cookies, or routes from telling them apart."""
    yield from _name_mistakes("cookieName", cookie.cookie_name)
    if not isinstance(cookie, SessionAffinity):
        return
    yield from _name_mistakes("primaryCookieName", cookie.primary_cookie_name)
    if cookie.primary_cookie_name == cookie.cookie_name:
        yield Mistake(
            ("primaryCookieName",), f"must differ from cookieName, is {show(cookie.cookie_name)} too"
        )
    for field, value in (("domain", cookie.domain), ("path", cookie.path)):
        if not _ATTRIBUTE.fullmatch(value):
            yield Mistake(
                (field,), f"{show(value)} ends a cookie's attribute: allowed is anything without ';'"
            )
    if not cookie.secure and (cookie.partitioned or cookie.same_site == "None"):
        why = "partitioned" if cookie.partitioned else "sameSite None"
        yield warning((), f"{why} without secure: browsers do not take such a cookie")


def _name_mistakes(field: str, name: str) -> Iterator[Mistake]:
    if name and not _NAME.fullmatch(name):
        yield Mistake(
            (field,), f"{show(name)} is no name of a cookie: allowed are letters, digits and !#$%&'*+-.^_`|~"
        )
