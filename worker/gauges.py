"""Gauges of all canaries, under Flagger's names: how each one stands, as Temporal's visibility knows it.

Every worker shows all of them, so it does not matter which one is asked; a canary that is gone vanishes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from temporalio.client import Client
from temporalio.service import RPCError

from canary.status import ListRow, Phase
from worker.figures import Figures
from workflows.contract import CANARY_WORKFLOW, ROLLOUT_WORKFLOW, ROW

REFRESH = timedelta(seconds=5)
"""More often than this visibility is not asked, however often the metrics are."""
PATIENCE = 3.0
"""Seconds; less than Prometheus itself waits."""
_GOOD = (Phase.INITIALIZED, Phase.SUCCEEDED)
_QUERY = f"WorkflowType IN ('{CANARY_WORKFLOW}', '{ROLLOUT_WORKFLOW}') AND ExecutionStatus = 'Running'"
_INFO = ("version", "mesh_provider")
_IDENTITY = ("name", "namespace", "cluster")

_Series = tuple[Sequence[str], float]
"""The values of the labels, and the value."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """How one canary, or its running rollout, stands."""

    tail: str
    """`<cluster>/<namespace>/<kind>/<target>`."""
    row: ListRow
    since: datetime
    """When its workflow began."""
    is_rollout: bool = False

    @property
    def identity(self) -> tuple[str, str, str]:
        """The labels every series has; the name is the target's, as Flagger's is."""
        return self.tail.rpartition("/")[2], self.row.namespace, self.row.cluster

    @property
    def status(self) -> int:
        """Flagger's number of the phase, but 0 for whatever is under way (T19)."""
        if self.row.phase == Phase.FAILED:
            return 2
        return 1 if self.row.phase in _GOOD else 0

    @property
    def needs_person(self) -> bool:
        """Whether nothing goes on by itself: also after a promotion that failed with users on the canary."""
        return self.row.needs_person or (self.row.phase == Phase.FAILED and self.row.traffic_weight > 0)


async def standings(client: Client) -> list[Standing]:
    """Ask visibility for every canary and every running rollout."""
    found = []
    async for execution in client.list_workflows(_QUERY):
        row = await execution.memo_value(ROW, None, type_hint=ListRow)
        if row is not None:  # one that has only just begun has none yet
            tail = execution.id.partition("/")[2]
            is_rollout = execution.workflow_type == ROLLOUT_WORKFLOW
            found.append(Standing(tail, row, execution.start_time, is_rollout))
    return found


class Gauges(Collector):
    """What is shown of all canaries, and of the rollouts this worker has seen deciding."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[Standing]]],
        figures: Figures,
        clock: Callable[[], datetime],
    ) -> None:
        self._ask = ask
        self._figures = figures
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked: datetime | None = None
        self._is_up = False
        self._canaries: dict[str, Standing] = {}
        self._rollouts: dict[str, Standing] = {}

    async def refresh(self) -> None:
        """Ask visibility anew, unless that was done just now; if it is away the last answer stands."""
        async with self._lock:
            now = self._clock()
            if self._asked is not None and now - self._asked < REFRESH:
                return
            self._asked = now
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await self._ask()
            except (RPCError, TimeoutError) as error:
                self._is_up = False
                logger.warning("visibility does not answer", extra={"cause": type(error).__name__})
                return
            self._is_up = True
            self._canaries = {one.tail: one for one in found if not one.is_rollout}
            self._rollouts = {one.tail: one for one in found if one.is_rollout}
            self._figures.forget_all_but({one.tail for one in found}, now)

    def collect(self) -> Iterator[Metric]:
        """Give every gauge with its series."""
        yield _gauge("flagger_info", "What this is.", _INFO, [((version("durable-canary"), "istio"), 1)])
        yield self._visibility()
        yield self._totals()
        yield self._statuses()
        yield self._weights()
        yield self._persons()
        yield self._decisions()
        yield self._measurements()

    @property
    def _standing(self) -> list[Standing]:
        """How every canary stands: by its rollout where one runs."""
        return list((self._canaries | self._rollouts).values())

    def _visibility(self) -> Metric:
        text = "Whether Temporal answered when it was last asked; if not, all the rest is as it was then."
        return _gauge("canary_visibility_up", text, (), [((), int(self._is_up))])

    def _totals(self) -> Metric:
        counts: dict[tuple[str, ...], float] = {}
        for one in self._canaries.values():
            place = one.identity[1:]
            counts[place] = counts.get(place, 0) + 1
        return _gauge("flagger_canary_total", "Canaries.", _IDENTITY[1:], counts.items())

    def _statuses(self) -> Metric:
        text = "Last phase: 0 under way, 1 initialized or succeeded, 2 failed."
        series = [(one.identity, one.status) for one in self._standing]
        return _gauge("flagger_canary_status", text, _IDENTITY, series)

    def _weights(self) -> Metric:
        text = "Share of the traffic that a workload gets, in percent."
        series: list[_Series] = []
        for one in self._standing:
            name, *place = one.identity
            series.append(((f"{name}-primary", *place), 100 - one.row.traffic_weight))
            series.append(((name, *place), one.row.traffic_weight))
        return _gauge("flagger_canary_weight", text, ("workload", *_IDENTITY[1:]), series)

    def _persons(self) -> Metric:
        text = "1 where nothing goes on before a person decides."
        series = [(one.identity, int(one.needs_person)) for one in self._standing]
        return _gauge("canary_person_needed", text, _IDENTITY, series)

    def _decisions(self) -> Metric:
        text = "When a running rollout last decided something: of all workers the latest is true."
        series: list[_Series] = []
        for one in self._rollouts.values():
            # What this worker has not seen deciding has decided no earlier than its phase began.
            shown = one.row.last_transition_time or one.since
            last = max(shown, self._figures.last_decision(one.tail) or shown)
            series.append(((*one.identity, one.row.phase), last.timestamp()))
        return _gauge("canary_last_decision_timestamp_seconds", text, (*_IDENTITY, "phase"), series)

    def _measurements(self) -> Metric:
        text = "What the last check measured; durations in seconds."
        series = [
            ((spec.target.name, spec.namespace, spec.cluster, metric), value)
            for spec, metric, value in self._figures.values(self._clock())
        ]
        return _gauge("flagger_canary_metric_analysis", text, (*_IDENTITY, "metric"), series)


def _gauge(name: str, text: str, labels: Sequence[str], series: Iterable[_Series]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for values, value in series:
        gauge.add_metric(values, value)
    return gauge
