import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.analysis import ANALYSIS_ATTEMPTS, AnalysisActivities
from canary.analysis import AnalyseRequest, Check, HookAnswer
from canary.errors import MeasurementError, NoAnswerError
from canary.observation import Observation, Workload
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    HookType,
    MetricSpec,
    MetricTemplate,
    ServiceSpec,
    TargetRef,
    WebhookSpec,
)
from canary.status import Phase, Revision

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = Workload(name="backend", ready=1)
PRE = WebhookSpec(name="pre", url="http://a/", type=HookType.PRE_ROLLOUT)
LOAD = WebhookSpec(name="load", url="http://a/")
SMOKE = WebhookSpec(name="smoke", url="http://a/")
RATE = MetricSpec(name="request-success-rate", interval=timedelta(seconds=60))
LATENCY = MetricSpec(
    name="latency", template=MetricTemplate(name="latency", namespace="webapp", query="up[{{ interval }}]")
)
UNKNOWN = MetricSpec(name="latency", template=MetricTemplate(name="l", namespace="webapp", query="{{ x }}"))


class Systems:
    """The three systems of a check; each answers what the test says and all share one record of calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.observation = Observation(at=NOW, target=READY, primary=READY)
        self.away: Exception | None = None
        self.closed: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self.value: Callable[[str], float | None] = lambda _: 99.5
        self.clock = NOW
        self.before_answer: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    async def observe(self, spec: CanarySpec) -> Observation:
        self.calls.append(f"observe {spec.name}")
        await self.before_answer()
        if self.away:
            raise self.away
        return self.observation

    async def call(self, spec: CanarySpec, hook: WebhookSpec, phase: Phase, revision: Revision) -> HookAnswer:
        self.calls.append(f"{spec.name} {hook.name} {phase} {revision.template}")
        if hook.name in self.failing:
            raise self.failing[hook.name]
        return HookAnswer(hook=hook.name, type=hook.type, passed=hook.name not in self.closed, at=NOW)

    async def query(self, spec: CanarySpec, metric: MetricSpec, query: str) -> float | None:
        self.calls.append(f"{spec.name} {query}")
        await self.before_answer()
        if metric.name in self.failing:
            raise self.failing[metric.name]
        return self.value(query)


@pytest.fixture
def systems() -> Systems:
    return Systems()


def request(
    *metrics: MetricSpec, hooks: tuple[HookType, ...] = (HookType.ROLLOUT,), **fields: Any
) -> AnalyseRequest:
    spec = CanarySpec(
        cluster="member1",
        namespace="webapp",
        name="backend",
        target=TargetRef(name="backend"),
        service=ServiceSpec(name="backend", port=9898),
        analysis=AnalysisSpec(metrics=metrics, webhooks=fields.pop("webhooks", ())),
    )
    return AnalyseRequest(
        spec=spec,
        phase=Phase.PROGRESSING,
        revision=Revision(template="abc"),
        hooks=hooks,
        actuated_at=NOW - timedelta(seconds=20),
        **fields,
    )


async def analyse(systems: Systems, wanted: AnalyseRequest, attempt: int = 1) -> Check:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=attempt, started_time=NOW)
    activities = AnalysisActivities(systems, systems, systems, lambda: systems.clock)
    check: Check = await environment.run(activities.analyse, wanted)
    return check


async def test_looks_then_calls_hooks_then_measures(systems: Systems) -> None:
    hooks = (HookType.PRE_ROLLOUT, HookType.ROLLOUT)
    check = await analyse(systems, request(LATENCY, hooks=hooks, webhooks=(LOAD, PRE, SMOKE)))

    assert systems.calls == [
        "observe backend",
        "backend pre Progressing abc",
        "backend load Progressing abc",
        "backend smoke Progressing abc",
        "backend up[20s]",
    ]
    assert [answer.hook for answer in check.hooks] == ["pre", "load", "smoke"]
    assert check.measurements[0].value == 99.5
    assert check.observation == systems.observation


@pytest.mark.parametrize(
    ("due", "late_by"),
    [
        pytest.param(NOW - timedelta(seconds=70), 70, id="after its time"),
        pytest.param(NOW + timedelta(seconds=1), 0, id="before its time"),
        pytest.param(None, 0, id="whose time is not known"),
    ],
)
async def test_a_check_says_how_late_it_was_begun(
    systems: Systems, due: datetime | None, late_by: int
) -> None:
    systems.clock = NOW + timedelta(hours=1)  # the worker's own goes wrong
    check = await analyse(systems, request(RATE, webhooks=(LOAD,), due=due))

    assert check.late_by == timedelta(seconds=late_by)


async def test_a_check_says_when_it_was_over(systems: Systems) -> None:
    """By the clock that said when its activity was begun; the worker's own goes wrong."""
    systems.clock = NOW + timedelta(hours=1)
    check = await analyse(systems, request(RATE))

    assert check.found_at is not None
    assert timedelta(0) < check.found_at - NOW < timedelta(seconds=10)


@pytest.mark.parametrize("wrong", [timedelta(hours=1), -timedelta(hours=1)], ids=["ahead", "behind"])
async def test_a_workers_wrong_clock_moves_no_window(systems: Systems, wrong: timedelta) -> None:
    """Ahead it would reach back over the step before, behind there would be no data."""
    systems.clock = NOW + wrong
    check = await analyse(systems, request(RATE))

    assert "[20s]" in check.measurements[0].query
    assert timedelta(0) <= check.measurements[0].at - NOW < timedelta(seconds=10)


