"""The VirtualService of every strategy, compared whole with Flagger's."""

import re
from datetime import timedelta
from typing import Any

import pytest

from activities.cluster import cookies
from activities.cluster.routes import changes, read_routes
from activities.cluster.virtualservice import addresses, protocol, routes, virtual_service
from canary.routing import Routing
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    ObjectMetadata,
    ServiceSpec,
    SessionAffinity,
    TargetRef,
)
from sandbox.mesh.validation import mistakes
from tests.activities.cluster.recordings import bare, changed, created, spec_of

MATCH = ({"headers": {"x-canary": {"exact": "insider"}}},)
COOKIE, PRIMARY_COOKIE = "DrboCAtMlo", "vMwRWRGrPO"


def spec(service: dict[str, Any] | None = None, **analysis: Any) -> CanarySpec:
    return CanarySpec(
        cluster="member1",
        namespace="test",
        name="podinfo",
        target=TargetRef(name="podinfo"),
        service=ServiceSpec(**{"name": "podinfo", "port": 9898, **(service or {})}),
        analysis=AnalysisSpec(**analysis),
    )


def affinity(**options: Any) -> SessionAffinity:
    return SessionAffinity(
        **{"cookie_name": "flagger-cookie", "primary_cookie_name": "primary-cookie", **options}
    )


def whole(spec: CanarySpec, routing: Routing) -> dict[str, Any]:
    """A live VirtualService as we write it."""
    made = virtual_service(spec, routing, {})
    made["metadata"]["resourceVersion"] = "7"
    return made


def weights(route: dict[str, Any]) -> list[tuple[str, int]]:
    return [(part["destination"]["host"], part["weight"]) for part in route["route"]]


def with_our_cookies(recorded: dict[str, Any]) -> dict[str, Any]:
    """A recorded spec with Flagger's expressions for cookies in our words.

    Flagger's also take another cookie whose name ends alike, and a value that stands in another cookie.
    """
    for route in recorded.get("http", []):
        for match in route.get("match", []):
            cookie = match.get("headers", {}).get("Cookie", {}).get("regex", "")
            known = re.fullmatch(r"\.\*(.+)\.\*(.+)\.\*", cookie)
            if known:
                match["headers"]["Cookie"]["regex"] = cookies.pattern(*known.groups())
    return recorded


WEIGHTS = [Routing(weight=weight) for weight in (10, 20, 30, 0)]
BOTH = {"cookie": COOKIE, "primary_cookie": PRIMARY_COOKIE}


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        pytest.param("canary", WEIGHTS, id="weights"),
        pytest.param("service-options", WEIGHTS, id="options of the Service"),
        pytest.param("delegation", WEIGHTS, id="delegation", marks=pytest.mark.proves("C12")),
        pytest.param("tcp", WEIGHTS, id="tcp", marks=pytest.mark.proves("C11")),
        pytest.param("match-weights", WEIGHTS, id="match with weights", marks=pytest.mark.proves("C09")),
        pytest.param("ab", [Routing(weight=100), Routing()], id="A/B", marks=pytest.mark.proves("C08")),
        pytest.param(
            "blue-green", [Routing(weight=100), Routing()], id="blue/green", marks=pytest.mark.proves("C07")
        ),
        pytest.param(
            "blue-green-mirror",
            [Routing(is_mirrored=True), Routing(weight=100), Routing()],
            id="mirrored blue/green",
            marks=pytest.mark.proves("C07"),
        ),
        pytest.param(
            "mirror", [Routing(is_mirrored=True), *WEIGHTS], id="mirroring", marks=pytest.mark.proves("C06")
        ),
        pytest.param(
            "affinity",
            [*(Routing(weight=weight, **BOTH) for weight in (10, 20, 30)), Routing(expired_cookie=COOKIE)],
            id="session affinity",
            marks=pytest.mark.proves("C10"),
        ),
    ],
)
def test_routes_are_those_that_flagger_was_recorded_with(name: str, steps: list[Routing]) -> None:
    """Each strategy's VirtualServices, compared whole with Flagger's in tests/recorded/flagger.

    C06, C07, C08, C09, C10, C11, C12: Flagger's scheduler.go, istio.go.
    """
    spec = spec_of(name)
    labels = {"app": spec.service.name}

    made = bare(virtual_service(spec, Routing(), labels))
    written = [addresses(spec) | {protocol(spec): routes(spec, routing)} for routing in steps]

    assert {spec.service.name: made} == created(name, "VirtualService")
    assert written == [with_our_cookies(one) for one in changed(name, "VirtualService")]


