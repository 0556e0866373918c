"""`python -m tests.conformance.marks`: print which tests prove what, as docs/proof.md has it.

Read from the text of the tests, so that it holds for those as well that a run leaves out.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conformance.claims import CLAIMS, RECORDED
from tests.conformance.proof import in_order

TESTS = Path(__file__).parents[1]
WHOLE = "conformance/"
"""Where whole rollouts are told."""


class Marked(NamedTuple):
    """A test that proves something, by marks of its own or of its rows."""

    path: str
    """Its module's, below `tests/`."""
    name: str
    claims: list[str]
    told: str
    """Its docstring."""


def marked() -> Iterator[Marked]:
    """Every such test of the tree, in order."""
    for path in sorted(TESTS.rglob("test_*.py")):
        module = ast.parse(path.read_text())
        tables = dict(_assigned(module))
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                claims = in_order({claim for each in node.decorator_list for claim in _claims(each, tables)})
                if claims:
                    where = path.relative_to(TESTS).as_posix()
                    yield Marked(where, node.name, claims, ast.get_docstring(node) or "")


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in module.body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _claims(decorator: ast.expr, tables: dict[str, ast.expr]) -> Iterator[str]:
    """The ids in a decorator, also in the tables of rows that it names."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.proves":
            yield from (str(ast.literal_eval(each)) for each in node.args)
        if isinstance(node, ast.Name) and node.id in tables:
            yield from _claims(tables[node.id], tables)


def table() -> str:
    """Each id with the whole rollouts and the smaller tests that prove it, as a table in Markdown."""
    tests = list(marked())
    rows = ["| id | what is shown | by whole rollouts | by smaller tests |", "|---|---|---|---|"]
    for claim, what in CLAIMS.items():
        own = [test for test in tests if claim in test.claims]
        whole = [*_recordings(claim), *(_story(test) for test in own if test.path.startswith(WHOLE))]
        others = dict.fromkeys(_module(test) for test in own if not test.path.startswith(WHOLE))
        rows.append(f"| {claim} | {what} | {_joined(whole)} | {_joined(others)} |")
    return "\n".join(rows)


def _recordings(claim: str) -> Iterator[str]:
    for name, claims in RECORDED.items():
        if claim in claims:
            yield f"[recorded: {name}](../tests/recorded/flagger/{name}.jsonl)"


def _story(test: Marked) -> str:
    return f"{_module(test)}: {test.name.removeprefix('test_').replace('_', ' ')}"


def _module(test: Marked) -> str:
    return f"[{test.path.removeprefix(WHOLE)}](../tests/{test.path})"


def _joined(items: Iterable[str]) -> str:
    return "<br>".join(items)


if __name__ == "__main__":
    print(table())  # noqa: T201 — what it is for
