import ipaddress
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.apiserver.quantity import canonical
from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient, PatchKind

CORE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default"
# An address of this test process alone.
HOST = f"127.99.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}"


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    server = await ApiServer.start()
    async with KubeClient(server.url) as client:
        yield client
    await server.stop()


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "podinfo:1", "ports": [{"containerPort": 9898}]}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def workload(name: str = "web", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "app", "image": "podinfo:1"}]},
    }
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


async def refused(client: KubeClient, path: str, body: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as failure:
        await client.create(path, body)
    return failure.value


def fields(error: ApiError) -> list[str]:
    return [cause["field"] for cause in error.body["details"]["causes"]]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("1.5Gi", "1536Mi"),
        (2, "2"),
        ("0", "0"),
    ],
)
def test_quantities_are_given_back_in_one_form(given: Any, wanted: str) -> None:
    assert canonical(given) == wanted


async def test_a_running_pod_is_marked_and_goes_when_its_node_says_so(client: KubeClient) -> None:
    await client.create(f"{CORE}/pods", pod("p", terminationGracePeriodSeconds=7))
    target = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "node"}}
    await client.create(f"{CORE}/pods/p/binding", target)
    marked = await client.delete(f"{CORE}/pods/p")
    there = await client.get(f"{CORE}/pods/p")
    await client.delete(f"{CORE}/pods/p", gracePeriodSeconds="0")

    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert there["spec"]["nodeName"] == "node"
    assert there["status"]["conditions"][0]["type"] == "PodScheduled"
    assert (await client.list(f"{CORE}/pods"))["items"] == []


async def test_a_spread_of_pods_is_given_back_as_it_was_written(client: KubeClient) -> None:
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    created = await client.create(f"{CORE}/pods", pod("p", topologySpreadConstraints=[spread]))

    assert created["spec"]["topologySpreadConstraints"] == [spread]


async def test_a_bound_pod_is_not_bound_again(client: KubeClient) -> None:
    await client.create(f"{CORE}/pods", pod("p", nodeName="here"))
    error = await refused(client, f"{CORE}/pods/p/binding", {"target": {"name": "there"}})

    assert error.status == 409


async def test_a_namespace_goes_when_it_is_finalized(client: KubeClient) -> None:
    await client.create("/api/v1/namespaces", {"metadata": {"name": "n"}})
    marked = await client.delete("/api/v1/namespaces/n")
    error = await refused(client, "/api/v1/namespaces/n/configmaps", {"metadata": {"name": "late"}})
    await client.replace("/api/v1/namespaces/n/finalize", {**marked, "spec": {}})
    with pytest.raises(ApiError) as failure:
        await client.get("/api/v1/namespaces/n")

    assert marked["status"]["phase"] == "Terminating"
    assert error.status == 403
    assert failure.value.status == 404


async def test_the_same_event_in_both_apis(client: KubeClient) -> None:
    old = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default", "name": "x"}, "message": "m"}
    await client.create(f"{CORE}/events", old)
    found = await client.get("/apis/events.k8s.io/v1/namespaces/default/events/e")

    assert (found["apiVersion"], found["note"], found["regarding"]["name"]) == ("events.k8s.io/v1", "m", "x")


async def test_annotations_are_a_new_generation_of_a_deployment_only(client: KubeClient) -> None:
    note = {"metadata": {"annotations": {"a": "b"}}}
    generations = []
    for kind in ("deployments", "replicasets"):
        await client.create(f"{APPS}/{kind}", workload())
        generations.append((await client.patch(f"{APPS}/{kind}/web", note))["metadata"]["generation"])

    assert generations == [2, 1]


async def test_a_set_element_order_orders_the_list(client: KubeClient) -> None:
    await client.create(f"{APPS}/deployments", workload())
    order = [{"name": "first"}, {"name": "app"}, {"name": "last"}]
    added = [{"name": "last", "image": "i"}, {"name": "first", "image": "i"}]
    patch = {"spec": {"template": {"spec": {"$setElementOrder/containers": order, "containers": added}}}}
    found = await client.patch(f"{APPS}/deployments/web", patch, kind="strategic")

    names = [container["name"] for container in found["spec"]["template"]["spec"]["containers"]]
    assert names == ["first", "app", "last"]


