"""A visibility that the test answers for, and what a worker shows of it."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from prometheus_client import CollectorRegistry

from canary.status import ListRow, Phase
from tests.worker.rollouts import NOW, decided
from worker.figures import Figures
from worker.gauges import Gauges, Standing

PLACE = {"namespace": "webapp", "cluster": "member1"}


def standing(phase: Phase, *, is_rollout: bool = False, target: str = "backend", **row: object) -> Standing:
    fields = {"name": f"{target}-canary", **PLACE, "phase": phase, **row}
    return Standing(f"member1/webapp/Deployment/{target}", ListRow.model_validate(fields), NOW, is_rollout)


class Shown:
    """Gauges over a visibility that the test answers for."""

    def __init__(self, *found: Standing) -> None:
        self.found: Sequence[Standing] = found
        self.asked = 0
        self.error: Exception | None = None
        self.now = NOW
        self.registry = CollectorRegistry()
        self.figures = Figures(CollectorRegistry())
        self.gauges = Gauges(self._ask, self.figures, lambda: self.now)
        self.registry.register(self.gauges)

    async def _ask(self) -> Sequence[Standing]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.found

    async def scrape(self, *, after: float = 0) -> None:
        self.now = NOW + timedelta(seconds=after)
        await self.gauges.refresh()

    def tell(self, **values: float) -> None:
        self.figures.handle(logging.makeLogRecord({"msg": "decided", "decided": decided(30, **values)}))

    def value(self, metric: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, labels)
