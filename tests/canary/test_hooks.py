from datetime import timedelta

import pytest

from canary.hooks import longest_calls, pauses, payload
from canary.revision import checksum
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef, WebhookSpec
from canary.status import Phase, Revision

REVISION = Revision(template="abc")
SPEC = CanarySpec(
    cluster="member1",
    namespace="webapp",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(),
)


def hook(**fields: object) -> WebhookSpec:
    return WebhookSpec.model_validate({"name": "load", "url": "http://a/", **fields})


def test_the_payload_is_flaggers() -> None:
    known = {
        "name": "backend",
        "namespace": "webapp",
        "phase": "Progressing",
        "checksum": checksum(REVISION),
    }

    assert payload(SPEC, hook(), Phase.PROGRESSING, REVISION) == known
    assert payload(SPEC, hook(metadata={"k": "v"}), Phase.PROGRESSING, REVISION) == {
        **known,
        "metadata": {"k": "v"},
    }


@pytest.mark.parametrize(
    ("retries", "seconds"),
    [(0, []), (1, [1]), (3, [1, 2, 4]), (7, [1, 2, 4, 8, 16, 30, 30])],
)
def test_pauses_double_up_to_half_a_minute(retries: int, seconds: list[int]) -> None:
    assert [pause.total_seconds() for pause in pauses(hook(retries=retries))] == seconds


def test_the_longest_calls_are_all_attempts_and_pauses_of_all_hooks() -> None:
    quick, slow = hook(timeout=timedelta(seconds=10)), hook(timeout=timedelta(seconds=60), retries=2)

    assert longest_calls([quick, slow]) == timedelta(seconds=10 + 3 * 60 + 3)
    assert longest_calls([]) == timedelta()
