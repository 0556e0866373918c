"""A workload's own load tester: Flagger's, as Kurator deploys it, or ours behind a token."""

import asyncio
import base64
from dataclasses import replace

import pytest

from activities.cluster import loadtester, marks, paths
from activities.cluster.initialisation import InitialisationActivities
from activities.cluster.preflight import Preflight, PreflightActivities
from activities.cluster.removal import RemovalActivities, RemovalRequest
from canary.loadtester import LoadTester, public
from canary.spec import AnalysisSpec, CanarySpec, TestLoader, WebhookSpec
from tests.activities.cluster.member import ONLINE, Member, Object, spec
from tests.activities.cluster.routed import START, furnish

NAME = "podinfo-testloader"
SPEC = spec(test_loader=TestLoader(name=NAME))
IMAGE = "registry.example.com/durable-canary:0.1.0"
REPEATED = ("Deployment", "Service", "Secret")


@pytest.fixture
def guarded(member: Member) -> Member:
    """A member whose load testers are to be guarded."""
    member.api.settings = replace(member.api.settings, guarded_load_tester=IMAGE)
    return member


async def deploy(member: Member, document: CanarySpec = SPEC) -> None:
    await member.run(InitialisationActivities(member).deploy_load_tester, document)


async def token(member: Member) -> str:
    return base64.b64decode((await member.read("Secret", NAME))["data"]["token"]).decode()


async def pod(member: Member) -> tuple[Object, Object]:
    """The pod of the load tester, and its container."""
    found = (await member.read("Deployment", NAME))["spec"]["template"]["spec"]
    (container,) = found["containers"]
    return found, container


async def test_a_load_tester_is_what_kurator_deploys(member: Member) -> None:
    await deploy(member)
    deployment = (await member.read("Deployment", NAME))["spec"]
    service = (await member.read("Service", NAME))["spec"]
    _, container = await pod(member)
    (port,) = service["ports"]

    assert service["selector"] == deployment["template"]["metadata"]["labels"] == {"app": NAME}
    assert (port["port"], port["targetPort"], container["ports"][0]["name"]) == (80, "http", "http")
    assert container["command"] == ["./loadtester", "-port=8080", "-log-level=info", "-timeout=1h"]
    assert container["image"].startswith("ghcr.io/fluxcd/flagger-loadtester:")
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "512Mi"}
    assert container["securityContext"] == {"readOnlyRootFilesystem": True, "runAsUser": 10001}
    assert container["readinessProbe"]["exec"]["command"][-1] == "http://localhost:8080/healthz"
    assert await member.names("Secret") == []


async def test_a_load_tester_is_the_same_the_second_time(guarded: Member) -> None:
    written = []
    for _ in range(2):
        await deploy(guarded)
        written.append([await guarded.read(kind, NAME) for kind in REPEATED])
        await asyncio.sleep(1)  # the time of a write is kept in seconds

    assert written[0] == written[1]


async def test_a_guarded_load_tester_is_told_its_token_by_a_file(guarded: Member) -> None:
    await deploy(guarded)
    secret = await guarded.read("Secret", NAME)
    found, container = await pod(guarded)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in found["volumes"]}

    assert len(await token(guarded)) >= 32
    assert secret["immutable"] is True
    assert secret["metadata"]["labels"][marks.CANARY] == "podinfo"
    assert (container["image"], volumes["token"]["secret"]["secretName"]) == (IMAGE, NAME)
    assert container["command"] == [
        *("python", "-m", "sandbox", "loadtester", "--port=8080"),
        *(f"--token-file={mounts['token']}/token", f"--state={mounts['tmp']}/gates.json"),
        "--namespace-regexp=^default$",
    ]
    assert await token(guarded) not in str(await guarded.read("Deployment", NAME))


async def test_a_guarded_load_tester_may_do_nothing_else(guarded: Member) -> None:
    await deploy(guarded)
    found, container = await pod(guarded)

    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http", "scheme": "HTTP"}
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "512Mi"}


async def test_two_load_testers_have_two_tokens(guarded: Member) -> None:
    await deploy(guarded)
    first = await token(guarded)
    await guarded.delete("Secret", NAME)
    before = (await guarded.read("Deployment", NAME))["spec"]["template"]["metadata"]["annotations"]
    await deploy(guarded)
    after = (await guarded.read("Deployment", NAME))["spec"]["template"]["metadata"]["annotations"]

    assert await token(guarded) != first
    assert after[marks.REVISION] != before[marks.REVISION]  # so that its pod starts anew and reads it


async def test_a_load_tester_changes_with_the_setting(guarded: Member) -> None:
    await deploy(guarded)
    guarded.api.settings = replace(guarded.api.settings, guarded_load_tester="")
    await deploy(guarded)
    opened, container = await pod(guarded)
    guarded.api.settings = replace(guarded.api.settings, guarded_load_tester=IMAGE)
    await deploy(guarded)

    assert container["image"] == loadtester.IMAGE
    assert "httpGet" not in container["readinessProbe"]
    assert not opened.get("volumes")
    assert (await pod(guarded))[1]["image"] == IMAGE


