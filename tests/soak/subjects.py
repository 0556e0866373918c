"""The canaries that things are done to: each with another strategy, or another thing about it."""

from tests.conformance.world import World
from tests.soak.hooked import Announced, Gated
from tests.soak.leaving import Delivered, Leaving
from tests.soak.rewritten import Rewritten
from tests.soak.subject import Object, Subject
from tests.soak.workloads import Autoscaled, Configured, Daemons, Forwarded

MEMBERS = ("kurator-member1", "kurator-member2")


def subjects(world: World, seed: int) -> dict[str, Subject]:
    """All of them, by name; each in a cluster that the next is not in."""
    made: dict[str, tuple[type[Subject], Object]] = {
        "weights": (Subject, {}),
        "list": (Subject, {"stepWeights": [5, 20, 60]}),
        "backwards": (Subject, {"stepWeight": 25, "maxWeight": 75, "stepWeightPromotion": 40}),
        "mirrored": (Subject, {"mirror": True, "mirrorWeight": 50}),
        "blue-green": (Subject, {"iterations": 3}),
        "sticky": (
            Subject,
            {"stepWeight": 20, "maxWeight": 40, "sessionAffinity": {"cookieName": "version", "maxAge": 60}},
        ),
        "matched": (Subject, {"iterations": 3, "match": [{"headers": {"x-insider": {"exact": "true"}}}]}),
        "daemons": (Daemons, {"stepWeight": 50}),
        "autoscaled": (Autoscaled, {"stepWeight": 20, "maxWeight": 40}),
        "configured": (Configured, {"stepWeight": 20, "maxWeight": 40}),
        "forwarded": (Forwarded, {"stepWeight": 20, "maxWeight": 40}),
        "gated": (Gated, {"stepWeight": 20, "maxWeight": 40}),
        "announced": (Announced, {"stepWeight": 25, "maxWeight": 50}),
        "rewritten": (Rewritten, {}),
        "delivered": (Delivered, {}),
        "leaving": (Leaving, {"stepWeight": 20, "maxWeight": 40}),
    }
    return {
        name: kind(world, name, MEMBERS[number % len(MEMBERS)], seed, **analysis)
        for number, (name, (kind, analysis)) in enumerate(made.items())
    }
