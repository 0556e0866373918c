"""A canary whose document becomes another one at any moment."""

from typing import Any

from tests.conformance import workload
from tests.soak.subject import Subject

MATCH = [{"headers": {"x-insider": {"exact": "true"}}}]
STRATEGIES = (
    {"stepWeight": 20, "maxWeight": 60},
    {"stepWeights": [5, 50, 80]},
    {"stepWeight": 50, "stepWeightPromotion": 30},
    {"iterations": 2},
    {"iterations": 2, "match": MATCH},
    {"stepWeight": 30, "maxWeight": 60, "match": MATCH},
    {"stepWeight": 25, "maxWeight": 50, "mirror": True},
    {"stepWeight": 20, "maxWeight": 40, "sessionAffinity": {"cookieName": "version", "maxAge": 60}},
)
SERVICES = (
    {},
    {"timeout": "5s"},
    {"retries": {"attempts": 2, "perTryTimeout": "2s"}},
    {"headers": {"response": {"add": {"x-seen": "1"}}}},
    {"targetPort": workload.PORT},
    {"trafficPolicy": {"connectionPool": {"http": {"idleTimeout": "30s"}}}},
)


class Rewritten(Subject):
    """A Deployment whose strategy and routes change, in mid-run as well."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self._kept = dict(self.wanted)
        self.others = {self._rewrite: 8}

    async def _rewrite(self) -> str:
        strategy, service = self.random.choice(STRATEGIES), self.random.choice(SERVICES)
        threshold = {"threshold": self.wanted["threshold"]} if "threshold" in self.wanted else {}
        self.wanted = self._kept | threshold | strategy
        document = workload.document(self.case.namespace)
        self.spec = {"service": document["spec"]["service"] | service}
        return f"is {strategy} and {service} from now on: {await self.apply()}"
