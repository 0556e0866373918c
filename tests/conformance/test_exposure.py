"""Who gets the canary, and when: each strategy with users at a real gateway."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from canary.spec import HookType
from canary.status import Phase, RolloutStatus
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.hooks import Hook
from tests.conformance.load import Load, Tally, Way
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME, PORT, success_rate
from tests.conformance.world import World
from workflows.contract import Verb

INSIDER = {"x-canary": "insider"}
COOKIE, PRIMARY_COOKIE = "who", "who-primary"
AFFINITY = {"cookieName": COOKIE, "primaryCookieName": PRIMARY_COOKIE}


@pytest.mark.proves("C08", "C21", "T17")
@pytest.mark.conformance
@together
async def test_matching_users_get_the_canary_until_a_person_lets_everybody_have_it(world: World) -> None:
    """A/B testing with a closed promotion gate, which a person's `approve` opens.

    C08, C21, T17: Flagger's scheduler.go, scheduler_hooks.go, pkg/loadtester.
    """
    case = Case(world, "kurator-member1", "ab")
    await case.deploy()
    match = [{"headers": {"x-canary": {"exact": "insider"}}}]
    async with Hook(is_closed=True) as gate:
        hooks = [gate.document(type_="confirm-promotion")]
        await case.initialise(interval="2s", iterations=2, match=match, webhooks=hooks)
        await case.is_routed()
        async with Load([_gateway(case, "insider", **INSIDER), _gateway(case, "other")], 25) as users:
            await case.release(BETTER)
            run = await case.rollout_begins()
            await case.rollout_is(lambda status: status.waiting_for is HookType.CONFIRM_PROMOTION, "it waits")
            before = {name: set(tally.versions) for name, tally in users.tallies.items()}
            await case.wish(Verb.APPROVE)
            ended = await case.rollout_ends(run)
            await until(_have(users.tallies["other"], BETTER), 10, "everybody gets the new version")

    assert before == {"insider": {GOOD, BETTER}, "other": {GOOD}}
    assert ended.outcome == "Promoted", ended
    assert gate.calls
    assert users.failures == {}


@pytest.mark.proves("C10", "D15")
@pytest.mark.conformance
@together
async def test_a_browser_stays_with_its_version_until_the_rollout_is_over(world: World) -> None:
    """Session affinity with real browsers' headers: the cookie stands among others.

    C10, D15: Flagger's istio.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member2", "affinity")
    await case.deploy()
    await case.initialise(interval="6s", stepWeight=50, sessionAffinity=AFFINITY)
    await case.is_routed()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:

        async def ask(cookie: str = "") -> tuple[str, str]:
            """The version that answered, and the cookie that it gave."""
            headers = {"Host": f"{case.namespace}.example.com"} | ({"Cookie": cookie} if cookie else {})
            async with browser.get(case.cluster.endpoints["gateway"], headers=headers) as answer:
                return (await answer.json())["version"], answer.headers.get("Set-Cookie", "")

        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(_is_shared, "half of the traffic goes to the canary")
        given: dict[str, str] = {}

        async def both_are_given() -> bool:
            version, cookie = await ask()
            if cookie:  # none before the mesh has heard of the weights
                given.setdefault(version, cookie.partition(";")[0])
            return len(given) == 2

        await until(both_are_given, 10, "each version gives its cookie")
        seen = {
            version: {(await ask(f"theme=dark; {cookie}; lang=en"))[0] for _ in range(20)}
            for version, cookie in given.items()
        }
        still = (await case.view()).status
        ended = await case.rollout_ends(run)

        async def is_told_to_forget() -> bool:
            version, cookie = await ask(f"theme=dark; {given[BETTER]}")
            return version == BETTER and cookie == f"{given[BETTER]}; Max-Age=-1"

        await until(is_told_to_forget, 10, "the browser is told to forget")
        unknown = (await ask())[1]

    assert {name.partition("=")[0] for name in given.values()} == {COOKIE, PRIMARY_COOKIE}
    assert seen == {GOOD: {GOOD}, BETTER: {BETTER}}
    assert _is_shared(still)
    assert (ended.outcome, unknown) == ("Promoted", "")


@pytest.mark.proves("C06", "C07")
@pytest.mark.conformance
@together
async def test_users_get_a_mirrored_blue_green_canary_only_once_it_is_judged(world: World) -> None:
    """Through all iterations the canary gets copies only; then everybody gets it.

    C06, C07: Flagger's scheduler.go.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member1", "blue-green")
    await case.deploy()
    wanted: dict[str, Any] = {"iterations": 3, "mirror": True, "metrics": [success_rate()]}
    await case.initialise(interval="3s", threshold=10, **wanted)
    await case.is_routed()
    async with case.load() as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(_is_iterated, "the last iteration is under way")
        judged_on = {version for tally in users.tallies.values() for version in tally.versions}
        weights = case.weights
        ended = await case.rollout_ends(run)

    assert judged_on == {GOOD}
    assert weights == [0]
    assert ended.outcome == "Promoted", ended
    assert any(each.value is not None for check in ended.checks for each in check.check.measurements)
    assert case.weights == [0, 100, 0]
    assert users.failures == {}


@pytest.mark.proves("C12")
@pytest.mark.conformance
@together
async def test_a_root_virtual_service_delegates_to_a_rollout(world: World) -> None:
    """The gateway's VirtualService is its owner's; weights move in the delegate (C12: Flagger's istio.go)."""
    case = Case(world, "kurator-member2", "delegated")
    await case.deploy()
    await case.apply_object("virtualservices", _root(case))
    service = {"port": PORT, "targetPort": "http", "delegation": True}
    await case.initialise(interval="2s", stepWeight=50, spec={"service": service})
    await case.is_routed()
    async with Load([_gateway(case, "gateway")], 25) as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(50)
        await until(_have(users.tallies["gateway"], BETTER), 10, "some get the canary through the root")
        ended = await case.rollout_ends(run)

    routes = (await case.get("virtualservices"))["spec"]
    assert not routes.get("gateways")
    assert not routes.get("hosts")
    assert ended.outcome == "Promoted", ended
    assert users.failures == {}


def _gateway(case: Case, name: str, **headers: str) -> Way:
    return Way(name, case.cluster.endpoints["gateway"], f"{case.namespace}.example.com", headers)


def _have(tally: Tally, version: str) -> Callable[[], Awaitable[bool]]:
    async def have() -> bool:
        return bool(tally.versions[version])

    return have


def _is_shared(status: RolloutStatus) -> bool:
    return status.traffic_weight == 50


def _is_iterated(status: RolloutStatus) -> bool:
    return status.phase is Phase.PROGRESSING and status.iterations == 3


def _root(case: Case) -> dict[str, Any]:
    """A VirtualService at the gateway that leaves its routes to another."""
    root = workload.routes(case.namespace)
    root["metadata"]["name"] = "root"
    root["spec"]["http"] = [{"delegate": {"name": NAME, "namespace": case.namespace}}]
    return root
