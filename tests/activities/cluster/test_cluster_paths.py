"""Names become parts of addresses: none leads anywhere but to its own object."""

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import paths
from activities.cluster.configs import MISSING, hashes, lacking, read_configs
from activities.source.discovery import Resource
from tests.activities.cluster.member import NAMESPACE, Member

ELSEWHERE = ["", ".", "..", "a/b", "../../kube-system/secrets/x", "a%2Fb", "a?b", "a#b", "a b", "a\\b", "a\n"]


def test_a_name_stands_as_it_is() -> None:
    assert paths.one("Service", "shop", "web") == "/api/v1/namespaces/shop/services/web"
    assert paths.part("system:aggregate-to-view") == "system:aggregate-to-view"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_that_leads_elsewhere_is_refused_for_good(name: str) -> None:
    widgets = Resource("/apis/example.com/v1", "widgets", "Widget", is_namespaced=True, verbs=())
    for make in (
        lambda: paths.one("Secret", "shop", name),
        lambda: paths.one("Secret", name, "creds"),
        lambda: paths.namespace_path(name),
        lambda: widgets.path("shop", name),
    ):
        with pytest.raises(ApplicationError) as refused:
            make()

        assert refused.value.non_retryable
        assert refused.value.message.startswith("No object of a cluster can be called ")


@pytest.mark.parametrize("name", [name for name in ELSEWHERE if name])
def test_a_namespace_that_leads_elsewhere_is_refused_in_lists_too(name: str) -> None:
    with pytest.raises(ApplicationError):
        paths.collection("Secret", name)


async def test_a_config_that_no_object_can_be_called_is_missing(member: Member) -> None:
    template = {"spec": {"containers": [{"envFrom": [{"secretRef": {"name": "../../other/secrets/creds"}}]}]}}

    found = await read_configs(member.api, NAMESPACE, template)

    assert hashes(found) == {"secret/../../other/secrets/creds": MISSING}
    assert lacking(template, found) == ["Secret ../../other/secrets/creds"]
    assert member.asked() == []
