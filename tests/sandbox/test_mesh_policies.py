"""Which DestinationRule holds for a Service, and what it says, as Istio 1.31 has it."""

from typing import Any

import pytest

from sandbox.mesh.clusters import NO_LIMIT, mesh_clusters
from sandbox.mesh.snapshot import Snapshot

Object = dict[str, Any]

FULL = "app.test.svc.cluster.local"


def rule(key: str, host: str, created: int = 1, **policy: Any) -> dict[str, Object]:
    namespace, _, name = key.partition("/")
    made = {"namespace": namespace, "name": name, "creationTimestamp": f"2026-01-{created:02d}T00:00:00Z"}
    return {key: {"metadata": made, "spec": {"host": host, "trafficPolicy": policy}}}


def definitions(*rules: dict[str, Object]) -> dict[str, Object]:
    ports = [{"name": "http", "port": 80}, {"name": "http-admin", "port": 81}]
    known = {key: one for part in rules for key, one in part.items()}
    services = {"test/app": {"spec": {"ports": ports}}}
    return {one.name: one.definition() for one in mesh_clusters(Snapshot(services, {}, {}, {}, known, {}))}


def balancing(*rules: dict[str, Object]) -> list[str]:
    return [one["lb_policy"] for one in definitions(*rules).values()]


RANDOM, ROUND = {"loadBalancer": {"simple": "RANDOM"}}, {"loadBalancer": {"simple": "ROUND_ROBIN"}}
USUAL = ["LEAST_REQUEST"] * 2


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([], USUAL, id="none"),
        pytest.param([rule("test/a", "app", **RANDOM)], ["RANDOM"] * 2, id="one of the namespace"),
        pytest.param([rule("other/a", FULL, **RANDOM)], USUAL, id="one of another namespace"),
        pytest.param([rule("istio-system/a", FULL, **RANDOM)], ["RANDOM"] * 2, id="one of Istio's own"),
        pytest.param(
            [rule("istio-system/a", FULL, **RANDOM), rule("test/a", "app", 2, **ROUND)],
            ["ROUND_ROBIN"] * 2,
            id="the namespace before Istio's own",
        ),
        pytest.param([rule("test/a", "app.test", **RANDOM)], USUAL, id="a name with a dot is no Service"),
        pytest.param(
            [rule("test/b", "app", 2, **RANDOM), rule("test/a", "app", 1, **ROUND)],
            ["ROUND_ROBIN"] * 2,
            id="the older",
        ),
    ],
)
def test_a_rule_holds_for_the_services_of_its_namespace(
    rules: list[dict[str, Object]], expected: list[str]
) -> None:
    assert balancing(*rules) == expected


def test_what_is_said_of_a_port_is_all_that_is_said_of_it() -> None:
    pool = {"tcp": {"maxConnections": 1}}
    own = {"port": {"number": 80}, **ROUND}
    found = definitions(rule("test/a", "app", **RANDOM, connectionPool=pool, portLevelSettings=[own]))

    def told(port: int) -> tuple[str, int]:
        one = found[f"outbound|{port}||{FULL}"]
        return one["lb_policy"], one["circuit_breakers"]["thresholds"][0]["max_connections"]

    assert (told(80), told(81)) == (("ROUND_ROBIN", NO_LIMIT), ("RANDOM", 1))


def test_a_limit_of_zero_is_none() -> None:
    pool = {"tcp": {"maxConnections": 0}, "http": {"http1MaxPendingRequests": 0, "maxRetries": 0}}
    found = definitions(rule("test/a", "app", connectionPool=pool))

    assert found == definitions()


def test_a_connection_may_take_ten_seconds() -> None:
    assert {one["connect_timeout"] for one in definitions().values()} == {"10s"}
