"""C40: foreign metadata on the routes resets no weight."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World

FOREIGN = {"labels": {"team": "blue"}, "annotations": {"team.example.com/contact": "blue"}}


@pytest.mark.proves("C40")
@pytest.mark.conformance
@together
async def test_a_label_of_somebody_elses_leaves_a_weight_where_it_is(world: World) -> None:
    """Flagger takes a foreign label for drift and begins again at weight 0; here the run goes on.

    The label stays, for it is nobody's but its owner's.

    C40: Flagger's istio.go.
    """
    case = Case(world, "kurator-member2", "labelled")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    path = case.path("virtualservices")
    await case.cluster.api.patch(path, {"metadata": FOREIGN}, fieldManager="team-blue")
    ended = await case.rollout_ends(run)

    metadata = (await case.get("virtualservices"))["metadata"]
    assert (ended.outcome, ended.view.status.restarts) == ("Promoted", 0)
    assert case.weights == [0, 25, 50, 0]
    assert metadata["labels"].items() >= FOREIGN["labels"].items()
    assert metadata["annotations"].items() >= FOREIGN["annotations"].items()
