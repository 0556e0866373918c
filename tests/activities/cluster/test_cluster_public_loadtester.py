"""The load tester that a fleet wants in each cluster: deployed once for all, over nobody else's."""

import base64
from dataclasses import replace

import pytest

from activities.cluster import loadtester, marks, paths, testers
from activities.cluster.errors import ApiError
from canary.loadtester import public
from tests.activities.cluster.member import Member, Object

TESTER = public("member1")
IMAGE = "registry.example.com/durable-canary:0.1.0"
KINDS = ("Deployment", "Service", "Secret")


@pytest.fixture
def guarded(member: Member) -> Member:
    member.api.settings = replace(member.api.settings, guarded_load_tester=IMAGE)
    return member


async def find(member: Member, kind: str) -> Object | None:
    return await member.api.find(paths.one(kind, *TESTER))


async def read(member: Member, kind: str) -> Object:
    found = await find(member, kind)
    assert found is not None
    return found


async def container(member: Member) -> Object:
    (one,) = (await read(member, "Deployment"))["spec"]["template"]["spec"]["containers"]
    return dict(one)


async def add(member: Member, kind: str, body: Object) -> None:
    path = paths.namespace_path(TESTER.namespace)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TESTER.namespace}}
    await member.kube.apply(path, namespace, manager="x")
    await member.kube.create(paths.collection(kind, TESTER.namespace), body, fieldManager="helm")


def foreign(kind: str) -> Object:
    guard = loadtester.Guard(IMAGE, loadtester.new_secret(TESTER, {}))
    bodies = {body["kind"]: body for body in (*loadtester.objects(TESTER, {}, guard), guard.secret)}
    return {**bodies[kind], "metadata": {"name": TESTER.name}}


async def test_it_is_where_kurators_plugin_puts_it(member: Member) -> None:
    told = await testers.deploy_public(member.api)
    (port,) = (await read(member, "Service"))["spec"]["ports"]

    assert (told, TESTER.address) == (
        "",
        "http://istio-system-testloader-member1-loadtester.istio-system/",
    )
    assert port["port"] == 80
    assert (await container(member))["image"] == loadtester.IMAGE
    assert await find(member, "Secret") is None


async def test_it_belongs_to_no_canary_and_serves_all_namespaces(guarded: Member) -> None:
    await testers.deploy_public(guarded.api)
    labels = [(await read(guarded, kind))["metadata"]["labels"] for kind in KINDS]
    command = (await container(guarded))["command"]

    assert labels == [{"app": TESTER.name, marks.LOAD_TESTER: marks.GUARDED}] * 3
    assert not any(option.startswith("--namespace-regexp") for option in command)


async def test_it_is_the_same_the_second_time(guarded: Member) -> None:
    written = []
    for _ in range(2):
        await testers.deploy_public(guarded.api)
        written.append([await read(guarded, kind) for kind in KINDS])

    assert written[0] == written[1]
    assert base64.b64decode(written[0][2]["data"]["token"])


async def test_it_follows_the_setting(guarded: Member) -> None:
    await testers.deploy_public(guarded.api)
    guarded.api.settings = replace(guarded.api.settings, guarded_load_tester="")
    await testers.deploy_public(guarded.api)

    assert (await container(guarded))["image"] == loadtester.IMAGE
    assert (await read(guarded, "Deployment"))["metadata"]["labels"][marks.LOAD_TESTER] == marks.OPEN


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_somebody_elses_is_left_and_told(guarded: Member, kind: str) -> None:
    await add(guarded, kind, foreign(kind))
    before = await read(guarded, kind)
    told = await testers.deploy_public(guarded.api)

    assert told == (
        f"{kind} {TESTER.name} in namespace istio-system is there already and was written by helm: "
        "no public load tester is deployed in its place."
    )
    assert await read(guarded, kind) == before
    assert [one for one in KINDS if await find(guarded, one)] == [kind]


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_cluster_that_refuses_it_is_told_of_and_gets_all_else(member: Member, method: str) -> None:
    await member.fault({"do": "status", "status": 403, "method": method, "path": "/deployments"})
    told = await testers.deploy_public(member.api)

    assert told.startswith("The public load tester cannot be deployed: ")
    assert "403" in told


@pytest.mark.parametrize("status", [500, 409])
async def test_what_may_pass_is_tried_again(member: Member, status: int) -> None:
    await member.fault({"do": "status", "status": status, "method": "PATCH", "path": "/deployments"})

    with pytest.raises(ApiError):
        await testers.deploy_public(member.api)
