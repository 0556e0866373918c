"""The members' role: the same in code and file, and requests read as an authorizer reads them."""

from typing import Any

import pytest

from activities.cluster.rights import PROXY, RIGHTS
from tests.deploy.rbac import ENGINE, SOURCE, Role, read

NAMESPACE = "/api/v1/namespaces/webapp"


def entry(method: str, path: str, agent: str = ENGINE) -> dict[str, Any]:
    return {"method": method, "path": path, "userAgent": agent}


def test_the_file_grants_what_the_code_says() -> None:
    said = [
        {"apiGroups": [right.group], "resources": list(right.resources), "verbs": list(right.verbs)}
        for right in (*RIGHTS, PROXY)
    ]

    assert Role.load().rules == said


def test_nothing_is_granted_twice() -> None:
    granted = [
        (rule["apiGroups"][0], resource, verb)
        for rule in Role.load().rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]

    assert len(granted) == len(set(granted))


def test_no_rule_grants_everything() -> None:
    assert "*" not in str(Role.load().rules)


def test_whoever_may_apply_may_create() -> None:
    for rule in Role.load().rules:
        assert "patch" not in rule["verbs"] or "create" in rule["verbs"], rule


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        pytest.param("GET", "/apis/apps/v1/namespaces/a/deployments/b", "get deployments.apps", id="get"),
        pytest.param("GET", "/apis/apps/v1/deployments", "list deployments.apps", id="list of all"),
        pytest.param("GET", f"{NAMESPACE}/services?watch=1", "watch services", id="watch"),
        pytest.param("GET", f"{NAMESPACE}/services?watch=0", "list services", id="no watch"),
        pytest.param("POST", f"{NAMESPACE}/configmaps?fieldManager=x", "create configmaps", id="create"),
        pytest.param("PUT", f"{NAMESPACE}/configmaps/a", "update configmaps", id="replace"),
        pytest.param("PATCH", f"{NAMESPACE}/services/a", "patch services", id="patch"),
        pytest.param("DELETE", f"{NAMESPACE}/services/a", "delete services", id="delete"),
        pytest.param("DELETE", f"{NAMESPACE}/services", "deletecollection services", id="delete all"),
        pytest.param("PATCH", f"{NAMESPACE}/pods/a/status", "patch pods/status", id="subresource"),
        pytest.param("GET", NAMESPACE, "get namespaces", id="a namespace itself"),
        pytest.param("GET", "/api/v1/namespaces", "list namespaces", id="namespaces"),
        pytest.param("POST", f"{NAMESPACE}/services/a:80/proxy/run", "create services/proxy", id="proxy"),
        pytest.param("GET", "/metrics", "get /metrics", id="a path that is no resource"),
    ],
)
def test_a_request_is_read_as_an_authorizer_reads_it(method: str, path: str, wanted: str) -> None:
    assert [str(one) for one in read(method, path)] == [wanted]


@pytest.mark.parametrize(
    "path",
    [
        "/version",
        "/apis",
        "/api/v1",
        "/apis/networking.istio.io/v1beta1",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    ],
)
def test_what_everybody_may_ask_is_no_right(path: str) -> None:
    assert read("GET", path) == []


def test_a_request_outside_the_role_is_named_with_an_example() -> None:
    log = [
        entry("GET", f"{NAMESPACE}/pods"),
        entry("DELETE", f"{NAMESPACE}/pods/a"),
        entry("DELETE", f"{NAMESPACE}/pods/b"),
        entry("DELETE", f"{NAMESPACE}/pods/c", agent="kubectl"),
    ]

    assert Role.load().outside(log) == {"delete pods": f"DELETE {NAMESPACE}/pods/a"}


def test_a_second_role_widens_the_first() -> None:
    log = [entry("GET", "/apis/batch/v1/jobs"), entry("DELETE", f"{NAMESPACE}/serviceaccounts/a")]

    assert len(Role.load().outside(log)) == 2
    assert Role.load().outside(log, SOURCE) == {}