async def test_only_the_wanted_types_of_hook_are_called(systems: Systems) -> None:
    check = await analyse(systems, request(webhooks=(PRE, LOAD)))

    assert [answer.hook for answer in check.hooks] == ["load"]


async def test_the_first_hook_that_does_not_pass_ends_the_check(systems: Systems) -> None:
    systems.closed = {"load"}
    check = await analyse(systems, request(RATE, webhooks=(LOAD, SMOKE)))

    assert [(answer.hook, answer.passed) for answer in check.hooks] == [("load", False)]
    assert check.measurements == ()
    assert systems.calls[-1] == "backend load Progressing abc"


@pytest.mark.parametrize("missing", ["target", "primary"])
async def test_a_workload_that_is_not_there_ends_the_check(systems: Systems, missing: str) -> None:
    systems.observation = systems.observation.model_copy(update={missing: None})
    check = await analyse(systems, request(RATE, webhooks=(LOAD,)))

    assert check == Check(observation=systems.observation, found_at=check.found_at)
    assert systems.calls == ["observe backend"]


async def test_measures_nothing_unless_asked(systems: Systems) -> None:
    check = await analyse(systems, request(RATE, has_metrics=False, webhooks=(LOAD,)))

    assert len(check.hooks) == 1
    assert check.measurements == ()


@pytest.mark.proves("T21")
async def test_a_built_in_metric_comes_with_its_sample_size_and_window(systems: Systems) -> None:
    """Flagger keeps no values: here a measurement says how many requests it stands on.

    T21: Flagger's events.go.
    """
    systems.value = lambda query: 12.0 if "increase" in query else None
    check = await analyse(systems, request(RATE))
    (measurement,) = check.measurements

    assert (measurement.value, measurement.samples, measurement.error) == (None, 12.0, "")
    assert timedelta(0) <= measurement.at - NOW < timedelta(seconds=10)
    assert "[20s]" in measurement.query
    assert 'destination_workload=~"backend"' in measurement.query


async def test_all_metrics_are_measured_at_once(systems: Systems) -> None:
    three = asyncio.Barrier(3)
    looked = asyncio.Event()

    async def meet() -> None:
        if looked.is_set():
            await asyncio.wait_for(three.wait(), 5)
        looked.set()

    systems.before_answer = meet
    check = await analyse(systems, request(LATENCY, RATE))

    assert [one.value for one in check.measurements] == [99.5, 99.5]


@pytest.mark.parametrize("attempt", range(1, ANALYSIS_ATTEMPTS))
@pytest.mark.parametrize("name", ["load", "latency"])
async def test_what_is_away_is_retried_at_first(systems: Systems, name: str, attempt: int) -> None:
    systems.failing[name] = NoAnswerError(name, "ConnectError")

    with pytest.raises(NoAnswerError, match="ConnectError"):
        await analyse(systems, request(RATE, LATENCY, webhooks=(LOAD,)), attempt)


async def test_a_prometheus_that_stays_away_is_evidence(systems: Systems) -> None:
    systems.failing["latency"] = NoAnswerError("Prometheus", "ConnectError")
    check = await analyse(systems, request(LATENCY, RATE), ANALYSIS_ATTEMPTS)

    assert check.measurements[0].error == "Prometheus does not answer: ConnectError."
    assert check.measurements[1].value == 99.5


async def test_a_hook_that_stays_away_has_not_passed(systems: Systems) -> None:
    systems.failing["load"] = NoAnswerError("Webhook load", "503 no endpoints", 503)
    check = await analyse(systems, request(RATE, webhooks=(LOAD,)), ANALYSIS_ATTEMPTS)
    (answer,) = check.hooks

    assert (answer.passed, answer.status) == (False, 503)
    assert answer.message == "Webhook load does not answer: 503 no endpoints."
    assert check.measurements == ()


@pytest.mark.parametrize("attempt", [1, ANALYSIS_ATTEMPTS, 50])
async def test_a_cluster_that_cannot_be_asked_is_never_counted(systems: Systems, attempt: int) -> None:
    systems.away = ConnectionError("away")

    with pytest.raises(ConnectionError, match="away"):
        await analyse(systems, request(RATE), attempt)


@pytest.mark.proves("T21")
async def test_an_error_of_one_metric_is_evidence_beside_the_others(systems: Systems) -> None:
    """Flagger stops at the first metric that fails: here the others are measured as well.

    T21: Flagger's events.go.
    """
    systems.failing["request-success-rate"] = MeasurementError("Prometheus answered 400 parse error")
    check = await analyse(systems, request(RATE, UNKNOWN, LATENCY))

    assert [one.error for one in check.measurements] == [
        "Prometheus answered 400 parse error",
        (
            "The query of metric latency cannot be rendered: {{ x }} is none of name, "
            "namespace, target, service, ingress, route, interval, variables.<name>."
        ),
        "",
    ]
    assert check.measurements[2].value == 99.5


async def test_an_unexpected_error_is_raised_as_itself(systems: Systems) -> None:
    systems.failing["latency"] = ConnectionError("api server away")

    with pytest.raises(ConnectionError, match="api server away"):
        await analyse(systems, request(LATENCY, RATE), ANALYSIS_ATTEMPTS)


async def test_heartbeats_while_it_waits(systems: Systems) -> None:
    beats: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    async def two_beats() -> None:
        await beats.get()
        await beats.get()

    systems.before_answer = two_beats
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.put_nowait(details)
    activities = AnalysisActivities(systems, systems, systems, lambda: NOW)
    await asyncio.wait_for(environment.run(activities.analyse, request()), 5)

    assert systems.calls == ["observe backend"]