async def is_outdated(member: Member, document: CanarySpec = SPEC) -> bool:
    found: Preflight = await member.run(PreflightActivities(member, ONLINE).preflight, document)
    return found.is_outdated


@pytest.mark.parametrize("image", ["", f"{IMAGE}-1"])
async def test_a_load_tester_of_another_image_is_outdated(guarded: Member, image: str) -> None:
    await furnish(guarded)
    await deploy(guarded)
    before = await is_outdated(guarded)
    guarded.api.settings = replace(guarded.api.settings, guarded_load_tester=image)
    after = await is_outdated(guarded)
    await deploy(guarded)

    assert (before, after, await is_outdated(guarded)) == (False, True, False)


@pytest.mark.parametrize("kind", REPEATED)
async def test_a_load_tester_that_is_not_all_there_is_outdated(guarded: Member, kind: str) -> None:
    await furnish(guarded)
    await deploy(guarded)
    await guarded.delete(kind, NAME)

    assert await is_outdated(guarded)
    assert not await is_outdated(guarded, spec())


WARNING = "Whoever reaches its load tester can run commands there: have workers deploy guarded ones"
PUBLIC = WebhookSpec(name="load", url=public("member1").address)
ELSEWHERE = WebhookSpec(name="load", url="http://loadtester.default/")


async def warned(member: Member, document: CanarySpec) -> int:
    """How many warnings of load testers a preflight gives."""
    found: Preflight = await member.run(PreflightActivities(member, ONLINE).preflight, document)
    return sum(one.message.startswith(WARNING) and one.is_warning for one in found.problems)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(SPEC, 1, id="its own"),
        pytest.param(spec(analysis=AnalysisSpec(webhooks=(PUBLIC, PUBLIC))), 1, id="the public one, once"),
        pytest.param(SPEC.model_copy(update={"analysis": AnalysisSpec(webhooks=(PUBLIC,))}), 1, id="both"),
        pytest.param(spec(analysis=AnalysisSpec(webhooks=(ELSEWHERE,))), 0, id="one that is not ours"),
        pytest.param(
            spec(analysis=AnalysisSpec(webhooks=(PUBLIC.model_copy(update={"secret_ref": "token"}),))),
            0,
            id="one whose token the document names",
        ),
        pytest.param(spec(), 0, id="none"),
    ],
)
@pytest.mark.proves("T17")
async def test_who_is_served_by_a_load_tester_without_a_token_is_warned(
    member: Member, document: CanarySpec, expected: int
) -> None:
    """Flagger's load tester runs any command for whoever reaches it, and nobody says so.

    T17: Flagger's pkg/loadtester.
    """
    await furnish(member)
    opened = await warned(member, document)
    member.api.settings = replace(member.api.settings, guarded_load_tester=IMAGE)

    assert (opened, await warned(member, document)) == (expected, 0)


async def test_a_public_load_tester_that_hooks_do_not_reach_is_not_warned_of(member: Member) -> None:
    await furnish(member)
    member.api.settings = replace(member.api.settings, load_tester="https://tester.example.com")

    assert await warned(member, spec(analysis=AnalysisSpec(webhooks=(PUBLIC,)))) == 0
    assert await warned(member, SPEC) == 1


async def test_a_secret_of_somebody_elses_is_not_taken_for_a_token(guarded: Member) -> None:
    await furnish(guarded)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "data": {"token": "YQ=="}}
    await guarded.add(secret)
    found: Preflight = await guarded.run(PreflightActivities(guarded, ONLINE).preflight, SPEC)

    with pytest.raises(Exception, match="Secret podinfo-testloader in namespace default is there already"):
        await deploy(guarded)
    assert await guarded.find("Deployment", NAME) is None
    assert any(one.message.startswith(f"Secret {NAME} in namespace default is") for one in found.problems)


async def test_the_way_out_takes_the_token_along(guarded: Member) -> None:
    await furnish(guarded)
    await deploy(guarded)
    request = RemovalRequest(spec=SPEC, decided_at=START)
    await guarded.run(RemovalActivities(guarded).remove_objects, request)

    assert [await guarded.find(kind, NAME) for kind in REPEATED] == [None, None, None]


def test_a_load_tester_for_all_serves_every_namespace() -> None:
    tester = LoadTester("istio-system", "shared")
    guard = loadtester.Guard(IMAGE, loadtester.new_secret(tester, {}))
    deployment, _ = loadtester.objects(tester, {}, guard)

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert not any(option.startswith("--namespace-regexp") for option in container["command"])
    assert paths.one("Deployment", *tester).endswith("/namespaces/istio-system/deployments/shared")
