"""What makes one revision differ from another: hashes of a pod template and of the configs it uses."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from canary.status import Revision

SCALE_TO_ZERO = "flagger.app/scale-to-zero"
"""The node selector that takes a DaemonSet's pods away, as Flagger writes it; no part of its revision."""

STARTED_WITH = "durable-canary.dev/started-with"
"""On the target's pod template: the configs its pods were started anew with; no part of a revision."""

_OURS = frozenset({SCALE_TO_ZERO, STARTED_WITH})
_LENGTH = 10


def template_hash(template: Mapping[str, Any]) -> str:
    """Hash a pod template as the API server answers it.

    What says nothing (null, an empty map or list) does not count, so that an object written by another client
    is not another revision. `kubectl rollout restart` writes an annotation into the template: that counts.
    """
    return _hash(_spoken(template))


def config_hash(data: Mapping[str, str] | None, binary_data: Mapping[str, str] | None = None) -> str:
    """Hash what a ConfigMap or a Secret holds; the values of a Secret as they stand, in base64."""
    return _hash({"data": dict(data or {}), "binaryData": dict(binary_data or {})})


def checksum(revision: Revision) -> str:
    """Return the checksum that hooks are given: one for each template and set of configs."""
    return _hash({"template": revision.template, "configs": revision.configs})


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _spoken(value: Any) -> Any:
    if isinstance(value, Mapping):
        spoken = {key: _spoken(part) for key, part in value.items() if key not in _OURS}
        return {key: part for key, part in spoken.items() if _says(key, part)}
    if isinstance(value, list):
        return [_spoken(item) for item in value]
    return value


def _says(key: str, value: Any) -> bool:
    if value == {} and key.endswith("Selector") and key != "nodeSelector":
        return True  # an empty label selector selects everything, a missing one nothing
    return value is not None and value not in ({}, [])
