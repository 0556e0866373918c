"""Which texts Istio's webhook takes: hosts, names of headers, their values, expressions and durations."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.durations import seconds
from sandbox.objects import Object

Check = Callable[[Any], str | None]

_LABEL = r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
LABEL = re.compile(_LABEL)
HOST = re.compile(rf"\*|(\*[-a-zA-Z0-9]*|{_LABEL})(\.{_LABEL})*\.?|[0-9a-fA-F]*(:[0-9a-fA-F]*){{2,7}}")
LABEL_KEY = re.compile(rf"({_LABEL}(\.{_LABEL})*/)?[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?")
LABEL_VALUE = re.compile(r"([a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?)?")
HEADER = re.compile(r":(method|scheme|authority|path|status)|[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
CLAIM = "@request.auth.claims"
# A pair of signs is one, and what stands between two is a variable of Envoy's.
HEADER_VALUE = re.compile(r"([^%\x00-\x08\x0a-\x1f\x7f]|%%|%[^%]+%)*")
# RE2, the engine of Envoy, knows neither look-around, back-references nor possessive repeats.
NOT_RE2 = re.compile(
    r"\(\?(?:=|!|<=|<!|>|#|[aLux])|\\[1-9Zu]|[*+?}]\+|\{(?:\d{5,}|[2-9]\d{3}|1\d{2}[1-9]|1\d[1-9]\d|1[1-9]\d{2})"
)
LONGEST = 1024
# What RE2 writes in another way than Python.
RE2_ONLY = (
    (r"\(\?<(?=\w)", "(?P<"),
    (r"\\z", r"\\Z"),
    (r"\\p\{\w+\}|\\x\{\w+\}", "a"),
    (r"\(\?-i\)", ""),
    (r"\[:\^?\w+:\]", "a"),
)
SHORTEST = 0.001


def below(value: Any, path: str, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every value below `value` that stands under one of `names`, with where."""
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from below(one, f"{path}[{index}]", names)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in names:
                yield f"{path}.{key}".lstrip("."), one
            yield from below(one, f"{path}.{key}", names)


def checked(value: Any, check: Check, *names: str) -> Iterator[str]:
    """Yield what a check says of every value below that stands under one of the names."""
    for path, one in below(value, "", names):
        if mistake := check(one):
            yield f"{path}: {mistake}"


def length(text: str) -> str | None:
    """Say why nobody can read a duration."""
    try:
        seconds(text)
    except ValueError as error:
        return str(error)
    return None


def duration(text: str) -> str | None:
    """Say why Istio takes no such duration."""
    if mistake := length(text):
        return mistake
    if seconds(text) < SHORTEST:
        return f"{text!r} is shorter than 1ms."
    return None if round(seconds(text) * 1000, 6) % 1 == 0 else f"{text!r} is finer than 1ms."


def regex(text: Any) -> str | None:
    """Say why RE2 takes no such expression."""
    if not isinstance(text, str):
        return None
    if not text:
        return "an expression is needed."
    if len(text) > LONGEST:
        return f"{text[:20]!r}… is longer than {LONGEST}."
    if NOT_RE2.search(text):
        return f"{text!r} uses what RE2 does not know."
    for theirs, ours in RE2_ONLY:
        text = re.sub(theirs, ours, text)
    text = re.sub(r"\\Q(.*?)(\\E|$)", lambda found: re.escape(found[1]), text)
    try:
        re.compile(text)
    except re.error as error:
        return f"{text!r} is no regular expression: {error}."
    return None


def host(text: Any) -> str | None:
    """Say why there is no such host."""
    return None if HOST.fullmatch(str(text)) else f"{text!r} is no host."


def port(number: Any) -> str | None:
    """Say why there is no such port."""
    return None if not isinstance(number, int) or 0 < number < 65536 else f"{number} is no port."  # noqa: PLR2004


def percentage(value: Any) -> str | None:
    """Say why there is no such share, which may be none."""
    number = value.get("value", 0) if isinstance(value, dict) else value
    return None if 0 <= number <= 100 else f"{number} is not between 0 and 100."  # noqa: PLR2004


def labels(value: Object | None) -> str | None:
    """Say why no object has such labels."""
    for key, one in (value or {}).items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(one):
            return f"{key}={one} is no label."
    return None