async def test_a_strategic_patch_deletes_from_a_set_of_strings(client: KubeClient) -> None:
    held = {"metadata": {"name": "a", "finalizers": ["x.io/a", "x.io/b"]}}
    await client.create(f"{CORE}/configmaps", held)
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a"]}}
    found = await client.patch(f"{CORE}/configmaps/a", patch, kind="strategic")

    assert found["metadata"]["finalizers"] == ["x.io/b"]


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        pytest.param(f"{CORE}/pods", pod("p", containers=[]), ["spec.containers"], id="no containers"),
        pytest.param(
            f"{CORE}/pods",
            pod("p", containers=[{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]),
            ["spec.containers[1].name"],
            id="two containers of one name",
        ),
        pytest.param(
            f"{CORE}/pods",
            pod(
                "p",
                containers=[{"name": "a", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            ),
            ["spec.containers[0].volumeMounts[0].name"],
            id="a volume that is not there",
        ),
        pytest.param(
            f"{APPS}/deployments",
            workload(progressDeadlineSeconds=5, minReadySeconds=5),
            ["spec.progressDeadlineSeconds"],
            id="a deadline that cannot be met",
        ),
        pytest.param(
            f"{APPS}/deployments",
            workload(strategy={"type": "Sideways"}),
            ["spec.strategy"],
            id="an unknown strategy",
        ),
        pytest.param(
            f"{CORE}/services",
            {"metadata": {"name": "1st"}, "spec": {"ports": [{"port": 70000}]}},
            ["metadata.name", "spec.ports[0].port", "spec.ports[0].targetPort"],
            id="a service's name and port",
        ),
        pytest.param(
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            {
                "metadata": {"name": "h"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "D", "name": "d"},
                    "minReplicas": 3,
                    "maxReplicas": 2,
                },
            },
            ["spec.maxReplicas"],
            id="an autoscaler's bounds",
        ),
        pytest.param(
            f"{CORE}/configmaps", {"metadata": {"name": "a"}, "data": {"a b": ""}}, ["data[a b]"], id="a key"
        ),
    ],
)
async def test_refuses(client: KubeClient, path: str, body: dict[str, Any], wanted: list[str]) -> None:
    error = await refused(client, path, body)

    assert (error.status, error.reason, fields(error)) == (422, "Invalid", wanted)


async def test_a_proxied_request_reaches_the_endpoint_of_the_service(client: KubeClient) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        heard = {"path": request.path_qs, "body": await request.text(), "method": request.method}
        return web.json_response({**heard, "authorization": request.headers.get("Authorization")}, status=202)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    address, port = runner.addresses[0][:2]
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    subset = {"addresses": [{"ip": address}], "ports": [{"name": "http", "port": port}]}
    await client.create(f"{CORE}/services", service)
    await client.create(f"{CORE}/endpoints", {"metadata": {"name": "s"}, "subsets": [subset]})
    by_number = await client.create(f"{CORE}/services/s:80/proxy/a/b", {"x": 1}, q="1")
    secret = {"Authorization": "Bearer secret"}
    async with aiohttp.request(
        "GET", f"{client.url}{CORE}/services/s:http/proxy/", headers=secret
    ) as by_name:
        heard = await by_name.json()
    await runner.cleanup()

    assert by_number == {"path": "/a/b?q=1", "body": '{"x": 1}', "method": "POST", "authorization": None}
    assert (by_name.status, heard["path"], heard["authorization"]) == (202, "/", None)


