"""What is known of a canary and of one rollout: Flagger's words and fields, and a few of our own."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from canary.spec import HookType, Strategy, Weight
from canary.stored import Stored


class Phase(StrEnum):
    """The phases of a canary."""

    INITIALIZING = "Initializing"
    INITIALIZED = "Initialized"
    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    WAITING_PROMOTION = "WaitingPromotion"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATING = "Terminating"

    @property
    def is_final(self) -> bool:
        """Whether a rollout in this phase has come to its end."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)

    @property
    def is_under_analysis(self) -> bool:
        """Whether the canary's revision is still being judged."""
        return self in (Phase.PROGRESSING, Phase.WAITING_PROMOTION)


class Outcome(StrEnum):
    """How a rollout ended; all but the first are the types of the error a failed rollout closes with."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    REVERTED = "Reverted"
    HALTED = "Halted"
    """The promotion failed and the traffic stayed where it is served: a person decides."""


class Revision(Stored):
    """What a target runs: the hash of its pod template and of each ConfigMap and Secret it uses."""

    template: str
    configs: dict[str, str] = Field(default_factory=dict)
    """`configmap/<name>` or `secret/<name>` to the hash of its data."""


class Person(Stored):
    """Who took a hand, when, and why."""

    who: str = "unknown (signal)"
    reason: str = ""
    at: datetime | None = None


class Wishes(Stored):
    """What persons asked of a running rollout and is still to be done."""

    abort: Person | None = None
    restart: Person | None = None
    approve: Person | None = None
    leave: Person | None = None
    """The canary is taken out: it is waited for nothing that the way out does not need."""


class Condition(Stored):
    """A Kubernetes condition."""

    type: str = "Promoted"
    status: str
    reason: str
    message: str
    last_update_time: datetime
    last_transition_time: datetime
    """When `status` last changed."""


class RolloutStatus(Stored):
    """The whole state of one rollout: what a query answers and what continue-as-new carries."""

    schema_version: int = 1
    phase: Phase = Phase.PROGRESSING
    revision: Revision
    promoted: Revision
    started_at: datetime
    last_transition_time: datetime
    condition: Condition | None = None
    canary_weight: Weight = 0
    """The weight under analysis, as Flagger's `status.canaryWeight`; 0 where iterations are counted."""
    traffic_weight: Weight = 0
    """The share of the traffic that the canary gets right now, of the requests a `match` lets it have."""
    exposure: Weight = 0
    """The share it is to have by its last step: what it returns to after a retreat."""
    is_mirrored: bool = False
    has_begun: bool = False
    """The first step of the analysis has been taken."""
    failed_checks: int = 0
    iterations: int = 0
    checks: int = 0
    restarts: int = 0
    waiting_for: HookType | None = None
    """The gate that is closed; `approve` answers for it."""
    approved: tuple[HookType, ...] = ()
    """The gates that a person has answered for."""
    reminded_at: datetime | None = None
    """When it was last told that a gate is closed."""
    exposed_at: datetime | None = None
    """When this revision first got traffic."""
    strategy: Strategy | None = None
    """How the canary has been exposed so far; None before its first step."""
    match: tuple[dict[str, Any], ...] | None = None
    """To whose requests, by the document of its last step; None where that is not known."""
    expired_cookie: str = ""
    """The session cookie of the last revision that had traffic: browsers are told to forget it."""
    is_for_all: bool = False
    """The canary serves everybody, also those whom a `match` keeps away."""
    due: datetime
    """No step is taken before this moment."""
    actuated_at: datetime
    """When the weight under analysis began to be true; no metric window reaches back before it."""
    canary_unready_since: datetime | None = None
    primary_unready_since: datetime | None = None
    primary_size: int = 1
    """The available pods of the primary when the rollout began; promotion never shrinks it below."""
    outcome: Outcome | None = None
    message: str = ""
    """Why it holds, or why it ended, in one sentence."""
    by: Person | None = None
    needs_person: bool = False
    """Nothing goes on before a person decides."""
    is_retreated: bool = False
    """The canary stopped serving and its traffic was taken away; `canary_weight` is what it returns to."""
    foreign_writes: int = 0
    """How often someone else undid our weights in this rollout."""
    next_revision: bool = False
    """A newer revision was seen while this one was being promoted."""
    generation: int = 0
    """The target's `metadata.generation` when its revision was last seen to be this one."""
    uid: str = ""
    """The target's `metadata.uid` by then: one that was made anew counts its generations from one."""
    is_restoring: bool = False
    """Aborted in mid-promotion: the primary is getting its last promoted template back."""
    is_scaled_up: bool = True
    """Whether the canary has pods to be judged; if not they come before all else of its analysis."""
    is_promotion_open: bool = False
    """A promotion was, or may have been, being written when something else came up, and may still arrive."""
    is_left: bool = False
    """It has ended for a way out, with traffic and pods where they were."""
    is_recovered: bool = False
    """It takes back what another execution, which was terminated, has left behind."""
    unheeded: Wishes = Wishes()
    """What persons asked for when it was ending: its canary sees to it."""
    traffic_changed_at: datetime | None = None
    """When the routes were last changed; a workload loses its pods only `scaleDownDelay` after that."""


class CanaryStatus(Stored):
    """The state of one canary between its rollouts."""

    schema_version: int = 1
    phase: Phase = Phase.INITIALIZING
    canary_weight: Weight = 0
    traffic_weight: Weight = 0
    failed_checks: int = 0
    iterations: int = 0
    last_applied: Revision | None = None
    last_promoted: Revision | None = None
    last_transition_time: datetime | None = None
    message: str = ""
    outcome: Outcome | None = None
    by: Person | None = None
    """Who took a hand in the last rollout, as that remembers it."""
    restarts: int = 0
    """How often the analysis of the last rollout began again."""
    condition: Condition | None = None
    expired_cookie: str = ""
    """The session cookie of the last rollout: browsers are told to forget it."""
    needs_person: bool = False
    """Nothing goes on before a person decides."""
    ending: str = ""
    """How the last rollout ended, or why none has begun: what is said while there is no more to say."""
    are_pods_kept: bool = False
    """The last rollout left its canary's pods to a person, as users would have been led to nothing."""
    mendings: int = 0
    """How often somebody's changes of the routes were undone since the last rollout."""
    generation: int = 0
    """The target's `metadata.generation` when its revision was last seen to be the applied one."""
    uid: str = ""
    """The target's `metadata.uid` by then: one that was made anew counts its generations from one."""


class ListRow(Stored):
    """What a list shows of one canary or rollout; kept in the workflow's memo."""

    application: str | None = None
    cluster: str
    namespace: str
    name: str
    phase: str
    weight: Weight = 0
    traffic_weight: Weight = 0
    iterations: int = 0
    failed_checks: int = 0
    waiting_for: str = ""
    """The gate that is closed."""
    revision: str = ""
    message: str = ""
    needs_person: bool = False
    """Nothing goes on before a person decides."""
    last_transition_time: datetime | None = None
