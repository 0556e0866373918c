from collections.abc import AsyncIterator

import aiohttp
import pytest

from sandbox.switches import Faults, Switches


class Slowness(Faults):
    answer_delay: float = 0.0
    is_late: bool = False


@pytest.fixture
async def told() -> list[Slowness]:
    return []


@pytest.fixture
async def switches(told: list[Slowness]) -> AsyncIterator[Switches[Slowness]]:
    async def switch(faults: Slowness) -> None:
        told.append(faults)

    found = Switches(Slowness(answer_delay=2), switch)
    await found.start()
    yield found
    await found.stop()


async def ask(method: str, url: str, text: str = "") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, data=text) as answer:
        return answer.status, await answer.text()


async def test_faults_that_are_not_named_are_as_at_the_start(
    switches: Switches[Slowness], told: list[Slowness]
) -> None:
    answer = await ask("PUT", switches.url, '{"isLate": true}')

    assert answer == (200, '{"answerDelay": 2.0, "isLate": true}')
    assert told == [switches.faults] == [Slowness(answer_delay=2, is_late=True)]


async def test_ending_the_faults_brings_back_those_of_the_start(switches: Switches[Slowness]) -> None:
    await ask("PUT", switches.url, '{"answerDelay": 0, "isLate": true}')

    assert await ask("DELETE", switches.url) == (200, '{"answerDelay": 2.0, "isLate": false}')
    assert await ask("GET", switches.url) == (200, '{"answerDelay": 2.0, "isLate": false}')


@pytest.mark.parametrize("text", ["", "[]", '{"lateness": 1}', '{"answerDelay": "1s"}'])
async def test_what_is_no_fault_is_refused_and_changes_nothing(
    switches: Switches[Slowness], told: list[Slowness], text: str
) -> None:
    assert (await ask("PUT", switches.url, text))[0] == 400
    assert told == []
