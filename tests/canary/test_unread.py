"""What a document names and was not given with is read from the cluster's own objects."""

from copy import deepcopy
from typing import Any

import pytest

from canary.documents.reading import Key
from canary.documents.resolve import resolve
from canary.documents.unread import Unread, mistakes_of_read, read_in, unread
from canary.spec import CanarySpec
from tests.canary.examples import read

Object = dict[str, Any]
TEMPLATE_PATH = "spec.analysis.metrics[2].templateRef"
TEMPLATE = Key("MetricTemplate", "webapp", "client-errors")
NAMED = "MetricTemplate webapp/client-errors in member: "


def spec_of(*documents: Object) -> CanarySpec:
    [found] = resolve(documents, "member").canaries
    return found.spec


def without_references(spec: CanarySpec) -> CanarySpec:
    """The spec as if all of it had been given."""
    metrics = tuple(one.model_copy(update={"template_ref": None}) for one in spec.analysis.metrics)
    alerts = tuple(one.model_copy(update={"provider_ref": None}) for one in spec.analysis.alerts)
    changes = {"metrics": metrics, "alerts": alerts}
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update=changes)})


@pytest.fixture
def template() -> Object:
    return deepcopy(read("metric-template.yaml")[0])


@pytest.fixture
def metered() -> CanarySpec:
    """A canary with a metric whose template was not given."""
    return spec_of(*read("flagger-canary.yaml"))


def test_nothing_is_unread_of_a_document_that_was_given_whole(template: Object) -> None:
    whole = spec_of(*read("flagger-canary.yaml"), template)

    assert list(unread(whole)) == []
    assert not whole.analysis.has_references
    assert read_in(whole, {}) == whole


def test_what_is_read_in_is_as_if_it_had_been_given_and_says_where_it_stands(
    metered: CanarySpec, template: Object
) -> None:
    template["metadata"] |= {"uid": "1", "resourceVersion": "2", "managedFields": []}
    template["status"] = {"conditions": []}

    complete = read_in(metered, {TEMPLATE: template})

    assert list(unread(metered)) == [Unread(TEMPLATE, TEMPLATE_PATH)]
    assert without_references(complete) == spec_of(*read("flagger-canary.yaml"), template)
    assert list(unread(complete)) == [Unread(TEMPLATE, TEMPLATE_PATH)]
    assert complete.analysis.has_references
    assert list(mistakes_of_read(metered, {TEMPLATE: template})) == []


def test_what_was_not_found_has_no_mistakes(metered: CanarySpec) -> None:
    assert list(mistakes_of_read(metered, {})) == []
    assert list(unread(read_in(metered, {}))) == list(unread(metered))


def test_alert_providers_are_read_in_from_their_own_namespaces() -> None:
    canary, *providers = read("gates-and-alerts.yaml")
    keys = [Key("AlertProvider", "shop", "chat"), Key("AlertProvider", "ops", "pager")]
    alone = spec_of(canary)

    complete = read_in(alone, dict(zip(keys, providers, strict=True)))

    assert [each.key for each in unread(alone)] == keys
    assert without_references(complete) == spec_of(canary, *providers)
    assert complete.analysis.has_references


def test_an_applications_templates_are_beside_its_workload() -> None:
    [application] = read("canary.yaml")
    rollout = application["spec"]["syncPolicies"][0]["rollout"]
    del rollout["rolloutPolicy"]["trafficAnalysis"]["metrics"][2]["customMetric"]
    spec = resolve([application, *read("fleet.yaml")]).applications[0].spec.policies[0].canaries[0]

    path = "rollout.rolloutPolicy.trafficAnalysis.metrics[2].name"
    assert list(unread(spec)) == [Unread(Key("MetricTemplate", "webapp", "busy-workers"), path)]


def test_why_a_query_does_not_render_is_told_to_the_end(metered: CanarySpec, template: Object) -> None:
    template["spec"]["query"] = "{{ nope }}"

    [problem] = mistakes_of_read(metered, {TEMPLATE: template})

    assert problem.message == (
        f"{NAMED}spec.query: The query of metric client-errors cannot be rendered: {{{{ nope }}}} is none of "
        "name, namespace, target, service, ingress, route, interval, variables.<name>."
    )


