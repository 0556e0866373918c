"""The values of session cookies: one for each revision under analysis, the same on every replay."""

import hashlib
import string

from canary.spec import CanarySpec
from canary.status import RolloutStatus

LENGTH = 10
"""Of a value: letters, and as many as Flagger's have."""


def canary_cookie(spec: CanarySpec, status: RolloutStatus) -> str:
    """The value of the canary's cookie in this analysis; empty where nobody is bound by one."""
    return _value(f"canary {_run(spec, status)}") if spec.analysis.is_sticky else ""


def primary_cookie(spec: CanarySpec, status: RolloutStatus) -> str:
    """The value of the primary's cookie; empty where the document names none."""
    affinity = spec.analysis.session_affinity if spec.analysis.is_sticky else None
    return _value(f"primary {_run(spec, status)}") if affinity and affinity.primary_cookie_name else ""


def _run(spec: CanarySpec, status: RolloutStatus) -> str:
    return f"{spec.tail} {status.revision.template} {status.started_at.isoformat()} {status.restarts}"


def _value(seed: str) -> str:
    """Letters that tell runs apart and guard nothing."""
    digest = hashlib.sha256(seed.encode()).digest()
    return "".join(string.ascii_letters[byte % len(string.ascii_letters)] for byte in digest[:LENGTH])
