"""Lists: what visibility knows, in kubectl's columns."""

import asyncio
import json
from typing import Any

import pytest

from canary.status import Phase
from starter import get
from starter.errors import UsageError
from starter.listing import Scope
from starter.lists import Kind
from starter.names import Reference
from starter.options import Output
from starter.status import print_status


async def show(engine: Any, kind: Kind, scope: Scope, output: Output = Output.TABLE) -> int:
    return await get.show(engine.client, get.Wanted(kind, None, scope, output), color=False)


async def test_lists_the_seeds_columns_and_the_traffic(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec, engine.row(spec, Phase.SUCCEEDED))

    await show(engine, Kind.CANARY, Scope(spec.namespace))

    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["CLUSTER", "NAME", "STATUS", "WEIGHT", "TRAFFIC", "LASTTRANSITIONTIME"]
    assert row.split() == ["one", "backend", "Succeeded", "0", "0", "2026-01-02T03:04:05Z"]


async def test_a_running_rollouts_row_stands_for_its_canary(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING, weight=20, traffic_weight=20))

    await show(engine, Kind.CANARY, Scope(spec.namespace))

    assert capsys.readouterr().out.splitlines()[1].split()[2:5] == ["Progressing", "20", "20"]


async def test_wide_adds_what_explains_the_state(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    row = engine.row(spec, Phase.FAILED, failed_checks=2, revision="abc", message="Canary failed!")
    await engine.canary(spec, row)

    await show(engine, Kind.CANARY, Scope(spec.namespace), Output.WIDE)

    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[6:] == ["FAILEDCHECKS", "REVISION", "APPLICATION", "MESSAGE"]
    assert line.split()[6:] == ["2", "abc", "Canary", "failed!"]


async def test_a_cluster_narrows_the_list(engine: Any, capsys: Any) -> None:
    namespace = engine.namespace()
    for cluster in ("one", "two"):
        await engine.canary(engine.spec(namespace=namespace, cluster=cluster))

    await show(engine, Kind.CANARY, Scope(namespace, "two"))

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["two"]


async def test_all_namespaces_are_named(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    await show(engine, Kind.CANARY, Scope(None))

    output = capsys.readouterr().out
    assert output.startswith("NAMESPACE")
    assert spec.namespace in output


async def test_json_is_a_list_of_flaggers_objects(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    await show(engine, Kind.CANARY, Scope(spec.namespace), Output.JSON)

    shown = json.loads(capsys.readouterr().out)
    (item,) = shown["items"]
    assert (shown["apiVersion"], shown["kind"]) == ("v1", "List")
    assert (item["apiVersion"], item["kind"]) == ("flagger.app/v1beta1", "Canary")
    assert item["status"]["phase"] == "Initialized"
    assert item["status"]["workflow"]["id"] == f"canary/one/{spec.namespace}/Deployment/backend"


async def test_yaml_is_the_same_in_yaml(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    await show(engine, Kind.CANARY, Scope(spec.namespace), Output.YAML)

    assert "    phase: Initialized" in capsys.readouterr().out


async def test_yaml_keeps_a_sentence_in_its_line(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec, engine.row(spec, message="word " * 40))

    await show(engine, Kind.CANARY, Scope(spec.namespace), Output.YAML)

    assert f"    message: '{'word ' * 40}'" in capsys.readouterr().out


async def test_a_list_of_applications_is_of_kurators_objects(engine: Any, capsys: Any) -> None:
    row = engine.row(engine.spec(namespace=engine.namespace(), name="shop"), "Ready", revision="main@sha1:a")
    await engine.application(row)

    await show(engine, Kind.APPLICATION, Scope(row.namespace), Output.JSON)

    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert (item["apiVersion"], item["kind"]) == ("apps.kurator.dev/v1alpha1", "Application")
    assert item["metadata"] == {"name": "shop", "namespace": row.namespace}
    assert (item["status"]["phase"], item["status"]["revision"]) == ("Ready", "main@sha1:a")


async def test_rollouts_tell_how_they_ended(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    handle = await engine.rollout(spec, engine.row(spec, Phase.FAILED))
    await handle.signal("finish", "RolledBack")
    await engine.ended(handle)

    await show(engine, Kind.ROLLOUT, Scope(spec.namespace))

    assert "RolledBack" in capsys.readouterr().out


async def test_an_empty_list_names_the_way_out(engine: Any, capsys: Any) -> None:
    namespace = engine.namespace()

    await show(engine, Kind.CANARY, Scope(namespace))

    assert capsys.readouterr().out == f"No canaries in namespace {namespace} (-A shows all).\n"


async def test_watching_prints_a_row_again_only_when_it_changed(
    engine: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starter.lists.REFRESH", 0.05)
    namespace = engine.namespace()
    one, two = (engine.spec(namespace=namespace, cluster=cluster) for cluster in ("one", "two"))
    changing = await engine.canary(one)
    await engine.canary(two)
    wanted = get.Wanted(Kind.CANARY, None, Scope(namespace), Output.TABLE)
    watching = asyncio.create_task(get.watch(engine.client, wanted, color=False))
    output = await engine.printed(capsys, "two")
    await changing.signal("show", engine.row(one, Phase.PROGRESSING, weight=10))
    output += await engine.printed(capsys, "Progressing")
    watching.cancel()

    clusters = [line.split()[0] for line in output.splitlines()]
    assert clusters == ["CLUSTER", "one", "two", "one"]


async def test_watching_prints_no_json(engine: Any) -> None:
    with pytest.raises(UsageError, match="prints tables"):
        await get.watch(
            engine.client, get.Wanted(Kind.CANARY, None, Scope("webapp"), Output.JSON), color=False
        )


async def test_wide_and_status_name_the_gate_that_is_waited_for(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    row = engine.row(spec, Phase.WAITING_PROMOTION, waiting_for="confirm-promotion", message="Halted.")
    await engine.canary(spec)
    await engine.rollout(spec, row)

    await show(engine, Kind.CANARY, Scope(spec.namespace), Output.WIDE)
    await print_status(engine.client, Reference("backend", spec.namespace), color=False)

    _, line, _, status = capsys.readouterr().out.splitlines()
    assert line.endswith("Waits for confirm-promotion. Halted.")
    assert status.endswith("Waits for confirm-promotion. Halted.")
