"""What the documents say exists, and what exists is said."""

import re
from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest
import typer
from ruamel.yaml import YAML

from activities.cluster import marks, paths
from activities.source import ownership
from canary.analysis import AnalysisResult
from canary.decision import Decision
from canary.delivery import ApplicationPhase
from canary.idle import IdleDecision
from canary.spec import HookType
from canary.status import Outcome, Phase
from sandbox.__main__ import _parser as sandbox_parser
from sandbox.apiserver.faults import Deed
from sandbox.metrics.server import MetricsFaults
from starter.__main__ import app
from starter.doctor import KEYS
from starter.documents import load
from starter.errors import Exit
from tests.conformance.claims import CLAIMS
from tests.docs.pages import PAGES, ROOT, anchors, blocks, column, commands, defined, links, without_blocks
from worker import attached
from worker.clusters import ClusterEntry, read_clusters_file
from worker.settings import WorkerSettings
from workflows import contract

README = ROOT / "README.md"
CONCEPTS, ARCHITECTURE, OPERATIONS, SANDBOX = (
    ROOT / "docs" / f"{name}.md" for name in ("concepts", "architecture", "operations", "sandbox")
)
SETTINGS = {f"CANARY_{name.upper()}" for name in WorkerSettings.model_fields}
CLUSTER_KEYS = {field.alias or name for name, field in ClusterEntry.model_fields.items()}
WORDS: tuple[type[StrEnum], ...] = (Phase, Outcome, AnalysisResult, ApplicationPhase, contract.Verb)


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def mistakes_in(words: list[str]) -> str:
    """What is wrong with a call of `canary`: an unknown command or option."""
    group = typer.main.get_command(app)
    known = _options(group)
    rest = iter(word for word in words if word != "…")
    for word in rest:
        if not word.startswith("-"):
            return _mistakes_of(group, word, list(rest))
        if word not in known:
            return f"{word} of canary"
        if word == "--sandbox":
            next(rest)
    return ""


def _mistakes_of(group: object, name: str, words: list[str]) -> str:
    command = group.commands.get(name)  # type: ignore[attr-defined]
    if command is None:
        return f"command {name}"
    if name == "sandbox":
        return _mistakes_of_sandbox(words)
    known = _options(command) | _options(group)
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
    return f"{unknown} of {name}" if unknown else ""


def _mistakes_of_sandbox(words: list[str]) -> str:
    try:
        sandbox_parser().parse_args(words or ["status"])
    except SystemExit:
        return f"sandbox {' '.join(words)}"
    return ""


