"""One object with all that belongs to it, as its workflows answer."""

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from canary.application import ApplicationSpec, GitSource
from canary.status import Phase
from starter import get, offer
from starter.answers import ask
from starter.errors import RefusedError, UnreachableError, UsageError
from starter.listing import Scope
from starter.lists import Kind
from starter.options import Output
from workflows.contract import CanaryView, ClusterProgress, Command, canary_id


async def show(engine: Any, kind: Kind, name: str, namespace: str, output: Output = Output.TABLE) -> None:
    await get.show(engine.client, get.Wanted(kind, name, Scope(namespace), output), color=False)


async def test_a_canary_at_rest_names_its_target_and_promoted_revision(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    await show(engine, Kind.CANARY, "backend", spec.namespace)

    output = capsys.readouterr().out
    assert f"canary one/{spec.namespace}/Deployment/backend Initialized" in output
    assert "target Deployment/backend, primary backend-primary, service backend" in output
    assert "promoted revision abc" in output


async def test_a_running_rollout_shows_its_last_check(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    await engine.analysed(rollout)

    await show(engine, Kind.CANARY, "backend", spec.namespace)

    output = capsys.readouterr().out
    assert "rollout of revision def: Progressing, weight 10, traffic 10, failed checks 0 of 2" in output
    assert "request-success-rate 99.5 % (min 99, 120 requests) Successful" in output


async def test_json_is_flaggers_object_of_the_running_rollout(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))

    await show(engine, Kind.CANARY, "backend", spec.namespace, Output.JSON)

    shown = json.loads(capsys.readouterr().out)
    assert (shown["apiVersion"], shown["kind"]) == ("flagger.app/v1beta1", "Canary")
    assert shown["metadata"]["name"] == "backend"
    status = shown["status"]
    assert (status["phase"], status["canaryWeight"], status["lastAppliedSpec"]) == ("Progressing", 10, "def")


async def test_yaml_is_flaggers_object_of_a_canary_at_rest(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    await show(engine, Kind.CANARY, "backend", spec.namespace, Output.YAML)

    shown = YAML(typ="safe", pure=True).load(capsys.readouterr().out)
    assert (shown["kind"], shown["status"]["phase"]) == ("Canary", "Initialized")
    assert shown["status"]["lastPromotedSpec"] == "abc"


async def test_a_canary_whose_first_document_is_being_judged_has_nothing_to_show(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace(), name="unjudged")
    await engine.canary(spec)

    with pytest.raises(RefusedError, match="has no document yet"):
        await show(engine, Kind.CANARY, "unjudged", spec.namespace, Output.JSON)


async def test_an_application_shows_its_source_and_revision(engine: Any, capsys: Any) -> None:
    source = GitSource(url="http://git/app.git", branch="master")
    spec = ApplicationSpec(namespace=engine.namespace(), name="shop", source=source, policies=())
    await offer.make(engine.client, offer.of_application(spec, Command(id="one")))
    await engine.listed(f"application/{spec.namespace}/shop")

    await show(engine, Kind.APPLICATION, "shop", spec.namespace)

    output = capsys.readouterr().out
    assert f"application {spec.namespace}/shop Applied" in output
    assert "source http://git/app.git master@sha1:abc" in output


async def test_an_application_in_json_asks_its_canaries(engine: Any, capsys: Any) -> None:
    """One that cannot answer yet does not hide the others, as it would in Kurator."""
    namespace = engine.namespace()
    source = GitSource(url="http://git/app.git", branch="master")
    spec = ApplicationSpec(namespace=namespace, name="shop", source=source, policies=())
    await offer.make(engine.client, offer.of_application(spec, Command(id="one")))
    application = engine.client.get_workflow_handle(f"application/{namespace}/shop")
    await engine.listed(application.id)
    specs = [engine.spec(namespace=namespace, name=name) for name in ("backend", "unjudged")]
    for each in specs:
        await engine.canary(each)
        names = {"name": f"{each.name}-one", "policy": each.name, "cluster": "one"}
        await application.signal("progress", ClusterProgress(**names, canary=canary_id(each.tail)))

    await show(engine, Kind.APPLICATION, "shop", namespace, Output.JSON)

    backend, unjudged = json.loads(capsys.readouterr().out)["status"]["syncStatus"]
    assert backend["rolloutStatus"]["rolloutStatusInCluster"]["lastPromotedSpec"] == "abc"
    assert "has no document yet" in unjudged["rolloutStatus"]["rolloutStatusInCluster"]["message"]


async def test_without_a_worker_the_list_is_named_instead(idle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starter.answers.ANSWER_WITHIN", idle.seconds(0.5))
    spec = idle.spec(namespace=idle.namespace())
    await idle.canary(spec)

    with pytest.raises(UnreachableError, match="No worker answers for canary/one/"):
        await ask(idle.client, canary_id(spec.tail), CanaryView)


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        pytest.param([], Kind.CANARY, None, id="nothing means canaries"),
        pytest.param(["apps"], Kind.APPLICATION, None, id="a kind"),
        pytest.param(["backend"], Kind.CANARY, "backend", id="a name alone is a canary's"),
        pytest.param(["application", "shop"], Kind.APPLICATION, "shop", id="both"),
        pytest.param(["application/shop"], Kind.APPLICATION, "shop", id="both in one"),
        pytest.param(["canary/deployment/a"], Kind.CANARY, "deployment/a", id="its target's kind as well"),
        pytest.param(["deployment/backend"], Kind.CANARY, "deployment/backend", id="its target's kind"),
    ],
)
def test_words_are_read_as_kubectl_reads_them(words: list[str], kind: Kind, name: str | None) -> None:
    wanted = get.wanted(words, Scope("webapp"), Output.TABLE)

    assert (wanted.kind, wanted.name) == (kind, name)


def test_words_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="write"):
        get.wanted(["pod", "backend"], Scope("webapp"), Output.TABLE)


def test_one_object_is_in_one_namespace() -> None:
    with pytest.raises(UsageError, match="-A lists"):
        _ = get.wanted(["backend"], Scope(None), Output.TABLE).namespace
