"""A cluster of one canary, as fake activities: what the workflows' writes do, without a server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.alerts import AlertRequest
from activities.analysis import ProviderErrors
from activities.cluster.initialisation import EstablishRequest, LeadRequest, Led
from activities.cluster.observation import RestingCanary
from activities.cluster.preflight import Preflight
from activities.cluster.primary import ConcludeRequest, PromoteRequest
from activities.cluster.references import Referenced
from activities.cluster.removal import RemovalRequest
from activities.cluster.scaling import ScaleRequest
from activities.cluster.traffic import Shifted, ShiftRequest, Written
from activities.gates import CallAnswers, CallRequest
from activities.heartbeat import heartbeating
from activities.reports import StoredReport
from activities.runs import Abandoned, RunActivities, SignalWithStart, Terminated
from canary.analysis import AnalyseRequest, Check, GateCheck, GateRequest, HookAnswer, Measurement
from canary.observation import Observation, Routes, Workload
from canary.problem import Problem
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    HookType,
    MetricSpec,
    ServiceSpec,
    StepPlan,
    TargetRef,
    ThresholdRange,
    WebhookSpec,
)
from canary.status import Outcome, Revision

OLD = Revision(template="old")
NEW = Revision(template="new")
EPOCH = datetime.fromisoformat("2026-01-01T00:00:00Z")


def seed_spec(**changes: Any) -> CanarySpec:
    """The seed's canary: a check every 90 s, step 10, maximum 50, two failed checks allowed."""
    spec = CanarySpec(
        cluster="member1",
        namespace="webapp",
        name="backend",
        target=TargetRef(name="backend"),
        service=ServiceSpec(name="backend", port=9898),
        analysis=AnalysisSpec(
            interval=timedelta(seconds=90),
            threshold=2,
            steps=StepPlan(step_weight=10, max_weight=50),
            metrics=(MetricSpec(name="request-success-rate", threshold_range=ThresholdRange(min=99)),),
        ),
    )
    return spec.model_copy(update=changes)