def test_what_was_not_found_stays_to_be_read(metered: CanarySpec) -> None:
    assert read_in(metered, {}) == metered


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param({"query": ""}, "spec.query: must not be empty", id="empty query"),
        pytest.param({"query": "x", "queries": "y"}, "spec.queries: unknown field", id="unknown field"),
        pytest.param(
            {"query": "x", "provider": {"type": "datadog"}},
            "spec.provider.type: datadog is not supported yet; allowed is prometheus",
            id="provider that is not there yet",
        ),
        pytest.param(
            {"query": "{{ nope }}"},
            "spec.query: The query of metric client-errors cannot be rendered: ",
            id="does not render",
        ),
        pytest.param(
            {"query": "{{ variables.nope }}"},
            "The query of metric client errors cannot be rendered: ",
            id="does not render with what the metric gives",
        ),
    ],
)
def test_a_mistake_of_the_cluster_s_object_is_named_with_it(
    metered: CanarySpec, template: Object, spec: Object, text: str
) -> None:
    [problem] = mistakes_of_read(metered, {TEMPLATE: template | {"spec": spec}})

    assert problem.path == TEMPLATE_PATH
    assert problem.message.startswith(f"{NAMED}{text}")
    assert not problem.is_warning


def test_a_token_in_the_cluster_s_provider_is_refused() -> None:
    canary, chat, pager = read("gates-and-alerts.yaml")
    chat["spec"] = {"type": "slack", "address": "https://hooks.slack.com/services/T0/B0/secret"}

    [problem] = mistakes_of_read(spec_of(canary, pager), {Key("AlertProvider", "shop", "chat"): chat})

    assert problem.path == "spec.analysis.alerts[0].providerRef"
    assert problem.message == (
        "AlertProvider shop/chat in member: spec.address: must not carry a token in its path: put it as "
        "`address` into a Secret, name that in secretRef"
    )


MARKER = "MARKER"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"address": f"https://hooks.slack.com/services/T0/B0/{MARKER}"}, id="token in a path"),
        pytest.param({"address": f"https://chat.example.com/?token={MARKER}"}, id="token as a parameter"),
        pytest.param({"address": f"hooks.slack.com/services/T0/B0/{MARKER}"}, id="no scheme"),
        pytest.param({"address": f"{MARKER}:{MARKER}@chat.example.com"}, id="no scheme before a password"),
        pytest.param(
            {"address": f"https://user:{MARKER}/{MARKER}@chat.example.com"}, id="slash in a password"
        ),
        pytest.param({"address": MARKER}, id="nothing but a token"),
        pytest.param({"address": f"https://:{MARKER}"}, id="nothing but a token, as a port"),
        pytest.param({"proxy": f"http://user:{MARKER}@proxy:3128"}, id="password of a proxy"),
        pytest.param(
            {"address": "https://x.example.com", "secretRef": MARKER}, id="token for a Secret's name"
        ),
        pytest.param(
            {"address": f"https://x.example.com/{MARKER}", "channels": "y"}, id="beside an unknown field"
        ),
    ],
)
def test_what_may_be_secret_in_a_refused_provider_is_neither_read_in_nor_told(spec: Object) -> None:
    canary, chat, pager = read("gates-and-alerts.yaml")
    alone, found = spec_of(canary, pager), {Key("AlertProvider", "shop", "chat"): chat}
    chat["spec"] = {"type": "slack", **spec}

    problems = list(mistakes_of_read(alone, found))

    assert any(not problem.is_warning for problem in problems)
    assert not [problem.message for problem in problems if MARKER in problem.message]
    assert read_in(alone, found) == alone


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param({"address": f"https://user:{MARKER}@prometheus"}, id="password"),
        pytest.param({"headers": {"Authorization": [f"Bearer {MARKER}"]}}, id="header"),
        pytest.param({"headers": {"Authorization": f"Bearer {MARKER}"}}, id="header that is no list"),
        pytest.param({"headers": f"Authorization: {MARKER}"}, id="headers as text"),
    ],
)
def test_what_may_be_secret_in_a_refused_template_is_neither_read_in_nor_told(
    metered: CanarySpec, template: Object, provider: Object
) -> None:
    template["spec"]["provider"] = {"type": "prometheus", **provider}
    found = {TEMPLATE: template}

    [problem] = mistakes_of_read(metered, found)

    assert MARKER not in problem.message
    assert read_in(metered, found) == metered


def test_a_template_that_went_wrong_meanwhile_stays_as_it_was_read_before(
    metered: CanarySpec, template: Object
) -> None:
    before = read_in(metered, {TEMPLATE: template})
    wrong = template | {"spec": {"query": "{{ variables.no }}", "provider": {"type": "datadog"}}}

    assert read_in(before, {TEMPLATE: wrong}) == before
    assert len(list(mistakes_of_read(before, {TEMPLATE: wrong}))) == 1


def test_a_number_for_headers_is_told_as_one(metered: CanarySpec, template: Object) -> None:
    template["spec"]["provider"] = {"type": "prometheus", "headers": {"x-scope": 7, "x-debug": True}}

    assert [problem.message for problem in mistakes_of_read(metered, {TEMPLATE: template})] == [
        f"{NAMED}spec.provider.headers.x-scope: must be a list, is a number",
        f"{NAMED}spec.provider.headers.x-debug: must be a list, is true",
    ]
