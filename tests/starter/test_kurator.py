"""An Application as Kurator's object: the fields of Kurator's types, and ours beside them."""

from typing import Any

import pytest

from canary.application import ApplicationSpec, GitSource
from starter import flagger
from starter.kurator import application_of
from starter.objects import plain
from tests.starter.conftest import NOW, row_of, spec_of
from workflows.contract import ApplicationStatus, ClusterProgress

STAMP = "2026-01-02T03:04:05Z"
REVISION = "master@sha1:abc"
CANARY = "canary/one/webapp/Deployment/backend"
SPEC = ApplicationSpec(
    namespace="default", name="shop", source=GitSource(url="http://git/app.git"), policies=()
)
ROW = row_of(spec_of(cluster="", namespace="default", name="shop")).model_copy(
    update={"phase": "Running", "revision": REVISION, "message": "an older word"}
)
STANDING = flagger.Status(
    phase="Initialized",
    failed_checks=0,
    canary_weight=0,
    iterations=0,
    tracked_configs={},
    cluster_name="one",
    traffic_weight=0,
)


def progress_of(**fields: Any) -> ClusterProgress:
    return ClusterProgress(name="web-one", policy="web", cluster="one").model_copy(update=fields)


def shown(progress: ClusterProgress, **fields: Any) -> dict[str, Any]:
    status = ApplicationStatus(spec=SPEC, progress=(progress,)).model_copy(update=fields)
    return plain(application_of(ROW, status, {CANARY: STANDING}))


def test_an_application_is_kurators_with_ours_beside_it() -> None:
    progress = progress_of(
        last_applied_revision=REVISION,
        last_attempted_revision=REVISION,
        message=f"Applied revision: {REVISION}",
        is_ready=True,
        inventory=("webapp_backend_apps_Deployment", "webapp_backend__Service"),
        canary=CANARY,
    )

    found = shown(progress, revision=REVISION, message="Applied to 1 of 1.", last_fetched=NOW)

    assert found == {
        "apiVersion": "apps.kurator.dev/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "default"},
        "status": {
            "sourceStatus": {
                "gitRepoStatus": {
                    "artifact": {"revision": REVISION},
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": "True",
                            "reason": "Succeeded",
                            "message": f"stored artifact for revision '{REVISION}'",
                        }
                    ],
                }
            },
            "syncStatus": [
                {
                    "name": "web-one",
                    "kustomizationStatus": {
                        "conditions": [
                            {
                                "type": "Ready",
                                "status": "True",
                                "reason": "ReconciliationSucceeded",
                                "message": f"Applied revision: {REVISION}",
                            }
                        ],
                        "inventory": {
                            "entries": [
                                {"id": "webapp_backend_apps_Deployment"},
                                {"id": "webapp_backend__Service"},
                            ]
                        },
                        "lastAppliedRevision": REVISION,
                        "lastAttemptedRevision": REVISION,
                    },
                    "rolloutStatus": {
                        "clusterName": "one",
                        "rolloutNameInCluster": "backend",
                        "rolloutStatusInCluster": {
                            "phase": "Initialized",
                            "failedChecks": 0,
                            "canaryWeight": 0,
                            "iterations": 0,
                            "trackedConfigs": {},
                            "clusterName": "one",
                            "trafficWeight": 0,
                        },
                    },
                    "policy": "web",
                    "clusterName": "one",
                }
            ],
            "phase": "Running",
            "revision": REVISION,
            "message": "Applied to 1 of 1.",
            "lastTransitionTime": STAMP,
            "lastFetched": STAMP,
        },
    }


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        pytest.param(
            {"message": "refused", "has_failed": True},
            {"type": "Ready", "status": "False", "reason": "ReconciliationFailed", "message": "refused"},
            id="failed",
        ),
        pytest.param({}, {"type": "Ready", "status": "Unknown", "reason": "Progressing"}, id="under way"),
    ],
)
def test_a_policy_that_is_not_ready_says_why(fields: dict[str, Any], condition: dict[str, str]) -> None:
    (sync,) = shown(progress_of(**fields))["status"]["syncStatus"]

    assert sync == {
        "name": "web-one",
        "kustomizationStatus": {"conditions": [condition]},
        "policy": "web",
        "clusterName": "one",
    }


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        pytest.param(
            {"revision": REVISION, "source_message": "branch gone"},
            {
                "artifact": {"revision": REVISION},
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "False",
                        "reason": "GitOperationFailed",
                        "message": "branch gone",
                    }
                ],
            },
            id="cannot be read any more",
        ),
        pytest.param(
            {},
            {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Progressing"}]},
            id="not read yet",
        ),
    ],
)
def test_a_source_that_is_not_ready_says_why(fields: dict[str, Any], source: dict[str, Any]) -> None:
    assert shown(progress_of(), **fields)["status"]["sourceStatus"] == {"gitRepoStatus": source}


def test_a_canary_that_is_no_longer_there_has_no_status() -> None:
    (sync,) = shown(progress_of(canary="canary/one/webapp/Deployment/gone"))["status"]["syncStatus"]

    assert sync["rolloutStatus"] == {"clusterName": "one", "rolloutNameInCluster": "gone"}