async def test_a_service_without_ready_endpoints_is_unavailable(client: KubeClient) -> None:
    await client.create(f"{CORE}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    await client.create(f"{CORE}/endpoints", {"metadata": {"name": "s"}})
    with pytest.raises(ApiError) as failure:
        await client.get(f"{CORE}/services/s:80/proxy/")

    assert (failure.value.status, failure.value.reason) == (503, "ServiceUnavailable")
    assert failure.value.message == 'no endpoints available for service "s"'


async def test_a_pod_is_reached_by_its_address(client: KubeClient) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.json_response({"path": request.path})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    await client.create(f"{CORE}/pods", pod("p"))
    await client.patch(f"{CORE}/pods/p/status", {"status": {"podIP": HOST}})
    found = await client.get(f"{CORE}/pods/p:{runner.addresses[0][1]}/proxy/healthz")
    await runner.cleanup()

    assert found == {"path": "/healthz"}


async def test_pages_cover_a_collection(client: KubeClient) -> None:
    for i in range(5):
        await client.create(f"{CORE}/configmaps", {"metadata": {"name": f"m{i}"}})
    names, token = [], ""
    for _ in range(3):
        page = await client.list(f"{CORE}/configmaps", limit="2", **({"continue": token} if token else {}))
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")

    assert (names, token) == ([f"m{i}" for i in range(5)], "")


async def test_reset_managed_fields(client: KubeClient) -> None:
    await client.create(f"{CORE}/configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    found = await client.patch(f"{CORE}/configmaps/a", {"metadata": {"managedFields": [{}]}})

    assert "managedFields" not in found["metadata"]


async def test_pages_show_the_collection_as_it_was_at_the_first(client: KubeClient) -> None:
    for name in ("a", "b", "c"):
        await client.create(f"{CORE}/configmaps", {"metadata": {"name": name}})
    first = await client.list(f"{CORE}/configmaps", limit="1")
    await client.delete(f"{CORE}/configmaps/b")
    await client.create(f"{CORE}/configmaps", {"metadata": {"name": "d"}})
    rest = await client.list(f"{CORE}/configmaps", **{"continue": first["metadata"]["continue"]})

    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param({"dryRun": "Some"}, "dryRun", id="dry run"),
        pytest.param({"fieldValidation": "Lenient"}, "fieldValidation", id="validation"),
        pytest.param({"fieldManager": "x" * 129}, "fieldManager", id="manager"),
        pytest.param({"force": "true"}, "force", id="force without apply"),
    ],
)
async def test_options_are_checked(client: KubeClient, query: dict[str, str], field: str) -> None:
    await client.create(f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    with pytest.raises(ApiError) as failure:
        await client.patch(f"{CORE}/configmaps/a", {"data": {}}, **query)

    assert (failure.value.status, fields(failure.value)) == (422, [field])


@pytest.mark.parametrize("name", ["uid", "deletionTimestamp"])
async def test_identity_cannot_be_patched(client: KubeClient, name: str) -> None:
    await client.create(f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    with pytest.raises(ApiError) as failure:
        await client.patch(f"{CORE}/configmaps/a", {"metadata": {name: "2020-01-01T00:00:00Z"}})

    assert (failure.value.status, fields(failure.value)) == (422, [f"metadata.{name}"])


async def test_a_scale_is_checked_as_a_scale(client: KubeClient) -> None:
    await client.create(f"{APPS}/deployments", workload())
    with pytest.raises(ApiError) as failure:
        await client.patch(f"{APPS}/deployments/web/scale", {"spec": {"replicas": -1}})

    assert failure.value.body["details"]["kind"] == "Scale"
    assert fields(failure.value) == ["spec.replicas"]


async def test_the_default_namespace_stays(client: KubeClient) -> None:
    with pytest.raises(ApiError) as failure:
        await client.delete("/api/v1/namespaces/default")

    assert failure.value.status == 403


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"metadata": {"name": "a"}, "data": {"x": "not base64!"}}, id="base64"),
        pytest.param({"metadata": {"name": "a", "deletionTimestamp": "yesterday"}}, id="a time"),
        pytest.param({"metadata": {"name": "a", "labels": {"x": 1}}}, id="a label that is a number"),
    ],
)
async def test_what_cannot_be_read_is_a_bad_request(client: KubeClient, body: dict[str, Any]) -> None:
    error = await refused(client, f"{CORE}/secrets", body)

    assert (error.status, error.reason) == (400, "BadRequest")


async def test_times_are_written_in_one_form(client: KubeClient) -> None:
    spec = {"holderIdentity": "x", "renewTime": "2026-01-01T01:00:00.500000+01:00"}
    body = {"metadata": {"name": "l"}, "spec": spec}
    lease = await client.create("/apis/coordination.k8s.io/v1/namespaces/default/leases", body)

    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:00.500000Z"


@pytest.mark.parametrize("kind", ["merge", "strategic"])
@pytest.mark.parametrize(
    ("patch", "query"),
    [
        pytest.param({"spec": {"replicas": "two"}}, {}, id="wrong type"),
        pytest.param({"spec": {"replica": 2}}, {"fieldValidation": "Strict"}, id="unknown field"),
    ],
)
async def test_a_patch_that_cannot_be_read_is_invalid(
    client: KubeClient, kind: PatchKind, patch: dict[str, Any], query: dict[str, str]
) -> None:
    await client.create(f"{APPS}/deployments", workload())
    with pytest.raises(ApiError) as failure:
        await client.patch(f"{APPS}/deployments/web", patch, kind=kind, **query)

    assert (failure.value.status, fields(failure.value)) == (422, ["patch"])


