"""What Istio leaves of a delegate's routes, and what is told of it before a canary is taken up."""

from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.cluster.delegation import about_roots
from activities.cluster.joining import conflicts
from activities.cluster.preflight import PreflightActivities
from canary.problem import Problem
from canary.spec import AnalysisSpec, CanarySpec, SessionAffinity
from sandbox.istio import DEFINITIONS
from sandbox.mesh.delegates import rules_of
from sandbox.mesh.snapshot import Snapshot
from tests.activities.cluster.member import ONLINE, Member, Object, given, spec

API = {"prefix": "/api"}
INSIDER = {"headers": {"x-insider": {"exact": "true"}}}
BY_REGEX = {"headers": {"x-insider": {"regex": ".*"}}}
AFFINITY = SessionAffinity(cookie_name="mine", primary_cookie_name="")


def delegating(*routes: list[Object], **fields: Any) -> Object:
    """A VirtualService with a route of these matches each, all to ours."""
    delegate = {"name": "podinfo", "namespace": "default"}
    http = [{"delegate": delegate} | ({"match": matches} if matches else {}) for matches in routes]
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"hosts": ["shop.example.com"], "gateways": ["public"], "http": http} | fields,
    }


def delegate(*match: Object, chosen: tuple[Object, ...] = (), **analysis: Any) -> CanarySpec:
    """A canary that is delegated to, with the match of its Service and that of its analysis."""
    service = spec().service.model_copy(update={"delegation": True, "match": match})
    return spec(service=service, analysis=AnalysisSpec(match=chosen, **analysis))


def told(wanted: CanarySpec, *roots: Object) -> list[tuple[str, bool]]:
    """For whom a route is dropped, and whether that is but a warning."""
    found = about_roots(wanted, roots)
    return [
        (one.message.partition("our route there for ")[2].partition(":")[0], one.is_warning) for one in found
    ]


ANY_CASE: Object = {"uri": API, "ignoreUriCase": True}


@pytest.mark.parametrize(
    ("wanted", "routes", "expected"),
    [
        pytest.param(delegate(), [[ANY_CASE]], [], id="without a match of ours nothing can conflict"),
        pytest.param(delegate({"uri": API}), [[]], [], id="nor without one of the root's"),
        pytest.param(delegate({"uri": API}), [[{"uri": API}]], [], id="the same"),
        pytest.param(delegate({"uri": API}), [[ANY_CASE]], [("everybody", False)], id="case"),
        pytest.param(
            delegate({"uri": API}), [[ANY_CASE], []], [("everybody", True)], id="not by every route"
        ),
        pytest.param(
            delegate({"uri": API}, {"uri": {"prefix": "/web"}}),
            [[{"uri": API}]],
            [("everybody", False)],
            id="one match without a counterpart takes the others along",
        ),
        pytest.param(
            delegate({"uri": API}),
            [[{"uri": API}, ANY_CASE]],
            [("everybody", True)],
            id="one of two matches goes unheeded",
        ),
        pytest.param(
            delegate({"uri": API}),
            [[{"uri": API}, {"uri": {"prefix": "/web"}}]],
            [],
            id="whom the Service's match does not mean is not missed",
        ),
        pytest.param(
            delegate(chosen=(INSIDER,)),
            [[{"sourceNamespace": "web"}]],
            [("the analysis' match", False)],
            id="A/B",
        ),
        pytest.param(
            delegate(chosen=(INSIDER,)),
            [[{"sourceNamespace": "web"}], [{"uri": API}]],
            [("the analysis' match", True)],
            id="A/B for those of another route",
        ),
        pytest.param(
            delegate(chosen=(BY_REGEX,)), [[INSIDER]], [("the analysis' match", False)], id="our regex"
        ),
        pytest.param(
            delegate(chosen=(INSIDER,)), [[BY_REGEX]], [("the analysis' match", False)], id="their regex"
        ),
        pytest.param(
            delegate(session_affinity=AFFINITY), [[ANY_CASE]], [("session cookies", True)], id="cookies"
        ),
        pytest.param(
            delegate({"uri": API}, chosen=(INSIDER,)),
            [[ANY_CASE]],
            [("everybody", False), ("the analysis' match", False)],
            id="both",
        ),
    ],
)
def test_a_route_that_istio_drops_is_named(
    wanted: CanarySpec, routes: list[list[Object]], expected: list[tuple[str, bool]]
) -> None:
    assert told(wanted, delegating(*routes)) == expected


