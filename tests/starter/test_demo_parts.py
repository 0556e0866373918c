"""The demo's parts, each by itself: its documents, its developer, its users, its columns."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from dulwich import porcelain
from dulwich.repo import Repo

from canary.analysis import AnalyseRequest, Check, Measurement
from canary.observation import Observation
from canary.status import Phase, Revision
from starter.demo import documents
from starter.demo.load import Count, Load
from starter.demo.repository import MANIFEST, Repository
from starter.demo.timeline import Timeline
from starter.documents import load
from starter.evidence import Checked, Moved

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "pace", [pytest.param(documents.QUICK, id="quick"), pytest.param(documents.SEED, id="seed")]
)
def test_its_documents_are_valid(tmp_path: Path, pace: documents.Pace) -> None:
    loaded = load(documents.write(tmp_path, "http://git.example/app.git", ["one", "two"], pace))

    assert [finding for finding in loaded.findings if not finding.is_warning] == []
    (application,) = loaded.resolution.applications
    assert [spec.tail for policy in application.spec.policies for spec in policy.canaries] == [
        "one/webapp/Deployment/backend",
        "two/webapp/Deployment/backend",
    ]


def test_the_seeds_timing_is_the_seeds(tmp_path: Path) -> None:
    loaded = load(documents.write(tmp_path, "http://git.example/app.git", ["one"], documents.SEED))

    (spec,) = loaded.resolution.applications[0].spec.policies[0].canaries
    assert spec.analysis.interval.total_seconds() == 90
    assert spec.analysis.webhooks[0].metadata["cmd"].startswith("hey -z 1m ")


def test_the_developer_pushes_a_new_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    origin = Repo.init_bare(str(tmp_path / "app.git"), mkdir=True, default_branch=b"master")
    first = porcelain.clone(str(tmp_path / "app.git"), str(tmp_path / "first"))
    manifest = tmp_path / "first" / MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.write_text("      image: ghcr.io/stefanprodan/podinfo:6.1.0\n")
    porcelain.add(first, [str(manifest)])
    porcelain.commit(first, message="first", author=b"a <a@b>", committer=b"a <a@b>")
    porcelain.push(first, str(tmp_path / "app.git"), "refs/heads/master")
    developer = Repository.clone(str(tmp_path / "app.git"), Path("clone"))  # as `--dir build/demo` is

    commit = developer.release("6.2.0")

    assert origin.refs[b"refs/heads/master"].decode() == commit
    blob = porcelain.get_object_by_path(origin, MANIFEST)
    assert len(list(origin.get_walker())) == 2
    assert blob.as_raw_string() == b"      image: ghcr.io/stefanprodan/podinfo:6.2.0\n"
    for each in (origin, first, developer):
        each.close()


@pytest.fixture
async def gateway() -> AsyncIterator[Any]:
    """A gateway that fails every third request of the right host."""
    counts = {"all": 0}

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["host"] == documents.HOST
        counts["all"] += 1
        return web.Response(status=500 if counts["all"] % 3 == 0 else 200)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", counts
    await runner.cleanup()


async def test_every_request_of_the_users_is_counted(gateway: Any) -> None:
    url, counts = gateway
    async with Load({"one": url}) as users:
        while users.count.served + users.count.failed < 6:  # noqa: ASYNC110 — a counter has no event
            await asyncio.sleep(0.02)

    assert users.count.failed in (counts["all"] // 3, (counts["all"] - 2) // 3)
    assert users.count.served >= 4


async def test_a_gateway_that_is_gone_fails_its_users() -> None:
    async with Load({"one": "http://127.0.0.1:1"}) as users:
        while not users.count.failed:  # noqa: ASYNC110 — a counter has no event
            await asyncio.sleep(0.02)

    assert users.count.served == 0


def test_counts_are_told_between_two_moments() -> None:
    assert Count(10, 3) - Count(4, 1) == Count(6, 2)


def test_a_move_is_a_row_in_the_seeds_columns(engine: Any, capsys: Any) -> None:
    timeline = Timeline(color=False)
    timeline.begin()
    row = engine.row(engine.spec(), Phase.PROGRESSING, weight=20, traffic_weight=20)
    timeline.show("one", Moved(NOW, row))

    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["CLUSTER", "NAME", "STATUS", "WEIGHT", "TRAFFIC", "LASTTRANSITIONTIME"]
    assert line.split() == ["one", "backend", "Progressing", "20", "20", "2026-01-02T03:04:05Z"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        pytest.param(99.5, "✓ one: request-success-rate 99.5 % (min 99, 80 requests)", id="passed"),
        pytest.param(
            90,
            "✗ one: request-success-rate 90 % (min 99, 80 requests) success rate 90.00% < 99%",
            id="failed",
        ),
    ],
)
def test_a_check_shows_values_beside_their_bounds(
    engine: Any, capsys: Any, value: float | None, line: str
) -> None:
    measured = Measurement(metric="request-success-rate", query="q", value=value, samples=80, at=NOW)
    request = AnalyseRequest(
        spec=engine.spec(),
        phase=Phase.PROGRESSING,
        revision=Revision(template="abc"),
        hooks=(),
        actuated_at=NOW,
    )
    checked = Checked(NOW, request, Check(observation=Observation(at=NOW), measurements=(measured,)))

    Timeline(color=False).show("one", checked)

    assert capsys.readouterr().out == f"  {line}\n"
