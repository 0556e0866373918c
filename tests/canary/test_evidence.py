"""How much of a rollout's evidence is kept at hand."""

import pytest
from pydantic_core import to_json

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


def payload(record: CheckRecord) -> int:
    """How large a check is in the payload of a report, which is JSON in a text of JSON."""
    return len(to_json(record.model_dump_json()))


@pytest.mark.parametrize(
    "letter",
    [
        pytest.param("x", id="plain"),
        pytest.param('"', id="quotes"),
        pytest.param("\n", id="lines"),
        pytest.param("错", id="of three bytes"),
    ],
)
def test_keeps_no_more_than_one_payload_can_hold(letter: str) -> None:
    evidence = Evidence(record(number, letter * 4096) for number in range(MOST))

    kept = numbers(evidence)
    size = sum(map(payload, evidence.records))
    assert kept == list(range(MOST - len(kept), MOST))
    assert LARGEST - 4 * 8192 < size <= LARGEST < TEMPORALS_LIMIT


@pytest.mark.parametrize(("more", "kept"), [(0, [1, 2]), (1, [2])])
def test_the_largest_answer_is_filled_to_the_last_character(more: int, kept: list[int]) -> None:
    first, second = record(1), record(2)
    room = LARGEST - payload(first) - payload(second)

    assert numbers(Evidence([first, record(2, "x" * (room + more))])) == kept


def test_keeps_the_last_one_however_large() -> None:
    evidence = Evidence([record(1), record(2, "x" * (LARGEST + 1))])

    assert numbers(evidence) == [2]
