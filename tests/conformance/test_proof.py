"""That everything that is claimed has a test, and that the table tells the truth."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.claims import CLAIMS, OUT_OF_REACH, RECORDED
from tests.conformance.proof import Proof, proven_by

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
_IDS = re.compile(r"\b[CTDK]\d{1,2}\b")


def _marked(tests: Path) -> Iterator[str]:
    """The ids in every mark of the tree."""
    for path in set(tests.rglob("test_*.py")) - {Path(__file__)}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.proves":
                yield from (str(ast.literal_eval(each)) for each in node.args)


def _numbers(letter: str) -> list[int]:
    return [int(claim[1:]) for claim in CLAIMS if claim.startswith(letter)]


def test_every_claim_has_a_test() -> None:
    marked = {*_marked(TESTS), *(claim for claims in RECORDED.values() for claim in claims)}

    assert sorted(CLAIMS.keys() - marked) == []
    assert sorted(marked - CLAIMS.keys()) == []


def test_every_id_is_claimed_or_out_of_reach() -> None:
    assert _numbers("C") == list(range(1, 41))
    assert _numbers("T") == list(range(1, 23))
    assert {*_numbers("K"), *(int(name[1:]) for name in OUT_OF_REACH if name[0] == "K")} == {*range(1, 14)}


def test_every_difference_that_is_told_is_claimed() -> None:
    told = {found for found in _IDS.findall((ROOT / "docs/architecture.md").read_text()) if found[0] == "D"}

    assert told == {claim for claim in CLAIMS if claim[0] == "D"}


def test_the_readme_names_no_other_ids() -> None:
    assert set(_IDS.findall((ROOT / "README.md").read_text())) <= CLAIMS.keys() | OUT_OF_REACH.keys()


def test_every_recording_proves_something() -> None:
    names = {path.stem for path in (TESTS / "recorded/flagger").glob("*.jsonl")}

    assert RECORDED.keys() == names


def test_a_mark_is_read_in_the_order_of_the_table(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.proves("D1", "C25"))

    assert proven_by(request.node) == ["C25", "D1"]


def test_a_test_that_failed_outdoes_those_that_passed() -> None:
    proof = Proof()
    for outcome in ("passed", "failed", "passed"):
        proof.pytest_runtest_logreport(_report(outcome))

    assert proof.rows["C03"].verdict == "FAIL"
    assert (len(proof.rows["C03"].outcomes), proof.rows["C03"].seconds) == (3, 1.5)


def test_a_test_that_was_skipped_proves_nothing() -> None:
    proof = Proof()
    proof.pytest_runtest_logreport(_report("skipped"))

    assert proof.rows["C03"].verdict == "skip"


def _report(outcome: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="a test",
        location=("a file", None, "a test"),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when="call",
        user_properties=[("proves", ["C03"])],
        duration=0.5,
    )
