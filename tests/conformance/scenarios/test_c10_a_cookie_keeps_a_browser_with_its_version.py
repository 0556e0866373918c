"""C10: a session cookie keeps a browser with its version, and is taken back after the run."""

import aiohttp
import pytest

from canary.status import RolloutStatus
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD
from tests.conformance.world import World

COOKIE, PRIMARY_COOKIE = "who", "who-primary"
AFFINITY = {"cookieName": COOKIE, "primaryCookieName": PRIMARY_COOKIE}


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


def _is_shared(status: RolloutStatus) -> bool:
    return status.traffic_weight == 50
