"""What several rungs of the ladder share: a way onto the primary, a call for a person, a sentence's parts."""

from canary.decision import Decision, Restart, RestorePrimary, Retreat, Rollback, Wait
from canary.situation import Situation
from canary.status import Outcome, Person


def onto_the_primary(case: Situation, wanted: Rollback | Restart) -> Decision:
    """Take *wanted* if the primary serves, or if it has all the traffic already.

    A primary that was left in the middle of a promotion gets its promoted template back before it is used;
    but where nobody is served by the canary, whoever is there is with the primary at once.
    """
    if case.is_half_promoted and case.canary_has_traffic:
        if isinstance(wanted, Rollback) and wanted.outcome is Outcome.ABORTED:
            return RestorePrimary(message=wanted.message, by=wanted.by)
        text = f"{case.primary_name} is half promoted, so the traffic stays: {wanted.message}"
        return from_a_lost_canary(case) or ask(case, text)
    if case.primary_serves or not case.canary_has_traffic:
        return wanted
    text = f"{case.primary_name} is not serving, so the traffic stays where it is: {wanted.message}"
    return ask(case, text)


def from_a_lost_canary(case: Situation) -> Retreat | None:
    """All traffic to a primary that serves, if the canary has some and no serving pod."""
    if case.status.traffic_weight == 0 or case.target_serves or not case.primary_serves:
        return None
    return Retreat(message=f"{case.name} has no serving pod: its traffic goes to the primary")


def ask(case: Situation, message: str) -> Wait:
    """Hold, and call for a person."""
    return Wait(until=case.next_tick, message=message, needs_person=True)


def unserved(case: Situation) -> Wait | None:
    """Call for a person where whoever is with the primary is not served."""
    if case.primary_serves or not case.primary_has_traffic:
        return None
    return ask(case, f"{case.primary_name} has no serving pod: the traffic stays where it is")


def threshold_reached(case: Situation, failed: int) -> str:
    """Say that the last failed check was one too many, in Flagger's words."""
    return f"Rolling back {case.name} failed checks threshold reached {failed}"


def by(what: str, person: Person) -> str:
    """Say who did something, and why."""
    return f"{what} by {person.who}" + (f": {person.reason}" if person.reason else "")
