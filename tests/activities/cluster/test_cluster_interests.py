"""How a whole cluster's worth of what canaries are rung for travels in one payload."""

import pytest

from activities.cluster.interests import Interest, Interests, pack
from tests.workflows.cluster import seed_spec
from workflows.cluster_watch import LARGEST
from workflows.watching import registration_of


def interest(number: int, *configs: str) -> Interest:
    """That of one of many canaries, twenty in a namespace."""
    spec, name = seed_spec(namespace=f"team-{number // 20:04}"), f"backend-{number:05}"
    target, service = (part.model_copy(update={"name": name}) for part in (spec.target, spec.service))
    wanted = registration_of(spec.model_copy(update={"target": target, "service": service}), configs)
    return Interest(canary=wanted.canary, namespace=wanted.namespace, objects=wanted.objects)


@pytest.mark.parametrize(
    "interests",
    [
        pytest.param([], id="none"),
        pytest.param([interest(number) for number in range(30)], id="many"),
        pytest.param([interest(1, "configmap/backend-00001-settings", "secret/shared")], id="configs"),
        pytest.param(
            [Interest(canary="m/a/Deployment/e", namespace="a", objects=("Deployment/e", "Secret/e-e"))],
            id="a name that is part of others",
        ),
        pytest.param([Interest(canary="a", namespace="b", objects=("Service/x",))], id="another's object"),
        pytest.param(
            [Interest(canary=f"m/{place}/Service/a", namespace=place) for place in "ab"], id="one name twice"
        ),
    ],
)
def test_what_is_unpacked_is_what_was_packed(interests: list[Interest]) -> None:
    stored = pack(interests).model_dump_json()

    assert list(Interests.model_validate_json(stored).unpacked()) == interests


@pytest.mark.parametrize(
    ("has_configs", "most"),
    [
        pytest.param(False, 50_000, id="their own objects"),
        pytest.param(True, 15_000, id="with two configs each, whose names no other has"),
    ],
)
def test_one_payload_holds_more_canaries_than_a_cluster_has(most: int, *, has_configs: bool) -> None:
    """docs/operations.md tells these numbers."""
    configs = ("configmap/settings-{:010}", "secret/credentials-{:010}") if has_configs else ()
    some = most // 50
    size = len(
        pack(interest(one, *(name.format(one) for name in configs)) for one in range(some)).model_dump_json()
    )

    assert size * most / some < LARGEST
