"""A canary's beginning: primary, routes, and the target to zero; at any point the target goes on serving."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from activities.analysis import AnalysisActivities, ProviderErrors
from activities.cluster.initialisation import InitialisationActivities, LeadRequest, Led
from activities.cluster.preflight import PreflightActivities
from activities.cluster.primary import PrimaryActivities
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.traffic import Written
from canary.observation import Observation, is_outdated
from canary.readiness import judge_readiness
from canary.revision import checksum
from canary.status import Outcome, Person, Phase, Revision, Wishes
from canary.telling import (
    told_of_a_halt,
    told_of_initialisation,
    told_of_no_initialisation,
    told_of_providers,
    told_of_waiting,
)
from workflows.entity import RESYNC, CanaryEntity, at_once
from workflows.options import PROVIDERS, READ, TRAFFIC, WRITE

STARTING = timedelta(seconds=5)
"""Between two looks at a workload that is starting, where no doorbell rings before."""
GREETED_WITHIN = timedelta(seconds=15)
"""A watch that works greets a newcomer in a second or two, or later where hundreds come."""


class InitialisingCanary(CanaryEntity):
    """The part of a canary that initialises it, or adopts what another one has left behind."""

    _is_being_emptied = False
    """The target is being scaled to zero: the users are with the primary by then."""

    @property
    def _is_stoppable(self) -> bool:
        """Whether an abort may call off what is being done: the target still serves, whatever comes of it."""
        return not self._is_initialised and not self._is_being_emptied

    async def _initialise(self) -> None:
        """One try; what cannot be done yet is tried again by the next turn."""
        if self._wishes.abort is not None:
            return await self._stop_initialising(self._wishes.abort)
        seen = await self._observe_first()
        if (seen.primary is not None or seen.routes is not None) and not self._is_alone:
            await self._end_orphan()
            self._is_alone = True
            return None  # the next turn looks at what that has left behind
        if seen.target is None:
            return await self._await_the_target(seen)
        if self._has_awaited_target and (obstacle := await self._obstacle()):
            return await self._stand_before(obstacle)
        if seen.primary is not None and (seen.primary.promoting or seen.primary.outcome == Outcome.HALTED):
            return self._adopt_halted(seen)
        text = f"New {self.spec.target.kind} detected, starting initialization."
        if self._status.message != text:
            self._become(phase=Phase.INITIALIZING, outcome=None, message=text, needs_person=False)
        return await self._give_users_to_primary(seen, seen.target.revision)

    async def _give_users_to_primary(self, seen: Observation, wanted: Revision) -> None:
        """Make the primary, and once it is ready lead everybody there."""
        await self._deploy_load_tester(self.spec)
        promoted, *_ = await at_once(self._create_primary(), self._check_providers(), self._register(seen))
        if seen.primary is None:  # none of its pods is ready yet: whoever registers is greeted
            await self._rest(GREETED_WITHIN, "until the primary is ready")
        if (ready := await self._primary_gets_ready(wanted)) is not None:
            await self._empty_target(promoted, ready)

    async def _check_providers(self) -> None:
        """Tell whether metrics can be had; without analysis nobody asks for them."""
        if self.spec.skip_analysis or self._has_checked_providers:
            return
        errors = self._provider_errors if self.spec.analysis.metrics else ()
        self._tell(told_of_providers(await self._ask_providers() if errors is None else errors))
        self._has_checked_providers = True

    async def _ask_providers(self) -> tuple[str, ...]:
        found: ProviderErrors = await workflow.execute_activity_method(
            AnalysisActivities.check_providers,
            self.spec,
            summary="are metrics to be had",
            **self._at(PROVIDERS),
        )
        return found.errors

    async def _await_the_target(self, seen: Observation) -> None:
        target = self.spec.target
        self._has_awaited_target = True
        self._become(message=f"Waiting for {target.kind} {target.name} to be there", needs_person=False)
        await self._register(seen)
        await self._rest(RESYNC, "until the target is there")

    async def _stand_before(self, obstacle: str) -> None:
        if obstacle != self._status.message:
            self._become(message=obstacle, needs_person=True)
            self._tell(told_of_a_halt(obstacle))
        await self._rest(RESYNC, "until what speaks against a canary is gone")

    async def _obstacle(self) -> str:
        """What speaks against a target that was not there when its document was applied; empty if nothing."""
        found = await workflow.execute_activity_method(
            PreflightActivities.preflight, self.spec, summary="look before leaping", **self._at(READ)
        )
        said = [problem.message for problem in found.problems if not problem.is_warning]
        self._has_awaited_target = bool(said)
        return "; ".join(said)

    async def _create_primary(self) -> Revision:
        return await workflow.execute_activity_method(
            PrimaryActivities.create_primary, self.spec, summary="create the primary", **self._at(WRITE)
        )

    async def _primary_gets_ready(self, made_from: Revision | None = None) -> Observation | None:
        """Wait for the primary; the look that found it ready, none if something else has come up.

        Users are led to one *made_from* the target as soon as it is ready. It is not waited for once the
        target holds something else.
        """
        since = workflow.now()
        while not self._is_leaving and self._wishes.abort is None:
            self._has_news = False
            led = Led(seen=await self._observe()) if made_from is None else await self._lead(made_from)
            seen, spec = led.seen, self.spec
            if led.is_done:
                return seen
            if seen.primary is None:
                return None  # somebody has deleted it: the next turn makes it anew
            verdict = judge_readiness(
                seen.primary,
                spec.analysis.primary_ready_threshold,
                spec.progress_deadline,
                since,
                workflow.now(),
            )
            if verdict.is_ready and made_from is None:
                return seen
            if made_from is not None and seen.target is not None and seen.target.revision != made_from:
                return None  # the next turn makes the primary from that
            message = f"{spec.primary}.{spec.namespace} not ready: {verdict.message}"
            if message != self._status.message and not verdict.is_ready:
                self._become(message=message, needs_person=False)
                self._tell(told_of_waiting(message, is_past_hope=verdict.has_failed))
            await self._rest(STARTING, "until the primary is ready")
            if workflow.info().is_continue_as_new_suggested():
                return None  # the next turn waits on, in a new history
        return None

    async def _lead(self, made_from: Revision) -> Led:
        """Look, and lead the users to the primary if it is ready; again if the engine was away since."""
        while True:
            self._may_be_misled = False  # they are looked at now; whoever changes them from here on is heard
            led: Led = await workflow.execute_activity_method(
                InitialisationActivities.lead_to_primary,
                LeadRequest(spec=self.spec, routing=self._routing, made_from=made_from),
                summary="look, and route to the primary",
                **self._at(WRITE),
            )
            if not is_outdated(led.seen.found_at, workflow.now()):
                return led

    async def _empty_target(self, promoted: Revision, seen: Observation) -> None:
        """Give the mesh the time it needs to learn the routes, and only then bring the target to zero."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._wishes.abort is not None or self._is_leaving,
                timeout=self._delay,
                timeout_summary="the mesh learns the routes",
            )
            return
        request = ScaleRequest(spec=self.spec, replicas=0, decided_at=workflow.now(), is_first=True)
        self._is_being_emptied = True
        try:
            written: Written = await workflow.execute_activity_method(
                ScalingActivities.scale_target, request, summary="target to zero", **self._at(TRAFFIC)
            )
            if written is Written.NOT_SERVING:
                return  # the next turn begins again; the target still serves
        finally:
            self._is_being_emptied = False
        self._is_initialised = True
        last = promoted
        known = seen.primary.last_applied if seen.primary is not None else ""
        if seen.target is not None and checksum(seen.target.revision) == known:
            last = seen.target.revision
        told = told_of_initialisation(self.spec)
        self._become(
            phase=Phase.INITIALIZED,
            last_promoted=promoted,
            last_applied=last,
            message=told.message,
            ending=told.message,
            needs_person=False,
        )
        self._tell(told)
        if seen.target is not None and seen.target.revision == last and not self._has_been_told:
            # Whatever has changed since that look has rung, or will: whoever registers is greeted.
            await self._rest(RESYNC, "until something changes")

    @property
    def _has_been_told(self) -> bool:
        """Whether a person or a document has said something that is still to be looked at."""
        return self._has_new_spec or self._wishes != Wishes()

    async def _stop_initialising(self, person: Person) -> None:
        """Abort: the target keeps serving, nothing was scaled to zero; `restart` begins again."""
        text = f"Initialisation aborted by {person.who}"
        if self._status.message != text:  # else it was told before, in the history before this one
            self._become(phase=Phase.FAILED, outcome=Outcome.ABORTED, message=text)
            self._tell(told_of_no_initialisation(text))

        def is_over() -> bool:
            return self._wishes.restart is not None or self._is_leaving

        await workflow.wait_condition(lambda: is_over() or workflow.info().is_continue_as_new_suggested())
        if is_over():
            self._wishes = Wishes()

    def _adopt_halted(self, seen: Observation) -> None:
        """A promotion was cut off: the weights stay as they are, and a person decides."""
        assert seen.primary is not None  # noqa: S101 — narrows for the type checker; the caller has looked
        self._is_initialised = True
        text = (
            f"The promotion of {self.spec.target.name}.{self.spec.namespace} was cut off: "
            "restart promotes again, abort puts the promoted version back"
        )
        self._become(
            phase=Phase.FAILED,
            outcome=Outcome.HALTED,
            needs_person=True,
            traffic_weight=seen.routes.canary if seen.routes else 0,
            last_promoted=seen.primary.revision,
            last_applied=self._judged(seen),
            message=text,
            ending=text,
        )
        self._tell(told_of_a_halt(text))

    def _judged(self, seen: Observation) -> Revision | None:
        """The revision that was being promoted; the target may run a newer one, which nobody has judged."""
        known, target = self._status.last_applied, seen.target.revision if seen.target else None
        if seen.primary is None or not seen.primary.promoting:
            return known or target
        template = seen.primary.promoting
        named = (one for one in (known, target) if one is not None and one.template == template)
        return next(named, Revision(template=template))