@dataclass
class Cluster:
    """The state of a cluster with one canary, and what was asked of it."""

    target: Revision = NEW
    target_replicas: int = 0
    target_ready: bool = True
    unready: int = 0
    """How many of the target's pods are not ready, where others are."""
    primary: Revision | None = OLD
    primary_ready: bool = True
    primary_replicas: int = 1
    is_initialising: bool = False
    """The primary was made, and does not count as promoted yet."""
    weight: int = 0
    is_mirrored: bool = False
    values: list[float | None] = field(default_factory=list)
    """The success rate of each check; 100 when they are used up."""
    gates: dict[str, bool] = field(default_factory=dict)
    """Which hooks pass, by name; those not named do, but for rollback hooks."""
    alerts: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    reports: list[StoredReport] = field(default_factory=list)
    registrations: list[SignalWithStart] = field(default_factory=list)
    preflight_result: Preflight = field(
        default_factory=lambda: Preflight(scale_down_delay=timedelta(seconds=1))
    )
    missing: str = ""
    """What of a spec's references is not there."""
    read_in: Callable[[CanarySpec], CanarySpec] = lambda spec: spec
    """What becomes of a spec whose references are read."""
    has_routes: bool = True
    are_routes_intact: bool = True
    scaled: Written = Written.DONE
    """What becomes of a write of the target's size."""
    is_misled: bool = False
    """Whether a manifest of the apex Service was applied again."""
    concluded: list[Outcome] = field(default_factory=list)
    promoting: str = ""
    promoted_at: int = 0
    """The size that the primary was to be promoted at."""
    hangs: dict[str, Any] = field(default_factory=dict)
    """An activity's name to an event it waits for first."""
    refusals: dict[str, Exception] = field(default_factory=dict)
    """An activity's name to the error it ends with."""
    is_superseded: bool = False
    """A later decision has written the routes."""
    late_shifts: int = 0
    """So many of the next writes of routes begin only after the engine was away."""
    entered: list[str] = field(default_factory=list)
    """The activities that hang or have hung, and each attempt that was refused."""
    refused: list[str] = field(default_factory=list)
    """The writes that were not carried out."""
    outdated: list[str] = field(default_factory=list)
    """The checks and gates whose next answer is from before the engine was away."""
    left_at: list[datetime] = field(default_factory=list)
    """The moments by which the ways out have fenced the target."""
    late_routes: list[bool] = field(default_factory=list)
    """Whether each look of the way out finds something to give back, the last one first."""
    checked: Observation | None = None
    """What a check shows, which looked before its hooks were called; None: what is there in the end."""
    client: Client | None = None
    """Through which a rollout is terminated."""
    seen_before: Observation | None = None
    """What the next look shows, as of then."""

    def seen(self) -> Observation:
        """What a look shows."""
        ready = self.target_replicas - self.unready if self.target_ready else 0
        target = Workload(
            name="backend",
            revision=self.target,
            desired=self.target_replicas,
            updated=self.target_replicas,
            replicas=self.target_replicas,
            available=ready,
            ready=ready,
        )
        up = self.primary_replicas if self.primary_ready else 0
        primary = None
        if self.primary is not None:
            primary = Workload(
                name="backend-primary",
                revision=self.primary,
                desired=self.primary_replicas,
                updated=self.primary_replicas,
                replicas=self.primary_replicas,
                available=up,
                ready=up,
                promoting=self.promoting,
            )
        routes = Routes(
            primary=100 - self.weight,
            canary=self.weight,
            is_mirrored=self.is_mirrored,
            is_intact=self.are_routes_intact,
            version="1",
        )
        found = routes if self.has_routes else None
        return Observation(at=EPOCH, target=target, primary=primary, routes=found)

    def _found_at(self, name: str) -> datetime | None:
        if name not in self.outdated:
            return None
        self.outdated.remove(name)
        return EPOCH

    def _answer(self, hook: WebhookSpec) -> HookAnswer:
        passed = self.gates.get(hook.name, hook.type is not HookType.ROLLBACK)
        self.log.append(f"{hook.name} {'passes' if passed else 'does not pass'}")
        return HookAnswer(hook=hook.name, type=hook.type, passed=passed, at=EPOCH)

    async def _enter(self, name: str) -> None:
        if name in self.refusals:
            self.entered.append(name)
            raise self.refusals[name]
        if name in self.hangs:
            self.entered.append(name)
            async with heartbeating():
                await self.hangs[name].wait()

    def activities(self) -> list[Callable[..., Awaitable[Any]]]:  # noqa: C901, PLR0915 — one function an activity
        """The fakes, under the names of the real ones."""

        @activity.defn
        async def observe(_: CanarySpec) -> Observation:
            await self._enter("observe")
            if self.seen_before is None:
                return self.seen()
            before, self.seen_before = self.seen_before, None
            return before.model_copy(update={"found_at": EPOCH})

        @activity.defn
        async def observe_at_rest(_: RestingCanary) -> Observation:
            await self._enter("observe")
            return self.seen().model_copy(update={"is_misled": self.is_misled})

        @activity.defn
        async def observe_workloads(_: CanarySpec) -> Observation:
            await self._enter("observe")
            return self.seen().model_copy(update={"routes": None, "has_routes": False})

        @activity.defn
        async def analyse(request: AnalyseRequest) -> Check:
            await self._enter("analyse")
            analysis = request.spec.analysis
            rollback = tuple(self._answer(hook) for hook in analysis.hooks(HookType.ROLLBACK))
            hooks = tuple(self._answer(hook) for hook in analysis.hooks(*request.hooks))
            found = Check(
                observation=self.checked or self.seen(), rollback=rollback, hooks=hooks, types=request.hooks
            )
            if not request.has_metrics:
                return found
            value = self.values.pop(0) if self.values else 100.0
            self.log.append(f"check {value}")
            measurements = tuple(
                Measurement(metric=metric.name, query="up", value=value, at=EPOCH)
                for metric in analysis.metrics
            )
            found_at = self._found_at("analyse")
            return found.model_copy(update={"measurements": measurements, "found_at": found_at})

        @activity.defn
        async def shift_traffic(request: ShiftRequest) -> Shifted:
            await self._enter("shift_traffic")
            if self.is_superseded:
                return Shifted(written=Written.SUPERSEDED)
            if self.late_shifts:
                self.late_shifts -= 1
                return Shifted(written=Written.OUTDATED)
            self.weight, self.is_mirrored = request.routing.weight, request.routing.is_mirrored
            self.log.append(f"weight {self.weight}{' mirrored' if self.is_mirrored else ''}")
            return Shifted(written=Written.DONE, routes=self.seen().routes)

        @activity.defn
        async def scale_target(request: ScaleRequest) -> Written:
            await self._enter("scale_target")
            if self.scaled not in (Written.DONE, Written.UNPAUSED):
                self.refused.append("scale_target")
                return self.scaled
            self.target_replicas = 1 if request.replicas is None else request.replicas
            anew = f" with {request.configs}" if request.configs else ""
            self.log.append(f"target {self.target_replicas}{anew}")
            done, self.scaled = self.scaled, Written.DONE
            self.is_initialising = self.is_initialising and not request.is_first
            return done

        @activity.defn
        async def promote(request: PromoteRequest) -> Written:
            await self._enter("promote")
            self.promoting = request.revision.template
            self.promoted_at = request.size
            self.log.append("promote")
            return Written.DONE

        @activity.defn
        async def restore_primary(request: PromoteRequest) -> Written:
            await self._enter("restore_primary")
            self.promoting = "" if request.is_over else self.promoting
            self.log.append("restore primary")
            return Written.DONE

        @activity.defn
        async def conclude(request: ConcludeRequest) -> None:
            self.concluded.append(request.outcome)
            self.promoting = self.promoting if request.outcome is Outcome.HALTED else ""
            if request.outcome is Outcome.PROMOTED:
                self.primary = request.revision

        @activity.defn
        async def create_primary(_: CanarySpec) -> Revision:
            await self._enter("create_primary")
            self.log.append("create primary")
            if self.primary is None or self.is_initialising:
                self.primary, self.is_initialising = self.target, True
            return self.primary

        @activity.defn
        async def deploy_load_tester(_: CanarySpec) -> None:
            self.log.append("load tester")

        @activity.defn
        async def establish_routes(_: EstablishRequest) -> None:
            await self._enter("establish_routes")
            self.has_routes = self.are_routes_intact = True
            self.log.append("routes")

        @activity.defn
        async def lead_to_primary(request: LeadRequest) -> Led:
            await self._enter("lead_to_primary")
            seen = self.seen()
            is_ready = self.primary is not None and self.primary_ready
            is_done = is_ready and seen.target is not None and seen.target.revision == request.made_from
            if is_done:
                self.weight, self.has_routes, self.are_routes_intact = 0, True, True
                self.log.append("routes")
            return Led(seen=seen, is_done=is_done)

        @activity.defn
        async def lead_services(_: CanarySpec) -> tuple[str, ...]:
            await self._enter("lead_services")
            self.is_misled = False
            self.log.append("services")
            return ("kubectl led Service backend.shop elsewhere: it leads where it did again",)

        @activity.defn
        async def restore_target(request: RemovalRequest) -> None:
            self.left_at.append(request.decided_at)
            await self._enter("restore_target")
            self.log.append("restore target")

        @activity.defn
        async def restore_routes(_: RemovalRequest) -> bool:
            await self._enter("restore_routes")
            self.log.append("restore routes")
            return self.late_routes.pop() if self.late_routes else False

        @activity.defn
        async def remove_objects(_: RemovalRequest) -> None:
            self.log.append("remove objects")

        @activity.defn
        async def preflight(_: CanarySpec) -> Preflight:
            await self._enter("preflight")
            return self.preflight_result

        @activity.defn
        async def read_references(spec: CanarySpec) -> Referenced:
            await self._enter("read_references")
            if self.missing:
                return Referenced(spec=spec, missing=(Problem(path="p", message=self.missing),))
            return Referenced(spec=self.read_in(spec))

        @activity.defn
        async def store_report(report: StoredReport) -> None:
            await self._enter("store_report")
            self.reports.append(report)

        @activity.defn
        async def check_providers(_: CanarySpec) -> ProviderErrors:
            await self._enter("check_providers")
            return ProviderErrors()

        @activity.defn
        async def ask_gates(request: GateRequest) -> GateCheck:
            await self._enter("ask_gates")
            answers = tuple(self._answer(hook) for hook in request.spec.analysis.hooks(*request.gates))
            if request.is_patient and not all(answer.passed for answer in answers):
                raise ApplicationError("closed", next_retry_delay=timedelta(seconds=1))
            return GateCheck(observation=self.seen(), answers=answers, found_at=self._found_at("ask_gates"))

        @activity.defn
        async def call_hooks(request: CallRequest) -> CallAnswers:
            self.log.append(f"{request.type} {request.phase}")
            hooks = request.spec.analysis.hooks(request.type)
            return CallAnswers(answers=tuple(self._answer(hook) for hook in hooks))

        @activity.defn
        async def alert(request: AlertRequest) -> None:
            await self._enter("alert")
            self.alerts.append(f"{request.notice.severity} {request.notice.alert or request.notice.message}")

        @activity.defn
        async def signal_with_start(wanted: SignalWithStart) -> None:
            await self._enter("signal_with_start")
            self.registrations.append(wanted)

        @activity.defn
        async def end_orphan(_: Abandoned) -> None:
            await self._enter("end_orphan")
            self.log.append("end orphan")

        @activity.defn
        async def terminate(run: Terminated) -> None:
            self.log.append("terminate")
            if self.client is not None:
                await RunActivities(self.client).terminate(run)

        return [value for value in locals().values() if hasattr(value, "__temporal_activity_definition")]