async def test_the_data_of_a_revision_is_owned_as_a_whole(client: KubeClient) -> None:
    body = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "data": {"spec": {"x": 1}}, "revision": 3}
    found = await client.apply(f"{APPS}/controllerrevisions/r", body, manager="git")

    assert found["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {}, "f:revision": {}}


async def test_everybody_may_do_everything(client: KubeClient) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"resourceAttributes": {"verb": "patch", "group": "apps", "resource": "deployments"}}
    answer = await client.create(path, {"spec": asked})

    assert (answer["kind"], answer["spec"], answer["status"]) == (
        *("SelfSubjectAccessReview", asked),
        {"allowed": True},
    )
    with pytest.raises(ApiError) as failure:
        await client.list(path)
    assert failure.value.status == 405
    found = await client.get("/apis/authorization.k8s.io/v1")
    assert [one["verbs"] for one in found["resources"]] == [["create"]]


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {"minAvailable": 1}),
        ("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", {"policyTypes": ["Ingress"]}),
    ],
)
async def test_objects_that_select_pods_are_listed_with_their_selector(
    client: KubeClient, path: str, spec: dict[str, Any]
) -> None:
    selector = "selector" if "minAvailable" in spec else "podSelector"
    spec |= {selector: {"matchLabels": {"app": "web"}}}
    await client.create(path, {"metadata": {"name": "web"}, "spec": spec})
    found = await client.list(path)

    assert [one["spec"][selector]["matchLabels"] for one in found["items"]] == [{"app": "web"}]


async def test_a_kind_that_nobody_defined_is_not_there(client: KubeClient) -> None:
    with pytest.raises(ApiError) as failure:
        await client.list("/apis/monitoring.coreos.com/v1/namespaces/default/podmonitors")

    assert failure.value.status == 404


@pytest.mark.parametrize("text", ["ß", "<&>", "\u2028", "\ud800"])
async def test_any_text_is_given_back(client: KubeClient, text: str) -> None:
    """Half of a surrogate pair, which no encoding has, comes as an escape: the object may still be read."""
    await client.create(f"{CORE}/configmaps", {"metadata": {"name": "c"}, "data": {"key": text}})

    (found,) = (await client.list(f"{CORE}/configmaps"))["items"]
    assert found["data"] == {"key": text}


async def test_an_event_is_counted_up_by_a_patch(client: KubeClient) -> None:
    about = {"kind": "Deployment", "namespace": "default", "name": "web"}
    await client.create(
        f"{CORE}/events",
        {"metadata": {"name": "web.1"}, "involvedObject": about, "reason": "Synced", "count": 1},
    )
    await client.patch(f"{CORE}/events/web.1", {"count": 2})
    found = await client.list(f"{CORE}/events", fieldSelector="involvedObject.name=web")

    assert [(one["reason"], one["count"]) for one in found["items"]] == [("Synced", 2)]


async def test_the_metadata_of_nothing_are_null(client: KubeClient) -> None:
    wanted = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    async with aiohttp.ClientSession(headers=wanted) as session:
        async with session.get(f"{client.url}{CORE}/secrets") as answer:
            assert (await answer.json())["items"] is None
        await client.create(f"{CORE}/secrets", {"metadata": {"name": "a"}})
        async with session.get(f"{client.url}{CORE}/secrets") as answer:
            assert [one["metadata"]["name"] for one in (await answer.json())["items"]] == ["a"]


async def test_no_service_is_given_an_address_that_another_one_asked_for(client: KubeClient) -> None:
    async def address_of(name: str, **spec: Any) -> str:
        body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}
        return str((await client.create(f"{CORE}/services", body))["spec"]["clusterIP"])

    given = ipaddress.ip_address(await address_of("first"))
    chosen = await address_of("second", clusterIP=str(given + 1))
    with pytest.raises(ApiError, match="provided IP is already allocated"):
        await address_of("third", clusterIP=chosen)

    assert await address_of("fourth") == str(given + 2)
