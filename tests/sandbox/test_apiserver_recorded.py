"""Replays the recorded exchanges with a real kube-apiserver 1.35 against ours.

The records are in order and build on each other. In a request "<rv>" stands for the resourceVersion that the
server last returned for that object (with a stale one: the one before; in a watch: the newest of the list
that a record with "setup": "remember" asks for) and "<continue>" for the token of the page before. Of
failures only what a client acts on is compared: code, reason, object and fields; the wording is Go's.

`exchanges.jsonl` is one story; `further.jsonl` is a namespace a subject, with what ours once answered
otherwise and, unanswered, the steps that lead there. In its bodies "<stale>" and "<uid>" are of the object
of the path too.
"""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.apiserver.server import ApiServer

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / name).read_text().splitlines()]


RECORDS = recorded("exchanges.jsonl")
FURTHER = recorded("further.jsonl")
# What may differ from the real one, and why: nothing does.
DEVIATIONS: dict[str, str] = {}

# Of a fixed moment it grows from day to day; tests/sandbox/test_ages.py looks at its wording.
AGE = re.compile(r"(\d+[smhdy]){1,2}")

TIMES = {"creationTimestamp", "time", "deletionTimestamp", "lastTransitionTime", "lastUpdateTime"}
PLACEHOLDERS = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+(:\d+)?\b"), "<clusterIP>"),
    (re.compile(r"(cfg-|e-|gen-)[a-z0-9]{5}\b"), r"\1<suffix>"),
    (re.compile(r":3\d{4}/"), ":<np>/"),
]


def normal(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: "<nodePort>" if k == "nodePort" else normal(v, k) for k, v in value.items()}
    if isinstance(value, list):
        if key == "managedFields":
            value = sorted(value, key=lambda m: (m["manager"], m["operation"], m.get("subresource", "")))
        return [normal(v, key) for v in value]
    if not isinstance(value, str):
        return value
    if key in {"uid", *TIMES} or (key == "continue" and value):
        return f"<{'time' if key in TIMES else key}>"
    if key == "resourceVersion":
        return value if value in ("", "0") else "<rv>"
    for pattern, placeholder in PLACEHOLDERS:
        value = pattern.sub(placeholder, value)
    return "<age>" if key == "cells" and AGE.fullmatch(value) else value


def lenient(answer: dict[str, Any]) -> dict[str, Any]:
    body = answer["body"]
    if isinstance(body, str):
        return {**answer, "body": "<text>"}
    if not isinstance(body, dict) or body.get("status") != "Failure":
        return answer
    details = body.get("details") or {}
    kept = {
        "code": body.get("code"),
        "reason": body.get("reason"),
        "details": {k: v for k, v in details.items() if k in ("name", "kind", "group")},
        "fields": sorted({cause.get("field", "") for cause in details.get("causes", [])}),
    }
    return {key: value for key, value in answer.items() if key != "warning"} | {"body": kept}


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = sorted(wanted.keys() | found.keys())
        return [d for k in keys for d in differences(wanted.get(k), found.get(k), f"{path}.{k}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = zip(wanted, found, strict=True)
        return [d for i, (w, f) in enumerate(pairs) for d in differences(w, f, f"{path}[{i}]")]
    return [] if wanted == found else [f"{path}: {json.dumps(found)[:120]}, want {json.dumps(wanted)[:120]}"]


class Replay:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.versions: dict[str, str] = {}
        self.stale: dict[str, str] = {}
        self.uids: dict[str, str] = {}
        self.token = ""
        self.remembered = "0"

    async def ask(self, request: dict[str, Any], body: str | None) -> tuple[int, str, str]:
        headers = {"Accept": request["accept"]}
        if body is not None:
            headers["Content-Type"] = request["contentType"]
        path = (
            request["path"]
            .replace("<continue>", self.token)
            .replace("resourceVersion=<rv>", "resourceVersion=")
        )
        if "resourceVersion=<rv>" in request["path"]:
            path = path.replace("resourceVersion=", f"resourceVersion={self.remembered}", 1)
        url = self.url + path
        async with self.session.request(request["method"], url, data=body, headers=headers) as answer:
            return answer.status, await answer.text(), ", ".join(answer.headers.getall("Warning", []))

    async def play(self, record: dict[str, Any]) -> list[str]:
        request, response = record["request"], record["response"]
        target = request["path"].split("?")[0].removesuffix("/scale").removesuffix("/status")
        status, text, warning = await self.ask(request, self._body(record, target))
        parsed: Any = text
        try:
            is_stream = isinstance(response["body"], list)
            parsed = [json.loads(line) for line in text.splitlines()] if is_stream else json.loads(text)
        except ValueError:
            pass
        if record.get("setup") == "remember":
            self.remembered = parsed["metadata"]["resourceVersion"]
        elif isinstance(parsed, dict):
            self._learn(target, parsed, is_dry="dryRun" in request["path"])
        found = {"status": status, "body": normal(parsed)} | ({"warning": warning} if warning else {})
        wanted = {k: v for k, v in response.items() if k != "contentType"}
        return differences(lenient(wanted | {"body": normal(wanted["body"])}), lenient(found))

    def _body(self, record: dict[str, Any], target: str) -> str | None:
        body = record["request"].get("body")
        if body is None or isinstance(body, str):
            return body
        known = {"<stale>": self.stale.get(target, ""), "<uid>": self.uids.get(target, "")}
        text = json.dumps(body)
        for placeholder, value in known.items():
            text = text.replace(f'"{placeholder}"', json.dumps(value))
        is_stale = "stale" in record["name"] and record["request"]["method"] == "PUT"
        version = (self.stale if is_stale else self.versions).get(target, "")
        return text.replace('"<rv>"', json.dumps(version))

    def _learn(self, target: str, body: dict[str, Any], *, is_dry: bool) -> None:
        meta = body.get("metadata") or {}
        self.token = meta.get("continue") or self.token
        version, name = meta.get("resourceVersion"), meta.get("name")
        if not version or not name or body.get("kind") in ("Status", "Table") or is_dry:
            return
        path = target if target.endswith(f"/{name}") else f"{target}/{name}"
        self.uids[path] = meta.get("uid", "")
        if self.versions.get(path) != version:
            self.stale[path] = self.versions.get(path, "")
            self.versions[path] = version


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    server = await ApiServer.start()
    async with aiohttp.ClientSession(headers={"User-Agent": ""}) as session:
        yield Replay(server.url, session)
    await server.stop()


async def test_answers_as_the_recorded_server_did(replay: Replay) -> None:
    found: dict[str, list[str]] = {}
    for is_stream, records in itertools.groupby(RECORDS, lambda r: isinstance(r["response"]["body"], list)):
        batch = list(records)
        if is_stream:  # each takes its second, and changes nothing: together
            results = await asyncio.gather(*(replay.play(record) for record in batch))
        else:
            results = [await replay.play(record) for record in batch]
        for record, wrong in zip(batch, results, strict=True):
            if wrong and not record.get("setup"):
                found[record["id"]] = [record["name"], *wrong]

    assert sum(not record.get("setup") for record in RECORDS) == 176
    assert {key: value for key, value in found.items() if key not in DEVIATIONS} == {}


async def test_answers_as_the_real_one_where_it_did_not(replay: Replay) -> None:
    found = {
        record["id"]: [record["name"], *wrong]
        for record in FURTHER
        if (wrong := await replay.play(record)) and not record.get("setup")
    }

    assert found == {}