def _options(command: object) -> set[str]:
    own = {name for param in command.params for name in param.opts if name.startswith("-")}  # type: ignore[attr-defined]
    return own | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_exists(page: Path) -> None:
    found = [mistake for words in commands(page, "canary") if (mistake := mistakes_in(words))]

    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("rollback backend", id="command"),
        pytest.param("abort backend --cause x", id="option"),
        pytest.param("--box x get", id="global option"),
        pytest.param("sandbox up --towns 2", id="option of the sandbox"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert mistakes_in(line.split())


def test_commands_are_found_in_the_documents() -> None:
    used = {words[0] for page in PAGES for words in commands(page, "canary") if words}

    assert set(typer.main.get_command(app).commands) <= used  # type: ignore[attr-defined]


def test_the_readme_lists_every_command() -> None:
    assert {name.removeprefix("canary ") for name in column(README, "command")} == set(
        typer.main.get_command(app).commands  # type: ignore[attr-defined]
    )


def test_the_readme_tells_of_every_conformance_scenario() -> None:
    rows = re.findall(r"\| ((?:[CTDK]\d+ ?)+) \|$", README.read_text(), re.MULTILINE)
    named = {name for row in rows for name in row.split()}

    assert named <= CLAIMS.keys()
    assert {claim for claim in CLAIMS if claim.startswith("C")} <= named


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_link_resolves(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page

        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_word_is_defined_once() -> None:
    words = defined(CONCEPTS)

    assert sorted(words) == sorted(set(words))
    assert {str(word) for words in WORDS for word in words} <= set(words)
    assert {one.__name__ for one in (*get_args(Decision), *get_args(IdleDecision))} <= set(words)


def test_every_type_of_hook_is_told() -> None:
    assert set(column(CONCEPTS, "hook")) == set(map(str, HookType))


def test_every_setting_is_told_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(CANARY_[A-Z_]+)` \| (.+?) \|", OPERATIONS.read_text(), re.MULTILINE))
    defaults = {
        f"CANARY_{name.upper()}": _default(field.default)
        for name, field in WorkerSettings.model_fields.items()
    }

    assert table == defaults


def _default(value: object) -> str:
    return "none" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\bCANARY_[A-Z_]+\b", page.read_text()))

    assert named <= SETTINGS | _read_elsewhere()


def _read_elsewhere() -> set[str]:
    readers = [*(ROOT / "starter").glob("*.py"), *(ROOT / "deploy").glob("*.sh"), ROOT / "docker-compose.yml"]
    return {name for path in readers for name in re.findall(r"\bCANARY_[A-Z_]+\b", path.read_text())}


def test_every_field_of_our_own_is_told() -> None:
    modules = (ROOT / "canary/documents").glob("*.py")
    said = [text for path in modules for text in re.findall(r"Of our own[^.]*\.", path.read_text())]
    own = {name for text in said for name in re.findall(r"`(\w+)`", text)}
    rows = [line for line in OPERATIONS.read_text().splitlines() if line.startswith("| `")]

    assert {"noData", "acceptedPolicies"} <= own
    assert {name for name in own if not any(re.search(rf"\b{name}\b", row) for row in rows)} == set()


def test_every_key_of_a_cluster_is_told() -> None:
    example = YAML(typ="safe").load((ROOT / "examples/clusters.yaml").read_text())

    assert set(column(OPERATIONS, "key")) == CLUSTER_KEYS
    assert {key for entry in example["clusters"].values() for key in entry} == CLUSTER_KEYS


def test_the_example_of_a_clusters_file_can_be_read() -> None:
    assert "host" in read_clusters_file(ROOT / "examples/clusters.yaml").clusters


def test_every_mark_in_a_cluster_is_told() -> None:
    modules = (marks, ownership, attached)
    values = {value for module in modules for value in vars(module).values() if isinstance(value, str)}

    assert {value for value in values if value.startswith("durable-canary.dev/")} == set(
        column(ARCHITECTURE, "mark")
    )


def test_every_workflow_queue_and_attribute_is_told() -> None:
    text = ARCHITECTURE.read_text()
    ids = [
        contract.application_id("<namespace>", "<name>"),
        contract.canary_id("<cluster>/<namespace>/<kind>/<target>"),
        contract.rollout_id("<same tail>"),
        contract.watch_id("<cluster>"),
        contract.doctor_id("<who>"),
    ]

    assert [name for name in ids if f"`{name}`" not in text] == []
    assert [key.name for key in KEYS if f"`{key.name}`" not in text] == []
    assert set(column(ARCHITECTURE, "task queue")) == {
        contract.QUEUE,
        contract.CHECKS_QUEUE,
        contract.WATCH_QUEUE,
    }


def test_every_exit_code_is_told() -> None:
    text = OPERATIONS.read_text()
    paragraph = text[text.index("Exit codes:") :].split("\n\n")[0]

    assert set(map(int, re.findall(r"\b\d+\b", paragraph))) == set(Exit) - {Exit.INTERRUPTED}


def test_every_fault_of_the_sandbox_is_told() -> None:
    text = without_blocks(SANDBOX)
    metrics = [field.alias for field in MetricsFaults.model_fields.values()]

    assert [name for name in get_args(Deed) if f"`{name}`" not in text] == []
    assert [name for name in metrics if f'"{name}"' not in text] == []


def test_the_role_allows_every_kind_that_is_touched() -> None:
    rules = YAML(typ="safe").load((ROOT / "deploy/rbac.yaml").read_text())["rules"]
    allowed = {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}
    touched = {_group_and_plural(paths.collection(kind)) for kind in paths._PLURALS}

    assert touched <= allowed


def _group_and_plural(path: str) -> tuple[str, str]:
    parts = path.split("/")
    return (parts[2] if parts[1] == "apis" else "", parts[-1])


def test_the_document_of_the_readme_has_no_mistake(tmp_path: Path) -> None:
    (document,) = blocks(README, "yaml")
    path = tmp_path / "shop.yaml"
    path.write_text(document)

    loaded = load([str(path)])

    assert [str(finding) for finding in loaded.findings if not finding.is_warning] == []
    assert len(loaded.resolution.applications) == 1


@pytest.mark.parametrize(
    ("files", "cluster"),
    [
        pytest.param(["canary.yaml", "fleet.yaml"], None, id="application"),
        pytest.param(["flagger-canary.yaml", "metric-template.yaml"], "kurator-member1", id="flagger"),
        pytest.param(["ab-testing.yaml", "fleet.yaml"], None, id="A/B"),
        pytest.param(["blue-green.yaml"], "kurator-member1", id="blue/green"),
        pytest.param(["session-affinity.yaml"], "kurator-member1", id="session affinity"),
        pytest.param(["gates-and-alerts.yaml"], "kurator-member1", id="gates and alerts"),
    ],
)
def test_the_examples_have_no_mistake(files: list[str], cluster: str | None) -> None:
    loaded = load([str(ROOT / "examples" / name) for name in files], cluster)

    assert [str(finding) for finding in loaded.findings] == []


def test_every_example_is_listed() -> None:
    listed = {link.split("#")[0] for link in links(ROOT / "examples/README.md")}

    assert {path.name for path in (ROOT / "examples").glob("*.yaml")} <= listed
