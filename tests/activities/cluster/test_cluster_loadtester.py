"""A workload's own load tester, as Kurator deploys it."""

from activities.cluster import loadtester, paths
from canary.spec import TestLoader
from tests.activities.cluster.member import NAMESPACE, Member, spec

SPEC = spec(test_loader=TestLoader(name="podinfo-testloader"))


async def test_a_load_tester_is_what_kurator_deploys(member: Member) -> None:
    for body in loadtester.objects(SPEC):
        path = paths.one(body["kind"], NAMESPACE, "podinfo-testloader")
        await member.api.apply(path, body, force=True)
    deployment = (await member.read("Deployment", "podinfo-testloader"))["spec"]
    service = (await member.read("Service", "podinfo-testloader"))["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    (port,) = service["ports"]

    assert (
        service["selector"] == deployment["template"]["metadata"]["labels"] == {"app": "podinfo-testloader"}
    )
    assert (port["port"], port["targetPort"], container["ports"][0]["name"]) == (80, "http", "http")
    assert container["command"] == ["./loadtester", "-port=8080", "-log-level=info", "-timeout=1h"]
    assert container["image"].startswith("ghcr.io/fluxcd/flagger-loadtester:")
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "512Mi"}
    assert container["securityContext"] == {"readOnlyRootFilesystem": True, "runAsUser": 10001}
    assert container["readinessProbe"]["exec"]["command"][-1] == "http://localhost:8080/healthz"


async def test_a_load_tester_is_the_same_the_second_time(member: Member) -> None:
    written = []
    for _ in range(2):
        for body in loadtester.objects(SPEC):
            path = paths.one(body["kind"], NAMESPACE, "podinfo-testloader")
            written.append((await member.api.apply(path, body, force=True))["metadata"]["resourceVersion"])

    assert written[:2] == written[2:]
