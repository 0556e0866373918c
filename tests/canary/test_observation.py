"""What one look at a canary tells by itself."""

import pytest

from canary.observation import Observation, Workload
from tests.canary.rollouts import NOW, a_primary, a_workload


@pytest.mark.parametrize(
    ("target", "primary", "size"),
    [
        pytest.param(a_workload(size=2), a_primary(size=10, ready=4), 10, id="the primary is half promoted"),
        pytest.param(a_workload(size=10), a_primary(size=2), 10, id="the canary had taken over"),
        pytest.param(a_workload(size=2), a_primary(size=3, available=5), 5, id="the primary is made smaller"),
        pytest.param(a_workload(size=2), None, 2, id="the primary is gone"),
        pytest.param(None, a_primary(size=3), 3, id="the target is gone"),
        pytest.param(None, None, 1, id="both are gone"),
    ],
)
def test_the_size_that_everybody_had(target: Workload | None, primary: Workload | None, size: int) -> None:
    assert Observation(at=NOW, target=target, primary=primary).full_size == size
