"""One request for many that ask at once, and never an older answer than asked for."""

import asyncio
import contextlib

import pytest

from activities.cluster.api import Object
from activities.cluster.lists import SHARE, SharedLists

KEY = ("member1", "/apis/networking.istio.io/v1beta1/virtualservices")


class Cluster:
    """Answers with all that was written when it was asked; the answer comes when it is let go."""

    def __init__(self) -> None:
        self.written: list[Object] = []
        self.asked = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def read(self) -> list[Object]:
        self.asked += 1
        seen = list(self.written)
        await self.go.wait()
        if self.error:
            raise self.error
        return seen


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def begun() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_many_at_once_cost_two_requests(cluster: Cluster) -> None:
    lists = SharedLists()
    first = asyncio.create_task(lists.read(KEY, cluster.read))
    await begun()
    others = [asyncio.create_task(lists.read(KEY, cluster.read)) for _ in range(100)]
    cluster.go.set()
    await asyncio.gather(first, *others)

    assert cluster.asked == 2


async def test_many_one_after_the_other_wait_for_one_another(cluster: Cluster) -> None:
    lists = SharedLists(pause=0.5)
    cluster.go.set()
    await lists.read(KEY, cluster.read)
    later = []
    for _ in range(100):
        later.append(asyncio.create_task(lists.read(KEY, cluster.read)))
        await begun()
    await asyncio.gather(*later)

    assert cluster.asked == 2


async def test_a_list_that_takes_long_is_asked_for_more_rarely() -> None:
    clock = asyncio.get_running_loop().time
    begun: list[float] = []

    async def read() -> list[Object]:
        begun.append(clock())
        await asyncio.sleep(0.02)
        return []

    lists = SharedLists(pause=0.0)
    await lists.read(KEY, read)
    await lists.read(KEY, read)

    assert begun[1] - begun[0] >= SHARE * 0.02


async def test_what_was_written_before_is_in_the_answer(cluster: Cluster) -> None:
    lists = SharedLists()
    early = asyncio.create_task(lists.read(KEY, cluster.read))
    await begun()
    cluster.written.append({"metadata": {"name": "theirs"}})
    late = asyncio.create_task(lists.read(KEY, cluster.read))
    await begun()
    cluster.go.set()

    assert await early == []
    assert await late == cluster.written


async def test_other_lists_are_asked_for_beside_it(cluster: Cluster) -> None:
    lists = SharedLists()
    tasks = [asyncio.create_task(lists.read((name, "/"), cluster.read)) for name in ("one", "two")]
    await begun()

    assert cluster.asked == 2
    cluster.go.set()
    await asyncio.gather(*tasks)


async def test_one_that_is_called_off_calls_off_nobody_else(cluster: Cluster) -> None:
    lists = SharedLists()
    first, second = (asyncio.create_task(lists.read(KEY, cluster.read)) for _ in range(2))
    await begun()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    cluster.go.set()

    assert await second == []


async def test_all_that_share_a_request_hear_why_it_failed(cluster: Cluster) -> None:
    lists = SharedLists()
    cluster.error = ValueError("no")
    cluster.go.set()
    answers = await asyncio.gather(*(lists.read(KEY, cluster.read) for _ in range(3)), return_exceptions=True)
    cluster.error = None

    assert [str(one) for one in answers] == ["no"] * 3
    assert await lists.read(KEY, cluster.read) == []
