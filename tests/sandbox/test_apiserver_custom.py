"""Custom resources: versions, lists with keys, defaults, sub-resources, the end of a definition."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GAUGES = "/apis/lab.example/v1/namespaces/default/gauges"
SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 9},
        "label": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "port": {"x-kubernetes-int-or-string": True},
        "maybe": {"type": "string", "nullable": True},
        "deep": {
            "type": "object",
            "default": {},
            "properties": {"mode": {"type": "string", "default": "auto"}},
        },
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "routes": {
            "type": "array",
            "maxItems": 3,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "protocol"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "protocol": {"type": "string", "default": "http"},
                    "weight": {"type": "integer"},
                },
            },
        },
        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
        "either": {
            "anyOf": [{"type": "string"}, {"type": "integer"}],
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": SPEC,
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
SCALE = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
DEFINITION: dict[str, Any] = {
    "metadata": {"name": "gauges.lab.example"},
    "spec": {
        "group": "lab.example",
        "scope": "Namespaced",
        "names": {"plural": "gauges", "kind": "Gauge"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": False,
                "deprecated": True,
                "schema": {"openAPIV3Schema": SCHEMA},
            },
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {"status": {}, "scale": SCALE},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
                    {"name": "First", "type": "string", "jsonPath": ".spec.routes[0].name"},
                    {
                        "name": "Web",
                        "type": "integer",
                        "jsonPath": '.spec.routes[?(@.protocol=="http")].weight',
                    },
                    {"name": "Seen", "type": "date", "jsonPath": ".status.seen"},
                    {"name": "Odd", "type": "boolean", "jsonPath": ".spec.size"},
                ],
            },
        ],
    },
}


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    server = await ApiServer.start()
    async with KubeClient(server.url) as client:
        await client.create(DEFINITIONS, DEFINITION)
        async with aclosing(client.watch(DEFINITIONS, resourceVersion="0")) as watching:
            async for event in watching:
                if event["object"]["status"]["conditions"]:
                    break
        yield client
    await server.stop()


def gauge(name: str = "g", **spec: Any) -> dict[str, Any]:
    meta = {"name": name}
    return {"apiVersion": "lab.example/v1", "kind": "Gauge", "metadata": meta, "spec": {"size": 1, **spec}}


async def test_defaults_reach_into_defaults(client: KubeClient) -> None:
    found = await client.create(GAUGES, gauge(routes=[{"name": "a"}], deep={}))

    assert found["spec"]["deep"] == {"mode": "auto"}
    assert found["spec"]["routes"] == [{"name": "a", "protocol": "http"}]


async def test_a_list_with_keys_is_merged_by_apply(client: KubeClient) -> None:
    await client.apply(f"{GAUGES}/g", gauge(routes=[{"name": "a", "weight": 1}]), manager="git")
    await client.apply(f"{GAUGES}/g", gauge(routes=[{"name": "b", "weight": 2}]), manager="canary")
    await client.apply(f"{GAUGES}/g", gauge(routes=[{"name": "a", "weight": 3}]), manager="git")
    found = await client.get(f"{GAUGES}/g")

    assert [(route["name"], route["weight"]) for route in found["spec"]["routes"]] == [("a", 3), ("b", 2)]


async def test_a_set_is_merged_by_apply(client: KubeClient) -> None:
    await client.apply(f"{GAUGES}/g", gauge(tags=["x", "y"]), manager="git")
    await client.apply(f"{GAUGES}/g", gauge(tags=["y", "z"]), manager="canary")
    found = await client.apply(f"{GAUGES}/g", gauge(tags=["x"]), manager="git")

    assert set(found["spec"]["tags"]) == {"x", "y", "z"}


async def test_an_item_without_its_key_is_not_applied(client: KubeClient) -> None:
    with pytest.raises(ApiError) as failure:
        await client.apply(f"{GAUGES}/g", gauge(routes=[{"weight": 1}]), manager="git")

    assert failure.value.status == 500
    assert 'omits key field "name"' in failure.value.message


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        pytest.param({"size": 10}, ["spec.size"], id="above the maximum"),
        pytest.param({"size": 1.5}, ["spec.size"], id="not whole"),
        pytest.param({"label": "Ab"}, ["spec.label"], id="not by the pattern"),
        pytest.param({"label": "abcdef"}, ["spec.label"], id="too long"),
        pytest.param({"port": True}, ["spec.port"], id="neither number nor text"),
        pytest.param({"more": {"a": "b"}}, ["spec.more.a"], id="a wrong value of a map"),
        pytest.param({"either": True}, ["<nil>", "spec.either"], id="none of the choices"),
        pytest.param({"tags": ["a", "a"]}, ["spec.tags[1]"], id="twice in a set"),
        pytest.param({"routes": [{"name": "a"}] * 2}, ["spec.routes[1]"], id="two items of one key"),
        pytest.param({"routes": [{"name": str(i)} for i in range(4)]}, ["spec.routes"], id="too many"),
        pytest.param({"routes": [{}]}, ["spec.routes[0].name"], id="an item lacks what it needs"),
    ],
)
async def test_refuses(client: KubeClient, spec: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(ApiError) as failure:
        await client.create(GAUGES, gauge(**spec))

    assert failure.value.status == 422
    assert [cause["field"] for cause in failure.value.body["details"]["causes"]] == fields


async def test_null_is_kept_where_it_may_be(client: KubeClient) -> None:
    found = await client.create(GAUGES, gauge(maybe=None, port="http", either=7))

    assert found["spec"]["maybe"] is None
    assert (found["spec"]["port"], found["spec"]["either"]) == ("http", 7)


async def test_another_version_is_the_same_object(client: KubeClient) -> None:
    created = await client.create(GAUGES, gauge())
    old = await client.get(f"{GAUGES.replace('v1', 'v1alpha1')}/g")

    assert old["apiVersion"] == "lab.example/v1alpha1"
    assert old["metadata"]["uid"] == created["metadata"]["uid"]


async def test_a_deprecated_version_warns(client: KubeClient) -> None:
    async with aiohttp.request("GET", client.url + GAUGES.replace("v1", "v1alpha1")) as answer:
        warning = answer.headers["Warning"]

    assert warning == '299 - "lab.example/v1alpha1 Gauge is deprecated; use lab.example/v1 Gauge"'


async def test_scale_writes_where_the_definition_says(client: KubeClient) -> None:
    await client.create(GAUGES, gauge())
    await client.patch(f"{GAUGES}/g/status", {"status": {"size": 4}})
    scaled = await client.patch(f"{GAUGES}/g/scale", {"spec": {"replicas": 6}})
    found = await client.get(f"{GAUGES}/g")

    assert (scaled["spec"], scaled["status"]) == ({"replicas": 6}, {"replicas": 4})
    assert (found["spec"]["size"], found["metadata"]["generation"]) == (6, 2)


async def test_a_definition_goes_with_its_objects(client: KubeClient) -> None:
    await client.create(GAUGES, gauge())
    async with aclosing(client.watch(GAUGES, resourceVersion="0")) as watching, asyncio.timeout(10):
        first = await anext(watching)
        marked = await client.delete(f"{DEFINITIONS}/gauges.lab.example")
        last = await anext(watching)
    with pytest.raises(ApiError) as failure:
        await client.list(GAUGES)

    assert (first["type"], last["type"]) == ("ADDED", "DELETED")
    assert marked["status"]["conditions"][-1]["type"] == "Terminating"
    assert failure.value.status == 404


async def cells(client: KubeClient, path: str) -> tuple[list[str], list[Any]]:
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with aiohttp.request("GET", client.url + path, headers=accept) as answer:
        table = await answer.json()
    return [column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"]


async def test_columns_show_what_their_paths_name(client: KubeClient) -> None:
    routes = [{"name": "a", "protocol": "tcp"}, {"name": "b", "weight": 7}]
    await client.create(GAUGES, gauge(tags=["x", "y"], routes=routes))
    names, shown = await cells(client, GAUGES)

    assert names == ["Name", "Size", "Tags", "First", "Web", "Seen", "Odd"]
    assert shown == ["g", 1, '["x","y"]', "a", 7, None, None]


async def test_without_columns_there_is_the_age(client: KubeClient) -> None:
    await client.create(GAUGES, gauge())
    names, shown = await cells(client, GAUGES.replace("v1", "v1alpha1"))

    assert names == ["Name", "Age"]
    assert shown[1].endswith("s")