@pytest.mark.parametrize(
    ("service", "wanted"),
    [
        pytest.param({}, {"hosts": ["podinfo"], "gateways": ["mesh"]}, id="nothing said"),
        pytest.param(
            {"hosts": ("a.example.com",), "gateways": ("public",)},
            {"hosts": ["a.example.com", "podinfo"], "gateways": ["public"]},
            id="the apex is added, the mesh is not",
        ),
        pytest.param(
            {"hosts": ("*",)}, {"hosts": ["*"], "gateways": ["mesh"]}, id="all hosts include the apex"
        ),
        pytest.param(
            {"hosts": ("podinfo", "b")}, {"hosts": ["podinfo", "b"], "gateways": ["mesh"]}, id="apex named"
        ),
        pytest.param(
            {"delegation": True}, {"hosts": []}, id="a delegate has neither", marks=pytest.mark.proves("C12")
        ),
    ],
)
@pytest.mark.proves("C14")
def test_hosts_and_gateways_have_their_defaults(service: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The host is the apex's, the gateway is the mesh; a delegate has neither.

    C12, C14: Flagger's istio.go.
    """
    assert addresses(spec(service)) == wanted


@pytest.mark.parametrize(
    ("service", "has_port"),
    [
        pytest.param({"port_discovery": True, "gateways": ("public",)}, True, id="discovery and a gateway"),
        pytest.param({"port_discovery": True, "delegation": True}, True, id="discovery and delegation"),
        pytest.param({"port_discovery": True, "gateways": ("mesh", "public")}, True, id="mesh first"),
        pytest.param({"port_discovery": True}, False, id="mesh only"),
        pytest.param({"gateways": ("public",)}, False, id="a gateway without discovery"),
    ],
)
@pytest.mark.proves("C13", "D27")
def test_destinations_have_a_port_where_the_listener_tells_none(
    service: dict[str, Any], *, has_port: bool
) -> None:
    """Where ports are discovered a gateway has to be told which one is meant, and the mesh has not.

    C13: Flagger's istio.go. That looks at the first gateway only (D27: docs/architecture.md).
    """
    (route,) = routes(spec(service, mirror=True), Routing(weight=10, is_mirrored=True))
    wanted = {"port": {"number": 9898}} if has_port else {}

    assert [part["destination"] for part in route["route"]] == [
        {"host": "podinfo-primary", **wanted},
        {"host": "podinfo-canary", **wanted},
    ]
    assert route["mirror"] == {"host": "podinfo-canary", **wanted}


@pytest.mark.parametrize(
    ("service", "has_port"),
    [
        pytest.param({"hosts": ("app.example.com",)}, True, id="another host in the mesh"),
        pytest.param(
            {"hosts": ("app.example.com",), "gateways": ("public", "mesh")}, True, id="in the mesh as well"
        ),
        pytest.param({"hosts": ("app.example.com",), "gateways": ("public",)}, False, id="at a gateway only"),
        pytest.param(
            {"hosts": ("podinfo", "podinfo.test.svc.cluster.local")}, False, id="the apex by its names"
        ),
        pytest.param(
            {"hosts": ("a.example.com",), "app_protocol": "tcp"}, False, id="connections have no host"
        ),
    ],
)
@pytest.mark.proves("D28")
def test_other_hosts_in_the_mesh_are_led_to_the_documents_port(
    service: dict[str, Any], *, has_port: bool
) -> None:
    """A sidecar takes another host for one of port 80, which the sides need not have.

    D28: docs/architecture.md.
    """
    (route,) = routes(spec(service), Routing(weight=10))
    wanted = {"port": {"number": 9898}} if has_port else {}

    assert [part["destination"] for part in route["route"]] == [
        {"host": "podinfo-primary", **wanted},
        {"host": "podinfo-canary", **wanted},
    ]


@pytest.mark.proves("D26")
def test_both_matches_hold_and_query_parameters_are_kept() -> None:
    """Without them Flagger's canary answers everybody (D26: docs/architecture.md)."""
    service = {
        "match": (
            {"uri": {"prefix": "/a"}, "queryParams": {"v": {"exact": "1"}}},
            {"uri": {"prefix": "/b"}, "headers": {"x-user": {"exact": "me"}}},
        )
    }
    analysis = (
        {"headers": {"x-canary": {"exact": "1"}}},
        {"queryParams": {"canary": {"exact": "1"}}, "sourceLabels": {"app": "web"}},
    )
    exposed, others = routes(spec(service, match=analysis), Routing(weight=10))

    assert exposed["match"] == [
        {
            "uri": {"prefix": "/a"},
            "queryParams": {"v": {"exact": "1"}},
            "headers": {"x-canary": {"exact": "1"}},
        },
        {
            "uri": {"prefix": "/b"},
            "headers": {"x-user": {"exact": "me"}, "x-canary": {"exact": "1"}},
        },
        {
            "uri": {"prefix": "/a"},
            "queryParams": {"v": {"exact": "1"}, "canary": {"exact": "1"}},
            "sourceLabels": {"app": "web"},
        },
        {
            "uri": {"prefix": "/b"},
            "queryParams": {"canary": {"exact": "1"}},
            "headers": {"x-user": {"exact": "me"}},
            "sourceLabels": {"app": "web"},
        },
    ]
    assert others["match"] == list(service["match"])


@pytest.mark.parametrize("weight", [0, 10, 100])
@pytest.mark.proves("C09")
def test_those_that_a_match_leaves_out_stay_with_the_primary(weight: int) -> None:
    """A match beside weights: behind it stands a route to the primary for all others.

    C09: Flagger's istio.go.
    """
    exposed, others = routes(spec(match=MATCH), Routing(weight=weight))

    assert weights(exposed) == [("podinfo-primary", 100 - weight), ("podinfo-canary", weight)]
    assert [host for host, _ in weights(others)] == ["podinfo-primary"]


def test_the_canary_serves_everybody_where_the_primary_cannot() -> None:
    wanted = Routing(weight=100, is_for_all=True, **BOTH)
    everybody = [("podinfo-primary", 0), ("podinfo-canary", 100)]
    found = routes(spec(match=MATCH, session_affinity=affinity()), wanted)

    assert [weights(route) for route in found] == [everybody] * 3  # nobody is kept with the primary
    assert "headers" not in found[1]["route"][0]


def test_mirroring_says_a_percentage_only_where_one_is_given() -> None:
    (whole,) = routes(spec(mirror=True), Routing(is_mirrored=True))
    (half,) = routes(spec(mirror=True, mirror_weight=50), Routing(is_mirrored=True))

    assert (whole["mirror"], "mirrorPercentage" in whole) == ({"host": "podinfo-canary"}, False)
    assert half["mirrorPercentage"] == {"value": 50}


def test_without_weight_no_browser_is_led_to_the_canary_by_its_cookie() -> None:
    found = routes(spec(session_affinity=affinity()), Routing(weight=0, **BOTH))

    assert [weights(route) for route in found] == [[("podinfo-primary", 100), ("podinfo-canary", 0)]]


@pytest.mark.proves("D19")
def test_a_cookie_has_every_attribute_of_the_document() -> None:
    """Without them browsers keep what Flagger takes back (D19: docs/architecture.md)."""
    every = affinity(
        max_age=60,
        domain="example.com",
        http_only=True,
        partitioned=True,
        path="/app",
        same_site="Strict",
        secure=True,
    )
    tail = "; Domain=example.com; HttpOnly; Partitioned; Path=/app; SameSite=Strict; Secure"
    analysis: dict[str, Any] = {"session_affinity": every, "interval": timedelta(seconds=90)}
    *_, exposed = routes(spec(**analysis), Routing(weight=10, cookie="A", primary_cookie="B"))
    forgetting, _ = routes(spec(**analysis), Routing(expired_cookie="A"))

    assert [part["headers"]["response"]["add"]["Set-Cookie"] for part in exposed["route"]] == [
        f"primary-cookie=B; Max-Age=90{tail}",
        f"flagger-cookie=A; Max-Age=60{tail}",
    ]
    assert forgetting["headers"]["response"]["add"]["Set-Cookie"] == f"flagger-cookie=A; Max-Age=-1{tail}"


def test_a_percent_sign_in_a_cookie_is_no_variable_of_envoys() -> None:
    document = spec(session_affinity=affinity(cookie_name="a%20", path="/%7Eme"))
    _, _, exposed = routes(document, Routing(weight=10, **BOTH))
    forgetting, _ = routes(document, Routing(expired_cookie=COOKIE))
    told = [exposed["route"][1]["headers"], forgetting["headers"]]

    assert [one["response"]["add"]["Set-Cookie"] for one in told] == [
        f"a%%20={COOKIE}; Max-Age=86400; Path=/%%7Eme",
        f"a%%20={COOKIE}; Max-Age=-1; Path=/%%7Eme",
    ]
    assert forgetting["match"][0]["headers"]["Cookie"]["regex"] == cookies.pattern("a%20", COOKIE)


def test_without_a_primary_cookie_only_the_canarys_users_are_kept() -> None:
    found = routes(spec(session_affinity=affinity(primary_cookie_name="")), Routing(weight=10, cookie=COOKIE))

    assert [weights(route) for route in found] == [
        [("podinfo-primary", 0), ("podinfo-canary", 100)],
        [("podinfo-primary", 90), ("podinfo-canary", 10)],
    ]
    assert ["headers" in part for part in found[-1]["route"]] == [False, True]


def test_telling_a_browser_to_forget_leaks_into_no_other_route() -> None:
    headers = {"response": {"add": {"x-a": "b"}}, "request": {"set": {"x-c": "d"}}}
    document = spec({"headers": headers}, session_affinity=affinity())
    forgetting, rest = routes(document, Routing(expired_cookie=COOKIE))

    assert forgetting["headers"]["response"]["add"].keys() == {"x-a", "Set-Cookie"}
    assert forgetting["headers"]["request"] == headers["request"]
    assert rest["headers"] == headers == document.service.headers
    assert headers["response"]["add"] == {"x-a": "b"}


def test_cookies_and_mirroring_hold_within_a_match() -> None:
    found = routes(
        spec({"match": ({"uri": {"prefix": "/a"}},)}, match=MATCH, session_affinity=affinity()),
        Routing(weight=10, is_mirrored=True, **BOTH),
    )
    known = {"uri": {"prefix": "/a"}, **MATCH[0]}

    assert [route["match"][0]["uri"] for route in found] == [{"prefix": "/a"}] * 4
    assert found[0]["match"][0]["headers"].keys() == {"x-canary", "Cookie"}
    assert found[2]["match"] == [known]
    assert found[2]["mirror"] == {"host": "podinfo-canary"}


@pytest.mark.parametrize(
    ("header", "is_known"),
    [
        pytest.param("name=value", True, id="alone"),
        pytest.param("a=b; name=value", True, id="after another, as browsers write it"),
        pytest.param("a=b;name=value", True, id="without a space"),
        pytest.param("name=value; c=d", True, id="before another"),
        pytest.param("a=b; name=value; c=d", True, id="between others"),
        pytest.param("other-name=value", False, id="a name that ends alike"),
        pytest.param("a=b; other-name=value", False, id="such a name after another"),
        pytest.param("name=values", False, id="a value that begins alike"),
        pytest.param("name=another; c=value", False, id="the value of another cookie"),
        pytest.param("name=a value", False, id="a value that ends alike"),
        pytest.param("", False, id="none"),
    ],
)
@pytest.mark.proves("D15")
def test_a_cookie_is_known_by_its_name_and_value(header: str, *, is_known: bool) -> None:
    """Flagger finds a cookie anywhere in the header, also within another one (D15: docs/architecture.md)."""
    assert (re.fullmatch(cookies.pattern("name", "value"), header) is not None) is is_known


def test_what_is_special_in_a_cookies_name_means_itself() -> None:
    assert re.fullmatch(cookies.pattern("a.b+c", "x"), "a.b+c=x")
    assert not re.fullmatch(cookies.pattern("a.b", "x"), "aXb=x")


def test_the_apex_metadata_goes_on_the_virtual_service() -> None:
    apex = ObjectMetadata(annotations={"a": "1"})
    own = virtual_service(spec({"apex_metadata": apex}), Routing(), {"app": "podinfo"})["metadata"]
    none = virtual_service(spec(), Routing(), {"app": "podinfo"})["metadata"]

    assert (own["labels"]["app"], own["annotations"]["a"]) == ("podinfo", "1")
    assert "app" not in none["labels"]


ROUTINGS = [
    pytest.param(spec(), Routing(weight=30), id="weights"),
    pytest.param(spec(mirror=True, mirror_weight=50), Routing(is_mirrored=True), id="mirrored"),
    pytest.param(spec(match=MATCH), Routing(weight=100), id="A/B"),
    pytest.param(spec(match=MATCH), Routing(weight=100, is_for_all=True), id="A/B for all"),
    pytest.param(spec({"app_protocol": "TCP"}), Routing(weight=20), id="tcp"),
    pytest.param(spec({"delegation": True}), Routing(weight=20), id="delegation"),
    pytest.param(spec(session_affinity=affinity()), Routing(weight=20, **BOTH), id="affinity"),
    pytest.param(spec(session_affinity=affinity()), Routing(expired_cookie=COOKIE), id="cookie expired"),
    pytest.param(
        spec(session_affinity=affinity(cookie_name="a%20", path="/%7E")),
        Routing(weight=20, **BOTH),
        id="a percent sign in cookies",
    ),
    pytest.param(
        spec(session_affinity=affinity(), match=MATCH), Routing(weight=5, **BOTH), id="affinity in a match"
    ),
]


@pytest.mark.parametrize(("document", "routing"), ROUTINGS)
def test_what_was_written_is_read_back_intact(document: CanarySpec, routing: Routing) -> None:
    found = read_routes(document, whole(document, routing))

    assert found is not None
    assert (found.primary, found.canary) == (100 - routing.weight, routing.weight)
    assert (found.is_mirrored, found.is_for_all) == (routing.is_mirrored, routing.is_for_all)
    assert found.is_intact
    assert found.version == "7"


@pytest.mark.parametrize(("document", "routing"), ROUTINGS)
def test_istio_takes_what_is_written(document: CanarySpec, routing: Routing) -> None:
    """By the sandbox's rules, which are held against a real Istio's verdicts."""
    assert mistakes(virtual_service(document, routing, {})) == []


@pytest.mark.parametrize(("document", "routing"), ROUTINGS)
def test_writing_what_stands_changes_nothing(document: CanarySpec, routing: Routing) -> None:
    live = whole(document, routing)
    patch = changes(document, routing, live)

    assert {key: value for key, value in patch.items() if value is not None} == live["spec"]
