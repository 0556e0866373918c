"""What a rollout does outside of Temporal: one method a kind of act, with its options and its summary."""

from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.alerts import AlertActivities, AlertRequest
from activities.analysis import AnalysisActivities
from activities.cluster.observation import ObservationActivities
from activities.cluster.primary import ConcludeRequest, PrimaryActivities, PromoteRequest
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.traffic import Shifted, ShiftRequest, TrafficActivities, Written
from activities.gates import UNASKED, CallAnswers, CallRequest, GateActivities
from activities.reports import ReportActivities, StoredReport
from canary.analysis import AnalyseRequest, Check, GateCheck, GateRequest
from canary.decision import Ask, Measure
from canary.hooks import longest_calls
from canary.notice import Notice
from canary.observation import Observation, Routes
from canary.routing import Routing
from canary.spec import CanarySpec, HookType
from canary.status import Outcome, Phase, Revision, RolloutStatus
from workflows.contract import ALERTS, Alerts, canary_id
from workflows.options import (
    ALERT,
    ANALYSIS,
    CALL,
    CHECK,
    CHECK_MARGIN,
    LOOK,
    REPORT,
    TRAFFIC,
    WRITE,
    ActivityOptions,
)
from workflows.serving import at, look


class Acts:
    """The acts of one rollout."""

    def __init__(self, spec: Callable[[], CanarySpec]) -> None:
        self._spec_now = spec
        self.routes: Routes | None = None
        """As they were seen last."""
        self._are_routes_known = False
        """They have been written and read back in the last tick."""

    @property
    def spec(self) -> CanarySpec:
        """The document as it is by now."""
        return self._spec_now()

    def _at(self, options: ActivityOptions) -> ActivityOptions:
        """Have it done where the cluster is served."""
        return at(self.spec.task_queue, options)

    async def observe(self, *, is_rung: bool) -> Observation:
        """Look at the canary, whole where a bell has rung."""
        is_whole = is_rung or not self._are_routes_known
        act = ObservationActivities.observe if is_whole else ObservationActivities.observe_workloads
        return self._completed(await look(act, self.spec, self.spec.task_queue, LOOK))

    async def analyse(self, status: RolloutStatus, due: Measure, *, is_rung: bool) -> Check:
        """Carry out a check."""
        request = AnalyseRequest(
            spec=self.spec,
            phase=status.phase,
            revision=status.revision,
            hooks=due.hooks,
            has_metrics=due.has_metrics,
            has_routes=is_rung or not self._are_routes_known,
            actuated_at=status.actuated_at,
            exposed_at=status.exposed_at,
            weight=status.traffic_weight,
            due=status.due,
        )
        check = await workflow.execute_activity_method(
            AnalysisActivities.analyse,
            request,
            summary=f"check {status.checks + 1} at weight {request.weight}",
            **self._as_long_as(ANALYSIS, HookType.ROLLBACK, *due.hooks),
        )
        return check.model_copy(update={"observation": self._completed(check.observation)})

    async def ask(self, status: RolloutStatus, wanted: Ask, phase: Phase) -> GateCheck:
        """Ask gates, patiently where nothing else goes on; kept from that, a few times, which may be told."""
        request = GateRequest(
            spec=self.spec,
            phase=phase,
            revision=status.revision,
            gates=wanted.gates,
            is_patient=wanted.is_patient,
        )
        if not wanted.is_patient:
            return await self._ask(request, ANALYSIS)
        try:
            return await self._ask(request, CHECK)
        except ActivityError as error:
            if not (isinstance(error.cause, ApplicationError) and error.cause.type == UNASKED):
                raise
        return await self._ask(request.model_copy(update={"is_patient": False, "is_alone": True}), ANALYSIS)

    async def _ask(self, request: GateRequest, options: ActivityOptions) -> GateCheck:
        return await workflow.execute_activity_method(
            GateActivities.ask_gates,
            request,
            summary=f"ask {', '.join(request.gates)}",
            **self._as_long_as(options, HookType.ROLLBACK, *request.gates),
        )

    async def call_hooks(self, status: RolloutStatus, type_: HookType) -> CallAnswers:
        """Call the hooks of a type once; that they cannot be called is no reason to go on trying."""
        request = CallRequest(spec=self.spec, phase=status.phase, revision=status.revision, type=type_)
        try:
            return await workflow.execute_activity_method(
                GateActivities.call_hooks, request, summary=type_, **self._as_long_as(CALL, type_)
            )
        except ActivityError as error:
            workflow.logger.warning("hooks not called", extra={"type": type_, "cause": str(error.cause)})
            return CallAnswers()

    async def shift(self, routing: Routing) -> Written:
        """Write the routes, and read them back."""
        request = ShiftRequest(spec=self.spec, routing=routing, decided_at=workflow.now(), seen=self.routes)
        shifted: Shifted = await workflow.execute_activity_method(
            TrafficActivities.shift_traffic,
            request,
            summary=f"canary weight {routing.weight}",
            **self._at(TRAFFIC),
        )
        if shifted.routes is not None:
            self.routes = shifted.routes
            self._are_routes_known = bool(shifted.routes.version)
        return shifted.written

    def forget_routes(self) -> None:
        """Have the routes read at the next look, whatever was written."""
        self._are_routes_known = False

    def _completed(self, seen: Observation) -> Observation:
        """An observation without routes, with those that were read back from the last write.

        A bell tells of whoever changes them, and the next write is bound to their version: for one interval
        they need not be read again.
        """
        if not seen.has_routes:
            return seen.model_copy(update={"routes": self.routes, "has_routes": True})
        return seen

    async def scale(
        self,
        replicas: int | None,
        *,
        primary_size: int = 0,
        is_paused: bool | None = None,
        configs: str = "",
    ) -> Written:
        """Bring the canary to a size; None: as many pods as the primary has.

        While it is paused a newer template gets no pods: no revision that was not judged meets users, not
        even with this engine dead.
        """
        request = ScaleRequest(
            spec=self.spec,
            replicas=replicas,
            decided_at=workflow.now(),
            primary_size=primary_size,
            is_paused=is_paused,
            configs=configs,
        )
        size = "as many pods as the primary" if replicas is None else f"{replicas} pods"
        return await workflow.execute_activity_method(
            ScalingActivities.scale_target, request, summary=f"canary: {size}", **self._at(TRAFFIC)
        )

    async def promote(self, revision: Revision, size: int) -> Written:
        """Copy the judged revision into the primary, which is to have the *size* it had again."""
        request = PromoteRequest(spec=self.spec, revision=revision, decided_at=workflow.now(), size=size)
        return await workflow.execute_activity_method(
            PrimaryActivities.promote,
            request,
            summary=f"copy {revision.template} into the primary",
            **self._at(TRAFFIC),
        )

    async def recreate_primary(self) -> None:
        """Make a primary that is gone from what was promoted last."""
        await workflow.execute_activity_method(
            PrimaryActivities.create_primary, self.spec, summary="make the primary anew", **self._at(WRITE)
        )

    async def restore(self, revision: Revision, *, is_over: bool = False) -> Written:
        """Put the last promoted template back into the primary; *is_over*: for good."""
        request = PromoteRequest(
            spec=self.spec, revision=revision, decided_at=workflow.now(), is_over=is_over
        )
        return await workflow.execute_activity_method(
            PrimaryActivities.restore_primary,
            request,
            summary="put the promoted template back into the primary",
            **self._at(TRAFFIC),
        )

    async def conclude(self, revision: Revision, outcome: Outcome) -> None:
        """Let the primary remember how the rollout ended."""
        request = ConcludeRequest(
            spec=self.spec, revision=revision, outcome=outcome, decided_at=workflow.now()
        )
        await workflow.execute_activity_method(
            PrimaryActivities.conclude, request, summary=f"remember: {outcome}", **self._at(WRITE)
        )

    async def alert(self, phase: Phase, revision: Revision, notice: Notice) -> None:
        """Have the canary alert whoever is to be; it lives on while an address is away. Alone, do it here."""
        left = Alerts(phase=phase, revision=revision, notices=(notice,))
        try:
            await workflow.get_external_workflow_handle(canary_id(self.spec.tail)).signal(ALERTS, left)
        except ApplicationError:
            await self._alert(phase, revision, notice)

    async def _alert(self, phase: Phase, revision: Revision, notice: Notice) -> None:
        """Tell whoever is to be alerted; an address that is away is given up in the end."""
        request = AlertRequest(spec=self.spec, phase=phase, revision=revision, notice=notice)
        try:
            await workflow.execute_activity_method(
                AlertActivities.alert, request, summary=notice.reason, **self._at(ALERT)
            )
        except ActivityError as error:
            workflow.logger.error(
                "alert not sent", extra={"notice": notice.message, "cause": str(error.cause)}
            )

    async def store(self, report: StoredReport) -> None:
        """Keep a report; the history holds the same."""
        try:
            await workflow.execute_activity_method(ReportActivities.store_report, report, **REPORT)
        except ActivityError as error:
            workflow.logger.error(
                "the report could not be stored", extra={"report": report.name, "cause": str(error.cause)}
            )

    def _as_long_as(self, options: ActivityOptions, *types: HookType) -> ActivityOptions:
        """Give an activity the time that its hooks may take."""
        longest = longest_calls(self.spec.analysis.hooks(*types))
        return {**self._at(options), "start_to_close_timeout": CHECK_MARGIN + longest}
