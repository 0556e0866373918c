"""Evidence in words."""

from typing import Any

import pytest

from canary.analysis import HookAnswer
from canary.spec import HookType
from canary.status import ListRow
from starter import tree
from starter.evidence import Moved
from starter.words import hook_line, moved_line
from tests.starter.conftest import NOW, spec_of, status_of


@pytest.mark.parametrize(
    ("type_", "passed", "words"),
    [
        pytest.param(HookType.ROLLOUT, True, "rollout x passed", id="check passed"),
        pytest.param(HookType.PRE_ROLLOUT, False, "pre-rollout x failed", id="check failed"),
        pytest.param(HookType.CONFIRM_PROMOTION, True, "confirm-promotion x open", id="gate open"),
        pytest.param(HookType.CONFIRM_ROLLOUT, False, "confirm-rollout x closed", id="gate closed"),
        pytest.param(HookType.ROLLBACK, True, "rollback x wants the rollout back", id="rollback"),
        pytest.param(HookType.ROLLBACK, False, "rollback x wants no rollback", id="no rollback"),
    ],
)
def test_a_hook_answers_in_the_words_of_its_type(type_: HookType, *, passed: bool, words: str) -> None:
    assert hook_line(HookAnswer(hook="x", type=type_, passed=passed, at=NOW)) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"waiting_for": "confirm-rollout"}, "0 Waits for confirm-rollout. Why.", id="gate"),
        pytest.param({"needs_person": True}, "0 A person decides. Why.", id="person"),
        pytest.param({"iterations": 3}, "0 iteration 3 Why.", id="iterations"),
    ],
)
def test_a_move_says_first_whom_it_waits_for(fields: dict[str, Any], words: str) -> None:
    row = ListRow(cluster="one", namespace="n", name="backend", phase="Waiting", message="Why.", **fields)

    assert moved_line(Moved(NOW, row)) == f"Waiting weight 0 traffic 0 failed checks {words}"


def test_a_running_rollout_says_how_its_gate_is_answered() -> None:
    status = status_of(waiting_for=HookType.CONFIRM_PROMOTION)
    text = tree._doing(spec_of(), status)

    assert "waits for confirm-promotion (`canary approve` answers it)" in text
