"""Names: one match is enough, several ask for more."""

from typing import Any

import pytest

from starter import listing, names
from starter.errors import UsageError
from starter.names import Reference, find_application, find_canary
from tests.starter.conftest import row_of


async def test_the_cluster_may_be_left_out_with_one_match(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    found = await find_canary(engine.client, Reference("backend", spec.namespace))

    assert found.tail == spec.tail


async def test_several_matches_name_the_clusters(engine: Any) -> None:
    namespace = engine.namespace()
    for cluster in ("one", "two"):
        await engine.canary(engine.spec(namespace=namespace, cluster=cluster))

    with pytest.raises(UsageError, match=r"say which with --cluster \(one, two\)\."):
        await find_canary(engine.client, Reference("backend", namespace))


async def test_the_cluster_chooses(engine: Any) -> None:
    namespace = engine.namespace()
    for cluster in ("one", "two"):
        await engine.canary(engine.spec(namespace=namespace, cluster=cluster))

    found = await find_canary(engine.client, Reference("backend", namespace, "two"))

    assert found.row.cluster == "two"


@pytest.mark.parametrize("name", ["deployment/backend", "canary/backend"])
async def test_a_kind_may_stand_before_the_name(engine: Any, name: str) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    found = await find_canary(engine.client, Reference(name, spec.namespace))

    assert found.tail == spec.tail


async def test_a_name_in_another_namespace_is_pointed_out(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace(), name=engine.namespace())
    await engine.canary(spec)

    with pytest.raises(UsageError, match=f"There is one in namespace {spec.namespace} of cluster one"):
        await find_canary(engine.client, Reference(spec.name, "elsewhere"))


async def test_nothing_by_that_name(engine: Any) -> None:
    with pytest.raises(UsageError, match=r"^No canary nothing in namespace webapp of cluster two\.$"):
        await find_canary(engine.client, Reference("nothing", "webapp", "two"))


async def test_a_quote_is_no_name(engine: Any) -> None:
    with pytest.raises(UsageError, match="not a name"):
        await find_canary(engine.client, Reference("backend", "webapp' OR 'a' = 'a"))


async def test_an_application_that_is_not_there(engine: Any) -> None:
    with pytest.raises(UsageError, match="No application shop in namespace default"):
        await find_application(engine.client, "shop", "default")


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lists lag: the first of each kind is empty."""
    monkeypatch.setattr(names, "LAG", 0.0)
    looks: set[str] = set()

    async def canaries(client: Any, scope: Any) -> Any:
        return await listing.canaries(client, scope) if "canaries" in looks else looks.add("canaries") or []

    async def workflows(client: Any, kind: str, *where: Any) -> Any:
        is_first = kind not in looks
        looks.add(kind)
        async for item in listing.workflows(client, kind, *where):
            if not is_first:
                yield item

    monkeypatch.setattr(names, "canaries", canaries)
    monkeypatch.setattr(names, "workflows", workflows)


@pytest.mark.usefixtures("late")
async def test_a_canary_that_is_not_listed_yet_is_looked_for_once_more(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    found = await find_canary(engine.client, Reference("backend", spec.namespace))

    assert found.tail == spec.tail


@pytest.mark.usefixtures("late")
async def test_an_application_that_is_not_listed_yet_is_looked_for_once_more(engine: Any) -> None:
    row = row_of(engine.spec(namespace=engine.namespace(), name="shop"))
    application = await engine.application(row)

    found = await find_application(engine.client, "shop", row.namespace)

    assert found.id == application.id
