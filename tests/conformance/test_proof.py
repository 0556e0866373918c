"""That everything that is claimed has a test, and that the table tells the truth."""

import ast
import re

import pytest

from tests.conformance.claims import CLAIMS, OUT_OF_REACH, RECORDED, SOURCES
from tests.conformance.marks import TESTS, WHOLE, marked, table
from tests.conformance.proof import Proof, proven_by
from tests.conformance.recorded import test_recorded
from tests.conformance.recorded.excuses import EVERYWHERE

ROOT = TESTS.parent
SCENARIOS = sorted((TESTS / WHOLE / "scenarios").glob("test_*.py"))
_IDS = re.compile(r"\b[CTDK]\d{1,2}\b")


def _tells(told: str, source: str) -> bool:
    return all(word in told for word in source.split())


def _numbers(letter: str) -> list[int]:
    return [int(claim[1:]) for claim in CLAIMS if claim.startswith(letter)]


def test_every_claim_has_a_test() -> None:
    by_marks = {claim for test in marked() for claim in test.claims}
    recorded = {claim for claims in RECORDED.values() for claim in claims}

    assert CLAIMS.keys() == by_marks | recorded


def test_every_claim_has_a_source() -> None:
    assert {claim for claims in SOURCES.values() for claim in claims.split()} == CLAIMS.keys()


def test_every_test_that_proves_something_tells_what_and_where_that_is_written() -> None:
    for path, name, claims, told in marked():
        where = f"{path}::{name}"
        sources = [source for source, of in SOURCES.items() if set(of.split()) & set(claims)]

        assert set(claims) <= set(_IDS.findall(told)), f"{where}: its docstring does not name {claims}"
        assert all(_tells(told, source) for source in sources), f"{where}: its docstring names no {sources}"


@pytest.mark.parametrize("name", RECORDED)
def test_every_recording_tells_what_it_shows_and_how_ours_differs(name: str) -> None:
    test = getattr(test_recorded, f"test_{name.replace('-', '_')}")
    excused = {excuse.rule for excuse in test.story.excuses if excuse not in EVERYWHERE}

    assert set(_IDS.findall(test.__doc__)) == {*RECORDED[name], *excused}
    assert f"Recorded from Flagger in tests/recorded/flagger/{name}.jsonl." in test.__doc__


def test_every_id_is_claimed_or_out_of_reach() -> None:
    assert _numbers("C") == list(range(1, 41))
    assert _numbers("T") == list(range(1, 23))
    assert {*_numbers("K"), *(int(name[1:]) for name in OUT_OF_REACH if name[0] == "K")} == {*range(1, 14)}


def test_every_difference_that_is_told_is_claimed() -> None:
    told = {found for found in _IDS.findall((ROOT / "docs/architecture.md").read_text()) if found[0] == "D"}

    assert told == {claim for claim in CLAIMS if claim[0] == "D"}


def test_the_readme_names_no_other_ids() -> None:
    assert set(_IDS.findall((ROOT / "README.md").read_text())) <= CLAIMS.keys() | OUT_OF_REACH.keys()


def test_every_scenario_is_a_whole_rollout() -> None:
    told = {claim for test in marked() if test.path.startswith(WHOLE) for claim in test.claims}
    recorded = {claim for claims in RECORDED.values() for claim in claims}

    assert [claim for claim in CLAIMS if claim[0] == "C" and claim not in told | recorded] == []


def test_each_scenario_has_one_module_that_opens_with_what_it_shows() -> None:
    told = [ast.get_docstring(ast.parse(path.read_text())) or "" for path in SCENARIOS]
    scenarios = [claim for claim in CLAIMS if claim[0] == "C"]

    assert [path.name.split("_")[1].upper() for path in SCENARIOS] == scenarios
    assert [text.split("\n")[0] for text in told] == [f"{claim}: {CLAIMS[claim]}." for claim in scenarios]


def test_each_module_of_a_scenario_proves_it() -> None:
    proven = {(test.path, claim) for test in marked() for claim in test.claims}
    wanted = {(path.relative_to(TESTS).as_posix(), path.name.split("_")[1].upper()) for path in SCENARIOS}

    assert wanted <= proven


def test_the_page_says_where_each_id_is_proven() -> None:
    page = (ROOT / "docs/proof.md").read_text()

    assert table() in page, "print the table anew: python -m tests.conformance.marks"


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
