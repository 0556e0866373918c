"""What a real istiod made of the same objects: recorded/istio.jsonl, asked on 30 November 2026.

It is Istio 1.31 at the commit eed52ebb66ad, its discovery server in memory. It was asked as a sidecar in the
namespace `test`, with the label `app: web`, and as the ingress gateway.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.mesh.snapshot import Snapshot
from sandbox.mesh.tables import gateway_table, mesh_table
from tests.sandbox.meaning import routes_of, shares

Object = dict[str, Any]

HTTP = [{"name": "http", "port": 80}]
TOWN = {
    "test/app": HTTP,
    "test/app-primary": HTTP,
    "test/app-canary": HTTP,
    "other/app": HTTP,
    "other/extra": HTTP,
    "test/multi": [*HTTP, {"name": "http-admin", "port": 9898}],
}
CLIENT = "the proxy does not know its clients"
SNIFFED = "it does not look what a connection speaks"
SIDECAR = {
    "match labels other": CLIENT,
    "match namespace other": CLIENT,
    "export dot": CLIENT,
    "protocol web None tcp": SNIFFED,
    "protocol web foo tcp": SNIFFED,
}
GATEWAY = {"gateway labels": CLIENT}
CONNECTIONS = {
    "protocol web None http": SNIFFED,
    "protocol web foo http": SNIFFED,
    "tcp labels": CLIENT,
}
"""Where the sandbox differs, and why."""


def recorded(known: dict[str, str], key: str = "name") -> list[Any]:
    """The recordings that tell of something, with those in which the sandbox is known to differ."""
    lines = (Path(__file__).parent / "recorded/istio.jsonl").read_text().splitlines()
    told = [one for one in map(json.loads, lines) if key in one]
    return [
        pytest.param(
            one,
            id=one["name"],
            marks=[pytest.mark.xfail(reason=known[one["name"]])] if one["name"] in known else [],
        )
        for one in told
    ]


def snapshot(told: Object) -> Snapshot:
    kinds: dict[str, dict[str, Object]] = {"VirtualService": {}, "DestinationRule": {}, "Gateway": {}}
    for one in told.get("objects", []):
        kinds[one["kind"]][f"{one['metadata']['namespace']}/{one['metadata']['name']}"] = one
    services = {key: {"spec": {"ports": ports}} for key, ports in told.get("services", TOWN).items()}
    return Snapshot(services, {}, {}, *kinds.values())


def by_domain(table: Object) -> dict[str, Object]:
    return {domain: host for host in table["virtual_hosts"] for domain in host["domains"]}


@pytest.mark.parametrize("told", recorded(SIDECAR, "mesh"))
def test_a_sidecar_routes_as_istio_would_have_it(told: Object) -> None:
    made = by_domain(mesh_table(snapshot(told), [].append))
    wanted = told["mesh"]

    assert {name: routes_of(made.get(name, {})) for name in wanted} == wanted


@pytest.mark.parametrize("told", recorded(GATEWAY))
def test_a_gateway_routes_as_istio_would_have_it(told: Object) -> None:
    made = by_domain(gateway_table(snapshot(told)))

    assert {name: routes_of(host) for name, host in made.items() if host["routes"]} == told.get("gateway", {})


@pytest.mark.parametrize("told", recorded(CONNECTIONS, "connections"))
def test_connections_go_where_istio_would_have_them(told: Object) -> None:
    made = by_domain(mesh_table(snapshot(told), [].append))
    for key, wanted in told["connections"].items():
        namespace, _, rest = key.partition("/")
        name, _, port = rest.partition(":")
        first = made[f"{name}.{namespace}:{port}"]["routes"][0]

        assert shares(first["route"]) == wanted
