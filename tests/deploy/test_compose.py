"""docker-compose.yml by the specification, and all that it mounts, builds and waits for."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyCompose

from worker.clusters import read_clusters_file
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]


def test_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    spec = PyCompose.from_json(json.dumps(compose)).to_spec()

    assert set(spec.services or {}) == set(compose["services"])


@pytest.mark.parametrize(
    ("service", "field", "value", "named"),
    [
        pytest.param("temporal", "imgae", "x", "imgae", id="unknown field"),
        pytest.param("worker", "restart", "sometimes", "sometimes", id="unknown word"),
        pytest.param(
            "temporal-ui", "depends_on", {"temporal": {"condition": "up"}}, "`up`", id="unknown condition"
        ),
    ],
)
def test_validation_would_notice(
    compose: dict[str, Any], service: str, field: str, value: object, named: str
) -> None:
    broken = {**compose, "services": {**compose["services"]}}
    broken["services"][service] = {**compose["services"][service], field: value}

    with pytest.raises(ValueError, match=named):
        PyCompose.from_json(json.dumps(broken))


def test_every_mounted_file_is_there(compose: dict[str, Any]) -> None:
    sources = [
        source
        for service in compose["services"].values()
        for mount in service.get("volumes", [])
        if (source := _source(mount)).startswith(".")
    ]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_every_volume_is_declared_and_used(compose: dict[str, Any]) -> None:
    mounts = [mount for one in compose["services"].values() for mount in one.get("volumes", [])]

    assert {s for mount in mounts if not (s := _source(mount)).startswith(".")} == set(compose["volumes"])


@pytest.mark.parametrize("profile", [None, "dev"])
def test_each_profile_stands_alone(compose: dict[str, Any], profile: str | None) -> None:
    services = {
        name: service
        for name, service in compose["services"].items()
        if service.get("profiles", [None]) == [profile]
    }

    assert {name for service in services.values() for name in service.get("depends_on", {})} < set(services)


def test_a_worker_starts_once_temporal_is_prepared(compose: dict[str, Any]) -> None:
    for name, prepare in (("worker", "temporal-prepare"), ("worker-dev", "temporal-dev-prepare")):
        service, one_shot = compose["services"][name], compose["services"][prepare]

        assert service["depends_on"] == {prepare: {"condition": "service_completed_successfully"}}
        assert service["environment"]["TEMPORAL_ADDRESS"] == one_shot["environment"]["TEMPORAL_ADDRESS"]


def test_ports_are_open_to_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_worker_reads_the_mounted_clusters_file(compose: dict[str, Any]) -> None:
    settings = dict(re.findall(r"(CANARY_[A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text()))
    mount = next(one for one in compose["services"]["worker"]["volumes"] if isinstance(one, dict))

    assert {name.removeprefix("CANARY_").lower() for name in settings} <= set(WorkerSettings.model_fields)
    assert settings["CANARY_CLUSTERS"] == f"{mount['target']}/clusters.yaml"
    assert read_clusters_file(ROOT / mount["source"] / "clusters.yaml").clusters == {}


@pytest.mark.parametrize("service", ["worker", "worker-dev"])
def test_a_worker_is_told_of_guarded_load_testers(compose: dict[str, Any], service: str) -> None:
    said = compose["services"][service]["environment"]

    assert WorkerSettings(guarded_load_tester=said["CANARY_GUARDED_LOAD_TESTER"]).guarded_load_tester == ""


def test_the_image_holds_every_package_and_no_more_than_it_needs() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    scripts = project["scripts"]

    assert copied == let_in
    assert {*project["license-files"], project["readme"]} <= copied
    assert {target.split(".")[0] for target in scripts.values()} <= copied
    assert {"canary", "workflows", "activities"} <= copied
    assert "canary-worker" in scripts


def _source(mount: str | dict[str, Any]) -> str:
    source = mount["source"] if isinstance(mount, dict) else mount.split(":")[0]
    return str(source)
