"""How a container behaves, as image and environment choose: errors, latency, slow start, crash, no image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

OURS = "durable-canary"
"""Our own image: of all that is in it, it is the load tester that runs in a member cluster."""


class Kind(StrEnum):
    """What runs in a container."""

    PODINFO = "podinfo"
    LOAD_TESTER = "load tester"
    OTHER = "nothing that listens"


@dataclass(frozen=True)
class Behaviour:
    """One container's ways; `error_rate` is a share of 1, times are seconds."""

    kind: Kind
    version: str
    error_rate: float = 0.0
    latency: float = 0.0
    ready_delay: float = 0.0
    is_crashing: bool = False
    is_missing: bool = False


def behaviour_of(image: str, env: Mapping[str, str]) -> Behaviour:
    """Read image `podinfo:6.0.2-err10-lat900` or SANDBOX_ERROR_RATE (%), _LATENCY (ms), _READY_DELAY (s)."""
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return Behaviour(
        kind=_kind(name),
        version=tag or "latest",
        error_rate=_number(env, "SANDBOX_ERROR_RATE", tag, "err") / 100,
        latency=_number(env, "SANDBOX_LATENCY", tag, "lat") / 1000,
        ready_delay=_number(env, "SANDBOX_READY_DELAY", tag, "slow"),
        is_crashing=_has(tag, "crash"),
        is_missing=_has(tag, "missing"),
    )


def _kind(name: str) -> Kind:
    if name.startswith("podinfo"):
        return Kind.PODINFO
    return Kind.LOAD_TESTER if "flagger-loadtester" in name or name == OURS else Kind.OTHER


def _has(tag: str, word: str) -> bool:
    return word in tag.split("-")[1:]


def _number(env: Mapping[str, str], variable: str, tag: str, word: str) -> float:
    if variable in env:
        return float(env[variable])
    found = re.search(rf"-{word}(\d+)(?=-|$)", tag)
    return float(found[1]) if found else 0.0
