"""One check of a canary: readiness, hooks and metrics in Flagger's order, answered as evidence."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from temporalio import activity

from activities.heartbeat import heartbeating
from activities.moment import temporals_clock
from canary.analysis import AnalyseRequest, Check, HookAnswer, Measurement, window
from canary.errors import MeasurementError, NoAnswerError, TemplateError
from canary.observation import Observation
from canary.queries import render_query, render_sample_size
from canary.spec import CanarySpec, HookType, MetricSpec, WebhookSpec
from canary.status import Phase, Revision
from canary.stored import Stored

ANALYSIS_ATTEMPTS = 3
"""From this attempt on, a Prometheus or a hook that is away is evidence, and counted; before, it is retried.

The retry policy itself has no last attempt: without a look at the cluster there is no check.
"""


Clock = Callable[[], datetime]
ONLINE = "vector(1)"
"""What Flagger asks a Prometheus to see whether it is there."""


class ProviderErrors(Stored):
    """Which of a canary's metric providers do not answer, and why."""

    errors: tuple[str, ...] = ()


class Observer(Protocol):
    """Looks at a canary in its cluster."""

    async def observe(self, spec: CanarySpec) -> Observation:
        """Return what is there; raises if the cluster cannot be asked."""
        ...

    async def observe_workloads(self, spec: CanarySpec) -> Observation:
        """Return what is there but for the routes."""
        ...


class Hooks(Protocol):
    """Calls webhooks."""

    async def call(self, spec: CanarySpec, hook: WebhookSpec, phase: Phase, revision: Revision) -> HookAnswer:
        """Call a webhook; raises `NoAnswerError` if it is away."""
        ...


class Metrics(Protocol):
    """Asks for the values of metrics."""

    async def query(self, spec: CanarySpec, metric: MetricSpec, query: str) -> float | None:
        """Return a query's value, None for no data; raises `NoAnswerError` or `MeasurementError`."""
        ...


class Providers:
    """The providers of canaries' metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def errors(self, spec: CanarySpec) -> tuple[str, ...]:
        """Ask every metric's provider whether it is there; say of each that is not why."""
        found = await asyncio.gather(*(self._is_online(spec, one) for one in spec.analysis.metrics))
        return tuple(dict.fromkeys(error for error in found if error))

    async def _is_online(self, spec: CanarySpec, metric: MetricSpec) -> str:
        try:
            value = await self._metrics.query(spec, metric, ONLINE)
        except (NoAnswerError, MeasurementError) as error:
            return str(error)
        return "" if value == 1 else f"{metric.name}: {ONLINE} is answered with {value}"


class AnalysisActivities:
    """Checks canaries, each system behind a Protocol."""

    def __init__(self, observer: Observer, hooks: Hooks, metrics: Metrics, clock: Clock) -> None:
        self._observer = observer
        self._hooks = hooks
        self._metrics = metrics
        self._clock = clock

    @activity.defn
    async def analyse(self, request: AnalyseRequest) -> Check:
        """Carry out one check: look, call the hooks, and if all pass measure every metric."""
        clock = temporals_clock()
        async with heartbeating():
            found = await self._analyse(request, _late_by(request.due), clock)
        return found.model_copy(update={"found_at": clock()})

    async def _analyse(self, request: AnalyseRequest, late_by: timedelta, clock: Clock) -> Check:
        look = self._observer.observe if request.has_routes else self._observer.observe_workloads
        observation = await look(request.spec)
        if observation.target is None or observation.primary is None:
            return Check(observation=observation)
        rollback = await self._call_rollback_hooks(request)
        found = Check(observation=observation, rollback=rollback, types=request.hooks, late_by=late_by)
        if any(answer.passed for answer in rollback):
            return found
        hooks = await self._call_hooks(request)
        found = found.model_copy(update={"hooks": hooks})
        if not request.has_metrics or not all(answer.passed for answer in hooks):
            return found
        return found.model_copy(update={"measurements": await self._measure_all(request, clock)})

    @activity.defn
    async def check_providers(self, spec: CanarySpec) -> ProviderErrors:
        """Ask every metric's provider whether it is there; nothing waits for one that is not."""
        async with heartbeating():
            return ProviderErrors(errors=await Providers(self._metrics).errors(spec))

    async def _call_rollback_hooks(self, request: AnalyseRequest) -> tuple[HookAnswer, ...]:
        """Ask whether somebody wants the rollout back; one that is away wants nothing."""
        answers = []
        for hook in request.spec.analysis.hooks(HookType.ROLLBACK):
            answers.append(
                await self._answer(
                    hook, self._hooks.call(request.spec, hook, request.phase, request.revision)
                )
            )
            if answers[-1].passed:
                break
        return tuple(answers)

    async def _call_hooks(self, request: AnalyseRequest) -> tuple[HookAnswer, ...]:
        """Call the hooks of the wanted types one after the other, until one does not pass."""
        answers: list[HookAnswer] = []
        for hook in request.spec.analysis.hooks(*request.hooks):
            answers.append(await self._call_hook(request, hook))
            if not answers[-1].passed:
                break
        return tuple(answers)

    async def _call_hook(self, request: AnalyseRequest, hook: WebhookSpec) -> HookAnswer:
        # The checks of a waiting rollout are those of one that progresses, as Flagger's payloads have it.
        calling = self._hooks.call(request.spec, hook, Phase.PROGRESSING, request.revision)
        if not _is_counted():
            return await calling
        return await self._answer(hook, calling)

    async def _answer(self, hook: WebhookSpec, calling: Awaitable[HookAnswer]) -> HookAnswer:
        """Await a hook's answer; that it is away is one too."""
        try:
            return await calling
        except NoAnswerError as error:
            return HookAnswer(
                hook=hook.name,
                type=hook.type,
                passed=False,
                status=error.status,
                message=str(error),
                at=self._clock(),
            )

    async def _measure_all(self, request: AnalyseRequest, clock: Clock) -> tuple[Measurement, ...]:
        """Measure every metric at once: also those after one that is out of bounds are evidence.

        Their windows begin where the step did, by the clock that says when that was.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._measure(request, metric, clock()))
                    for metric in request.spec.analysis.metrics
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the first speaks for all
        return tuple(task.result() for task in tasks)

    async def _measure(self, request: AnalyseRequest, metric: MetricSpec, now: datetime) -> Measurement:
        look_back = window(metric, request.actuated_at, now)
        query = ""
        try:
            query = render_query(request.spec, metric, look_back)
            counting = render_sample_size(request.spec, metric, look_back)
            value, samples = await asyncio.gather(
                self._metrics.query(request.spec, metric, query),
                self._count(request, metric, counting),
            )
        except NoAnswerError as error:
            if not _is_counted():
                raise
            return Measurement(metric=metric.name, query=query, error=str(error), at=now)
        except (TemplateError, MeasurementError) as error:
            return Measurement(metric=metric.name, query=query, error=str(error), at=now)
        return Measurement(metric=metric.name, query=query, value=value, samples=samples, at=now)

    async def _count(self, request: AnalyseRequest, metric: MetricSpec, query: str | None) -> float | None:
        return None if query is None else await self._metrics.query(request.spec, metric, query)


def _late_by(due: datetime | None) -> timedelta:
    """How long after it was due this try began; by the clock that said when, which is Temporal's."""
    begun = activity.info().started_time
    return timedelta(0) if due is None else max(begun - due, timedelta(0))


def _is_counted() -> bool:
    """Whether a system that is away is counted by now, as Flagger counts it."""
    return activity.info().attempt >= ANALYSIS_ATTEMPTS
