"""Rules that hold for every kind of document: names, addresses, intervals."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

from canary.documents.mistake import Mistake, Path, show, warning
from canary.documents.schema import YEAR

TOO_SHORT = timedelta(seconds=10)
"""Below this a check hardly finds new samples: Prometheus scrapes every 15 s by default."""

POLICIES = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "NetworkPolicy")
"""What may stop matching once production pods carry the primary's label, and must not unnoticed."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253
_HOST = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)?(?P<user>[^/?#@]*@)?"
    r"(?P<host>(\[[0-9a-f:.]*\]|[a-z0-9_.-]+)(:\d{1,5})?(?=$|[:/?#]))?"
)
_SECRET_PARAMETERS = frozenset(
    (
        "token",
        "access_token",
        "api_key",
        "apikey",
        "key",
        "password",
        "secret",
        "client_secret",
        "sig",
        "signature",
        "x-amz-credential",
        "x-amz-signature",
    )
)
"""What lets in whoever knows it; with a signature in it an address is a key as a whole."""


def object_name_mistakes(path: Path, name: str, suffix: str = "") -> Iterator[Mistake]:
    """Yield why no Kubernetes object may have this *name*, or the one that *suffix* is put to."""
    if not _SUBDOMAIN.fullmatch(name):
        yield Mistake(
            path,
            f"{show(name)} is no name of a Kubernetes object: allowed are lower-case letters, digits, "
            "'-' and '.', with a letter or digit first and last",
        )
    elif len(name) > _LONGEST_SUBDOMAIN - len(suffix):
        longest = _LONGEST_SUBDOMAIN - len(suffix)
        why = f": {suffix} is put to it" if suffix else ""
        yield Mistake(path, f"must have at most {longest} characters, has {len(name)}{why}")


def namespace_mistakes(path: Path, name: str) -> Iterator[Mistake]:
    """Yield why no namespace may have this *name*."""
    if not _LABEL.fullmatch(name):
        yield Mistake(
            path,
            f"{show(name)} is no name of a namespace: allowed are lower-case letters, digits and '-', "
            "with a letter or digit first and last",
        )
    elif len(name) > _LONGEST_LABEL:
        yield Mistake(path, f"must have at most {_LONGEST_LABEL} characters, has {len(name)}")


def port_name_mistakes(path: Path, name: str) -> Iterator[Mistake]:
    """Yield why no port of a Service may have this *name*."""
    if not _LABEL.fullmatch(name) or len(name) > _LONGEST_LABEL:
        yield Mistake(
            path,
            f"{show(name)} is no name of a port: allowed are up to {_LONGEST_LABEL} lower-case letters, "
            "digits and '-', with a letter or digit first and last",
        )


def reference_mistakes(path: Path, name: str, namespace: str | None) -> Iterator[Mistake]:
    """Yield why no object can be called what a reference at *path* says: names become parts of addresses."""
    yield from object_name_mistakes((*path, "name"), name)
    if namespace is not None:
        yield from namespace_mistakes((*path, "namespace"), namespace)


def service_name_mistakes(path: Path, name: str, suffix: str = "-primary") -> Iterator[Mistake]:
    """Yield why there can be no Service of this *name* with *suffix*."""
    longest = _LONGEST_LABEL - len(suffix)
    if not _SERVICE.fullmatch(name):
        yield Mistake(
            path,
            f"{show(name)} is no name of a Service: allowed are lower-case letters, digits and '-', "
            "with a letter first and no '-' last",
        )
    elif len(name) > longest:
        yield Mistake(
            path, f"must have at most {longest} characters, has {len(name)}: a Service {name}{suffix} is made"
        )


def address_mistakes(path: Path, address: str) -> Iterator[Mistake]:
    """Yield what is wrong with a URL, also when it carries what belongs into a Secret."""
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        yield Mistake(
            path, f"must be a URL that begins with http:// or https://, is {show(_host_of(address))}"
        )
    elif parts.username or parts.password:
        yield Mistake(path, "must not carry a user or password: name a Secret in secretRef")
    elif any(name.lower() in _SECRET_PARAMETERS for name, _ in parse_qsl(parts.query)):
        yield Mistake(path, "must not carry a token: name a Secret in secretRef")
    elif not {".", ".."}.isdisjoint(unquote(parts.path).split("/")):
        yield Mistake(path, "must not hold . or .. in its path: write the path that is meant")


def interval_mistakes(path: Path, interval: timedelta) -> Iterator[Mistake]:
    """Warn of checks that follow each other faster than metrics do."""
    if interval < TOO_SHORT:
        yield warning(
            path, f"{seconds_text(interval)} is short: metrics need time, 10s or more gives them new samples"
        )


def policy_mistakes(path: Path, accepted: Sequence[str]) -> Iterator[Mistake]:
    """Yield what is not a policy that could be accepted."""
    for index, name in enumerate(accepted):
        kind, *own = name.split("/")
        is_named = len(own) in (1, 2) and all(_SUBDOMAIN.fullmatch(part) for part in own)
        if kind not in POLICIES or not is_named:
            forms = "<kind>/<name>, in Istio's root namespace <kind>/<namespace>/<name>,"
            text = f"must be {forms} with a kind of {', '.join(POLICIES)}, is {show(name)}"
            yield Mistake((*path, index), text)


def lasting(count: int, interval: timedelta) -> timedelta:
    """Return how long so many intervals take, or what is just too long where they take longer."""
    return min(count, YEAR // interval + 1) * interval


def length_mistakes(path: Path, count: int, interval: timedelta) -> Iterator[Mistake]:
    """Yield why nobody can wait for so many checks."""
    if lasting(count, interval) > YEAR:
        yield Mistake(
            path,
            f"{count} checks with {seconds_text(interval)} between them last longer than the "
            f"{YEAR // timedelta(hours=1)}h that a rollout may take",
        )


def window_mistakes(path: Path, window: timedelta, interval: timedelta) -> Iterator[Mistake]:
    """Warn of a metric that looks further back than the step it judges."""
    if window > interval:
        yield warning(
            path,
            f"{seconds_text(window)} is longer than the {seconds_text(interval)} between two checks: "
            "a query never looks back before the step it judges",
        )


def seconds_text(duration: timedelta) -> str:
    """Write a duration in seconds."""
    return f"{duration.total_seconds():.15g}s"


def _host_of(address: str) -> str:
    """Write an address without what may be a secret in it: its scheme, host and port alone."""
    found = _HOST.match(address)
    assert found is not None  # noqa: S101 — each of its parts may be empty
    rest = address[found.end() :]
    if "@" in rest:  # what looks like the host may be the beginning of a password
        return "…"
    user = "…@" if found["user"] else ""
    return f"{found['scheme'] or ''}{user}{found['host'] or ''}{'…' if rest else ''}"
