"""Generated routes on a real Envoy: what a browser or a client comes to by them."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from activities.cluster.virtualservice import routes
from canary.routing import Routing
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, SessionAffinity, TargetRef
from tests.activities.cluster.routed import until
from tests.sandbox.test_mesh_envoy import Plane

COOKIES = {"cookie": "AAAA", "primary_cookie": "BBBB"}
AFFINITY = SessionAffinity(cookie_name="who", primary_cookie_name="who-primary", max_age=60)
INSIDER = ({"headers": {"x-canary": {"exact": "insider"}}}, {"queryParams": {"canary": {"exact": "1"}}})


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """Primary and canary behind an Envoy."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        plane = Plane(tmp_path, session)
        for name in ("backend", "backend-primary", "backend-canary"):
            await plane.backend(name)
        plane.virtual_service("webapp/backend", [])
        yield plane
        await plane.stop()


async def serve(
    plane: Plane, routing: Routing, service: dict[str, Any] | None = None, **analysis: Any
) -> None:
    spec = CanarySpec(
        cluster="member1",
        namespace="webapp",
        name="backend",
        target=TargetRef(name="backend"),
        service=ServiceSpec(**{"name": "backend", "port": 9898, **(service or {})}),
        analysis=AnalysisSpec(**analysis),
    )
    plane.virtual_service("webapp/backend", routes(spec, routing))
    await plane.start()


async def served(plane: Plane, times: int = 30, **headers: str) -> Counter[str]:
    return Counter([await plane.who(**headers) for _ in range(times)])


@pytest.mark.parametrize(
    ("cookie", "only"),
    [
        pytest.param("who=AAAA", "backend-canary", id="the canary's"),
        pytest.param("a=b; who=AAAA; c=d", "backend-canary", id="the canary's among others"),
        pytest.param("a=b; who-primary=BBBB", "backend-primary", id="the primary's after another"),
        pytest.param("not-who=AAAA", None, id="a name that ends alike"),
        pytest.param("who=other; c=AAAA", None, id="the value of another cookie"),
    ],
)
@pytest.mark.proves("C10", "D15")
async def test_a_browser_stays_with_the_version_of_its_cookie(
    plane: Plane, cookie: str, only: str | None
) -> None:
    """Whoever sends a version's cookie gets that version, whatever the weights.

    C10, D15: Flagger's istio.go, docs/architecture.md.
    """
    await serve(plane, Routing(weight=50, **COOKIES), session_affinity=AFFINITY)
    who = await served(plane, 40, Cookie=cookie)

    assert set(who) == ({only} if only else {"backend-primary", "backend-canary"})


@pytest.mark.proves("C10")
async def test_each_version_sets_its_own_cookie(plane: Plane) -> None:
    """An answer to a browser without a cookie binds it to the version that gave it.

    C10: Flagger's istio.go.
    """
    await serve(plane, Routing(weight=50, **COOKIES), session_affinity=AFFINITY)
    seen = set()
    for _ in range(40):
        _, body, answer = await plane.get()
        seen.add((body["pod"].rpartition("-")[0], answer.headers["Set-Cookie"]))

    assert seen == {
        ("backend-primary", "who-primary=BBBB; Max-Age=60"),
        ("backend-canary", "who=AAAA; Max-Age=60"),
    }


@pytest.mark.proves("C10")
async def test_after_the_run_a_browser_is_told_to_forget_and_nobody_else(plane: Plane) -> None:
    """After a run the canary's cookie is taken back with `Max-Age=-1`, from those who send it only.

    C10: Flagger's istio.go.
    """
    headers = {"response": {"add": {"x-a": "b"}}}
    await serve(plane, Routing(expired_cookie="AAAA"), {"headers": headers}, session_affinity=AFFINITY)
    _, known, told = await plane.get(Cookie="a=b; who=AAAA")
    _, unknown, untold = await plane.get()

    assert (known["pod"], unknown["pod"]) == ("backend-primary-0", "backend-primary-0")
    assert told.headers["Set-Cookie"] == "who=AAAA; Max-Age=-1"
    assert "Set-Cookie" not in untold.headers
    assert (told.headers["x-a"], untold.headers["x-a"]) == ("b", "b")


@pytest.mark.parametrize(
    ("routing", "insider", "others"),
    [
        pytest.param(Routing(), "backend-primary", "backend-primary", id="at rest"),
        pytest.param(Routing(weight=100), "backend-canary", "backend-primary", id="in the run"),
        pytest.param(Routing(weight=100, is_for_all=True), "backend-canary", "backend-canary", id="for all"),
    ],
)
@pytest.mark.proves("C08")
async def test_a_match_tells_who_gets_the_canary(
    plane: Plane, routing: Routing, insider: str, others: str
) -> None:
    """In A/B testing those who match get the canary, and nobody else does (C08: Flagger's scheduler.go)."""
    await serve(plane, routing, match=INSIDER, iterations=2)
    by_header = await plane.who(**{"x-canary": "insider"})
    by_query = await plane.who("http://backend.webapp:9898/?canary=1")

    assert (by_header, by_query, await plane.who()) == (insider, insider, others)


@pytest.mark.proves("C06")
async def test_a_mirrored_canary_is_asked_and_answers_nobody(plane: Plane) -> None:
    """A mirrored canary gets copies of the requests; users hear the primary (C06: Flagger's scheduler.go)."""
    await serve(plane, Routing(is_mirrored=True), mirror=True)
    who = await served(plane, 10)

    async def are_mirrored() -> bool:
        return plane.served["backend-canary-0"] == 10

    assert set(who) == {"backend-primary"}
    await until(are_mirrored)
