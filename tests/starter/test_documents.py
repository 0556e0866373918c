import io
import json
import os
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import pytest

from canary.problem import Problem
from starter.documents import LARGEST, lint, load, parse_path
from starter.parsing import DEEPEST, MOST_VALUES, parse

EXAMPLES = Path(__file__).parents[2] / "examples"
AT_ONCE = 0.5
"""Seconds; what grows with what an alias stands for would take hours."""
TEMPLATE = """\
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata:
  name: errors
spec:
  query: vector(1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bomb() -> str:
    names = "abcdefghijklmnopqrstuvwxyz"
    lines = ["a: &a [boom, boom, boom, boom, boom, boom, boom, boom, boom]"]
    for before, name in pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "names",
    [
        ("canary", "fleet"),
        ("ab-testing", "fleet"),
        ("flagger-canary", "metric-template"),
        ("blue-green",),
        ("session-affinity",),
        ("gates-and-alerts",),
    ],
)
def test_the_examples_have_no_mistake(names: tuple[str, ...]) -> None:
    assert lint([str(EXAMPLES / f"{name}.yaml") for name in names]) == []


def test_a_canary_to_apply_needs_its_cluster() -> None:
    files = [str(EXAMPLES / name) for name in ("flagger-canary.yaml", "metric-template.yaml")]

    assert [finding.message for finding in load(files).findings] == [
        "does not say which cluster it is in: name it with --cluster"
    ]
    assert load(files, "member").resolution.canaries[0].spec.cluster == "member"


def test_reads_a_folder(folder: Path) -> None:
    for name in ("canary.yaml", "fleet.yaml"):
        (folder / name).write_text((EXAMPLES / name).read_text())
    (folder / "README.md").write_text("# not a document")

    assert load([str(folder)]).resolution.applications[0].spec.name == "shop"


def test_reads_json_indented_by_tabs(folder: Path) -> None:
    [template] = (parsed.data for parsed in parse(TEMPLATE))
    (folder / "template.json").write_text(json.dumps(template, indent="\t"))

    assert lint(["template.json"]) == []


def test_reads_letters_that_json_writes_in_two_halves() -> None:
    [parsed] = parse(r'{"name": "\ud83d\ude00"}')

    assert parsed.data == {"name": "😀"}


def test_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEMPLATE.replace("query: vector(1)", "query: ''")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert [str(finding) for finding in lint(["-"])] == ["stdin:6: spec.query: must not be empty"]


def test_standard_input_can_be_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEMPLATE.encode())))

    assert [str(finding) for finding in lint(["-", "-"])] == ["stdin: is given twice, and can be read once"]


def test_reads_aliases(folder: Path) -> None:
    (folder / "a.yaml").write_text(TEMPLATE.replace("errors", "&name errors").replace("vector(1)", "*name"))

    assert lint(["a.yaml"]) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("", "a.yaml: is empty: it holds no document", id="empty"),
        pytest.param("# nothing\n---\n", "a.yaml: is empty: it holds no document", id="only a comment"),
        pytest.param("a: b: c", "a.yaml:1: is not YAML: mapping values are not allowed here", id="not YAML"),
        pytest.param(
            "a:\n\tb: 1", "a.yaml:2: is not YAML: a tab indents this line, only spaces may", id="tab"
        ),
        pytest.param(
            "a: [1\nb: 2",
            "a.yaml:2: is not YAML: expected ',' or ']', but got ':'",
            id="bracket not closed",
        ),
        pytest.param("a: '", "a.yaml:1: is not YAML: found unexpected end of stream", id="quote not closed"),
        pytest.param("a: 1\nb: 2\na: 3", "a.yaml:3: a is given twice, first on line 1", id="key twice"),
        pytest.param("a: *b", "a.yaml:1: nothing is called &b", id="unknown alias"),
        pytest.param("a: &a [*a]", "a.yaml:1: *a stands inside itself", id="alias to itself"),
        pytest.param("a: !!python/none x", "a.yaml:1: the tag python/none is not read", id="tag"),
        pytest.param("a: !mine {b: 1}", "a.yaml:1: the tag !mine is not read", id="tag of a mapping"),
        *(
            pytest.param(
                f"a:\n  b: [7, {number}]",
                f"a.yaml:2: {shown} begins with 0, which makes it octal for kubectl and decimal here: leave "
                "the 0 out, or put it in quotes if it is text",
                id=f"leading zero of {number}",
            )
            for number, shown in (
                ("010", "010"),
                ("-010", "-010"),
                ("0777", "0777"),
                ("08", "08"),
                ("!!int 010", "010"),
            )
        ),
        pytest.param("a: !!int x", "a.yaml:1: x is no int", id="not what its tag says"),
        pytest.param(
            "<<: {a: 1}", "a.yaml:1: merge keys (<<) are not read: write the fields out", id="merge"
        ),
        pytest.param("[a]: 1", "a.yaml:1: a field's name must be text", id="key that is a list"),
        pytest.param(
            f"a: {'[' * 100}", f"a.yaml:1: is nested deeper than {DEEPEST} levels", id="nested too deep"
        ),
        pytest.param(
            bomb(),
            f"a.yaml:5: holds more than {MOST_VALUES} values, aliases written out",
            id="billion laughs",
        ),
        pytest.param(f"a: {'9' * 5000}", f"a.yaml:1: {'9' * 60}... is no int", id="number too long"),
        pytest.param(
            r'a: "\ud800"',
            "a.yaml:1: holds half a letter: an escaped surrogate without its other half",
            id="half a surrogate",
        ),
        pytest.param(
            "a: \0",
            "a.yaml:1: is not YAML: unacceptable character #x0000: special characters are not allowed",
            id="null character",
        ),
    ],
)
def test_names_what_cannot_be_read(folder: Path, text: str, line: str) -> None:
    (folder / "a.yaml").write_text(text)

    begin = perf_counter()

    assert [str(finding) for finding in lint(["a.yaml"])] == [line]
    assert perf_counter() - begin < AT_ONCE


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("'010'", "010"), ("0.5", 0.5), ("10", 10)])
def test_a_zero_may_stand_where_it_says_the_same_to_everybody(text: str, value: object) -> None:
    assert [parsed.data for parsed in parse(f"a: {text}")] == [{"a": value}]


def test_names_a_file_that_is_no_text(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")

    assert [str(finding) for finding in lint(["a.yaml"])] == ["a.yaml:2: is not text in UTF-8"]


def test_names_a_file_that_is_too_large(folder: Path) -> None:
    (folder / "a.yaml").write_text("a" * (LARGEST + 1))

    assert [str(finding) for finding in lint(["a.yaml"])] == ["a.yaml: is larger than 1024 KiB"]


def test_names_a_file_that_is_not_there(folder: Path) -> None:
    file = str(folder / "a.yaml")

    assert [str(finding) for finding in lint([file])] == [
        f"{file}: cannot be read: No such file or directory"
    ]


def test_names_a_path_that_cannot_be_looked_at() -> None:
    name = "a" * 5000

    assert [str(finding) for finding in lint([name])] == [f"{name}: cannot be read: File name too long"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_names_a_folder_that_may_not_be_read(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o000)

    assert [str(finding) for finding in lint(["closed"])] == ["closed: cannot be read: Permission denied"]


def test_names_a_folder_without_documents(folder: Path) -> None:
    (folder / "empty").mkdir()

    assert [str(finding) for finding in lint(["empty"])] == [
        "empty: holds no file that ends in .yaml, .yml, .json"
    ]


@pytest.mark.proves("T20")
def test_names_the_line_of_each_mistake(folder: Path) -> None:
    """Flagger logs an invalid Canary, and its status stays empty (T20: Flagger's controller.go)."""
    text = (EXAMPLES / "canary.yaml").read_text().replace("stepWeight: 10", "stepWeight: 0")
    (folder / "canary.yaml").write_text(text.replace("port: 9898\n", "prot: 9898\n", 1))
    number = {line.split("#")[0].strip(): place for place, line in enumerate(text.splitlines(), 1)}
    rollout = "spec.syncPolicies[0].rollout"

    assert [str(finding) for finding in lint(["canary.yaml", str(EXAMPLES / "fleet.yaml")])] == [
        f"canary.yaml:{number['rollout:']}: {rollout}.port: is required",
        f"canary.yaml:{number['port: 9898']}: {rollout}.prot: unknown field, did you mean port?",
        (
            f"canary.yaml:{number['stepWeight: 0']}: {rollout}.rolloutPolicy.trafficRouting.canaryStrategy"
            ".stepWeight: must be at least 1, is 0"
        ),
    ]


def test_names_the_line_of_a_mistake_in_each_kind_of_document(folder: Path) -> None:
    text = (EXAMPLES / "gates-and-alerts.yaml").read_text()
    text = text.replace("type: confirm-rollout", "type: confirm-start").replace(
        "  type: webhook", "  type: sms"
    )
    (folder / "gates.yaml").write_text(text)
    number = {line.split("#")[0].strip(): place for place, line in enumerate(text.splitlines(), 1)}

    hook, provider = (str(finding) for finding in lint(["gates.yaml"]))

    assert hook.startswith(
        f"gates.yaml:{number['type: confirm-start']}: spec.analysis.webhooks[0].type: must be"
    )
    assert provider == (
        f"gates.yaml:{number['type: sms']}: spec.type: "
        "must be slack, msteams, discord, rocket, gchat or webhook, is sms"
    )


def test_counts_lines_through_all_documents_of_a_file(folder: Path) -> None:
    (folder / "a.yaml").write_text(f"---\n{TEMPLATE}---\n{TEMPLATE.replace('spec', 'specs')}")

    assert [str(finding) for finding in lint(["a.yaml"])] == [
        "a.yaml:9: spec: is required",
        "a.yaml:12: metadata.name: MetricTemplate default/errors is given twice",
        "a.yaml:13: specs: unknown field, did you mean spec?",
    ]


def test_marks_warnings(folder: Path) -> None:
    text = (EXAMPLES / "canary.yaml").read_text().replace("min: 99", "max: 99")
    (folder / "canary.yaml").write_text(text)

    [finding] = lint(["canary.yaml", str(EXAMPLES / "fleet.yaml")])

    assert finding.is_warning
    assert str(finding).startswith("canary.yaml:52: warning: spec.syncPolicies[0].rollout.")


def test_what_may_stand_in_an_unreadable_file_is_not_missing(folder: Path) -> None:
    (folder / "fleet.yaml").write_text("a: b: c")

    assert [str(finding) for finding in lint([str(EXAMPLES / "canary.yaml"), "fleet.yaml"])] == [
        "fleet.yaml:1: is not YAML: mapping values are not allowed here"
    ]


def test_finds_the_line_of_what_a_worker_found(folder: Path) -> None:
    (folder / "a.yaml").write_text(TEMPLATE)

    documents = load(["a.yaml"])

    assert [
        str(documents.finding(0, Problem(path=path, message="is wrong")))
        for path in ("spec.query", "spec.provider.secretRef", "")
    ] == [
        "a.yaml:6: spec.query: is wrong",
        "a.yaml:5: spec.provider.secretRef: is wrong",
        "a.yaml:1: is wrong",
    ]


def test_reads_paths_as_they_are_written() -> None:
    assert parse_path("spec.syncPolicies[0].rollout.port") == ("spec", "syncPolicies", 0, "rollout", "port")
