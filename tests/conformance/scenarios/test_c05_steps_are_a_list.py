"""C05: steps are a list, whose overflow is all traffic."""

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import INITIALISED_WITHIN, Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C05")
@pytest.mark.conformance
@together
async def test_takes_the_steps_of_a_list_and_all_traffic_where_one_is_above_it(world: World) -> None:
    """`stepWeights` are taken one by one, whatever `maxWeight` says; more than 100 is all traffic.

    In a document 120 is refused by its path; the engine takes it as Flagger does.

    C05: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member2", "list")
    await case.deploy()
    document = workload.document(case.namespace, stepWeights=[5, 60], maxWeight=50)
    spec = workload.spec_of(document, case.cluster.name)
    steps = spec.analysis.steps.model_copy(update={"step_weights": (5, 60, 120)})
    analysis = spec.analysis.model_copy(update={"steps": steps})
    await case.apply_spec(spec.model_copy(update={"analysis": analysis}))
    await case.canary_is(Phase.INITIALIZED, within=INITIALISED_WITHIN)
    ended = await case.roll_out(BETTER)

    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 5, 60, 100, 0]