def test_each_root_is_judged_by_itself_but_one_is_enough_for_the_canary() -> None:
    apart, through = delegating([{"sourceNamespace": "web"}]), delegating([])

    assert told(delegate(chosen=(INSIDER,)), apart, through) == [("the analysis' match", True)]
    assert told(delegate(INSIDER), apart, through) == [("everybody", False)]


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(delegating([ANY_CASE], hosts=[]), id="Istio follows one level only"),
        pytest.param(delegating([ANY_CASE], http=[{"route": []}]), id="it has routes of its own"),
        pytest.param(delegating([ANY_CASE], http=[{"delegate": {"name": "other"}}]), id="to another"),
    ],
)
def test_a_virtual_service_that_does_not_delegate_to_ours_is_none_of_our_business(root: Object) -> None:
    assert told(delegate({"uri": API}), root) == []


@pytest.mark.parametrize(
    ("root", "own", "keys"),
    [
        pytest.param(ANY_CASE, {"uri": API}, ["ignoreUriCase"], id="case"),
        pytest.param({"sourceNamespace": "a"}, {}, ["sourceNamespace"], id="namespace"),
        pytest.param({"port": 80}, {"port": 81}, ["port"], id="port"),
        pytest.param(
            {"sourceLabels": {"app": "a"}}, {"sourceLabels": {"app": "b"}}, ["sourceLabels.app"], id="labels"
        ),
        pytest.param({"gateways": ["a"]}, {"gateways": ["a", "b"]}, ["gateways"], id="gateways"),
        pytest.param(
            {"uri": {"exact": "/a"}, **INSIDER},
            {"uri": API, **BY_REGEX},
            ["uri", "headers.x-insider"],
            id="two",
        ),
    ],
)
def test_what_cannot_be_joined_is_told_by_its_key(root: Object, own: Object, keys: list[str]) -> None:
    assert [conflict.key for conflict in conflicts(root, own)] == keys


MATCHES: list[Object] = [
    *(
        {"uri": one}
        for one in (API, {"prefix": "/api/v1"}, {"exact": "/api"}, {"exact": "/b"}, {"regex": "/a"})
    ),
    ANY_CASE,
    INSIDER,
    BY_REGEX,
    {"headers": {"x-insider": {}}},
    {"withoutHeaders": {"x-insider": {"exact": "true"}}},
    {"queryParams": {"a": {"exact": "b"}}},
    {"queryParams": {"a": {"prefix": "b"}}},
    *({"sourceNamespace": one} for one in ("a", "b")),
    *({"port": one} for one in (80, 81)),
    *({"sourceLabels": {"app": one}} for one in ("a", "b")),
    *({"gateways": one} for one in (["a"], ["a", "b"], ["c"])),
]


def test_the_mesh_joins_what_is_said_to_be_joined() -> None:
    """Two readings of Istio's rules, of the engine and of the sandbox's mesh, agree."""
    inner = {"metadata": {"name": "podinfo", "namespace": "default"}}
    for outer, own in product(MATCHES, MATCHES):
        rule = inner | {"spec": {"http": [{"match": [own], "route": []}]}}
        mesh = cast(Snapshot, SimpleNamespace(virtual_services={"default/podinfo": rule}))
        is_joined = bool(list(rules_of(delegating([outer]), mesh)))

        assert is_joined is not bool(list(conflicts(outer, own))), (outer, own)


async def test_a_root_that_drops_our_routes_is_refused_before_a_canary_is_taken_up(member: Member) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for body in DEFINITIONS:
        await member.kube.create(path, body)
    await member.add(*given("canary", "Deployment"), delegating([ANY_CASE]))
    found = await member.run(PreflightActivities(member, ONLINE).preflight, delegate({"uri": API}))

    assert found.problems == (
        Problem(
            path="spec.service.delegation",
            message="VirtualService shop in namespace default delegates to podinfo by what Istio cannot join "
            "with our match, http[0].match[0] (ignoreUriCase), and drops our route there for everybody: "
            "those users are answered 404. Say ignoreUriCase alike in both matches, or in neither.",
        ),
    )
