"""How much of a rollout's evidence is kept at hand."""

import pytest

from canary.analysis import AnalysisResult, CheckRecord, HookAnswer, Verdict
from canary.evidence import LARGEST, MOST, Evidence
from canary.spec import HookType
from canary.status import Revision
from tests.canary.rollouts import NOW

TEMPORALS_LIMIT = 2 * 1024 * 1024


def record(number: int, message: str = "") -> CheckRecord:
    answer = HookAnswer(hook="load", type=HookType.ROLLOUT, passed=True, message=message, at=NOW)
    verdict = Verdict(result=AnalysisResult.SUCCESSFUL, message=str(number))
    return CheckRecord(at=NOW, weight=10, revision=Revision(template="new"), verdict=verdict, hooks=(answer,))


def numbers(evidence: Evidence) -> list[int]:
    return [int(one.verdict.message) for one in evidence.records]


def test_keeps_the_newest_in_their_order() -> None:
    evidence = Evidence(record(number) for number in range(MOST))
    evidence.add(record(MOST))

    assert numbers(evidence) == list(range(1, MOST + 1))


def test_keeps_no_more_than_one_answer_can_hold() -> None:
    evidence = Evidence(record(number, "x" * 4096) for number in range(MOST))

    kept = numbers(evidence)
    size = sum(len(one.model_dump_json()) for one in evidence.records)
    assert kept == list(range(MOST - len(kept), MOST))
    assert LARGEST - 8192 < size <= LARGEST < TEMPORALS_LIMIT


@pytest.mark.parametrize(("more", "kept"), [(0, [1, 2]), (1, [2])])
def test_the_largest_answer_is_filled_to_the_last_character(more: int, kept: list[int]) -> None:
    first, second = record(1), record(2)
    room = LARGEST - len(first.model_dump_json()) - len(second.model_dump_json())

    assert numbers(Evidence([first, record(2, "x" * (room + more))])) == kept


def test_keeps_the_last_one_however_large() -> None:
    evidence = Evidence([record(1), record(2, "x" * (LARGEST + 1))])

    assert numbers(evidence) == [2]
