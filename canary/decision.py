"""What can be decided: a closed union of values, each one act and its reason."""

from datetime import datetime

from canary.spec import HookType, Weight
from canary.status import Outcome, Person, Revision
from canary.stored import Stored


class Wait(Stored):
    """Do nothing before *until*, unless something rings or a person speaks."""

    until: datetime
    message: str = ""
    needs_person: bool = False


class Measure(Stored):
    """Carry out the check of this tick."""

    hooks: tuple[HookType, ...]
    has_metrics: bool = True


class Ask(Stored):
    """Ask the gates in front of the next step, type by type."""

    gates: tuple[HookType, ...]
    is_patient: bool = False
    """Nothing else goes on meanwhile: ask until they are open."""


class Begin(Stored):
    """Scale the canary up and begin its analysis: the gates in front of the rollout are open."""

    message: str


class Approve(Stored):
    """Take a person's word for the gate that was waited for."""

    gate: HookType
    message: str
    by: Person


class Advance(Stored):
    """Expose the canary to more; ends the tick."""

    weight: Weight
    iterations: int = 0
    is_mirrored: bool = False
    message: str


class Hold(Stored):
    """Leave the weights as they are; ends the tick."""

    message: str
    is_failed_check: bool = False
    waiting_for: HookType | None = None
    """The gate that is closed."""


class Restart(Stored):
    """All traffic to the primary, and the analysis from its beginning."""

    revision: Revision
    message: str
    by: Person | None = None


class Retreat(Stored):
    """All traffic to the primary because the canary must not have any now; the rollout goes on."""

    message: str
    is_next_revision: bool = False


class Correct(Stored):
    """Put back the weights that someone else changed."""

    weight: Weight
    message: str


class Promote(Stored):
    """Copy the judged revision into the primary; ends the tick."""

    message: str


class ShiftBack(Stored):
    """One step of the promotion: that much traffic stays on the canary; ends the tick."""

    weight: Weight
    message: str


class Finalise(Stored):
    """All traffic to the promoted primary; ends the tick."""

    message: str


class Finish(Stored):
    """Scale the canary down: promoted."""

    message: str


class Rollback(Stored):
    """All traffic to the primary first, then scale the canary down; the rollout ends."""

    outcome: Outcome
    message: str
    by: Person | None = None
    is_failed_check: bool = False
    is_of_nothing: bool = False
    """There is neither a canary nor a primary any more, and no traffic to be moved."""
    is_left: bool = False
    """Traffic and pods stay as they are: the canary is taken out, and its way out begins from there."""


class RestorePrimary(Stored):
    """Put the last promoted template back into the primary; the weights stay until it is ready."""

    message: str
    by: Person | None = None


class RecreatePrimary(Stored):
    """Make the primary anew from what was promoted last: somebody deleted it (T14)."""

    message: str


class Reinforce(Stored):
    """Bring the canary to the size the primary had, before it gets all the traffic."""

    replicas: int
    message: str


class HandOver(Stored):
    """The promotion failed: the canary gets all the traffic, and a person decides."""

    message: str


Decision = (
    Wait
    | Measure
    | Ask
    | Begin
    | Approve
    | Advance
    | Hold
    | Restart
    | Retreat
    | Correct
    | Promote
    | ShiftBack
    | Finalise
    | Finish
    | Rollback
    | RestorePrimary
    | RecreatePrimary
    | Reinforce
    | HandOver
)
