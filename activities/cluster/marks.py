"""The annotations and labels that Durable Canary keeps on objects in a member cluster."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from canary.spec import CanarySpec
from canary.status import Revision

DECIDED_AT = "durable-canary.dev/decided-at"
"""The fence: when the decision was made that wrote the object. A later one is never undone."""
PROMOTED = "durable-canary.dev/promoted"
"""On the primary: the hash of the pod template it was last promoted to."""
CONFIGS = "durable-canary.dev/configs"
"""On the primary: the hashes of the configs it was last promoted to, as JSON."""
PROMOTING = "durable-canary.dev/promoting"
"""On the primary: the hash of the template that is being promoted; gone once that has ended."""
LAST_APPLIED = "durable-canary.dev/last-applied"
"""On the primary: the checksum of the revision that was rolled out last, however that ended."""
OUTCOME = "durable-canary.dev/outcome"
"""On the primary: how the last rollout ended."""
REVISION = "durable-canary.dev/revision"
"""On the primary's pods: template and configs in one hash, so that changed configs restart them."""
GENERATED = "durable-canary.dev/generated"
"""On the VirtualService: the fingerprint of what its routes were generated from."""
RAISED = "durable-canary.dev/raised"
"""On the primary: its autoscaler keeps more pods than it has to, until the promotion has ended."""
ORIGINAL = "durable-canary.dev/original"
"""On an adopted object: as JSON, what was there before of all that we write."""
SIZE = "durable-canary.dev/size"
"""On the record of a promoted template: how many pods the primary had."""
PAUSED = "durable-canary.dev/paused"
"""On the target: we have set its `spec.paused`, and nobody else."""
CANARY = "durable-canary.dev/canary"
"""Label of everything that was created for a canary: its target's name."""
LOAD_TESTER = "durable-canary.dev/load-tester"
"""Label of a load tester: whether a token guards it."""
OPEN, GUARDED = "open", "guarded"

_VALUE_LIMIT = 63
"""So long a label's value may be; a Deployment's name may be longer."""

TOOLKIT = {
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
}
"""Tells Flux to leave an object alone, as Flagger does."""


class ForeignError(Exception):
    """An object that would be written over and was not made by us."""

    def __init__(self, kind: str, name: str, namespace: str) -> None:
        super().__init__(
            f"{kind} {name} in namespace {namespace} is there already and was not made by Durable Canary: "
            "delete or rename it."
        )


def notes(found: dict[str, Any]) -> dict[str, str]:
    """The annotations of an object."""
    return found["metadata"].get("annotations") or {}


def canary_of(found: dict[str, Any]) -> str:
    """The target of the canary that an object was made for; empty for one that is not ours."""
    return str((found["metadata"].get("labels") or {}).get(CANARY, ""))


def refuse_foreign(spec: CanarySpec, kind: str, found: dict[str, Any]) -> None:
    """Let nobody else's object be written over.

    Raises:
        ForeignError: it was not made for this canary.
    """
    if canary_of(found) != owner(spec.target.name):
        raise ForeignError(kind, found["metadata"]["name"], spec.namespace)


def promoted(revision: Revision) -> dict[str, str]:
    """How a primary remembers what it was promoted to."""
    configs = json.dumps(revision.configs, sort_keys=True, separators=(",", ":"))
    return {PROMOTED: revision.template, CONFIGS: configs}


def read_promoted(metadata: dict[str, Any]) -> Revision | None:
    """What a primary remembers of its promotion; None where that cannot be read."""
    notes = metadata.get("annotations") or {}
    try:
        return (
            Revision(template=notes[PROMOTED], configs=json.loads(notes[CONFIGS]))
            if notes[PROMOTED]
            else None
        )
    except (KeyError, ValueError):
        return None


def stamp(moment: datetime) -> str:
    """Write a moment so that two of them compare as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_stamp(metadata: dict[str, Any]) -> datetime | None:
    """The moment of the decision that wrote an object; None for an object without a readable fence."""
    text = (metadata.get("annotations") or {}).get(DECIDED_AT)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None  # ours has one, and the two kinds do not compare


def is_superseded(metadata: dict[str, Any], decided_at: datetime) -> bool:
    """Whether a later decision than *decided_at* has already written the object."""
    stored = read_stamp(metadata)
    return stored is not None and stored > decided_at


def owner(target: str) -> str:
    """The value of the label on everything that was made for the canary of a target."""
    if len(target) <= _VALUE_LIMIT:
        return target
    digest = hashlib.sha256(target.encode()).hexdigest()[:10]
    return f"{target[: _VALUE_LIMIT - len(digest) - 1]}-{digest}"


def is_ours(spec: CanarySpec, found: dict[str, Any]) -> bool:
    """Whether an object with this metadata was made for this canary."""
    return bool((found.get("labels") or {}).get(CANARY) == owner(spec.target.name))


def metadata(spec: CanarySpec, name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """The metadata of an object of ours, with the label that tells for which canary it was made."""
    own = {**(labels or {}), CANARY: owner(spec.target.name)}
    return {"metadata": {"name": name, "namespace": spec.namespace, "labels": own}}
