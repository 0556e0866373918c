"""What Flagger made of a Canary, and the same document as our spec."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from activities.cluster import marks
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    ObjectMetadata,
    ServiceSpec,
    SessionAffinity,
    StepPlan,
    TargetRef,
)

FOLDER = Path(__file__).parents[2] / "recorded" / "flagger"


def lines(name: str) -> Iterator[dict[str, Any]]:
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(line)


def given(name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        line["object"] for line in lines(name) if line["what"] == "given" and line["object"]["kind"] == kind
    )
    return found


def created(name: str, kind: str) -> dict[str, dict[str, Any]]:
    """Objects of a kind as Flagger created them, by name."""
    found = [line["object"] for line in lines(name) if line["what"] == "created" and line["kind"] == kind]
    return {one["metadata"]["name"]: bare(one) for one in found}


def changed(name: str, kind: str) -> list[dict[str, Any]]:
    """The specs that objects of a kind were given, one after the other."""
    return [
        line["fields"]["spec"]
        for line in lines(name)
        if line["what"] == "changed" and line["kind"] == kind and "spec" in line["fields"]
    ]


def bare(found: dict[str, Any]) -> dict[str, Any]:
    """An object as far as it can be compared: without its owner, and without our marks (D12)."""
    metadata: dict[str, Any] = {"name": found["metadata"]["name"]}
    for part in ("labels", "annotations"):
        own = {
            key: value
            for key, value in (found["metadata"].get(part) or {}).items()
            if not key.startswith(marks.CANARY.split("/", maxsplit=1)[0])
        }
        metadata |= {part: own} if own else {}
    return {"metadata": metadata, "spec": found["spec"]}


def spec_of(name: str) -> CanarySpec:
    """The recorded Canary as our spec."""
    body = given(name, "Canary")["spec"]
    target = body["targetRef"]
    return CanarySpec(
        cluster="member1",
        namespace="default",
        name="podinfo",
        target=TargetRef(kind=target["kind"], name=target["name"]),
        service=_service(body["service"], target["name"]),
        analysis=_analysis(body["analysis"]),
    )


def _service(body: dict[str, Any], target: str) -> ServiceSpec:
    def own(side: str) -> ObjectMetadata:
        return ObjectMetadata.model_validate(body.get(side, {}))

    return ServiceSpec(
        name=body.get("name", target),
        port=body["port"],
        port_name=body.get("portName", "http"),
        target_port=body.get("targetPort"),
        app_protocol=body.get("appProtocol"),
        gateways=tuple(body.get("gateways", ())),
        hosts=tuple(body.get("hosts", ())),
        timeout=body.get("timeout"),
        match=tuple(body.get("match", ())),
        rewrite=body.get("rewrite"),
        retries=body.get("retries"),
        headers=body.get("headers"),
        cors_policy=body.get("corsPolicy"),
        traffic_policy=body.get("trafficPolicy"),
        delegation=body.get("delegation", False),
        port_discovery=body.get("portDiscovery", False),
        apex_metadata=own("apex"),
        primary_metadata=own("primary"),
        canary_metadata=own("canary"),
    )


def _analysis(body: dict[str, Any]) -> AnalysisSpec:
    affinity = body.get("sessionAffinity")
    return AnalysisSpec(
        interval=timedelta(seconds=int(body["interval"].removesuffix("s"))),
        threshold=body["threshold"],
        steps=StepPlan(step_weight=body.get("stepWeight", 0), max_weight=body.get("maxWeight", 100)),
        iterations=body.get("iterations", 0),
        match=tuple(body.get("match", ())),
        mirror=body.get("mirror", False),
        mirror_weight=body.get("mirrorWeight", 0),
        session_affinity=affinity
        and SessionAffinity(
            cookie_name=affinity["cookieName"],
            primary_cookie_name=affinity["primaryCookieName"],
            max_age=affinity["maxAge"],
        ),
    )
