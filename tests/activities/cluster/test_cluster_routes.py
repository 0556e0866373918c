"""Whose routes stand in a live VirtualService, what counts as drift (T2), and where ours are written."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from activities.cluster import marks
from activities.cluster.routes import changes, fingerprint, foreign_spec, read_routes, released
from activities.cluster.virtualservice import virtual_service
from canary.routing import Routing
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, SessionAffinity, TargetRef

Object = dict[str, Any]
FOREIGN: Object = {"match": [{"uri": {"prefix": "/static"}}], "route": [{"destination": {"host": "static"}}]}
REDIRECT: Object = {"match": [{"uri": {"exact": "/old"}}], "redirect": {"uri": "/new"}}
MATCH = ({"headers": {"x-canary": {"exact": "1"}}},)


def spec(service: Object | None = None, **analysis: Any) -> CanarySpec:
    return CanarySpec(
        cluster="member1",
        namespace="test",
        name="podinfo",
        target=TargetRef(name="podinfo"),
        service=ServiceSpec(
            **{"name": "podinfo", "port": 9898, "retries": {"attempts": 3}, **(service or {})}
        ),
        analysis=AnalysisSpec(**analysis),
    )


def live(document: CanarySpec, weight: int = 20) -> Object:
    made = virtual_service(document, Routing(weight=weight), {})
    made["metadata"] |= {"resourceVersion": "7"}
    return made


def route(*hosts: str) -> Object:
    return {"route": [{"destination": {"host": host}} for host in hosts]}


def holding(*http: Any) -> Object:
    return {"metadata": {"resourceVersion": "7"}, "spec": {"hosts": ["podinfo"], "http": list(http)}}


def written_by(found: Object, manager: str, field: str = "f:http") -> Object:
    entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {field: {}}}}
    found["metadata"].setdefault("managedFields", []).append(entry)
    return found


def weights_changed(found: Object) -> None:
    for part, weight in zip(found["spec"]["http"][0]["route"], (50, 50), strict=True):
        part["weight"] = weight


def mirrored(found: Object) -> None:
    found["spec"]["http"][0] |= {
        "mirror": {"host": "podinfo-canary"},
        "mirrorPercentage": {"value": 10},
    }


def foreign_routes_added(found: Object) -> None:
    found["spec"]["http"] = [FOREIGN, *found["spec"]["http"], REDIRECT]


def metadata_added(found: Object) -> None:
    found["metadata"]["labels"]["foreign"] = "1"
    found["metadata"]["annotations"]["foreign"] = "1"


def other_fields_added(found: Object) -> None:
    found["spec"]["exportTo"] = ["."]


@pytest.mark.parametrize(
    "change", [weights_changed, mirrored, foreign_routes_added, metadata_added, other_fields_added]
)
@pytest.mark.proves("C40", "T2")
def test_what_moves_or_is_foreign_is_no_drift(change: Callable[[Object], None]) -> None:
    """Weights move and others annotate: in Flagger either begins the analysis anew.

    C40, T2: Flagger's istio.go.
    """
    found = live(spec())
    change(found)
    seen = read_routes(spec(), found)

    assert seen is not None
    assert seen.is_intact


def retries_gone(found: Object) -> None:
    del found["spec"]["http"][0]["retries"]


def match_added(found: Object) -> None:
    found["spec"]["http"][0]["match"] = [{"uri": {"prefix": "/a"}}]


def subset_added(found: Object) -> None:
    found["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v1"


def host_added(found: Object) -> None:
    found["spec"]["hosts"].append("other")


def gateways_gone(found: Object) -> None:
    del found["spec"]["gateways"]


def route_doubled(found: Object) -> None:
    found["spec"]["http"].append(copy.deepcopy(found["spec"]["http"][0]))


def sum_changed(found: Object) -> None:
    found["spec"]["http"][0]["route"][0]["weight"] = 30


@pytest.mark.parametrize(
    "change",
    [retries_gone, match_added, subset_added, host_added, gateways_gone, route_doubled, sum_changed],
)
@pytest.mark.proves("T2")
def test_what_was_generated_and_stands_otherwise_is_drift(change: Callable[[Object], None]) -> None:
    """Only what was generated and stands otherwise is drift; Flagger takes every difference for it.

    T2: Flagger's istio.go.
    """
    found = live(spec())
    change(found)
    seen = read_routes(spec(), found)

    assert seen is not None
    assert (seen.canary, seen.is_intact) == (20, False)


def test_a_changed_document_is_drift_of_the_routes() -> None:
    seen = read_routes(spec({"timeout": "5s"}), live(spec()))

    assert seen is not None
    assert not seen.is_intact


def test_the_default_route_of_a_match_gone_or_led_astray_is_seen() -> None:
    document = spec(match=MATCH)
    gone, astray = live(document), live(document)
    del gone["spec"]["http"][1]
    astray["spec"]["http"][1] = route("podinfo-canary")
    without, led = read_routes(document, gone), read_routes(document, astray)

    assert without is not None
    assert not without.is_intact
    assert led is not None
    assert (led.canary, led.is_for_all, led.is_intact) == (20, True, False)


def test_what_the_server_made_of_our_write_is_no_drift() -> None:
    found = live(spec())
    found["metadata"]["annotations"][marks.GENERATED] = fingerprint(spec())
    found["spec"]["http"][0]["retries"] = {}  # pruned as it was written
    written_by(found, "durable-canary-rollout")
    ours = read_routes(spec(), found)
    theirs = read_routes(spec(), written_by(copy.deepcopy(found), "kubectl-edit"))

    assert ours is not None
    assert ours.is_intact
    assert theirs is not None
    assert (theirs.is_intact, theirs.manager) == (False, "kubectl-edit")


def test_only_who_holds_the_routes_is_named() -> None:
    found = written_by(live(spec()), "kubectl", "f:exportTo")
    seen = read_routes(spec(), written_by(found, "durable-canary-rollout"))

    assert seen is not None
    assert seen.manager == ""


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"metadata": {}}, id="no spec"),
        pytest.param({"metadata": {}, "spec": None}, id="empty spec"),
        pytest.param({"metadata": {}, "spec": {"http": None}}, id="empty http"),
        pytest.param(holding({}, {"route": None}, {"route": []}), id="routes without destinations"),
        pytest.param(holding({"route": [{}]}, {"route": [{"destination": None}]}), id="empty destinations"),
        pytest.param(holding(None, "odd", {"route": ["odd", None]}), id="what is no route"),
        pytest.param(holding(REDIRECT, {"delegate": {"name": "other"}}), id="redirect and delegate"),
        pytest.param(holding(FOREIGN), id="foreign"),
        pytest.param(holding(route("podinfo-primary", "other")), id="ours and another"),
        pytest.param(
            {"metadata": {}, "spec": {"tcp": [route("podinfo-primary")]}}, id="of the other protocol"
        ),
    ],
)
def test_without_a_route_of_ours_there_are_no_weights(found: Object) -> None:
    assert read_routes(spec(), found) is None


@pytest.mark.parametrize(
    ("parts", "weights"),
    [
        pytest.param([("podinfo-primary", None)], (100, 0), id="the primary alone"),
        pytest.param([("podinfo-canary", 0)], (0, 100), id="the canary alone, whatever it weighs"),
        pytest.param([("podinfo-primary", None), ("podinfo-canary", 40)], (0, 40), id="none is zero"),
        pytest.param([("podinfo-primary", 60), ("podinfo-canary", None)], (60, 0), id="null is zero"),
        pytest.param(
            [("podinfo-primary.test.svc.cluster.local", 90), ("podinfo-canary.test", 10)],
            (90, 10),
            id="hosts in full",
        ),
        pytest.param(
            [("podinfo-primary", 60), ("podinfo-primary", 30), ("podinfo-canary", 10)],
            (90, 10),
            id="a side twice",
        ),
    ],
)
def test_weights_are_read_as_the_mesh_reads_them(
    parts: list[tuple[str, int | None]], weights: tuple[int, int]
) -> None:
    stands = [{"destination": {"host": host}, "weight": weight} for host, weight in parts]
    seen = read_routes(spec(), holding({"route": stands}))

    assert seen is not None
    assert (seen.primary, seen.canary) == weights
    assert not seen.is_intact


def sticky(document: CanarySpec) -> Object:
    """What stands in the middle of a rollout by a document with session affinity."""
    made = virtual_service(document, Routing(weight=30, cookie="A" * 10, primary_cookie="b" * 10), {})
    made["metadata"]["resourceVersion"] = "7"
    made["metadata"]["annotations"][marks.GENERATED] = fingerprint(document)
    return made


def test_the_weights_are_not_those_of_a_cookies_route() -> None:
    document = spec(session_affinity=SessionAffinity(cookie_name="a", primary_cookie_name="b"))
    made = sticky(document)
    seen = read_routes(document, made)

    assert len(made["spec"]["http"]) == 3
    assert seen is not None
    assert (seen.primary, seen.canary, seen.is_intact) == (70, 30, True)


@pytest.mark.parametrize("match", [(), MATCH], ids=["for all", "by match"])
@pytest.mark.parametrize(
    "after",
    [
        pytest.param(None, id="taken out"),
        pytest.param(SessionAffinity(cookie_name="c", primary_cookie_name="d"), id="renamed"),
        pytest.param(SessionAffinity(cookie_name="a"), id="the primary's taken out"),
    ],
)
def test_a_changed_session_cookie_is_no_changed_weight(match: Any, after: SessionAffinity | None) -> None:
    """Its routes still stand in front of the one whose weights are meant, and are not to stay."""
    before = SessionAffinity(cookie_name="a", primary_cookie_name="b")
    seen = read_routes(
        spec(match=match, session_affinity=after), sticky(spec(match=match, session_affinity=before))
    )

    assert seen is not None
    assert (seen.primary, seen.canary, seen.is_intact) == (70, 30, False)


@pytest.mark.parametrize(
    "regex",
    [
        pytest.param("^(.*?;)?(canary=always)(;.*)?$", id="Flagger's example"),
        pytest.param(r"(.*;\s*)?group=insiders(\s*;.*)?", id="as we write ours"),
        pytest.param(r"(.*;\s*)?group=production(\s*;.*)?", id="and as long"),
    ],
)
@pytest.mark.parametrize("where", ["analysis", "service"])
def test_a_users_own_match_by_cookie_is_no_session(regex: str, where: str) -> None:
    match = ({"headers": {"Cookie": {"regex": regex}}},)
    document = spec(match=match) if where == "analysis" else spec({"match": match})
    seen = read_routes(document, live(document))

    assert seen is not None
    assert (seen.primary, seen.canary, seen.is_intact) == (80, 20, True)


@pytest.mark.parametrize(
    ("found", "is_writable"),
    [
        pytest.param(live(spec()), True, id="ours alone"),
        pytest.param(holding(*live(spec())["spec"]["http"], FOREIGN), False, id="a foreign one besides"),
        pytest.param(
            {**live(spec()), "spec": {**live(spec())["spec"], "tcp": [route("db")]}},
            False,
            id="a foreign one of the other protocol",
        ),
    ],
)
def test_only_what_is_all_ours_can_be_written_unread(found: Object, *, is_writable: bool) -> None:
    seen = read_routes(spec(), found)

    assert seen is not None
    assert bool(seen.version) is is_writable


ONE = spec()
TWO = spec(match=MATCH)


def sketch(document: CanarySpec, found: Object) -> list[str]:
    """Where each route of a patched VirtualService leads."""
    http = changes(document, Routing(weight=10), found)["http"]
    return ["+".join(part["destination"]["host"] for part in one.get("route", [])) or "-" for one in http]


BOTH, REST = "podinfo-primary+podinfo-canary", "podinfo-primary"


@pytest.mark.parametrize(
    ("document", "standing", "wanted"),
    [
        pytest.param(ONE, [], [BOTH], id="empty"),
        pytest.param(ONE, live(ONE)["spec"]["http"], [BOTH], id="ours"),
        pytest.param(ONE, [FOREIGN, route(REST), REDIRECT], ["static", BOTH, "-"], id="between foreign ones"),
        pytest.param(
            TWO, [FOREIGN, route(REST), REDIRECT], ["static", BOTH, REST, "-"], id="one becomes two"
        ),
        pytest.param(
            TWO,
            [route(REST), FOREIGN, route(REST)],
            [BOTH, "static", REST],
            id="a foreign one between ours is not shadowed by our last",
        ),
        pytest.param(ONE, [route(REST), FOREIGN, route(REST)], ["static", BOTH], id="two become one"),
        pytest.param(ONE, [FOREIGN, route("podinfo")], ["static", BOTH], id="in place of the apex"),
        pytest.param(
            ONE,
            [route("podinfo"), FOREIGN, route("podinfo.test.svc.cluster.local")],
            ["static", BOTH],
            id="in place of the apex, twice",
        ),
        pytest.param(
            ONE, [route("podinfo"), route(REST)], ["podinfo", BOTH], id="beside the apex, where ours stand"
        ),
        pytest.param(ONE, [FOREIGN, REDIRECT], [BOTH, "static", "-"], id="first, where none stands"),
    ],
)
def test_foreign_routes_stay_where_they_are(
    document: CanarySpec, standing: list[Object], wanted: list[str]
) -> None:
    assert sketch(document, holding(*standing)) == wanted


def test_ours_leave_the_protocol_that_the_document_has_left() -> None:
    found = {**live(spec()), "spec": {**live(spec())["spec"], "tcp": [route("db")]}}
    to_tcp = changes(spec({"app_protocol": "tcp"}), Routing(), found)
    found["spec"]["http"].append(FOREIGN)
    kept = changes(spec({"app_protocol": "tcp"}), Routing(), found)

    assert to_tcp["http"] is None
    assert [len(one["route"]) for one in to_tcp["tcp"]] == [2, 1]
    assert kept["http"] == [FOREIGN]


@pytest.mark.proves("C12")
def test_a_delegate_loses_its_gateways() -> None:
    """A delegate with gateways would be refused by Istio (C12: Flagger's istio.go)."""
    assert changes(spec({"delegation": True}), Routing(), live(spec()))["gateways"] is None


def test_the_original_is_never_something_of_ours() -> None:
    assert foreign_spec(spec(), live(spec())) is None
    assert foreign_spec(spec(), holding(FOREIGN)) == {"hosts": ["podinfo"], "http": [FOREIGN]}
    assert foreign_spec(spec(), {"metadata": {}}) == {}


def test_what_nobody_noted_is_led_to_the_apex() -> None:
    patch = released(spec(), holding(FOREIGN, *live(spec())["spec"]["http"]))

    assert patch == {"http": [FOREIGN, route("podinfo")]}
    assert released(spec(), holding(FOREIGN)) == {}


def test_the_fingerprint_tells_documents_apart_and_no_weights() -> None:
    assert fingerprint(spec()) == fingerprint(spec(iterations=3))
    assert fingerprint(spec()) != fingerprint(spec(session_affinity=SessionAffinity(cookie_name="a")))
    assert fingerprint(spec()) != fingerprint(spec({"timeout": "1s"}))
    assert fingerprint(spec()) != fingerprint(spec({"hosts": ("a",)}))
