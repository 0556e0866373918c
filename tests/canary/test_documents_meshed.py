"""Hosts and ports that Istio refuses or that have no effect in its mesh; what it says is recorded of 1.31."""

from typing import Any

import pytest

from canary.documents.resolve import resolve
from tests.canary.examples import read

SERVICE = "spec.service"
GATEWAY = ["istio-system/public-gateway"]
NO_HOST = "is no host: allowed is a DNS name, also with * first, or *"
STAR = "* is not possible in the mesh: name the hosts, or gateways without mesh"
NO_HTTP = (
    "is no HTTP to Istio: in the mesh no request is routed at such a port; "
    "write appProtocol: http, or tcp to route connections"
)
HEADLESS = (
    f"{SERVICE}.headless: warning: in the mesh requests go to the pods that their client has looked up, "
    "whatever the routes say: a canary gets its share at gateways only"
)


def lines(**service: Any) -> list[str]:
    """The mistakes in a Canary whose Service was changed."""
    given = read("flagger-canary.yaml", "metric-template.yaml")
    given[0]["spec"]["service"] |= service
    return [str(mistake) for mistake in resolve(given, "member").mistakes]


@pytest.mark.parametrize(
    "host",
    [
        *("a", "a.b", "a.b.", "UPPER.example.com", "10.0.0.1", "::1"),
        *("*.com", "*a", "*-x.example.com", "a" * 63),
    ],
)
def test_a_host_is_a_name_of_the_dns(host: str) -> None:
    assert lines(hosts=[host]) == []


@pytest.mark.parametrize(
    "host", ["a_b", "-a", "a-", "a..b", "a b", "a/b", "http://a", "a:80", "a.*.b", "é", "a" * 64]
)
def test_another_host_is_refused(host: str) -> None:
    (line,) = lines(hosts=[host])

    assert line.startswith(f"{SERVICE}.hosts[0]: ")
    assert line.endswith(NO_HOST)


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        pytest.param(GATEWAY, [], id="at a gateway"),
        pytest.param([], [f"{SERVICE}.hosts[0]: {STAR}"], id="in the mesh, as nothing else is said"),
        pytest.param([*GATEWAY, "mesh"], [f"{SERVICE}.hosts[0]: {STAR}"], id="in the mesh as well"),
    ],
)
def test_all_hosts_are_possible_at_gateways_only(gateways: list[str], expected: list[str]) -> None:
    assert lines(hosts=["*"], gateways=gateways) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        pytest.param(["a.b", "c.b"], [], id="two"),
        pytest.param(["*.b.c", "b.c"], [], id="a star and what is above it"),
        pytest.param(["a.b", "a.b"], ["[1]: a.b is among the hosts already, in a.b"], id="twice"),
        pytest.param(["*.b", "a.b"], ["[1]: a.b is among the hosts already, in *.b"], id="below a star"),
        pytest.param(["a.b", "*.b"], ["[1]: *.b is among the hosts already, in a.b"], id="a star below"),
        pytest.param(["*.a.b", "*.b"], ["[1]: *.b is among the hosts already, in *.a.b"], id="two stars"),
    ],
)
def test_no_host_is_meant_twice(hosts: list[str], expected: list[str]) -> None:
    assert lines(hosts=hosts) == [f"{SERVICE}.hosts{one}" for one in expected]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        pytest.param({"portName": "http-web"}, [], id="HTTP by its name"),
        pytest.param({"portName": "web"}, [], id="Istio looks what it speaks"),
        pytest.param({"portName": "grpc-web"}, [], id="gRPC"),
        pytest.param(
            {"portName": "https-web"}, [f"portName: warning: https {NO_HTTP}"], id="another by its name"
        ),
        pytest.param({"portName": "tcp", "appProtocol": "http"}, [], id="HTTP by what it says"),
        pytest.param(
            {"portName": "http", "appProtocol": "HTTPS"},
            [f"appProtocol: warning: https {NO_HTTP}"],
            id="another by what it says",
        ),
    ],
)
def test_a_port_that_speaks_no_http_to_istio_is_warned_of(
    service: dict[str, Any], expected: list[str]
) -> None:
    assert lines(gateways=["mesh"], **service) == [f"{SERVICE}.{one}" for one in expected]
    assert lines(gateways=GATEWAY, **service) == []


def test_connections_are_routed_where_the_document_says_tcp() -> None:
    found = lines(gateways=["mesh"], portName="tcp", appProtocol="tcp")

    assert not any(NO_HTTP in line for line in found)


def test_a_headless_service_has_no_shares_in_the_mesh() -> None:
    assert lines(gateways=["mesh"], headless=True) == [HEADLESS]
    assert lines(gateways=GATEWAY, headless=True) == []
